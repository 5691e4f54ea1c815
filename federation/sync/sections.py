"""Decide whether the frames of a pull response stand in an order that makes sense, and put batches together. Pure.

    response  = *section [RETRY_AFTER] END
    unasked   = *(section | EVIDENCE) [RETRY_AFTER] END      a bundle, a deposit
    section   = LOG *DID_LINE [WITNESS] CHECKPOINT *(1*ENTRY MARK) END_OF_LOG
              | LOG END_OF_LOG

Nothing is verified here. What comes out is bounded: at most one batch and one
participant's DID log are kept at a time.

Rules, with the error that answers each:
- F2.1 frames come in the order above, and nothing after END: STREAM_OUT_OF_ORDER.
- F2.2 a section's DID lines have at most DID_BYTES_MAX bytes together, a batch at most what `verify` takes at once, and
  an unasked stream at most UNASKED_EVIDENCE_MAX pieces of evidence: STREAM_SECTION_TOO_LARGE.
- F2.3 a log was asked for and has one section: STREAM_LOG_UNEXPECTED. Where nothing was asked for (a bundle, a
  deposit), there are at most UNASKED_LOGS_MAX of them.
- F2.4 the stream ends with END: FRAME_TRUNCATED.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import ClassVar

from domain.errors import GotongError
from federation.did.webvh import VERSIONS_MAX
from federation.log.verify import BATCH_BYTES_MAX, ENTRIES_PER_BATCH_MAX, Received
from federation.sync.frames import (
    CheckpointNote,
    DidLine,
    End,
    EndOfLog,
    EndReason,
    EntryData,
    Evidence,
    Frame,
    FrameTruncated,
    Log,
    Mark,
    RetryAfter,
    Witness,
)

DID_BYTES_MAX = 4 * 1024 * 1024
"""In whatever layout they come; those that hold are kept in theirs."""
UNASKED_LOGS_MAX = 100_000
"""Logs in a stream that answers no question; their names are remembered while it lasts."""
UNASKED_EVIDENCE_MAX = 256
"""Pieces of evidence in such a stream; each costs its reader signatures to verify."""


class StreamOutOfOrder(GotongError):
    """A frame stands where it has no meaning."""

    code: ClassVar[str] = "STREAM_OUT_OF_ORDER"


class StreamSectionTooLarge(GotongError):
    """A section's DID log, a batch or a stream's evidence is more than one step may be."""

    code: ClassVar[str] = "STREAM_SECTION_TOO_LARGE"


class StreamLogUnexpected(GotongError):
    """The stream holds a log that was not asked for, or one log twice."""

    code: ClassVar[str] = "STREAM_LOG_UNEXPECTED"


@dataclass(frozen=True, slots=True)
class Opened:
    """A log's section begins: the DID lines that are new to the asker, and the checkpoint to go for."""

    origin: str
    lines: tuple[bytes, ...]
    witness: bytes | None
    note: bytes


@dataclass(frozen=True, slots=True)
class Pulled:
    """A batch that ends at `size`, with the proof from there to the checkpoint."""

    origin: str
    entries: list[Received]
    size: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """A log's section is over."""

    origin: str
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Pause:
    """The sender asks not to be asked again for so long."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A piece of evidence came along; nothing of it is verified."""

    data: bytes


Event = Opened | Pulled | Closed | Pause | Shown


class _At(Enum):
    BETWEEN = auto()
    IDENTITY = auto()
    ENTRIES = auto()
    PAUSED = auto()
    OVER = auto()


@dataclass(slots=True)
class _Section:
    origin: str
    lines: list[bytes] = field(default_factory=list)
    witness: bytes | None = None
    did_bytes: int = 0
    entries: list[Received] = field(default_factory=list)
    entries_bytes: int = 0


class Assembler:
    """Turns frames into events; one for each response. `asked` are the origins that may come; None: any."""

    def __init__(self, asked: Collection[str] | None, *, logs_max: int = UNASKED_LOGS_MAX) -> None:
        self._expected = None if asked is None else frozenset(asked)
        self._logs_max = logs_max
        self._came: set[str] = set()
        self._evidence = 0
        self._at = _At.BETWEEN
        self._section = _Section("")

    def take(self, frame: Frame) -> Event | None:
        """Return what the frame completes, if anything, or raise for the rule it breaks (rules F2)."""
        match frame:
            case EntryData() if self._at is _At.ENTRIES:
                self._entry(frame)
            case Mark() if self._at is _At.ENTRIES and self._section.entries:
                return self._mark(frame)
            case Log(origin) if self._at is _At.BETWEEN:
                self._open(origin)
            case DidLine(line) if self._at is _At.IDENTITY and self._section.witness is None:
                self._line(line)
            case Witness(proofs) if self._at is _At.IDENTITY and self._section.witness is None:
                self._section.witness = proofs
            case CheckpointNote(note) if self._at is _At.IDENTITY:
                self._at = _At.ENTRIES
                return self._opened(note)
            case EndOfLog(reason) if self._may_close():
                self._at = _At.BETWEEN
                return Closed(self._section.origin, reason)
            case RetryAfter(seconds) if self._at is _At.BETWEEN:
                self._at = _At.PAUSED
                return Pause(seconds)
            case Evidence(data) if self._at is _At.BETWEEN and self._expected is None:
                return self._shown(data)
            case End() if self._at in (_At.BETWEEN, _At.PAUSED):
                self._at = _At.OVER
            case _:
                raise StreamOutOfOrder(
                    "a frame is out of place", frame=type(frame).__name__, origin=self._section.origin
                )
        return None

    def finish(self) -> None:
        """Return if the stream may end here, else raise FrameTruncated (rule F2.4)."""
        if self._at is not _At.OVER:
            raise FrameTruncated("the stream ends before it says so", origin=self._section.origin)

    def _may_close(self) -> bool:
        section = self._section
        if self._at is _At.IDENTITY:
            return not section.lines and section.witness is None
        return self._at is _At.ENTRIES and not section.entries

    def _open(self, origin: str) -> None:
        is_expected = len(self._came) < self._logs_max if self._expected is None else origin in self._expected
        if not is_expected or origin in self._came:
            raise StreamLogUnexpected("that log was not asked for, or came already", origin=origin)
        self._came.add(origin)
        self._at = _At.IDENTITY
        self._section = _Section(origin)

    def _line(self, line: bytes) -> None:
        section = self._section
        section.did_bytes += len(line)
        if section.did_bytes > DID_BYTES_MAX or len(section.lines) == VERSIONS_MAX:
            raise StreamSectionTooLarge("the DID log is too large", origin=section.origin, bytes_max=DID_BYTES_MAX)
        section.lines.append(line)

    def _opened(self, note: bytes) -> Opened:
        section = self._section
        return Opened(section.origin, tuple(section.lines), section.witness, note)

    def _shown(self, data: bytes) -> Shown:
        self._evidence += 1
        if self._evidence > UNASKED_EVIDENCE_MAX:
            raise StreamSectionTooLarge("too much evidence", origin="", count_max=UNASKED_EVIDENCE_MAX)
        return Shown(data)

    def _entry(self, frame: EntryData) -> None:
        section = self._section
        section.entries_bytes += len(frame.data) + len(frame.body or b"")
        if len(section.entries) == ENTRIES_PER_BATCH_MAX or section.entries_bytes > BATCH_BYTES_MAX:
            raise StreamSectionTooLarge("a batch is too large", origin=section.origin, bytes_max=BATCH_BYTES_MAX)
        section.entries.append(frame)

    def _mark(self, frame: Mark) -> Pulled:
        section = self._section
        entries, section.entries, section.entries_bytes = section.entries, [], 0
        return Pulled(section.origin, entries, frame.size, frame.proof)
