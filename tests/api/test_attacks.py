"""Small requests that would cost much are refused for little work, and before a database is asked."""

import sys
from types import FrameType
from typing import Any

import pytest

from bench.attacks import attacks, refused
from schema.compile import limits
from schema.engine import Engine
from schema.root import SCHEMA
from tests.api.conftest import Served

ATTACKS = {name: (body, code) for name, body, code in attacks()}
PYTHON_CALLS_MAX = 300_000  # the dearest make half of that, in less than 50 ms


def python_calls(body: bytes, expected: str | None) -> int:
    """Return how many Python functions it takes to refuse this body with the code expected."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    engine = Engine(SCHEMA, None)  # type: ignore[arg-type]  # whoever asked a service would fail
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = refused(engine, body)
    finally:
        sys.setprofile(before)
    assert found == expected
    return calls


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_for_a_bounded_amount_of_work(name: str) -> None:
    assert python_calls(*ATTACKS[name]) <= PYTHON_CALLS_MAX


async def test_no_attack_reaches_the_database_or_is_told_anything_from_inside(
    served: Served,
) -> None:
    await served.node.database.close()  # whatever asks it is told so, and answers otherwise
    for name, (body, code) in ATTACKS.items():
        if code is None:
            continue
        headers = {"content-type": "application/json", "accept": "application/graphql-response+json"}
        response = await served.http.post(served.url, content=body, headers=headers)
        assert (name, response.status_code) == (name, 400)
        assert "data" not in response.json()
        assert response.json()["errors"][0]["extensions"]["code"] == code
        assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("document", "limit"),
    [
        ("{ needs { nodes { " + "id " * 63 + "} } }", "SAME_FIELDS_PAIRS_MAX"),
        ("query a { __typename } " + " ".join(f"query q{n} {{ __typename }}" for n in range(49)), "OPERATIONS_MAX"),
        ("{ needs(filter: {kinds: [" + "MONEY " * 1_000 + "]}) { totalCount } }", "LISTED_VALUES_MAX"),
    ],
)
def test_a_document_at_a_limit_passes_and_one_beyond_does_not(
    monkeypatch: pytest.MonkeyPatch, document: str, limit: str
) -> None:
    assert not Engine(SCHEMA, None).compiler.document(document).errors  # type: ignore[arg-type]
    monkeypatch.setattr(limits, limit, getattr(limits, limit) // 2)
    found = Engine(SCHEMA, None).compiler.document(document).errors  # type: ignore[arg-type]
    assert found[0]["extensions"]["code"] == "DOCUMENT_TOO_LARGE"
