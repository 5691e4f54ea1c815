"""Tables are rewritten in the hours that the operator names."""

import pytest

from node.erasing import is_in


@pytest.mark.parametrize(
    ("hours", "within"),
    [
        ("", set(range(24))),
        ("1-4", {1, 2, 3}),
        ("22-5", {22, 23, 0, 1, 2, 3, 4}),
        ("0-24", set(range(24))),
        ("20-24", {20, 21, 22, 23}),
        ("3-3", set(range(24))),
    ],
)
def test_hours_may_pass_midnight(hours: str, within: set[int]) -> None:
    assert {hour for hour in range(24) if is_in(hours, hour)} == within
