"""Decide how things are named: SCIDs, record ids (UUIDv7) and record URIs.

A record's URI is `gotong:<SCID>/<type>/<uuid>`; `gotong:<SCID>` alone is the
participant, and at once its one Organization record. Nothing here resolves a name.
"""

import re
from typing import Annotated, ClassVar, Final, NamedTuple
from uuid import UUID

from msgspec import Meta

from domain.errors import GotongError

SCID_SYNTAX: Final = r"Qm[1-9A-HJ-NP-Za-km-z]{44}"  # base58btc of a sha2-256 multihash (did:webvh 1.0, 3.7.2)
TYPE_SYNTAX: Final = r"[a-z][a-z0-9-]{0,31}"
UUID7_SYNTAX: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
HASH_SYNTAX: Final = r"[0-9a-f]{64}"
RANDOM_BYTES = 10
MS_BITS = 48

RecordUriText = Annotated[str, Meta(pattern=rf"^gotong:{SCID_SYNTAX}(/{TYPE_SYNTAX}/{UUID7_SYNTAX})?\Z")]
ParticipantUriText = Annotated[str, Meta(pattern=rf"^gotong:{SCID_SYNTAX}\Z")]
HashText = Annotated[str, Meta(pattern=rf"^{HASH_SYNTAX}\Z")]

_SCID = re.compile(rf"^{SCID_SYNTAX}\Z")
_UUID7 = re.compile(rf"^{UUID7_SYNTAX}\Z")
_URI = re.compile(rf"^gotong:({SCID_SYNTAX})(?:/({TYPE_SYNTAX})/({UUID7_SYNTAX}))?\Z")
_TYPE = re.compile(rf"^{TYPE_SYNTAX}\Z")


class IdMalformed(GotongError):
    """A SCID, record id or record URI is not spelled as the protocol says."""

    code: ClassVar[str] = "ID_MALFORMED"


UriParts = tuple[str, str | None, str | None]
"""SCID, type and record id as text, for who needs no UUID; the last two are None for the participant itself."""


class RecordUri(NamedTuple):
    """The parts of a URI; `type` and `id` are None for the participant itself."""

    scid: str
    type: str | None = None
    id: UUID | None = None

    def __str__(self) -> str:
        return format_uri(*self)


def parse_uri(text: str) -> RecordUri:
    """Return the parts of `gotong:<SCID>[/<type>/<uuid>]`, or raise IdMalformed."""
    scid, type_name, uuid = split_uri(text)
    return RecordUri(scid, type_name, UUID(uuid) if uuid else None)


def split_uri(text: str) -> UriParts:
    """Return the parts of `gotong:<SCID>[/<type>/<uuid>]` as they are spelled, or raise IdMalformed."""
    match = _URI.match(text)
    if match is None:
        raise IdMalformed("a record is named gotong:<SCID>/<type>/<uuid>, a participant gotong:<SCID>", id=text[:256])
    scid, type_name, uuid = match.groups()
    return scid, type_name, uuid


def format_uri(scid: str, type_name: str | None = None, record_id: UUID | None = None) -> str:
    """Return the URI of a record, or of the participant when type and id are None. Raises IdMalformed."""
    parse_scid(scid)
    if type_name is None and record_id is None:
        return f"gotong:{scid}"
    if type_name is None or record_id is None or not _TYPE.match(type_name):
        raise IdMalformed("a record's URI needs both a type and an id", type=type_name)
    return f"gotong:{scid}/{type_name}/{parse_record_id(str(record_id))}"


def parse_scid(text: str) -> str:
    """Return `text` if it is a SCID, or raise IdMalformed."""
    if not _SCID.match(text):
        raise IdMalformed("a SCID is 46 base58btc characters beginning with Qm", id=text[:256])
    return text


def parse_record_id(text: str) -> UUID:
    """Return the UUIDv7 spelled in lower case with hyphens, or raise IdMalformed."""
    if not _UUID7.match(text):
        raise IdMalformed("a record id is a UUIDv7 in lower case with hyphens", id=text[:256])
    return UUID(text)


def uuid7(ms: int, random: bytes) -> UUID:
    """Return the UUIDv7 of `ms` since 1970 and 10 random bytes, of which 74 bits are used (RFC 9562, 5.7).

    Raises ValueError for a time outside 48 bits or another number of bytes.
    """
    if not 0 <= ms < 1 << MS_BITS:
        raise ValueError(f"{ms} ms do not fit {MS_BITS} bits")
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"{RANDOM_BYTES} random bytes are needed, not {len(random)}")
    rand_a = int.from_bytes(random[:2]) & 0xFFF
    rand_b = int.from_bytes(random[2:]) & ((1 << 62) - 1)
    return UUID(int=ms << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)


def uuid7_ms(record_id: UUID) -> int:
    """Return the milliseconds since 1970 that a UUIDv7 claims."""
    return record_id.int >> 80
