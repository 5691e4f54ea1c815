"""Decide whether what came over the wire may extend a log: the gate between wire and apply. No I/O, no clock.

It says nothing of who is trusted, of records' meaning, or of entries dated ahead: those are verified and stored like
any other, and time never stops a log. `restricted` payloads have no place in a batch: they never travel with a log.

Rules, with the error that answers each; every error has a vector under spec/vectors:
- L1.1 a batch holds at most ENTRIES_PER_BATCH_MAX entries and BATCH_BYTES_MAX bytes of entries and payloads:
  BATCH_TOO_LARGE.
- L1.2 the target checkpoint is of the head's log: CHECKPOINT_WRONG_ORIGIN.
- L1.3 a batch may end at any size m up to the target's n, not after it: BEYOND_CHECKPOINT.
- L1.4 the tree after the batch is a prefix of the target: at m = n the roots are equal and the proof is empty, below it
  the consistency proof from m to n holds: NOT_A_PREFIX.
- L2.1 entry 0 is the log's genesis (rules E2), and no later entry has the genesis type: GENESIS_MALFORMED.
- L2.2 every entry is well formed (rules E1), and `prev` names an earlier index: PREV_NOT_EARLIER.
- L2.3 a body fits its commitment (rules E3) and comes with its salt: PAYLOAD_COMMITMENT_MISMATCH, PAYLOAD_TOO_LARGE,
  PAYLOAD_NOT_CANONICAL, PAYLOAD_UNEXPECTED. A missing body is no error: it was erased or is withheld.
- L3.1 a checkpoint is signed by a key of the log (rules N1, N2): CHECKPOINT_SIGNATURE_INVALID.
- L3.2 a retired key counts only for prefixes of the (size, root) it was retired at: CHECKPOINT_KEY_RETIRED.
  Below that size the prefix has to be proven, because whoever stole the key can sign any tree of that size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from msgspec import Struct

from domain.errors import GotongError
from federation.encoding.canonical import JSON
from federation.log import tiles
from federation.log.entry import GENESIS_TYPE, Entry, GenesisMalformed, PayloadUnexpected, check_genesis, check_payload
from federation.log.entry import parse as parse_entry
from federation.log.merkle import ConsistencyProofInvalid, Edge, leaf_hash, verify_consistency
from federation.log.note import Checkpoint, CheckpointWrongOrigin, checkpoint_and_keys
from federation.log.service import LogKey, StatedHead
from federation.log.tiles import TileHash

ENTRIES_PER_BATCH_MAX = 4096
BATCH_BYTES_MAX = 16 * 1024 * 1024


class BatchTooLarge(GotongError):
    """A batch holds more entries or bytes than one step may."""

    code: ClassVar[str] = "BATCH_TOO_LARGE"


class BeyondCheckpoint(GotongError):
    """A batch goes on after the size of the checkpoint that should vouch for it."""

    code: ClassVar[str] = "BEYOND_CHECKPOINT"


class NotAPrefix(GotongError):
    """The tree after the batch is not shown to be a prefix of the checkpoint's tree."""

    code: ClassVar[str] = "NOT_A_PREFIX"


class PrevNotEarlier(GotongError):
    """An entry names itself or a later entry as its previous revision."""

    code: ClassVar[str] = "PREV_NOT_EARLIER"


class CheckpointKeyRetired(GotongError):
    """Only a retired key signed the checkpoint, and it is not shown to be a prefix of that key's last tree."""

    code: ClassVar[str] = "CHECKPOINT_KEY_RETIRED"


@dataclass(frozen=True, slots=True)
class Head:
    """How far a log has been verified: its origin and the right edge of the tree so far."""

    origin: str
    edge: Edge


class Received(Struct, frozen=True, gc=False):
    """One entry as it came: its bytes, and its body with the salt, unless erased, withheld or never there."""

    data: bytes
    salt: bytes | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that follow a head, a checkpoint verified by `check_checkpoint`, and the proof from their end to it."""

    entries: Sequence[Received]
    target: Checkpoint
    proof: Sequence[bytes] = ()


class Verified(Struct, frozen=True, gc=False):
    """One entry that obeys every rule: `body` is the parsed payload, None if it did not come."""

    index: int
    received: Received
    entry: Entry
    leaf: bytes
    body: dict[str, JSON] | None


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """What `apply` may store: the entries, the head after them, and the tile hashes of level >= 1 they completed."""

    head: Head
    entries: list[Verified]
    tile_hashes: list[TileHash]


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def check_checkpoint(note: bytes, origin: str, keys: Sequence[LogKey], *, anchor: Sequence[bytes] = ()) -> Checkpoint:
    """Return the checkpoint if a key of the log vouches for it, else raise for the first rule it breaks (rules L3).

    `anchor` is a consistency proof to the (size, root) of the retired key that signed, for the rare checkpoint that
    only a retired key signed. Raises what `note.verify_checkpoint` raises, then CheckpointKeyRetired.
    """
    checkpoint, signed_by = checkpoint_and_keys(note, origin, [key.public_key for key in keys])
    signers = [key for key in keys if key.public_key in signed_by]
    if not any(key.retired is None or _is_anchored(checkpoint, key.retired, anchor) for key in signers):
        retired = max(key.retired.size for key in signers if key.retired is not None)
        raise CheckpointKeyRetired(
            "only a retired key signed the checkpoint", origin=origin, size=checkpoint.size, retired=retired
        )
    return checkpoint


def _is_anchored(checkpoint: Checkpoint, last: StatedHead, anchor: Sequence[bytes]) -> bool:
    try:
        verify_consistency(checkpoint.size, checkpoint.root, last.size, last.root, anchor)
    except ConsistencyProofInvalid:
        return False
    return True


# ---- batches --------------------------------------------------------------------------------------------------------


def check_batch(head: Head, network: str, batch: Batch) -> VerifiedBatch:
    """Return what may be applied, or raise for the first rule the batch breaks: `extend`, then `check_entries`."""
    _check_size(batch.entries)
    leaves = [leaf_hash(each.data) for each in batch.entries]
    edge, completed = tiles.append(head.edge, leaves)
    _check_prefix(head.origin, edge, batch.target, batch.proof)
    verified = check_entries(head.origin, network, head.edge.size, batch.entries, leaves=leaves)
    return VerifiedBatch(Head(head.origin, edge), verified, completed)


def extend(head: Head, entries: Sequence[bytes], target: Checkpoint, proof: Sequence[bytes]) -> Head:
    """Return the head after `entries`, or raise for the first rule they break (rules L1).

    BatchTooLarge, CheckpointWrongOrigin, BeyondCheckpoint, NotAPrefix. The batch may end before `target`; `proof` then
    shows that the tree so far is a prefix of it. About two hashes an entry (RFC 9162, 2.1 and 2.1.4.2).
    """
    _check_size([Received(data) for data in entries])
    edge = head.edge.appended(leaf_hash(data) for data in entries)
    _check_prefix(head.origin, edge, target, proof)
    return Head(head.origin, edge)


def _check_size(received: Sequence[Received]) -> None:  # rule L1.1
    if len(received) > ENTRIES_PER_BATCH_MAX:
        raise BatchTooLarge("too many entries", entries=len(received), entries_max=ENTRIES_PER_BATCH_MAX)
    size_bytes = sum(len(each.data) + len(each.body or b"") for each in received)
    if size_bytes > BATCH_BYTES_MAX:
        raise BatchTooLarge("too many bytes", bytes=size_bytes, bytes_max=BATCH_BYTES_MAX)


def _check_prefix(origin: str, edge: Edge, target: Checkpoint, proof: Sequence[bytes]) -> None:
    if target.origin != origin:  # rule L1.2
        raise CheckpointWrongOrigin("the checkpoint is of another log", expected=origin, found=target.origin)
    if edge.size > target.size:  # rule L1.3
        raise BeyondCheckpoint("the batch ends after its checkpoint", size=edge.size, checkpoint=target.size)
    try:
        verify_consistency(edge.size, edge.root(), target.size, target.root, proof)
    except ConsistencyProofInvalid as error:  # rule L1.4
        raise NotAPrefix(
            f"not shown to be a prefix of the checkpoint: {error.message}", size=edge.size, checkpoint=target.size
        ) from None


def check_entries(
    origin: str,
    network: str,
    start_index: int,
    received: Sequence[Received],
    *,
    leaves: Sequence[bytes] | None = None,
) -> list[Verified]:
    """Return the parsed entries, or raise for the first rule one of them breaks, its `index` in the details (rules L2).

    `leaves` are their leaf hashes if already known. Whether the entries belong to the log is `extend`'s to say.
    """
    hashes = leaves if leaves is not None else [leaf_hash(each.data) for each in received]
    verified: list[Verified] = []
    for index, (each, leaf) in enumerate(zip(received, hashes, strict=True), start_index):
        try:
            entry = parse_entry(each.data)
            _check_place(entry, index, origin, network)
            body = _check_body(entry, each)
        except GotongError as error:
            error.details["index"] = index
            raise
        verified.append(Verified(index, each, entry, leaf, body))
    return verified


def _check_place(entry: Entry, index: int, origin: str, network: str) -> None:
    if index == 0:  # rule L2.1
        check_genesis(entry, origin, network)
    elif entry.type == GENESIS_TYPE:
        raise GenesisMalformed("only the first entry opens a log")
    if entry.prev is not None and entry.prev >= index:  # rule L2.2
        raise PrevNotEarlier("the previous revision comes before", prev=entry.prev)


def _check_body(entry: Entry, received: Received) -> dict[str, JSON] | None:  # rule L2.3
    if received.body is None and received.salt is None:
        return None
    if received.body is None or received.salt is None:
        raise PayloadUnexpected("payload and salt come together or not at all", part="body")
    return check_payload(entry, "body", received.salt, received.body)
