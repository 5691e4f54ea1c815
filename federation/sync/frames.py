"""Write and read the frames of a pull response, a bundle or a deposit. Pure: bytes in, frames out.

A frame is a type byte, the length of its data as a big-endian u32, and the
data. This module decides what one frame may hold and how large it may be; in
which order frames come is decided in `sections`, what they mean by `verify`.

Rules, with the error that answers each:
- F1.1 the type is one of `FrameType`: FRAME_UNKNOWN.
- F1.2 a frame has at most the bytes its type allows, so a length is refused before a byte of data is kept:
  FRAME_TOO_LARGE.
- F1.3 data have the form of their type: FRAME_MALFORMED.
- F1.4 a stream ends between two frames: FRAME_TRUNCATED.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final

from domain.errors import GotongError
from federation.did.webvh import LINE_BYTES_MAX
from federation.did.witness import WITNESS_FILE_BYTES_MAX
from federation.log.entry import ENTRY_BYTES_MAX, PAYLOAD_BYTES_MAX, SALT_BYTES
from federation.log.evidence import EVIDENCE_BYTES_MAX
from federation.log.merkle import HASH_BYTES, TREE_SIZE_MAX
from federation.log.note import NOTE_BYTES_MAX
from federation.log.verify import Received

ORIGIN_BYTES_MAX = 128
PROOF_HASHES_MAX = 128
RETRY_AFTER_S_MAX = 86_400

_HEADER = struct.Struct(">BI")
_ENTRY_LENGTH = struct.Struct(">H")
_SIZE = struct.Struct(">Q")
_SECONDS = struct.Struct(">I")


class FrameUnknown(GotongError):
    """A frame's type byte is none that this version knows."""

    code: ClassVar[str] = "FRAME_UNKNOWN"


class FrameTooLarge(GotongError):
    """A frame states more bytes than its type may have."""

    code: ClassVar[str] = "FRAME_TOO_LARGE"


class FrameMalformed(GotongError):
    """A frame's data do not have the form of its type."""

    code: ClassVar[str] = "FRAME_MALFORMED"


class FrameTruncated(GotongError):
    """A stream ends inside a frame, or before the frame that ends it."""

    code: ClassVar[str] = "FRAME_TRUNCATED"


class FrameType(IntEnum):
    """The type byte."""

    LOG = 1
    DID_LINE = 2
    WITNESS = 3
    CHECKPOINT = 4
    ENTRY = 5
    MARK = 6
    END_OF_LOG = 7
    RETRY_AFTER = 8
    END = 9
    EVIDENCE = 10


class EndReason(IntEnum):
    """Why a log's section ends: all of it up to the checkpoint was sent, or a bound was reached first."""

    COMPLETE = 0
    BOUNDED = 1


@dataclass(frozen=True, slots=True)
class Log:
    """What follows is about the log named `origin`."""

    origin: str


@dataclass(frozen=True, slots=True)
class DidLine:
    """One line of the participant's `did.jsonl`, without its newline."""

    line: bytes


@dataclass(frozen=True, slots=True)
class Witness:
    """The participant's `did-witness.json`."""

    proofs: bytes


@dataclass(frozen=True, slots=True)
class CheckpointNote:
    """The signed note that the entries lead to."""

    note: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """Ends a batch: the tree has `size` leaves, and `proof` shows that it is a prefix of the checkpoint's."""

    size: int
    proof: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class EndOfLog:
    """Ends a log's section."""

    reason: EndReason


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """The sender asks not to be asked again for so long."""

    seconds: int


@dataclass(frozen=True, slots=True)
class End:
    """Ends the stream; without it something is missing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Shows that somebody signed two stories; only where nothing was asked for."""

    data: bytes


EntryData = Received
"""The next entry of the log, as `verify` takes it."""

Frame = Log | DidLine | Witness | CheckpointNote | EntryData | Mark | EndOfLog | RetryAfter | End | Evidence

_BYTES_MAX: Final[dict[int, int]] = {
    FrameType.LOG: ORIGIN_BYTES_MAX,
    FrameType.DID_LINE: LINE_BYTES_MAX,
    FrameType.WITNESS: WITNESS_FILE_BYTES_MAX,
    FrameType.CHECKPOINT: NOTE_BYTES_MAX,
    FrameType.ENTRY: _ENTRY_LENGTH.size + ENTRY_BYTES_MAX + SALT_BYTES + PAYLOAD_BYTES_MAX,
    FrameType.MARK: _SIZE.size + PROOF_HASHES_MAX * HASH_BYTES,
    FrameType.END_OF_LOG: 1,
    FrameType.RETRY_AFTER: _SECONDS.size,
    FrameType.END: 0,
    FrameType.EVIDENCE: EVIDENCE_BYTES_MAX,
}
FRAME_BYTES_MAX = _HEADER.size + max(_BYTES_MAX.values())


# ---- writing --------------------------------------------------------------------------------------------------------


def encode(frame: Frame) -> bytes:
    """Return the frame's bytes; raises FrameTooLarge for what no frame can hold."""
    kind, data = _taken_apart(frame)
    if len(data) > _BYTES_MAX[kind]:
        raise _too_large(kind, len(data))
    return _HEADER.pack(kind, len(data)) + data


def encode_entry(data: bytes, salt: bytes | None, body: bytes | None) -> bytes:
    """Return the bytes of an ENTRY frame: what `encode` returns, without making a frame object for each entry."""
    if salt is None or body is None:
        return _HEADER.pack(FrameType.ENTRY, _ENTRY_LENGTH.size + len(data)) + _ENTRY_LENGTH.pack(len(data)) + data
    length = _ENTRY_LENGTH.size + len(data) + len(salt) + len(body)
    return b"".join((_HEADER.pack(FrameType.ENTRY, length), _ENTRY_LENGTH.pack(len(data)), data, salt, body))


def _taken_apart(frame: Frame) -> tuple[FrameType, bytes]:
    match frame:
        case Log(origin):
            return FrameType.LOG, origin.encode()
        case DidLine(line):
            return FrameType.DID_LINE, line
        case Witness(proofs):
            return FrameType.WITNESS, proofs
        case CheckpointNote(note):
            return FrameType.CHECKPOINT, note
        case EntryData(data, salt, body):
            return FrameType.ENTRY, encode_entry(data, salt, body)[_HEADER.size :]
        case Mark(size, proof):
            return FrameType.MARK, _SIZE.pack(size) + b"".join(proof)
        case EndOfLog(reason):
            return FrameType.END_OF_LOG, bytes([reason])
        case RetryAfter(seconds):
            return FrameType.RETRY_AFTER, _SECONDS.pack(seconds)
        case End():
            return FrameType.END, b""
        case Evidence(data):
            return FrameType.EVIDENCE, data


# ---- reading --------------------------------------------------------------------------------------------------------


class Decoder:
    """Turns the bytes of a stream into frames, however they are cut; keeps at most one frame that is not whole."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._pending_bytes = 0
        self._needed_bytes = _HEADER.size

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole by now, or raise for the first rule one of them breaks (rules F1)."""
        self._pieces.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes < self._needed_bytes:
            return []  # joining pieces that cannot make a frame yet would cost the square of their number
        data = b"".join(self._pieces)
        self._needed_bytes = _HEADER.size
        frames: list[Frame] = []
        at, end = 0, len(data)
        while end - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(data, at)
            bytes_max = _BYTES_MAX.get(kind)
            if bytes_max is None:
                raise FrameUnknown("no such type of frame", type=kind)
            if length > bytes_max:
                raise _too_large(kind, length)
            start = at + _HEADER.size
            if end - start < length:
                self._needed_bytes = _HEADER.size + length
                break
            at = start + length
            frames.append(_READ[kind](data[start:at]))
        self._pieces = [data[at:]]
        self._pending_bytes = end - at
        return frames

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return self._pending_bytes

    def finish(self) -> None:
        """Return if the stream may end here, else raise FrameTruncated (rule F1.4)."""
        if self._pending_bytes:
            raise FrameTruncated("the stream ends inside a frame", bytes=self._pending_bytes)


def _too_large(kind: int, length: int) -> FrameTooLarge:
    return FrameTooLarge("the frame is too large", type=kind, bytes=length, bytes_max=_BYTES_MAX[kind])


def _read_log(data: bytes) -> Log:
    if not data or not data.isascii():
        raise FrameMalformed("an origin is ASCII text", type=FrameType.LOG)
    return Log(data.decode("ascii"))


def _read_entry(data: bytes) -> EntryData:
    if len(data) < _ENTRY_LENGTH.size:
        raise FrameMalformed("an entry is preceded by its length", type=FrameType.ENTRY)
    cut = _ENTRY_LENGTH.size + _ENTRY_LENGTH.unpack_from(data)[0]
    if cut > len(data):
        raise FrameMalformed("an entry is longer than its frame", type=FrameType.ENTRY)
    entry = data[_ENTRY_LENGTH.size : cut]
    if cut == len(data):
        return EntryData(entry)
    if len(data) - cut < SALT_BYTES:
        raise FrameMalformed("a body is preceded by its salt", type=FrameType.ENTRY)
    return EntryData(entry, data[cut : cut + SALT_BYTES], data[cut + SALT_BYTES :])


def _read_mark(data: bytes) -> Mark:
    hashes, odd = divmod(len(data) - _SIZE.size, HASH_BYTES)
    if hashes < 0 or odd:
        raise FrameMalformed("a mark is a size and whole hashes", type=FrameType.MARK)
    (size,) = _SIZE.unpack_from(data)
    if size > TREE_SIZE_MAX:
        raise FrameMalformed("a size stays below 2**53", type=FrameType.MARK)
    return Mark(size, tuple(data[at : at + HASH_BYTES] for at in range(_SIZE.size, len(data), HASH_BYTES)))


def _read_end_of_log(data: bytes) -> EndOfLog:
    if len(data) != 1 or data[0] not in list(EndReason):
        raise FrameMalformed("no such reason for a log to end", type=FrameType.END_OF_LOG)
    return EndOfLog(EndReason(data[0]))


def _read_retry_after(data: bytes) -> RetryAfter:
    if len(data) != _SECONDS.size or _SECONDS.unpack(data)[0] > RETRY_AFTER_S_MAX:
        raise FrameMalformed("a pause is a number of seconds, at most a day", type=FrameType.RETRY_AFTER)
    return RetryAfter(_SECONDS.unpack(data)[0])


def _read_end(_data: bytes) -> End:
    return End()


_READ: Final[dict[int, Callable[[bytes], Frame]]] = {
    FrameType.LOG: _read_log,
    FrameType.DID_LINE: DidLine,
    FrameType.WITNESS: Witness,
    FrameType.CHECKPOINT: CheckpointNote,
    FrameType.ENTRY: _read_entry,
    FrameType.MARK: _read_mark,
    FrameType.END_OF_LOG: _read_end_of_log,
    FrameType.RETRY_AFTER: _read_retry_after,
    FrameType.END: _read_end,
    FrameType.EVIDENCE: Evidence,
}
