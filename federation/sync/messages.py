"""Read and write the JSON that nodes exchange: heads, and what a pull asks for. Pure.

Shapes and bounds only. Nothing in a message is believed: a head is a hint of
what to pull, and what is pulled proves itself.

Rules, with the error that answers each:
- S1.1 a heads answer has the members of `Heads`, whose texts hold no NUL: HEADS_MALFORMED.
- S1.2 a list of evidence has the members of `OfferedEvidence`, at most EVIDENCE_LISTED_MAX: EVIDENCE_LIST_MALFORMED.
- S2.1 a pull asks for 1 to PULL_LOGS_MAX logs, each once, each of the form of `Wanted`: PULL_MALFORMED.
"""

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from domain.errors import GotongError
from federation.did.webvh import VERSIONS_MAX
from federation.log.entry import InstantMalformed, Network, instant, parse_instant
from federation.log.merkle import TREE_SIZE_MAX
from federation.log.names import OriginMalformed, parse_origin
from federation.log.note import NOTE_BYTES_MAX
from federation.sync.frames import ORIGIN_BYTES_MAX

HEADS_BYTES_MAX = 32 * 1024 * 1024
PULL_REQUEST_BYTES_MAX = 256 * 1024
PULL_LOGS_MAX = 1_024
PULL_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of frames in one pull response, before compression; it ends with the batch that reaches them."""
SINCE_CHARS_MAX = 256
DID_HASH_CHARS_MAX = 64
EVIDENCE_LISTED_MAX = 256


class HeadsMalformed(GotongError):
    """A peer's list of heads is not of the form that the protocol gives it."""

    code: ClassVar[str] = "HEADS_MALFORMED"


class EvidenceListMalformed(GotongError):
    """A peer's list of evidence is not of the form that the protocol gives it."""

    code: ClassVar[str] = "EVIDENCE_LIST_MALFORMED"


class PullMalformed(GotongError):
    """The body of a pull request is not of the form that the protocol gives it, or asks for too much at once."""

    code: ClassVar[str] = "PULL_MALFORMED"


_Origin = Annotated[str, Meta(min_length=1, max_length=ORIGIN_BYTES_MAX)]
_Size = Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)]
_Version = Annotated[int, Meta(ge=0, le=VERSIONS_MAX)]


class HeadOfLog(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest checkpoint of a log that the peer holds in full; `hosted`: the log's own key is there.

    `did_hash` is that of the newest DID line there, "" from who does not say: it shows whether both hold the same one.
    `mail`: requests for its restricted parts wait there for its home, which nobody can connect to.
    """

    origin: _Origin
    size: _Size
    checkpoint: Annotated[str, Meta(max_length=NOTE_BYTES_MAX)]
    did_version: _Version
    hosted: bool = False
    did_hash: Annotated[str, Meta(max_length=DID_HASH_CHARS_MAX)] = ""
    mail: bool = False


class Heads(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a peer holds: all of it, or what changed since the hint it gave last time.

    `left_out` counts logs that lie outside the regions asked for; `listed` says that the peer may be named to others;
    `mail` counts what waits there for whoever signed the request (10.12).
    """

    network: Network
    operator: Annotated[str, Meta(max_length=64)]
    time: str
    since: Annotated[str, Meta(max_length=SINCE_CHARS_MAX)]
    logs: list[HeadOfLog]
    evidence: Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)] = 0
    """The number of the newest evidence there; another one than last time is a reason to ask for it."""
    left_out: Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)] = 0
    listed: bool = False
    mail: Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)] = 0

    @property
    def at(self) -> datetime:
        """The peer's clock when it answered; its form was checked on reading."""
        return parse_instant(self.time)


class OfferedEvidence(msgspec.Struct, frozen=True):
    """A piece of evidence that a peer has: its number there, its SHA-256, whom it is about."""

    number: Annotated[int, Meta(ge=1, le=TREE_SIZE_MAX)]
    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    kind: Annotated[str, Meta(max_length=32)]
    scid: Annotated[str, Meta(max_length=64)]
    size: _Size


class _OfferedList(msgspec.Struct, frozen=True):
    evidence: Annotated[list[OfferedEvidence], Meta(max_length=EVIDENCE_LISTED_MAX)]


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked of one log: entries from `size`, up to `upto` (None: all), DID lines after `did_version`."""

    origin: _Origin
    size: _Size = 0
    did_version: _Version = 0
    upto: _Size | None = None


class Pull(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a pull request, logs in the order in which they are wanted."""

    logs: Annotated[list[Wanted], Meta(min_length=1, max_length=PULL_LOGS_MAX)]
    bytes_max: Annotated[int, Meta(ge=1, le=PULL_BYTES_MAX)] = PULL_BYTES_MAX


ESCAPED_NUL = b"\\u0000"
"""How JSON spells a NUL, which no text of these messages holds and no database keeps."""

_heads = msgspec.json.Decoder(Heads)
_offered = msgspec.json.Decoder(_OfferedList)
_pull = msgspec.json.Decoder(Pull)


def read_heads(data: bytes) -> Heads:
    """Return a heads answer, or raise HeadsMalformed (rule S1.1); origins in it are not looked at yet."""
    if ESCAPED_NUL in data:
        raise HeadsMalformed("texts hold no NUL")
    try:
        heads = _heads.decode(data)
        parse_instant(heads.time)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise HeadsMalformed(f"not a list of heads: {error}"[:200]) from None
    except InstantMalformed as error:
        raise HeadsMalformed(f"time: {error.message}") from None
    return heads


def write_heads(
    *,
    network: Network,
    operator: str,
    now: datetime,
    since: str,
    logs: list[HeadOfLog],
    evidence: int = 0,
    left_out: int = 0,
    listed: bool = False,
    mail: int = 0,
) -> bytes:
    """Return the bytes of a heads answer."""
    return msgspec.json.encode(Heads(network, operator, instant(now), since, logs, evidence, left_out, listed, mail))


def read_evidence(data: bytes) -> list[OfferedEvidence]:
    """Return a list of evidence, or raise EvidenceListMalformed (rule S1.2)."""
    if ESCAPED_NUL in data:
        raise EvidenceListMalformed("texts hold no NUL")
    try:
        return _offered.decode(data).evidence
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise EvidenceListMalformed(f"not a list of evidence: {error}"[:200]) from None


def write_evidence(offered: list[OfferedEvidence]) -> bytes:
    """Return the bytes of a list of evidence."""
    return msgspec.json.encode(_OfferedList(offered))


def read_pull(data: bytes) -> Pull:
    """Return what a pull asks for, or raise PullMalformed (rule S2.1)."""
    try:
        pull = _pull.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise PullMalformed(f"not a pull request: {error}"[:200]) from None
    try:
        for wanted in pull.logs:
            parse_origin(wanted.origin)
    except OriginMalformed as error:
        raise PullMalformed(error.message) from None
    if len({wanted.origin for wanted in pull.logs}) != len(pull.logs):
        raise PullMalformed("a log is asked for once")
    return pull


def write_pull(pull: Pull) -> bytes:
    """Return the bytes of a pull request."""
    return msgspec.json.encode(pull)
