"""What of a section is new: checked against what a naive reader would keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.bundles.trim import SectionGap, is_behind, new_entries, new_lines, version_number
from federation.log.verify import Received
from federation.sync.sections import Opened, Pulled

LOG = [Received(b"entry %d" % number) for number in range(40)]


def line(number: int) -> bytes:
    return b'{"versionId":"%d-Qm","other":[1.5]}' % number


@given(st.integers(0, 30), st.integers(0, 10), st.integers(0, 40))
def test_exactly_the_entries_beyond_ours_are_left(start: int, count: int, held: int) -> None:
    event = Pulled("log", LOG[start : start + count], start + count, (b"proof",))
    if start > held:
        with pytest.raises(SectionGap) as refusal:
            new_entries(event, held)
        assert refusal.value.details == {"size_held": held, "begins_at": start}
        return
    fresh = new_entries(event, held)
    left = [] if fresh is None else fresh.entries
    assert left == LOG[held : start + count] if held < start + count else left == []
    assert fresh is None or (fresh.size, fresh.proof) == (start + count, (b"proof",))


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 20))
def test_exactly_the_identity_versions_beyond_ours_are_left(first: int, count: int, held: int) -> None:
    lines = [line(number) for number in range(first, first + count)]
    if (lines and first > held + 1) or (not lines and held == 0):
        with pytest.raises(SectionGap):
            new_lines(lines, held)
        return
    assert new_lines(lines, held) == tuple(line(number) for number in range(max(first, held + 1), first + count))


def test_a_batch_that_states_less_than_it_holds_is_left_to_the_verifier() -> None:
    event = Pulled("log", LOG[:5], 3, ())
    assert new_entries(event, 3) is event


@pytest.mark.parametrize(
    "bad", [b"", b"{", b"[]", b'{"versionId":7}', b'{"versionId":"x-Qm"}', b'{"versionId":"01-Qm"}', b"\xff"]
)
def test_a_line_without_a_version_is_left_to_the_verifier(bad: bytes) -> None:
    assert version_number(bad) is None
    assert new_lines([bad], 3) == (bad,)


def test_a_note_that_is_none_is_left_to_the_verifier() -> None:
    assert not is_behind(Opened("log", (), None, b"rubbish"), 3)
