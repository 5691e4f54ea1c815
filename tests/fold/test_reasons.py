"""Why an entry has no row is said as if everything had come at once: what was overtaken keeps no reason of its own."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.records.registry import RECORDS
from federation.log.entry import Entry
from federation.projection.fold import AHEAD_MAX, Arrival, Folded, History, Reason, Tip, fold
from tests.clock import START
from tests.nodes import need_body

SCID = "QmSomebody"
RECORD = UUID("019ced20-0000-7000-8000-000000000005")
KEY = ("need", RECORD)


def _entry(revision: int, **changes: Any) -> Entry:
    given = {"v": 1, "type": "need", "id": RECORD, "rev": revision, "at": START, "op": "put", "body": bytes(32)}
    return Entry(**{**given, "prev": revision or None, **changes})


def _put(revision: int, body: dict[str, Any] | None, **changes: Any) -> Arrival:
    return Arrival(revision + 1, _entry(revision, **changes), body)


def _erase(revision: int) -> Arrival:
    return Arrival(revision + 1, _entry(revision, op="erase", core={"parts": ["body"]}, body=None), None)


def _fold(*arrivals: Arrival, tip: Tip | None = None, retried: bool = False) -> Folded:
    history = History({} if tip is None else {KEY: tip}, frozenset(), None)
    return fold(arrivals, history, RECORDS.get, scid=SCID, as_of=START, retried=retried)


def _reasons(folded: Folded) -> dict[int, Reason]:
    return {each.index: each.reason for each in folded.skipped}


SHOWN = _put(1, need_body())
EARLIER = {
    Reason.NOT_YET: _put(0, need_body(), at=START + AHEAD_MAX + timedelta(seconds=1)),
    Reason.RECORD_INVALID: _put(0, need_body(urgency="KAPAN-KAPAN")),
    Reason.WITHHELD: _put(0, None),
    Reason.UNKNOWN_TYPE: _put(0, need_body(), unknown=True),
}


OUT_OF_CHAIN = {
    "the same revision again": _entry(0),
    "a revision left out": _entry(2, prev=1),
    "a revision of another entry": _entry(1, prev=0),
}


@pytest.mark.parametrize("how", OUT_OF_CHAIN)
def test_an_entry_that_does_not_revise_the_newest_revision_changes_nothing(how: str) -> None:
    """Whoever has the key may sign it; the first of two rivals counts, on every node."""
    first, rival = _put(0, need_body("Beras")), Arrival(2, OUT_OF_CHAIN[how], need_body("Batu"))
    for folded in (_fold(first, rival), _fold(rival, tip=Tip(0, 1, START, START, 0))):
        assert _reasons(folded) == {2: Reason.CHAIN_BROKEN}
        assert [row.index for row in folded.rows.values()] in ([1], [])


def test_a_revision_of_nothing_is_no_record() -> None:
    folded = _fold(_put(1, need_body()))
    assert (_reasons(folded), folded.rows) == ({2: Reason.CHAIN_BROKEN}, {})


@pytest.mark.parametrize("reason", EARLIER)
def test_each_reason_stands_while_nothing_later_has_come(reason: Reason) -> None:
    assert _reasons(_fold(EARLIER[reason])) == {1: reason}


@pytest.mark.parametrize("reason", [Reason.NOT_YET, Reason.RECORD_INVALID])
def test_what_a_later_row_has_overtaken_waits_for_nothing(reason: Reason) -> None:
    assert _reasons(_fold(EARLIER[reason], SHOWN)) == {}
    tip = Tip(1, 2, START, START, 1)
    assert _reasons(_fold(EARLIER[reason], tip=tip, retried=True)) == {}


@pytest.mark.parametrize("reason", [Reason.WITHHELD, Reason.UNKNOWN_TYPE])
def test_a_body_that_is_missing_and_a_type_that_is_unknown_are_so_whatever_came_later(reason: Reason) -> None:
    assert _reasons(_fold(EARLIER[reason], SHOWN)) == {1: reason}
    tip = Tip(1, 2, START, START, 1)
    assert _reasons(_fold(EARLIER[reason], tip=tip, retried=True)) == {1: reason}


@pytest.mark.parametrize("reason", EARLIER)
def test_an_erased_body_leaves_only_the_erasure_without_a_row(reason: Reason) -> None:
    assert _reasons(_fold(EARLIER[reason], _erase(1))) == {2: Reason.ERASED}
    again = Arrival(3, _entry(2, prev=2), need_body())
    assert _reasons(_fold(EARLIER[reason], _erase(1), again)) == {2: Reason.ERASED}


def test_a_later_revision_that_cannot_be_shown_overtakes_nothing() -> None:
    folded = _fold(EARLIER[Reason.NOT_YET], _put(1, None))
    assert _reasons(folded) == {1: Reason.NOT_YET, 2: Reason.WITHHELD}
