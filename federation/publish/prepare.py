"""Turn drafts into entries against a log's locked head. Shell; writes nothing.

Whatever a request gets wrong is found here, so that it fails alone and leaves
its neighbours in the same group commit untouched.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from domain.errors import GotongError
from domain.ids import uuid7
from domain.records.base import AnyRecordType, record_uri
from domain.records.registry import RECORDS
from federation.encoding import canonical
from federation.log import entry, merkle
from federation.log.entry import Entry, Part
from federation.log.erasure import ERASE, NothingToErase
from federation.projection.fold import OUTSIDE_CHAIN, Arrival
from federation.projection.withdraw import PARTS
from federation.sealing.vault import Vault
from store import cosignatures, erasures, idempotency, logs, peers, records
from store.database import Connection
from store.logs import LogRow, StoredEntry

CLOCK_OFF_MAX = timedelta(minutes=15)
SKEW_AGE_MAX = timedelta(hours=1)
"""How long what a peer's clock said counts, by this clock: a clock that jumped since makes it count no more."""
DRAFTS_PER_REQUEST_MAX = 1_000
RESTRICTED: Final[Part] = "restricted"


class RecordNotFound(GotongError):
    """No such record of this publisher is here."""

    code: ClassVar[str] = "RECORD_NOT_FOUND"


class RevisionConflict(GotongError):
    """The record was revised since the writer read it."""

    code: ClassVar[str] = "REVISION_CONFLICT"


class IdempotencyKeyReused(GotongError):
    """The same idempotency key came before with another content."""

    code: ClassVar[str] = "IDEMPOTENCY_KEY_REUSED"


class TooManyDrafts(GotongError):
    """One request may append at most 1,000 records."""

    code: ClassVar[str] = "TOO_MANY_DRAFTS"


class ClockOff(GotongError):
    """This machine's clock is more than 15 minutes off, so nothing is signed until it is set."""

    code: ClassVar[str] = "CLOCK_OFF"


@dataclass(frozen=True, slots=True)
class Parts:
    """A record's content by how it travels: inline for ever, replicated and erasable, or never leaving home."""

    core: dict[str, Any]
    body: dict[str, Any] | None
    restricted: dict[str, Any] | None = None
    exercise: bool = False


@dataclass(frozen=True, slots=True)
class Current:
    """A record's newest revision, as signed; `parts` is what it says now, without what was erased.

    `shown` is the revision its readers see: an earlier one when the newest only erased a part they do not see.
    """

    revision: int
    index: int
    parts: Parts
    shown: int


Drafted = dict[tuple[str, UUID], "Current"]
Change = Callable[[Current | None], Parts]
"""Pure; given the newest revision (None: a new record) returns the next one's content or raises GotongError."""


def unchanged(current: Current | None) -> Parts:
    """Return what the record says already: the change of a draft that only erases."""
    return Parts({}, None) if current is None else current.parts


@dataclass(frozen=True, slots=True)
class Draft:
    """A record to append: a new one (`record_id` None), a revision, or an erasure of the parts in `erase`."""

    type: str
    record_id: UUID | None
    change: Change
    expected_revision: int | None = None
    erase: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Appended:
    """Where a draft went. `repeated`: the idempotency key's first answer is given again."""

    uri: str
    type: str
    publisher_id: int
    record_id: UUID
    revision: int
    index: int
    leaf_hash: bytes
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Once:
    """An idempotency key and the digest of the content it came with."""

    key: str
    digest: bytes


@dataclass(slots=True)
class Prepared:
    """A request's entries and the answer it will get; an answer without entries was given before."""

    appended: list[Appended]
    once: Once | None = None
    blinded: bytes = b""
    entries: list[StoredEntry] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)


class Batch:
    """The requests of one transaction, prepared one after the other against the same locked head."""

    def __init__(self, connection: Connection, log: LogRow, vault: Vault, now: datetime) -> None:
        self._connection = connection
        self._log = log
        self._vault = vault
        self._now = now
        self._drafted: Drafted = {}
        self._answered: dict[str, tuple[bytes, list[Appended]]] = {}
        self.entries: list[StoredEntry] = []
        self.arrivals: list[Arrival] = []

    async def check_clock(self) -> None:
        """Raise ClockOff when this clock is wrong: allowed peers heard lately decide, else what was signed before."""
        skew_ms = await peers.allowed_skew_ms(self._connection, since=self._now - SKEW_AGE_MAX, until=self._now)
        if skew_ms is not None:
            if abs(timedelta(milliseconds=skew_ms)) > CLOCK_OFF_MAX:
                raise ClockOff("the clock is far from the peers' clocks", skew_ms=skew_ms)
            return  # an entry signed by a clock that was ahead must not silence its log until that time comes
        newest = await logs.entry_data(self._connection, self._log.id, [self._log.size - 1])
        for data in newest.values():
            if entry.parse(data).at - self._now > CLOCK_OFF_MAX:
                raise ClockOff("the clock is behind the log's newest entry", scid=self._log.scid)
        cosigned_s = await cosignatures.newest_on_hosted(self._connection)
        if cosigned_s is not None and cosigned_s - self._now.timestamp() > CLOCK_OFF_MAX.total_seconds():
            raise ClockOff("the clock is behind the newest cosignature", cosigned_s=cosigned_s)

    async def load_answers(self, keys: Sequence[str]) -> None:
        """Look up, in one go, what was answered to these idempotency keys before; do so before `prepare`."""
        stored = await idempotency.find(self._connection, self._log.participant_id, keys) if keys else {}
        self._answered = {key: (digest, from_answer(answer)) for key, (digest, answer) in stored.items()}

    async def prepare(self, drafts: Sequence[Draft], once: Once | None) -> Prepared:
        """Return the request's entries, placed after those before it, or raise and leave the batch as it was."""
        if len(drafts) > DRAFTS_PER_REQUEST_MAX:
            raise TooManyDrafts("too many records at once", count=len(drafts), count_max=DRAFTS_PER_REQUEST_MAX)
        if once is not None:
            answered = self._answer_of(once)
            if answered is not None:
                return Prepared(answered)
        prepared = Prepared([], once)
        drafted: Drafted = {}
        for draft in drafts:
            await self._draft(draft, prepared, drafted)
        self._drafted |= drafted
        self.entries += prepared.entries
        self.arrivals += prepared.arrivals
        if once is not None:
            prepared.blinded = self._vault.blinded(once.digest)
            self._answered[once.key] = (prepared.blinded, prepared.appended)
        return prepared

    def _answer_of(self, once: Once) -> list[Appended] | None:
        found = self._answered.get(once.key)
        if found is None:
            return None
        if found[0] != self._vault.blinded(once.digest):
            raise IdempotencyKeyReused("this idempotency key was used for something else", key=once.key)
        return [_repeated(appended) for appended in found[1]]

    async def _draft(self, draft: Draft, prepared: Prepared, drafted: Drafted) -> None:
        record_type = RECORDS.named(draft.type)
        record_id, current = await self._current(draft, record_type, drafted)
        if draft.erase:
            assert current is not None
            await self._check_erasable(draft, current)
            parts = _erased(draft.change(current), draft.erase)
        else:
            parts = draft.change(current)
            record_type.validate(
                parts.core,
                parts.body,
                parts.restricted,
                rev=0 if current is None else current.revision + 1,
                previous=None if current is None else current.parts.body,
            )
        placed = self._place(draft, record_type, record_id, current, parts, len(prepared.entries))
        prepared.entries.append(placed[0])
        prepared.arrivals.append(placed[1])
        prepared.appended.append(self._appended(record_type, placed[1].entry, placed[0]))
        revision, index = placed[1].entry.rev, placed[0].index
        shown = current.shown if current is not None and draft.erase == (RESTRICTED,) else revision
        drafted[draft.type, record_id] = Current(revision, index, parts, shown)

    def _place(
        self,
        draft: Draft,
        record_type: AnyRecordType,
        record_id: UUID,
        current: Current | None,
        parts: Parts,
        before: int,
    ) -> tuple[StoredEntry, Arrival]:
        """Return the draft as an entry that follows those of the batch and `before` of its own request."""
        index = self._log.size + len(self.entries) + before
        body, restricted = (None, None) if draft.erase else (_payload(parts.body), _payload(parts.restricted))
        data = entry.build(
            type=draft.type,
            id=record_id,
            at=self._now,
            rev=0 if current is None else current.revision + 1,
            prev=None if current is None else current.index,
            v=record_type.version,
            op=ERASE if draft.erase else "put",
            core={"parts": list(draft.erase)} if draft.erase else parts.core,
            exercise=parts.exercise,
            body=None if body is None else entry.commit(*body),
            restricted=None if restricted is None else entry.commit(*restricted),
        )
        sealed = None if restricted is None else self._vault.seal(self._log.scid, index, *restricted)
        stored = StoredEntry(index, merkle.leaf_hash(data), data, body, sealed)
        return stored, Arrival(index, entry.parse(data), None if body is None else parts.body)

    async def _check_erasable(self, draft: Draft, current: Current) -> None:
        """Raise NothingToErase when no revision of the record has any of these parts any more."""
        here: set[str] = set()
        if current.index < self._log.size:
            numbers = await erasures.parts_here(self._connection, self._log.id, current.index)
            here = {part for part, number in PARTS.items() if number in numbers}
        drafted = {"body": current.parts.body, "restricted": current.parts.restricted}
        here |= {part for part, value in drafted.items() if value is not None}
        if here.isdisjoint(draft.erase):
            raise NothingToErase("the record has no such part any more", parts=", ".join(draft.erase), field="parts")

    def _appended(self, record_type: AnyRecordType, parsed: Entry, stored: StoredEntry) -> Appended:
        uri = record_uri(self._log.scid, record_type, parsed.id)
        return Appended(
            uri, parsed.type, self._log.participant_id, parsed.id, parsed.rev, stored.index, stored.leaf_hash
        )

    async def _current(self, draft: Draft, record_type: AnyRecordType, drafted: Drafted) -> tuple[UUID, Current | None]:
        record_id = draft.record_id
        if record_type.one_per_log:
            record_id = await self._genesis_id()
        elif record_id is None:
            return uuid7(int(self._now.timestamp() * 1000), secrets.token_bytes(10)), None
        key = (draft.type, record_id)
        current = drafted.get(key) or self._drafted.get(key) or await self._stored_current(record_type, record_id)
        if current is None and (draft.erase or not record_type.one_per_log):
            raise RecordNotFound("there is no such record to revise", type=draft.type, id=str(record_id))
        found = (-1,) if current is None else (current.revision, current.shown)
        if draft.expected_revision is not None and draft.expected_revision not in found:
            raise RevisionConflict(
                "the record was revised meanwhile", expected=draft.expected_revision, found=found[0], id=str(record_id)
            )
        return record_id, current

    async def _genesis_id(self) -> UUID:
        data = await logs.entry_data(self._connection, self._log.id, [0])
        return entry.parse(data[0]).id

    async def _stored_current(self, record_type: AnyRecordType, record_id: UUID) -> Current | None:
        """Return the record's newest revision, whether its row shows it or not."""
        shown = (await records.shown(self._connection, record_type.table, self._log.participant_id, [record_id])).get(
            record_id
        )
        waiting = await records.unprojected_tips(self._connection, self._log.id, [record_id], [*OUTSIDE_CHAIN])
        newest = next((tip for tip in waiting if tip.type == record_type.name), None)
        if shown is None and newest is None:
            return None
        if newest is None or (shown is not None and shown.revision > newest.revision):
            assert shown is not None
            return Current(shown.revision, shown.index, (await self._stored(shown.index))[1], shown.revision)
        parsed, parts = await self._stored(newest.index)
        if parsed.op == ERASE:
            parts = Parts({}, None) if shown is None else (await self._stored(shown.index))[1]
        seen = shown.revision if shown is not None and parsed.op == ERASE else newest.revision
        return Current(newest.revision, newest.index, parts, seen)

    async def _stored(self, index: int) -> tuple[Entry, Parts]:
        (stored,) = await logs.entries(self._connection, self._log.id, index, 1, restricted=True)
        parsed = entry.parse(stored.data)
        hidden = None if stored.restricted is None else self._vault.open(self._log.scid, index, stored.restricted)
        parts = Parts(dict(parsed.core), _decoded(stored.body), _decoded(hidden), parsed.exercise)
        return parsed, parts


def _erased(parts: Parts, erased: Sequence[Part]) -> Parts:
    return Parts(
        parts.core,
        None if "body" in erased else parts.body,
        None if RESTRICTED in erased else parts.restricted,
        parts.exercise,
    )


def _payload(value: dict[str, Any] | None) -> tuple[bytes, bytes] | None:
    if value is None:
        return None
    data = canonical.encode(value)
    if len(data) > entry.PAYLOAD_BYTES_MAX:
        raise entry.PayloadTooLarge("the record is too large", bytes=len(data), bytes_max=entry.PAYLOAD_BYTES_MAX)
    return secrets.token_bytes(entry.SALT_BYTES), data


def _decoded(payload: tuple[bytes, bytes] | None) -> dict[str, Any] | None:
    if payload is None:
        return None
    value = canonical.decode(payload[1])
    assert isinstance(value, dict)
    return value


def to_answer(appended: Sequence[Appended]) -> list[dict[str, Any]]:
    return [
        {
            "uri": one.uri,
            "type": one.type,
            "publisher_id": one.publisher_id,
            "record_id": str(one.record_id),
            "revision": one.revision,
            "index": one.index,
            "leaf_hash": one.leaf_hash.hex(),
        }
        for one in appended
    ]


def from_answer(answer: Sequence[dict[str, Any]]) -> list[Appended]:
    return [
        Appended(**{**one, "record_id": UUID(one["record_id"]), "leaf_hash": bytes.fromhex(one["leaf_hash"])})
        for one in answer
    ]


def _repeated(one: Appended) -> Appended:
    return Appended(
        one.uri, one.type, one.publisher_id, one.record_id, one.revision, one.index, one.leaf_hash, repeated=True
    )
