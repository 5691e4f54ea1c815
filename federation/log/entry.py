"""Decide what the bytes of one log entry say, and whether a payload is the one an entry commits to. Pure.

An entry is the leaf of the Merkle tree: its bytes are signed, stored and hashed
as they came, and parsed here for use. What a record type's `core` must hold is
the domain's matter; which entries may follow which is `verify`'s.

Rules, with the error that answers each:
- E1.1 an entry has at most ENTRY_BYTES_MAX bytes: ENTRY_TOO_LARGE.
- E1.2 its bytes are the canonical encoding of a JSON object: ENTRY_NOT_CANONICAL.
- E1.3 it has v, type, id (UUIDv7), rev, at and op, each of its form: ENTRY_MALFORMED.
- E1.4 prev is there exactly when rev > 0: ENTRY_MALFORMED.
- E1.5 core is absent when empty, exercise when false, commitments when there is nothing to commit to: ENTRY_MALFORMED.
- E1.6 further members, an unknown op, type or a newer v are no error: a newer version wrote the entry. It is verified,
  stored, relayed and not projected. Members named above keep their form in every version.
- E1.7 an instant is UTC `YYYY-MM-DDTHH:MM:SS.mmmZ`, three fraction digits: INSTANT_MALFORMED (in an entry:
  ENTRY_MALFORMED).
- E2.1 entry 0 is a genesis: type log, rev 0, put, no commitments, no exercise; core names network, scid, epoch and,
  only after epoch 0, `from` (size and root of what it copies, and the leaf hash of the old genesis):
  GENESIS_MALFORMED.
- E2.2 it names the scid and epoch of the log's origin: GENESIS_MALFORMED; and the network expected: NETWORK_MISMATCH.
- E3.1 a commitment is SHA-256(16 salt bytes || payload): PAYLOAD_COMMITMENT_MISMATCH.
- E3.2 a payload is a canonical JSON object: PAYLOAD_NOT_CANONICAL; it has at most PAYLOAD_BYTES_MAX bytes:
  PAYLOAD_TOO_LARGE.
- E3.3 a payload comes only where the entry commits to one: PAYLOAD_UNEXPECTED.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.errors import GotongError
from federation.encoding import canonical
from federation.encoding.canonical import JSON
from federation.log.merkle import HASH_BYTES
from federation.log.names import origin as origin  # re-exported: whoever handles entries needs their log's name
from federation.log.names import parse_origin as parse_origin

ENTRY_BYTES_MAX = 4096
PAYLOAD_BYTES_MAX = 65536
SALT_BYTES = 16
GENESIS_TYPE = "log"
GENESIS_VERSION = 1

Op = Literal["put", "erase"]
Part = Literal["body", "restricted"]
Network = Literal["live", "test"]

OPS: Final = frozenset({"put", "erase"})


class EpochStart(NamedTuple):
    """The head of the log before, from which an epoch after the first starts, and the leaf hash of its genesis."""

    size: int
    root: bytes
    genesis: bytes


class EntryTooLarge(GotongError):
    """An entry is larger than 4096 bytes."""

    code: ClassVar[str] = "ENTRY_TOO_LARGE"


class EntryNotCanonical(GotongError):
    """An entry's bytes are not the canonical encoding of a JSON object."""

    code: ClassVar[str] = "ENTRY_NOT_CANONICAL"


class EntryMalformed(GotongError):
    """A member of an entry is missing, of the wrong form, or there when it must not be."""

    code: ClassVar[str] = "ENTRY_MALFORMED"


class InstantMalformed(GotongError):
    """A time is not written as UTC with exactly three fraction digits and a Z."""

    code: ClassVar[str] = "INSTANT_MALFORMED"


class GenesisMalformed(GotongError):
    """A log's first entry does not introduce that log, or a later entry claims to."""

    code: ClassVar[str] = "GENESIS_MALFORMED"


class NetworkMismatch(GotongError):
    """A log of the test network meets a node of the live one, or the other way round."""

    code: ClassVar[str] = "NETWORK_MISMATCH"


class PayloadCommitmentMismatch(GotongError):
    """A payload and its salt are not the ones the entry commits to."""

    code: ClassVar[str] = "PAYLOAD_COMMITMENT_MISMATCH"


class PayloadTooLarge(GotongError):
    """A payload is larger than 65536 bytes."""

    code: ClassVar[str] = "PAYLOAD_TOO_LARGE"


class PayloadNotCanonical(GotongError):
    """A payload is not the canonical encoding of a JSON object."""

    code: ClassVar[str] = "PAYLOAD_NOT_CANONICAL"


class PayloadUnexpected(GotongError):
    """A payload came for an entry that commits to none, or came without its salt."""

    code: ClassVar[str] = "PAYLOAD_UNEXPECTED"


_Count = Annotated[int, Meta(ge=0)]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


class _Members(msgspec.Struct, frozen=True, gc=False):
    """The members of an entry as they travel, their JSON types; `parse` checks how texts are written."""

    v: Annotated[int, Meta(ge=1)]
    type: str
    id: str
    rev: _Count
    at: str
    op: str
    prev: _Count | UnsetType = UNSET
    core: Annotated[dict[str, object], Meta(min_length=1)] | UnsetType = UNSET
    exercise: bool | UnsetType = UNSET
    body: str | UnsetType = UNSET
    restricted: str | UnsetType = UNSET


_KNOWN = frozenset(_Members.__struct_fields__)


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of a log, parsed. Commitments are 32 raw bytes; `unknown` says a newer version wrote it (rule E1.6)."""

    v: int
    type: str
    id: uuid.UUID
    rev: int
    at: datetime
    op: str
    prev: int | None = None
    core: Mapping[str, JSON] = {}
    exercise: bool = False
    body: bytes | None = None
    restricted: bytes | None = None
    unknown: bool = False
    """Has members or an op that this version does not know. Whether it knows `type` and `v` is the domain's to say."""

    def commitment(self, part: Part) -> bytes | None:
        """Return the 32-byte commitment to one part, or None if the entry has no such part."""
        return self.body if part == "body" else self.restricted


def parse(data: bytes) -> Entry:
    """Return what an entry's bytes say, or raise EntryTooLarge, EntryNotCanonical, EntryMalformed (rules E1)."""
    if len(data) > ENTRY_BYTES_MAX:
        raise EntryTooLarge("the entry is too large", bytes=len(data), bytes_max=ENTRY_BYTES_MAX)
    try:
        value = canonical.decode(data)
    except canonical.NotCanonical as error:
        raise EntryNotCanonical(f"the entry is not canonical: {error.message}", cause=error.code) from None
    if type(value) is not dict:
        raise EntryNotCanonical("the entry is not a JSON object")
    try:
        members = msgspec.convert(value, _Members)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None
    if _NAME.fullmatch(members.type) is None:
        raise EntryMalformed("type is a short lowercase name", member="type")
    if members.op not in OPS and _NAME.fullmatch(members.op) is None:
        raise EntryMalformed("op is a short lowercase name", member="op")
    if _UUID7.fullmatch(members.id) is None:
        raise EntryMalformed("id is a UUIDv7 in lowercase with hyphens", member="id")
    if (members.prev is UNSET) != (members.rev == 0):
        raise EntryMalformed("prev is there exactly when rev is not 0", member="prev")
    if members.exercise is False:
        raise EntryMalformed("exercise is true or absent", member="exercise")
    return Entry(
        v=members.v,
        type=members.type,
        id=msgspec.convert(members.id, uuid.UUID),  # a third of the time of uuid.UUID
        rev=members.rev,
        at=_at(members.at),
        op=members.op,
        prev=None if members.prev is UNSET else members.prev,
        core={} if members.core is UNSET else cast("dict[str, JSON]", members.core),
        exercise=members.exercise is True,
        body=None if members.body is UNSET else _hash(members.body, "body"),
        restricted=None if members.restricted is UNSET else _hash(members.restricted, "restricted"),
        unknown=members.op not in OPS or not _KNOWN.issuperset(value),
    )


def _at(text: str) -> datetime:
    try:
        return parse_instant(text)
    except InstantMalformed as error:
        raise EntryMalformed(f"at: {error.message}", member="at") from None


def _hash(text: str, member: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != HASH_BYTES or data.hex() != text:  # fromhex takes capitals and spaces
        raise EntryMalformed(f"{member} is a SHA-256 in lowercase hex", member=member)
    return data


def _malformed(message: str) -> EntryMalformed:
    found = re.search(r"\$\.([a-z]+)", message) or re.search(r"field `([a-z]+)`", message)
    return EntryMalformed(message, member=found[1] if found else None)


def build(
    *,
    type: str,  # noqa: A002 - an entry's member has that name
    id: uuid.UUID,  # noqa: A002
    at: datetime,
    rev: int = 0,
    prev: int | None = None,
    v: int = 1,
    op: Op = "put",
    core: Mapping[str, JSON] | None = None,
    exercise: bool = False,
    body: bytes | None = None,
    restricted: bytes | None = None,
) -> bytes:
    """Return the bytes of a new entry; raises what `parse` would raise for them, or InstantMalformed.

    `body` and `restricted` are commitments (32 bytes, see `commit`); `at` is cut to milliseconds.
    """
    members: dict[str, JSON] = {"v": v, "type": type, "id": str(id), "rev": rev, "at": instant(at), "op": op}
    if prev is not None:
        members["prev"] = prev
    if core:
        members["core"] = dict(core)
    if exercise:
        members["exercise"] = True
    if body is not None:
        members["body"] = body.hex()
    if restricted is not None:
        members["restricted"] = restricted.hex()
    try:
        data = canonical.encode(members)
    except canonical.NotCanonical as error:
        raise EntryNotCanonical(f"the entry has no canonical form: {error.message}", cause=error.code) from None
    parse(data)
    return data


# ---- the first entry ------------------------------------------------------------------------------------------------


def genesis(
    scid: str,
    epoch: int,
    network: Network,
    at: datetime,
    id: uuid.UUID,  # noqa: A002
    *,
    start: EpochStart | None = None,
) -> bytes:
    """Return the bytes of a log's first entry; raises GenesisMalformed or what `build` raises.

    `start` is where an epoch after the first starts. It takes over the record id of the genesis before it.
    """
    core: dict[str, JSON] = {"network": network, "scid": scid, "epoch": epoch}
    if start is not None:
        core["from"] = {"size": start.size, "root": start.root.hex(), "genesis": start.genesis.hex()}
    data = build(type=GENESIS_TYPE, id=id, at=at, core=core)
    _read_genesis(parse(data))
    return data


def check_genesis(entry: Entry, log: str, network: str) -> None:
    """Return if the entry opens the log named `log` on `network`, else raise GenesisMalformed, NetworkMismatch (E2).

    Raises OriginMalformed for an origin that names no log.
    """
    scid, epoch = parse_origin(log)
    core = _read_genesis(entry)
    if (core.scid, core.epoch) != (scid, epoch):
        raise GenesisMalformed("the genesis opens another log", origin=log, scid=core.scid, epoch=core.epoch)
    if core.network != network:
        raise NetworkMismatch("the log is of another network", expected=network, found=core.network)


def epoch_start(genesis: Entry) -> EpochStart | None:
    """Return where the log that this entry opens starts from, None in the first epoch; raise GenesisMalformed."""
    copied = _read_genesis(genesis).copied
    if copied is UNSET:
        return None
    return EpochStart(copied.size, bytes.fromhex(copied.root), bytes.fromhex(copied.genesis))


class _Copied(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1)]
    root: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    genesis: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _GenesisCore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: Network
    scid: str
    epoch: _Count
    copied: _Copied | UnsetType = msgspec.field(default=UNSET, name="from")


def _read_genesis(entry: Entry) -> _GenesisCore:
    plain = (entry.type, entry.op, entry.rev) == (GENESIS_TYPE, "put", 0) and entry.v == GENESIS_VERSION
    if not plain or entry.body or entry.restricted or entry.exercise or entry.unknown:
        raise GenesisMalformed("a log begins with a put of type log, revision 0, without commitments")
    try:
        core = msgspec.convert(entry.core, _GenesisCore)
    except msgspec.ValidationError as error:
        raise GenesisMalformed(f"core of the genesis: {error}") from None
    if (core.copied is UNSET) != (core.epoch == 0):
        raise GenesisMalformed("`from` is there exactly when epoch is not 0", epoch=core.epoch)
    return core


# ---- payloads -------------------------------------------------------------------------------------------------------


def commit(salt: bytes, payload: bytes) -> bytes:
    """Return the 32-byte commitment to a payload under a salt of 16 random bytes (rule E3.1)."""
    if len(salt) != SALT_BYTES:
        raise PayloadCommitmentMismatch("a salt has 16 bytes", bytes=len(salt))
    return sha256(salt + payload).digest()


def check_payload(entry: Entry, part: Part, salt: bytes, payload: bytes) -> dict[str, JSON]:
    """Return the payload's value if the entry commits to it, else raise for the first rule it breaks (rules E3).

    PayloadUnexpected, PayloadTooLarge, PayloadCommitmentMismatch, PayloadNotCanonical, in this order: the hash is
    compared before a byte is parsed.
    """
    commitment = entry.commitment(part)
    if commitment is None:
        raise PayloadUnexpected("the entry commits to no such part", part=part)
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge("the payload is too large", bytes=len(payload), bytes_max=PAYLOAD_BYTES_MAX)
    if commit(salt, payload) != commitment:
        raise PayloadCommitmentMismatch("the payload is not the one committed to", part=part)
    try:
        value = canonical.decode(payload)
    except canonical.NotCanonical as error:
        raise PayloadNotCanonical(f"the payload is not canonical: {error.message}", cause=error.code) from None
    if not isinstance(value, dict):
        raise PayloadNotCanonical("the payload is not a JSON object")
    return value


# ---- times ----------------------------------------------------------------------------------------------------------


def instant(at: datetime) -> str:
    """Return a time as text, cut to milliseconds, or raise InstantMalformed for one without a zone (rule E1.7)."""
    if at.tzinfo is None:
        raise InstantMalformed("a time without a zone is no instant")
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def parse_instant(text: str) -> datetime:
    """Return the time a text names, or raise InstantMalformed (rule E1.7)."""
    if _INSTANT.fullmatch(text) is None:
        raise InstantMalformed("not of the form YYYY-MM-DDTHH:MM:SS.mmmZ")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InstantMalformed("no such day or time") from None
    return at
