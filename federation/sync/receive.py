"""Take what a peer sends of its logs: verify, then store. Shell; nothing reaches `apply` but through `verify`.

Each log stands alone: what one of them breaks ends that log's section and is
remembered in its outcome; the next section starts afresh. Only failures of
this node itself (its database) are raised.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeVar

import structlog

from domain.errors import GotongError
from federation.did import webvh
from federation.did.state import DidState
from federation.identity.states import DidStates
from federation.log import epochs
from federation.log import service as did_service
from federation.log.cosigners import own_note
from federation.log.entry import EpochStart, Network, NetworkMismatch
from federation.log.merkle import Edge
from federation.log.names import parse_origin
from federation.log.note import Checkpoint, parse_checkpoint, parse_note
from federation.log.service import LogKey, LogService, log_service
from federation.log.verify import Batch, CheckpointKeyRetired, Head, Received, check_batch, check_checkpoint
from federation.sync.apply import HeadMoved, Ready, apply, joined, meet, ready
from federation.sync.backlog import Backlog
from federation.sync.frames import EndReason
from federation.sync.plan import LogForked
from federation.sync.sections import Closed, Opened, Pulled
from store.database import OUR_OWN, Database
from store.held import Held

QUEUED_ENTRIES_MAX = 2_048
"""Verified entries that wait to be written; what waits together is written by one transaction."""
AT_ONCE_ENTRIES_MAX = 16
"""Entries that are checked where they are: handing them to a thread takes longer, and holds nobody up."""
EVIDENCE_LINES_MAX = 4

Result = TypeVar("Result")

_log = structlog.get_logger()


class LogNotStated(GotongError):
    """The participant's DID document does not state this log: another epoch, or none yet."""

    code: ClassVar[str] = "LOG_NOT_STATED"


class CheckpointBehind(GotongError):
    """The checkpoint is of a shorter log than the one already verified here."""

    code: ClassVar[str] = "CHECKPOINT_BEHIND"


class LogBehind(GotongError):
    """The sender has less of a log than its identity speaks of: a key or an epoch is over there. No rule is broken."""

    code: ClassVar[str] = "LOG_BEHIND"


class MarkWrong(GotongError):
    """A batch ends at another size than its entries lead to."""

    code: ClassVar[str] = "STREAM_MARK_WRONG"


class NotStored(GotongError):
    """Entries could not be written, or this program failed over them; this node's own log names the reason."""

    code: ClassVar[str] = "ENTRIES_NOT_STORED"


@dataclass(slots=True)
class Outcome:
    """What came of one log: entries stored, records changed; complete, or the rule that ended it and its evidence."""

    entries: int = 0
    records: int = 0
    is_complete: bool = False
    error: GotongError | None = None
    evidence: bytes | None = None

    @property
    def has_moved(self) -> bool:
        """Whether the log went on meanwhile, here or at home, which is nobody's fault."""
        return isinstance(self.error, (HeadMoved, LogBehind))


@dataclass(slots=True)
class _Section:
    """The log being received; `target` is the verified checkpoint its batches lead to."""

    head: Head
    note: bytes
    target: Checkpoint
    start: EpochStart | None


class Receiver:
    """Takes the events of one pull response. `held` is what was held of the logs asked for when they were asked for."""

    def __init__(
        self,
        database: Database,
        network: Network,
        clock: Callable[[], datetime],
        states: DidStates,
        held: Mapping[str, Held],
    ) -> None:
        self._database = database
        self._network = network
        self._clock = clock
        self._states = states
        self._held = held
        self._section: _Section | None = None  # None: nothing more of this section is wanted
        self._queue: list[tuple[Pulled, Ready]] = []
        self._taken = asyncio.Event()  # rung whenever what was queued is taken, or will not be
        self._writing: asyncio.Task[None] | None = None
        self._backlog = Backlog(database)
        self.outcomes: dict[str, Outcome] = {}

    async def take(self, event: Opened | Pulled | Closed) -> None:
        """Verify and store what came; refusals go into `outcomes`. Raises the database's errors only."""
        match event:
            case Opened():
                await self.settle()
                self.outcomes[event.origin] = Outcome()
                self._section = await self._guarded(event.origin, self._open(event), lambda _: _opening_evidence(event))
            case Pulled() if self._section is not None:
                await self._extend(self._section, event)
            case Closed():
                await self.settle()
                outcome = self.outcomes.setdefault(event.origin, Outcome())
                outcome.is_complete = outcome.error is None and event.reason is EndReason.COMPLETE
                self._section = None
            case _:
                pass

    async def settle(self) -> None:
        """Wait until what was verified is stored, or was refused by the database."""
        if self._writing is not None:
            try:
                await self._writing  # cancelled with us, and then over before we are
            finally:
                self._writing = None

    async def abort(self) -> None:
        """Stop what is under way; what is committed stays."""
        self._queue.clear()
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        await self._backlog.aclose()

    async def _guarded(
        self, origin: str, work: Awaitable[Result], evidence: Callable[[GotongError], bytes]
    ) -> Result | None:
        """Return what the work returns; None when it refused, which is then the log's outcome."""
        try:
            return await work
        except OUR_OWN:
            raise
        except GotongError as error:
            refusal = error
        except Exception as error:  # what this program fails over in one log must not stop the others
            _log.exception("section_not_verified", origin=origin)
            refusal = NotStored("this program failed over what came", reason=type(error).__name__)
        outcome = self.outcomes[origin]
        outcome.error = refusal
        outcome.evidence = evidence(refusal)
        return None

    async def _extend(self, section: _Section, event: Pulled) -> None:
        """Verify a batch while those before it are being written, then have it written while the next one comes."""
        verified = await self._guarded(
            event.origin, self._verify(section, event), lambda error: _batch_evidence(event, error, section)
        )
        if verified is None or self.outcomes[event.origin].error is not None:
            self._section = None
            return
        section.head = verified.batch.head
        await self._room(len(event.entries))
        self._queue.append((event, verified))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_queued(section), name=f"apply {event.origin}")

    # ---- the opening of a section ------------------------------------------------------------------------------------

    async def _open(self, event: Opened) -> _Section | None:
        """Return the section to take, its identity stored.

        None of a log hosted here, of which only DID lines can be new, unless it shows what was lost here.
        """
        scid = parse_origin(event.origin).scid
        held = self._held.get(event.origin)
        state = await self._identify(scid, held, event)
        service = log_service(state)
        if service.network != self._network:
            raise NetworkMismatch("the log is of another network", expected=self._network, found=service.network)
        _require_stated(event.origin, service, did_service.origin(state))
        if held is not None and held.hosted and not is_longer(event.note, held):
            await self._meet(event, held, state)
            return None
        target = _checked(event, service.keys)
        epochs.require_whole(target.size, service.from_)
        edge = Edge.EMPTY if held is None else Edge.from_bytes(held.size, held.edge)
        _require_not_behind(target, edge)
        await self._meet(event, held, state)
        return _Section(Head(event.origin, edge), own_note(event.note), target, service.from_)

    async def _meet(self, event: Opened, held: Held | None, state: DidState) -> None:
        if held is None or event.lines:
            async with self._database.transaction() as connection:
                known = 0 if held is None else held.did_version
                await meet(connection, state, list(event.lines), held=known, witness=event.witness)
        self._states.put(state)

    async def _identify(self, scid: str, held: Held | None, event: Opened) -> DidState:
        """Return what the lines say after those held; never what they say alone, where any are held."""
        known = None if held is None else await self._states.of(self._database, scid, held.did_version)
        if held is not None and known is None:
            raise HeadMoved("the identity changed meanwhile", scid=scid, expected=held.did_version)
        if known is not None and not event.lines:
            return known
        now = self._clock()

        def identified() -> DidState:
            if known is None:
                state = webvh.verify(event.lines, now=now, witness=event.witness, scid=scid)
            else:
                state = webvh.extend(known, event.lines, now=now, witness=event.witness)
            did_service.require_gotong(state)
            return state

        return await asyncio.to_thread(identified)

    # ---- batches -----------------------------------------------------------------------------------------------------

    async def _verify(self, section: _Section, event: Pulled) -> Ready:
        if event.size != section.head.edge.size + len(event.entries):
            raise MarkWrong("the batch ends elsewhere than it says", size=event.size, start=section.head.edge.size)
        batch = Batch(event.entries, section.target, event.proof)
        as_of = self._clock()

        def checked() -> Ready:
            verified = check_batch(section.head, self._network, batch)
            if section.head.edge.size == 0:
                epochs.require_stated(verified.entries[0].entry, section.start)
            return ready(verified, as_of)

        return checked() if len(event.entries) <= AT_ONCE_ENTRIES_MAX else await asyncio.to_thread(checked)

    async def _room(self, entries: int) -> None:
        """Wait until so many entries more may wait; raise what stopped the writing."""
        while self._queue and self._writing is not None and not self._writing.done():
            if sum(len(event.entries) for event, _ in self._queue) + entries <= QUEUED_ENTRIES_MAX:
                return
            self._taken.clear()
            await self._taken.wait()
        if self._writing is not None and self._writing.done():
            await self.settle()

    async def _write_queued(self, section: _Section) -> None:
        try:
            while self._queue:
                queued, self._queue = self._queue, []
                self._taken.set()
                first, last = queued[0][0], queued[-1][0]
                batch = joined([verified for _, verified in queued])
                await self._write(section, last, batch, start=first.size - len(first.entries))
                if self.outcomes[last.origin].error is not None:
                    self._queue.clear()
                else:
                    await self._backlog.grew(len(batch.arrivals))
        finally:
            self._taken.set()

    async def _write(self, section: _Section, event: Pulled, verified: Ready, *, start: int) -> None:
        outcome = self.outcomes[event.origin]
        try:
            outcome.records += await apply(
                self._database,
                verified,
                start=start,
                note=section.note,
                target=section.target,
                proof=event.proof,
                now=self._clock(),
            )
            outcome.entries += len(verified.batch.entries)
        except OUR_OWN:
            raise
        except GotongError as error:
            outcome.error = error
        except Exception as error:  # a record that this program cannot store must not stop the other logs
            _log.exception("entries_not_stored", origin=event.origin, start=start)
            outcome.error = NotStored("verified entries could not be written", reason=type(error).__name__, start=start)


def is_longer(note: bytes, held: Held) -> bool:
    """Return whether a note, not verified yet, is about more of a log than is held, and the log may grow."""
    try:
        return held.frozen_size is None and parse_checkpoint(parse_note(note).text).size > held.size
    except GotongError:
        return False


def _require_stated(origin: str, service: LogService, stated: str) -> None:
    """Raise for a log that the identity does not state; whoever sends a past one heard of the next only just."""
    if stated != origin:
        if parse_origin(origin).epoch < service.epoch:
            raise LogBehind("a later epoch of this log began", stated=stated)
        raise LogNotStated("the DID document states another log", stated=stated)


def _checked(event: Opened, keys: Sequence[LogKey]) -> Checkpoint:
    """Return the checkpoint to go for.

    One of a retired key that is shorter than where the key was retired cannot be shown to count, nor held against its
    sender: a relay that heard of the new key before it had the entries up to it has no other.
    """
    try:
        return check_checkpoint(event.note, event.origin, keys)
    except CheckpointKeyRetired as error:
        size, retired = error.details["size"], error.details["retired"]
        if isinstance(size, int) and isinstance(retired, int) and size < retired:
            raise LogBehind("a retired key signed less than it counts for", size=size, retired=retired) from error
        raise


def _require_not_behind(target: Checkpoint, edge: Edge) -> None:
    if target.size < edge.size:
        raise CheckpointBehind("an older checkpoint than is held here", held=edge.size, found=target.size)
    if target.size == edge.size and target.root != edge.root():
        raise LogForked("two trees of one size", origin=target.origin, size=target.size)


def _opening_evidence(event: Opened) -> bytes:
    return b"\n".join([event.note, *event.lines[:EVIDENCE_LINES_MAX]])


def _batch_evidence(event: Pulled, error: GotongError, section: _Section) -> bytes:
    """Return the bytes that break the rule: one entry and its body where the error says which, else the note."""
    start = section.head.edge.size
    index = error.details.get("index")
    if isinstance(index, int) and start <= index < start + len(event.entries):
        return _received_bytes(event.entries[index - start])
    return b"%d %d\n%b" % (start, event.size, section.note)


def _received_bytes(received: Received) -> bytes:
    return b"\n".join([received.data, received.salt or b"", received.body or b""])
