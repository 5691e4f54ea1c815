"""Decide which verified entries become rows. Pure: history and time are arguments.

A record is a chain of revisions inside one log: revision 0, then each revision
naming the index of the one before. The chain is decided by the entries alone;
whether its newest revision can be shown depends on the payload, on the version
of this program and on the clock, and may change later. So everything refused
here keeps its entry and a reason, and nothing depends on arrival order.

Rules, with the reason that an entry without a row is kept for; the first that fits counts:
- A1.1 an entry is revision 0 of a new record, or revises the newest revision of its chain: CHAIN_BROKEN.
- A1.2 its operation and members are known here, and unless it erases its type and version: UNKNOWN_TYPE.
- A1.3 a record that a participant has once has the id of its log's genesis entry: SECOND_RECORD.
- A1.4 a body that it commits to is here: WITHHELD.
- A1.5 it is dated at most AHEAD_MAX ahead of the clock: NOT_YET.
- A1.6 the records it cannot be shown without have rows here: TARGET_MISSING.
- A1.7 its content is valid for its type: RECORD_INVALID.
- A1.8 an erase entry never has a row: ERASED. One that names `body` takes away its record's row and every earlier claim
  to one, as if no payload had ever come; a later put begins again. One that breaks a rule of `erasure` has no effect.
- A1.9 no reason is kept where none depends on it: an entry that a later row of its record or an erasure of its body has
  overtaken waits for nothing, whatever it waited for before. A later row leaves what is a matter of the log, of this
  program and of the bodies here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.errors import GotongError
from domain.records.base import AnyRecordType, record_uri
from federation.log.entry import GENESIS_TYPE, Entry, Part
from federation.log.erasure import ERASE, erased_parts

AHEAD_MAX = timedelta(minutes=15)
TARGET_RETRY = timedelta(seconds=5)

Key = tuple[str, UUID]


class Reason(StrEnum):
    """Why a verified entry has no row."""

    UNKNOWN_TYPE = "UNKNOWN_TYPE"  # a record type, version, operation or member of a newer program
    WITHHELD = "WITHHELD"  # its payload has not come and no erase explains that
    NOT_YET = "NOT_YET"  # dated more than AHEAD_MAX ahead
    TARGET_MISSING = "TARGET_MISSING"  # the record it is about has not arrived
    RECORD_INVALID = "RECORD_INVALID"  # its content breaks a rule of its type
    CHAIN_BROKEN = "CHAIN_BROKEN"  # it does not revise the newest revision of its record
    SECOND_RECORD = "SECOND_RECORD"  # of a type that a participant has once, without the genesis entry's id
    ERASED = "ERASED"  # it erases its record
    ERASE_MALFORMED = "ERASE_MALFORMED"  # it would erase, but breaks a rule of erasing: it has no effect
    CORE_NOT_ERASABLE = "CORE_NOT_ERASABLE"
    NOTHING_TO_ERASE = "NOTHING_TO_ERASE"


OUTSIDE_CHAIN = (Reason.CHAIN_BROKEN,)
OVERTAKEN = (Reason.NOT_YET, Reason.TARGET_MISSING, Reason.RECORD_INVALID)
"""Reasons that end when a later revision has a row: a node that heard of both later never had them."""
ERASED_AWAY = (*OVERTAKEN, Reason.WITHHELD, Reason.UNKNOWN_TYPE, Reason.SECOND_RECORD)
"""Reasons that end when the record's body is erased."""


class Arrival(Struct, frozen=True, gc=False):
    """A verified entry with its index and its decoded public payload, if that is here."""

    index: int
    entry: Entry
    body: dict[str, Any] | None
    columns: dict[str, Any] | None = None
    """What its row would say by its content alone, if that was worked out beforehand and the content is valid."""


class Tip(Struct, frozen=True, gc=False):
    """The newest revision in a record's chain, and the newest that has a row."""

    revision: int
    index: int
    published_at: datetime
    received_at: datetime
    shown_revision: int | None


class Row(Struct, frozen=True, gc=False):
    """What a record's row is to say; the store adds the local numbers of log and publisher."""

    entry: Entry
    index: int
    published_at: datetime
    received_at: datetime
    columns: dict[str, Any]
    first: bool
    uri: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that gets no row."""

    index: int
    entry: Entry
    reason: Reason
    due_at: datetime | None = None
    waits_for: str | None = None


class Erased(Struct, frozen=True):
    """An erase entry that counts, and the parts of its record that it destroys below its index."""

    index: int
    entry: Entry
    parts: tuple[Part, ...]


@dataclass(slots=True)
class Folded:
    """The outcome: what to destroy, before rows are written; rows to replace; entries without rows."""

    rows: dict[Key, Row] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    erased: list[Erased] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class History:
    """What the database knows about the records of a batch."""

    tips: Mapping[Key, Tip]
    targets: frozenset[str]  # URIs, of those the batch refers to, whose records are here
    singleton_id: UUID | None  # the id its log's genesis entry gives to records a participant has once


FindType = Callable[[str, int], AnyRecordType | None]


def fold(
    arrivals: Iterable[Arrival],
    history: History,
    find_type: FindType,
    *,
    scid: str,
    as_of: datetime,
    retried: bool,
    again_at: datetime | None = None,
) -> Folded:
    """Return the rows and the skipped entries of one log's `arrivals`, in index order.

    `retried` entries were in their chain when they first came: only what kept
    them from having a row is decided again. What waits for a record is tried when
    that comes, and before that at `again_at`.
    """
    folding = _Folding(history, find_type, scid, as_of, again_at)
    for arrival in arrivals:
        folding.add(arrival, retried=retried)
    return folding.outcome


def worked_out(arrivals: Iterable[Arrival], find_type: FindType, as_of: datetime) -> list[Arrival]:
    """Return the arrivals with their columns: most of what a row costs, and no history is needed for it."""
    return [Arrival(each.index, each.entry, each.body, _columns_ahead(each, find_type, as_of)) for each in arrivals]


def _columns_ahead(arrival: Arrival, find_type: FindType, as_of: datetime) -> dict[str, Any] | None:
    entry = arrival.entry
    record_type = find_type(entry.type, entry.v)
    if record_type is None or (entry.body is not None and arrival.body is None):
        return None
    try:
        return _columns(record_type, arrival, as_of)
    except GotongError:
        return None  # `fold` says why, if it comes to that


def _columns(record_type: AnyRecordType, arrival: Arrival, as_of: datetime) -> dict[str, Any]:
    """Return what the row says by the entry's content, or raise for what is invalid in it (rule A1.7)."""
    typed = record_type.validate(arrival.entry.core, arrival.body, None, rev=arrival.entry.rev, previous=None)
    return record_type.row_of(typed, arrival.body or {}, received=as_of)


class _Folding:
    def __init__(
        self, history: History, find_type: FindType, scid: str, as_of: datetime, again_at: datetime | None
    ) -> None:
        self.outcome = Folded()
        self._tips = dict(history.tips)
        self._targets = set(history.targets)
        self._singleton_id = history.singleton_id
        self._find_type = find_type
        self._scid = scid
        self._as_of = as_of
        self._again_at = again_at
        self._skipped: set[Key] = set()

    def add(self, arrival: Arrival, *, retried: bool) -> None:
        entry = arrival.entry
        if entry.type == GENESIS_TYPE:
            self._singleton_id = entry.id
            return
        key = (entry.type, entry.id)
        tip = self._tips.get(key)
        if not retried:
            if not _continues(entry, tip):
                self._skip(arrival, Reason.CHAIN_BROKEN)
                return
            tip = _advanced(arrival, tip, self._as_of)
            self._tips[key] = tip
        self._show(arrival, key, tip)

    def _show(self, arrival: Arrival, key: Key, tip: Tip | None) -> None:
        entry = arrival.entry
        record_type = self._find_type(entry.type, entry.v)
        if entry.op == ERASE and not entry.unknown:
            self._erase(arrival, key, tip, record_type)
        elif record_type is None or entry.unknown:
            self._skip(arrival, Reason.UNKNOWN_TYPE)
        elif record_type.one_per_log and entry.id != self._singleton_id:
            self._skip(arrival, Reason.SECOND_RECORD)
        elif entry.body is not None and arrival.body is None:
            self._skip(arrival, Reason.WITHHELD)
        elif entry.at > self._as_of + AHEAD_MAX:
            self._skip(arrival, Reason.NOT_YET, due_at=entry.at - AHEAD_MAX)
        elif (missing := self._missing_target(record_type, arrival)) is not None:
            self._skip(arrival, Reason.TARGET_MISSING, due_at=self._again_at, waits_for=missing)
        else:
            self._project(arrival, key, tip, record_type)

    def _erase(self, arrival: Arrival, key: Key, tip: Tip | None, record_type: AnyRecordType | None) -> None:
        entry = arrival.entry
        try:
            parts = erased_parts(entry)
        except GotongError as error:
            self._skip(arrival, Reason(error.code))
            return
        if "body" in parts:
            self._overtake(key, ERASED_AWAY)
            if tip is not None and not _shows(tip, entry.rev):
                self.outcome.rows.pop(key, None)
                self._tips[key] = replace(tip, shown_revision=None)
                if record_type is not None:
                    self._targets.discard(record_uri(self._scid, record_type, entry.id))
        self.outcome.erased.append(Erased(arrival.index, entry, parts))
        self._skip(arrival, Reason.ERASED)

    def _missing_target(self, record_type: AnyRecordType, arrival: Arrival) -> str | None:
        for uri in references(record_type, arrival):
            if uri not in self._targets:
                return uri
        return None

    def _project(self, arrival: Arrival, key: Key, tip: Tip | None, record_type: AnyRecordType) -> None:
        entry = arrival.entry
        try:
            columns = arrival.columns or _columns(record_type, arrival, self._as_of)
        except GotongError:
            self._skip(arrival, Reason.RECORD_INVALID)
            return
        if tip is not None and _shows(tip, entry.rev):
            return  # a later revision has been shown meanwhile
        self._overtake(key, OVERTAKEN)
        tip = tip if tip is not None else Tip(entry.rev, arrival.index, entry.at, self._as_of, None)
        first = tip.shown_revision is None
        earlier = self.outcome.rows.get(key)
        if earlier is not None:
            first = earlier.first
        uri = record_uri(self._scid, record_type, entry.id)
        self.outcome.rows[key] = Row(entry, arrival.index, tip.published_at, tip.received_at, columns, first, uri)
        self._tips[key] = Tip(tip.revision, tip.index, tip.published_at, tip.received_at, entry.rev)
        self._targets.add(uri)

    def _skip(
        self, arrival: Arrival, reason: Reason, *, due_at: datetime | None = None, waits_for: str | None = None
    ) -> None:
        key = (arrival.entry.type, arrival.entry.id)
        tip = self._tips.get(key)
        if reason in OVERTAKEN and tip is not None and _shows(tip, arrival.entry.rev):
            return
        self._skipped.add(key)
        self.outcome.skipped.append(Skipped(arrival.index, arrival.entry, reason, due_at, waits_for))

    def _overtake(self, key: Key, reasons: Sequence[Reason]) -> None:
        """Forget for which of these reasons earlier entries of the record have no row."""
        if key in self._skipped:
            self.outcome.skipped = [
                each
                for each in self.outcome.skipped
                if (each.entry.type, each.entry.id) != key or each.reason not in reasons
            ]


def _continues(entry: Entry, tip: Tip | None) -> bool:
    if tip is None:
        return entry.rev == 0
    return entry.rev == tip.revision + 1 and entry.prev == tip.index


def _shows(tip: Tip, revision: int) -> bool:
    """Return whether the record's row shows this revision or a later one."""
    return tip.shown_revision is not None and tip.shown_revision >= revision


def _advanced(arrival: Arrival, tip: Tip | None, as_of: datetime) -> Tip:
    entry = arrival.entry
    if tip is None:
        return Tip(entry.rev, arrival.index, entry.at, as_of, None)
    return replace(tip, revision=entry.rev, index=arrival.index)


def references(record_type: AnyRecordType, arrival: Arrival) -> Sequence[str]:
    """Return the URIs that must have arrived before this entry gets a row; malformed content refers to nothing."""
    if arrival.body is None:
        return ()
    try:
        return record_type.references(arrival.body)
    except GotongError:
        return ()
