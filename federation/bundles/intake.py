"""Take logs that nobody asked for: what a bundle or a deposit carries. Shell; the same Receiver, verify and apply.

It decides which logs are let in at all and what of them is new; whether they hold is decided where it always is.
Each log stands alone, as in a pull. Only failures of this node itself (its database) and of the stream are raised.
A section whose signed note cannot stand beside what is held freezes the log where the section proves it, and so does
evidence that comes along (rules Y); without proof a contradiction is only reported.

Rules, with the error that answers each:
- B2.1 of a log whose key is here entries are taken only where it is longer and really signed: history was lost here.
  Nothing is signed in it until all that the note states is back: OWN_LOG_LONGER is told. DID lines are taken as of any.
- B2.2 a log whose publisher is blocked here is not taken: PUBLISHER_BLOCKED.
- B2.3 of a publisher in quarantine the batches that begin within its quota are taken, and as many new publishers as
  quarantine has room for: QUARANTINE_FULL.
- B2.4 a log that another process is extending right now is left alone; come back: LOG_IN_USE.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import structlog

from domain.errors import GotongError
from federation.bundles.trim import SectionGap, is_behind, new_entries, new_lines
from federation.did.errors import DidTimeInFuture
from federation.did.state import DidState
from federation.identity.states import DidStates
from federation.log import evidence
from federation.log.cosigners import own_note
from federation.log.entry import Network
from federation.log.evidence import Finding, LogFrozen
from federation.log.names import parse_origin
from federation.log.service import log_service
from federation.log.verify import check_checkpoint
from federation.sync.apply import HeadMoved
from federation.sync.frames import Frame
from federation.sync.plan import (
    BLOCKED,
    QUARANTINE_ENTRIES_MAX,
    QUARANTINE_TOTAL_BYTES_MAX,
    QUARANTINED,
    QUARANTINED_PARTICIPANTS_MAX,
    LogForked,
    OwnLogLonger,
    is_over_quota,
)
from federation.sync.receive import LogBehind, Receiver, is_longer
from federation.sync.sections import UNASKED_LOGS_MAX, Assembler, Closed, Opened, Pause, Pulled, Shown
from federation.witness.freeze import accept
from federation.witness.tellings import SectionTelling, contradicts, fork_evidence, section_telling
from store import evidence as evidence_rows
from store import guard, logs, peers
from store import held as held_
from store.database import OUR_OWN, Connection, Database
from store.held import Held, Quarantine
from store.locks import Claims

REPORTS_MAX = 100
"""Broken rules of one bundle or deposit that are kept as reports; the rest is only told."""

_log = structlog.get_logger()


class PublisherBlocked(GotongError):
    """The log's publisher is blocked here."""

    code: ClassVar[str] = "PUBLISHER_BLOCKED"


class QuarantineFull(GotongError):
    """The log's publisher waits for an operator's decision, and no more of what waits is kept."""

    code: ClassVar[str] = "QUARANTINE_FULL"


class LogInUse(GotongError):
    """Another process of this node is extending that log right now."""

    code: ClassVar[str] = "LOG_IN_USE"


NO_BREACH = (SectionGap, PublisherBlocked, QuarantineFull, LogInUse, HeadMoved, LogBehind, LogFrozen, DidTimeInFuture)
"""What keeps a log out although its sender broke no rule; never kept as a report. Of two clocks ours may be wrong."""

Gate = Callable[[Opened, Held | None], Awaitable[None]]
"""Raises the GotongError for which a log is not let in, besides the rules B2."""


@dataclass(slots=True)
class Taken:
    """What came of one log: entries stored and records changed, or what kept the rest of it out."""

    entries: int = 0
    records: int = 0
    error: GotongError | None = None
    evidence: bytes | None = None

    @property
    def is_breach(self) -> bool:
        """Whether a rule of the protocol was broken."""
        return self.error is not None and not isinstance(self.error, NO_BREACH)


async def any_log(_event: Opened, _held: Held | None) -> None:
    """Let every log in."""


class Intake:
    """Takes the frames of one bundle or deposit; `close` it in any case."""

    def __init__(
        self,
        database: Database,
        network: Network,
        clock: Callable[[], datetime],
        claims: Claims,
        *,
        gate: Gate = any_log,
        peer_id: int | None = None,
        logs_max: int = UNASKED_LOGS_MAX,
    ) -> None:
        self._database = database
        self._clock = clock
        self._claims = claims
        self._gate = gate
        self._peer_id = peer_id
        self._states = DidStates()
        self._held: dict[str, Held] = {}
        self._receiver = Receiver(database, network, clock, self._states, self._held)
        self._assembler = Assembler(None, logs_max=logs_max)
        self._size = 0  # of the log being taken, as far as its batches were handed on
        self._stop: int | None = None  # no batch that begins here or later is taken
        self._is_open = False  # whether what comes of this section is wanted
        self._claimed: set[str] = set()
        self._quarantine = Quarantine()  # as it was counted last
        self._telling: SectionTelling | None = None  # of the log being taken, if it says something else than ours
        self.taken: dict[str, Taken] = {}
        self.findings: list[Finding] = []
        self.lost: dict[str, OwnLogLonger] = {}  # of logs of our own of which more is told than was here

    async def take(self, frame: Frame) -> None:
        """Take one frame, refusals going into `taken`. Raises rules F2 and the database's errors."""
        match self._assembler.take(frame):
            case Opened() as event:
                await self._open(event)
            case Pulled() as event:
                if self._telling is not None:
                    self._telling.add(event)
                if self._is_open:
                    await self._extend(event)
            case Closed() as event:
                await self._end(event)
            case Shown(data):
                await self._accept_shown(data)
            case Pause() | None:
                pass

    async def finish(self) -> None:
        """Return if the stream may end here, all of it stored; raise FrameTruncated if something is missing."""
        await self._receiver.settle()
        self._assembler.finish()

    async def keep(self) -> None:
        """Store what is verified although the stream broke off."""
        with contextlib.suppress(GotongError):
            await self._receiver.settle()

    async def close(self) -> None:
        """Stop writing, give claims back, and keep what broke a rule as reports; what is committed stays."""
        await self._receiver.abort()
        await self._claims.release(self._claimed)
        for origin in self._receiver.outcomes:
            self._note(origin)
        broken = [(origin, each) for origin, each in self.taken.items() if each.is_breach][:REPORTS_MAX]
        if not broken:
            return
        async with self._database.transaction() as connection:
            for origin, each in broken:
                assert each.error is not None
                await peers.report(connection, each.error, peer_id=self._peer_id, origin=origin, evidence=each.evidence)

    async def _open(self, event: Opened) -> None:
        self._is_open = False
        self._telling = None
        try:
            opened = await self._admitted(event)
        except OUR_OWN:
            raise
        except GotongError as error:
            self.taken[event.origin] = Taken(error=error, evidence=event.note)
            return
        if opened is None:
            self.taken[event.origin] = Taken()
            return
        await self._receiver.take(opened)
        self._is_open = True

    async def _admitted(self, event: Opened) -> Opened | None:
        """Return what is new of the section's opening, None if all of it is here; raises what keeps it out."""
        scid = parse_origin(event.origin).scid
        await self._claim(event.origin)
        async with self._database.acquire() as connection:
            held = (await held_.held(connection, [(scid, event.origin)])).get(event.origin)
            quarantine = await self._quarantine_for(connection, held)
        if held is None:
            if quarantine.participants >= QUARANTINED_PARTICIPANTS_MAX:
                raise QuarantineFull("too many publishers wait for a decision", count_max=QUARANTINED_PARTICIPANTS_MAX)
        else:
            if held.trust == BLOCKED:
                raise PublisherBlocked("this publisher is blocked here", scid=scid)
            self._held[event.origin] = held
            state = await self._states.of(self._database, scid, held.did_version)
            if state is None:
                raise HeadMoved("the identity changed meanwhile", scid=scid, expected=held.did_version)
            self._telling = self._other_telling(event, held, state)
            if held.hosted and not await self._was_lost(event, held, state):
                return None
        await self._gate(event, held)
        self._size = 0 if held is None else held.size
        self._stop = None
        if held is None or held.trust == QUARANTINED:
            has_room = quarantine.bytes < QUARANTINE_TOTAL_BYTES_MAX and not (held and is_over_quota(held))
            self._stop = QUARANTINE_ENTRIES_MAX if has_room else self._size
        if is_behind(event, self._size):
            return None
        lines = new_lines(event.lines, 0 if held is None else held.did_version)
        return Opened(event.origin, lines, event.witness, event.note)

    async def _quarantine_for(self, connection: Connection, held: Held | None) -> Quarantine:
        """Return how full quarantine is if that matters for a section; it is counted while there is room in it.

        Counting looks at everybody there, sections come by the thousand, and only a person makes room.
        """
        known = self._quarantine
        is_full = known.bytes >= QUARANTINE_TOTAL_BYTES_MAX
        if held is None:
            is_full = is_full or known.participants >= QUARANTINED_PARTICIPANTS_MAX
        if not is_full and (held is None or held.trust == QUARANTINED):
            self._quarantine = await held_.quarantine(connection)
        return self._quarantine

    async def _was_lost(self, event: Opened, held: Held, state: DidState) -> bool:
        """Return whether a section has more of our own than is here; nothing is signed in that log before it is back.

        Raises what is wrong with its note. One by a key that only the section's DID lines state needs no such care:
        when they are taken, the key here signs no more.
        """
        if parse_origin(event.origin).epoch < held.epoch:
            return False
        has_lines = bool(new_lines(event.lines, held.did_version))
        if held.log_id is None or not is_longer(event.note, held):
            return has_lines
        try:
            theirs = check_checkpoint(event.note, event.origin, log_service(state).keys)
        except GotongError:
            if not has_lines:
                raise
            return True
        lost = OwnLogLonger("a longer version of our own log", held=held.size, found=theirs.size)
        async with self._database.transaction() as connection:
            if await logs.remember_longer(connection, held.log_id, own_note(event.note), theirs.size):
                await guard.renew_stream(connection)  # what followers were told of what was lost is numbered anew
                await peers.report(connection, lost, peer_id=self._peer_id, origin=event.origin, evidence=event.note)
        self.lost[event.origin] = lost
        return True

    def _other_telling(self, event: Opened, held: Held, state: DidState) -> SectionTelling | None:
        try:
            return section_telling(self._database, held, state, event)
        except GotongError:
            return None  # whoever verifies the section says what is wrong with its note

    async def _claim(self, origin: str) -> None:
        if not await self._claims.take([origin]):
            raise LogInUse("that log is being extended by another process", origin=origin)
        self._claimed.add(origin)

    async def _extend(self, event: Pulled) -> None:
        try:
            fresh = new_entries(event, self._size)
            if fresh is not None and self._stop is not None and self._size >= self._stop:
                raise QuarantineFull("of this publisher no more is kept before a decision", entries=self._size)
        except GotongError as error:
            self.taken[event.origin] = Taken(error=error)
            self._is_open = False
            return
        if fresh is not None:
            self._size = fresh.size
            await self._receiver.take(fresh)

    async def _end(self, event: Closed) -> None:
        self._is_open = False
        if event.origin in self._receiver.outcomes:
            await self._receiver.take(event)
            self._note(event.origin)
        else:
            self.taken.setdefault(event.origin, Taken())
        await self._compare(event.origin)
        self._held.pop(event.origin, None)
        await self._claims.release([event.origin])
        self._claimed.discard(event.origin)

    async def _compare(self, origin: str) -> None:
        """Freeze the log if the section proves that it was told in two ways; what cannot be proven stays a report."""
        theirs, self._telling = self._telling, None
        taken = self.taken[origin]
        if theirs is None or (taken.error is None and theirs.checkpoint.size > theirs.held.checkpoint.size):
            return
        try:
            if not await contradicts(theirs):
                return
            data = await fork_evidence(self._database, parse_origin(origin).scid, theirs.held, theirs)
            finding = await accept(self._database, data, self._clock(), peer_id=self._peer_id)
        except OUR_OWN:
            raise
        except GotongError as error:
            _log.info("fork_not_proven", origin=origin, code=error.code)
            return
        if finding is not None:
            self.findings.append(finding)
            taken.evidence = taken.evidence or theirs.note
            taken.error = LogForked(
                "two trees were signed", origin=origin, size=finding.size
            )  # says more than the breach

    async def _accept_shown(self, data: bytes) -> None:
        """Take evidence that came along, unless it is here or is about nobody known; false evidence has no effect."""
        try:
            id_ = evidence.evidence_id(data)
            async with self._database.acquire() as connection:
                if not await evidence_rows.unknown(connection, [(id_, evidence.accused(data))]):
                    return
            finding = await accept(self._database, data, self._clock(), peer_id=self._peer_id)
        except OUR_OWN:
            raise
        except GotongError as error:
            _log.warning("evidence_refused", code=error.code, peer=self._peer_id)
            return
        if finding is not None:
            self.findings.append(finding)

    def _note(self, origin: str) -> None:
        """Remember what the receiver says of a log, and what kept the rest of it out here."""
        outcome = self._receiver.outcomes[origin]
        kept_out = self.taken.get(origin, Taken())
        is_proven = isinstance(kept_out.error, LogForked)  # which says more than the rule that its section broke
        error = kept_out.error if is_proven else outcome.error or kept_out.error
        self.taken[origin] = Taken(outcome.entries, outcome.records, error, outcome.evidence or kept_out.evidence)
