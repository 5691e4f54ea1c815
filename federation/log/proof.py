"""Build and check the proof of one record that a stranger can check: offline, without a node or a database. Pure.

A bundle is JSON text that holds everything but the clock: who the participant
is (its DID log), the signed head of its log, the entry with its place in that
log, and the payload. Checking it says what is proven and what is not.

Rules, with the error that answers each; what the parts break is answered by the errors of their own modules:
- P1.1 a bundle has at most PROOF_BYTES_MAX bytes: PROOF_TOO_LARGE.
- P1.2 it is JSON with exactly the members of version 1, none repeated; `core` repeats the entry's: PROOF_MALFORMED.
- P2.1 the DID log holds (rules of did:webvh) and is a Gotong participant's; it names the log and its keys.
- P2.2 the checkpoint in `tlogProof` is signed by such a key (rules L3).
- P2.3 the entry stands at its index of the checkpoint's tree: INCLUSION_PROOF_INVALID. With a `bridge`, of a smaller
  tree that is a prefix of it: CONSISTENCY_PROOF_INVALID.
- P2.4 the entry is one that may stand there, and the payload is the one it commits to (rules L2).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.errors import GotongError
from domain.ids import format_uri
from domain.records.base import record_uri
from domain.records.registry import RECORDS
from federation.did import webvh as did
from federation.encoding import base64text, canonical
from federation.encoding.canonical import JSON, NotCanonical, decode_any
from federation.log import entry, tlog_proof
from federation.log.entry import Entry
from federation.log.merkle import inclusion_root, leaf_hash, verify_consistency, verify_inclusion
from federation.log.note import Checkpoint
from federation.log.service import log_service, require_gotong
from federation.log.verify import Received, Verified, check_checkpoint, check_entries

PROOF_BYTES_MAX = 4 * 1024 * 1024
VERSION = 1

NOTHING_NEWER = "that nothing newer exists: a revision, a correction, an erasure, a retired key, a new epoch"
NOTHING_DERIVED = "anything derived: states, totals, matches, what other participants say about it"
NOT_TRUE = "that what the publisher says is so; `at` is the time the publisher claims"
NOT_THE_BODY = "what the body says: it was erased, or is withheld from this proof"
NOT_THE_RESTRICTED = "what the restricted part says: it never travels with a proof"


class ProofTooLarge(GotongError):
    """A proof bundle is larger than 4 MiB."""

    code: ClassVar[str] = "PROOF_TOO_LARGE"


class ProofMalformed(GotongError):
    """A proof bundle is not JSON with exactly the members of version 1, or its parts contradict each other."""

    code: ClassVar[str] = "PROOF_MALFORMED"


@dataclass(frozen=True, slots=True)
class Bridge:
    """The tree the inclusion proof is for, when it is smaller than the checkpoint's, and the way from one to the other.

    A copy that ended a batch early holds `size` entries and a checkpoint of more.
    """

    size: int
    consistency: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """What a bundle proves: this participant's log, with this checkpoint, holds this entry at this index."""

    did: str
    scid: str
    network: str
    uri: str
    index: int
    leaf: bytes
    entry: Entry
    body: Mapping[str, JSON] | None
    checkpoint: Checkpoint
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]


class _Bridge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1)]
    consistency: Annotated[list[str], Meta(max_length=tlog_proof.PROOF_HASHES_MAX)]


class _Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    v: Literal[1]
    tlog_proof: str
    header: str
    core: dict[str, object]
    salt: str | None
    payload: str | None
    did_log: Annotated[list[str], Meta(min_length=1)]
    did_witness: str | UnsetType = UNSET
    bridge: _Bridge | UnsetType = UNSET


def build(
    *,
    index: int,
    header: bytes,
    inclusion: Sequence[bytes],
    checkpoint: bytes,
    did_log: Sequence[bytes],
    did_witness: bytes | None = None,
    salt: bytes | None = None,
    payload: bytes | None = None,
    bridge: Bridge | None = None,
) -> str:
    """Return the bundle as compact JSON text; raises what `entry.parse` raises for a `header` that is no entry.

    `header` is the entry's bytes, `checkpoint` a signed note, `inclusion` proves `index` in the checkpoint's tree, or
    in the smaller one of `bridge`. Nothing else is verified: a bundle is as good as what `check` says of it.
    """
    members: dict[str, JSON] = {
        "v": VERSION,
        "tlogProof": tlog_proof.encode(index, inclusion, checkpoint),
        "header": header.decode(),
        "core": dict(entry.parse(header).core),
        "salt": None if salt is None else salt.hex(),
        "payload": None if payload is None else payload.decode(),
        "didLog": [line.decode() for line in did_log],
    }
    if did_witness is not None:
        members["didWitness"] = did_witness.decode()
    if bridge is not None:
        members["bridge"] = {
            "size": bridge.size,
            "consistency": [base64text.encode(each) for each in bridge.consistency],
        }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def check(bundle_text: str, now: datetime) -> ProvenRecord:
    """Return what the bundle proves, or raise for the first rule it breaks.

    `now` is the reader's clock (aware): a DID version dated after it is refused. Nothing is fetched.
    """
    bundle = _read(bundle_text)
    witness = None if bundle.did_witness is UNSET else _bytes(bundle.did_witness)
    state = did.verify([_bytes(line) for line in bundle.did_log], now=now, witness=witness)  # rule P2.1
    require_gotong(state)
    service = log_service(state)
    origin = entry.origin(state.scid, service.epoch)
    placed = tlog_proof.parse(bundle.tlog_proof)
    checkpoint = check_checkpoint(placed.checkpoint, origin, service.keys)  # rule P2.2
    header = _bytes(bundle.header)
    _check_inclusion(header, placed, checkpoint, bundle.bridge)  # rule P2.3
    received = Received(header, _salt(bundle.salt), None if bundle.payload is None else _bytes(bundle.payload))
    [record] = check_entries(origin, service.network, placed.index, [received])  # rule P2.4
    _check_core(cast("dict[str, JSON]", bundle.core), record.entry)
    return ProvenRecord(
        did=state.did,
        scid=state.scid,
        network=service.network,
        uri=_uri(state.scid, record.entry),
        index=placed.index,
        leaf=record.leaf,
        entry=record.entry,
        body=record.body,
        checkpoint=checkpoint,
        proven=_proven(record, state.did, checkpoint),
        not_proven=_not_proven(record),
    )


def _read(text: str) -> _Bundle:
    data = _bytes(text)
    if len(data) > PROOF_BYTES_MAX:
        raise ProofTooLarge("the bundle is too large", bytes=len(data), bytes_max=PROOF_BYTES_MAX)
    try:
        return msgspec.convert(decode_any(data), _Bundle)
    except NotCanonical as error:
        raise ProofMalformed(f"the bundle is not readable: {error.message}") from None
    except msgspec.ValidationError as error:
        raise ProofMalformed(f"the bundle is not of version {VERSION}: {error}") from None


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ProofMalformed("the bundle holds a lone surrogate") from None


def _salt(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        salt = bytes.fromhex(text)
    except ValueError:
        salt = b""
    if len(salt) != entry.SALT_BYTES or salt.hex() != text:
        raise ProofMalformed("a salt is 16 bytes in lowercase hex", member="salt")
    return salt


def _check_core(core: dict[str, JSON], proven: Entry) -> None:
    """Compare bytes, not values: 1, 1.0 and true are equal in many languages."""
    try:
        same = canonical.encode(core) == canonical.encode(dict(proven.core))
    except NotCanonical:
        same = False
    if not same:
        raise ProofMalformed("core is not the one in the entry", member="core")


def _check_inclusion(
    header: bytes, placed: tlog_proof.TlogProof, checkpoint: Checkpoint, bridge: _Bridge | UnsetType
) -> None:
    leaf = leaf_hash(header)
    if bridge is UNSET:
        verify_inclusion(leaf, placed.index, checkpoint.size, placed.inclusion, checkpoint.root)
        return
    if bridge.size >= checkpoint.size:
        raise ProofMalformed("a bridge leads from a smaller tree to the checkpoint's", member="bridge")
    consistency = [base64text.decode(each) or b"" for each in bridge.consistency]
    root = inclusion_root(leaf, placed.index, bridge.size, placed.inclusion)
    verify_consistency(bridge.size, root, checkpoint.size, checkpoint.root, consistency)


def _uri(scid: str, proven: Entry) -> str:
    record_type = RECORDS.get(proven.type, proven.v)
    return format_uri(scid, proven.type, proven.id) if record_type is None else record_uri(scid, record_type, proven.id)


def _proven(record: Verified, did_text: str, checkpoint: Checkpoint) -> tuple[str, ...]:
    who = f"{did_text} signed a log of {checkpoint.size} entries that holds this one at index {record.index}"
    return (who, "the body is the one committed to") if record.body is not None else (who,)


def _not_proven(record: Verified) -> tuple[str, ...]:
    missing = [NOTHING_NEWER, NOTHING_DERIVED, NOT_TRUE]
    if record.entry.body is not None and record.body is None:
        missing.append(NOT_THE_BODY)
    if record.entry.restricted is not None:
        missing.append(NOT_THE_RESTRICTED)
    return tuple(missing)
