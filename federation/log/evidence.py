"""Decide whether somebody signed two stories: evidence that anyone can check, and nobody can make up. Pure.

A piece of evidence is one canonical JSON object with all that a stranger needs, or two DID lines of one version. It
decides nothing about what follows from it, and a failed proof is no evidence: anyone can send garbage.

Rules, with the error that answers each; what the parts break is answered by the errors of their own modules:
- Y1.1 evidence has at most EVIDENCE_BYTES_MAX bytes: EVIDENCE_TOO_LARGE.
- Y1.2 it is canonical JSON (rules C1) with exactly the members of its kind: EVIDENCE_MALFORMED.
- Y2.1 the DID log holds and is a Gotong participant's. Who holds more versions of it judges by those: a key retired
  there, or an epoch that is over there, accuses nobody. A DID log that says something else: EVIDENCE_OTHER_IDENTITY.
- Y2.2 `fork`: both notes are checkpoints of the participant's present log: EVIDENCE_PAST_EPOCH. Each is signed by a key
  of it that is not retired (rules N, L3.1): whoever stole a retired key can sign any tree.
- Y2.3 `fork`: at `size`, from 1 to the smaller checkpoint's, the notes lead to the two `roots`, each by a consistency
  proof that holds: CONSISTENCY_PROOF_INVALID. The roots differ: EVIDENCE_PROVES_NOTHING.
- Y3.1 `identity`: `other` and the last line of the DID log are both valid after the lines before, and their version ids
  differ: EVIDENCE_PROVES_NOTHING. Two spellings of one version, or two signatures on it, say the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, ClassVar, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from domain.errors import GotongError
from federation.did import webvh
from federation.did.state import DidState
from federation.encoding import base64text, canonical
from federation.encoding.canonical import JSON, NotCanonical
from federation.log import service
from federation.log.cosigners import own_note
from federation.log.merkle import ConsistencyProofInvalid, verify_consistency
from federation.log.names import OriginMalformed, parse_origin
from federation.log.note import Checkpoint, checkpoint_and_keys, parse_note
from federation.log.service import log_service, require_gotong

EVIDENCE_BYTES_MAX = 11 * 1024 * 1024
"""Room for the largest identity with its witness file, each byte escaped: nobody is too large to be accused."""
PROOF_HASHES_MAX = 64

FORK: Literal["fork"] = "fork"
IDENTITY: Literal["identity"] = "identity"


class EvidenceTooLarge(GotongError):
    """A piece of evidence is larger than 11 MiB."""

    code: ClassVar[str] = "EVIDENCE_TOO_LARGE"


class EvidenceMalformed(GotongError):
    """A piece of evidence is not canonical JSON with exactly the members of its kind."""

    code: ClassVar[str] = "EVIDENCE_MALFORMED"


class EvidenceOtherIdentity(GotongError):
    """The DID log in a piece of evidence is not the one that is held here."""

    code: ClassVar[str] = "EVIDENCE_OTHER_IDENTITY"


class EvidencePastEpoch(GotongError):
    """The notes are not of the log that the participant's newest identity states: that epoch is over."""

    code: ClassVar[str] = "EVIDENCE_PAST_EPOCH"


class EvidenceProvesNothing(GotongError):
    """Both sides of the evidence say the same."""

    code: ClassVar[str] = "EVIDENCE_PROVES_NOTHING"


class LogFrozen(GotongError):
    """Two stories were signed for this log: nothing goes on in this epoch of it."""

    code: ClassVar[str] = "LOG_FROZEN"


@dataclass(frozen=True, slots=True)
class Side:
    """One of two stories: a signed note, the root its tree has at the size they differ at, and the way there."""

    note: bytes
    root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What evidence proves: `scid` told two stories. `size` is the smallest tree (or DID version) shown to differ.

    `judged_by` is the number of DID versions that it was judged by.
    """

    id: bytes
    kind: str
    scid: str
    origin: str
    size: int
    judged_by: int
    told: tuple[str, str]


_Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Proof = Annotated[list[str], Meta(max_length=PROOF_HASHES_MAX)]


class _Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: str
    root: _Hash
    proof: _Proof


class _Fork(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="fork"):
    v: Literal[1]
    did_log: Annotated[list[str], Meta(min_length=1)]
    sides: tuple[_Side, _Side]
    size: Annotated[int, Meta(ge=1)]
    did_witness: str | UnsetType = UNSET


class _Identity(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="identity"
):
    v: Literal[1]
    did_log: Annotated[list[str], Meta(min_length=1)]
    other: str
    did_witness: str | UnsetType = UNSET


def evidence_id(data: bytes) -> bytes:
    """Return the name of a piece of evidence: its SHA-256."""
    return sha256(data).digest()


def build_fork(did_log: Sequence[bytes], witness: bytes | None, size: int, sides: Sequence[Side]) -> bytes:
    """Return evidence that two notes lead to different trees at `size`; verifies nothing, see `verify`."""
    written: list[JSON] = [
        {
            "note": own_note(each.note).decode(),
            "root": each.root.hex(),
            "proof": [base64text.encode(hash_) for hash_ in each.proof],
        }
        for each in sorted(sides, key=lambda side: (side.root, side.note))
    ]
    return _written(FORK, did_log, witness, {"sides": written, "size": size})


def build_identity(did_log: Sequence[bytes], witness: bytes | None, other: bytes) -> bytes:
    """Return evidence that `other` and the last of these lines are of one version; verifies nothing, see `verify`."""
    return _written(IDENTITY, did_log, witness, {"other": other.decode()})


def verify(data: bytes, now: datetime, known: DidState | None = None) -> Finding:
    """Return what the evidence proves, or raise for the first rule it breaks.

    `now` is the reader's clock; `known` is the identity as the reader holds it, verified. Without it, evidence is
    judged by the versions it brings along, and a key retired later would still count.
    """
    read = _read(data)
    witness = None if read.did_witness is UNSET else _bytes(read.did_witness)
    lines = [_bytes(line) for line in read.did_log]
    state = webvh.verify(lines, now=now, witness=witness)
    require_gotong(state)
    if isinstance(read, _Identity):
        return _identity(data, read, state, lines, witness, now)
    return _fork(data, read, _newest(state, known))


def accused(data: bytes) -> str:
    """Return whom the evidence is about, before anything of it is verified; raises EvidenceMalformed."""
    read = _read(data)
    if isinstance(read, _Identity):
        try:
            entry = cast("dict[str, dict[str, str]]", canonical.decode_any(_bytes(read.did_log[0])))
            return parse_origin(f"gotong/{entry['parameters']['scid']}/0").scid
        except (NotCanonical, OriginMalformed, KeyError, TypeError):
            raise EvidenceMalformed("the DID log names nobody") from None
    try:
        origin = parse_note(_bytes(read.sides[0].note)).text.partition("\n")[0]
        return parse_origin(origin).scid
    except GotongError:
        raise EvidenceMalformed("the notes name no log") from None


def _fork(data: bytes, read: _Fork, state: DidState) -> Finding:
    origin = service.origin(state)
    keys = [key.public_key for key in log_service(state).keys if key.retired is None]
    stated: list[Checkpoint] = []
    for side in read.sides:
        note = _bytes(side.note)
        found = parse_note(note).text.partition("\n")[0]
        if found != origin:  # rule Y2.2
            raise EvidencePastEpoch("a note is of another log than the present one", present=origin, found=found[:128])
        checkpoint, _ = checkpoint_and_keys(note, origin, keys)
        if read.size > checkpoint.size:  # rule Y2.3
            raise ConsistencyProofInvalid("a prefix is not longer than the whole", old=read.size, new=checkpoint.size)
        proof = [base64text.decode(each) or b"" for each in side.proof]
        verify_consistency(read.size, bytes.fromhex(side.root), checkpoint.size, checkpoint.root, proof)
        stated.append(checkpoint)
    if read.sides[0].root == read.sides[1].root:
        raise EvidenceProvesNothing("both notes lead to one tree at that size", size=read.size)
    told = tuple(f"size {each.size}, root {each.root.hex()}" for each in stated)
    return Finding(evidence_id(data), FORK, state.scid, origin, read.size, state.version_count, (told[0], told[1]))


def _identity(
    data: bytes, read: _Identity, state: DidState, lines: Sequence[bytes], witness: bytes | None, now: datetime
) -> Finding:
    other = webvh.verify([*lines[:-1], _bytes(read.other)], now=now, witness=witness)
    require_gotong(other)
    if other.scid != state.scid or other.version_id == state.version_id:  # rule Y3.1
        raise EvidenceProvesNothing("both lines say the same version", version=state.version_count)
    origin = service.origin(state)
    told = (state.version_id, other.version_id)
    return Finding(evidence_id(data), IDENTITY, state.scid, origin, state.version_count, state.version_count, told)


def _newest(state: DidState, known: DidState | None) -> DidState:
    """Return the longer of two tellings of one identity, or raise EvidenceOtherIdentity (rule Y2.1)."""
    if known is None:
        return state
    pairs = zip(state.versions, known.versions, strict=False)
    if state.scid != known.scid or any(one.version_id != other.version_id for one, other in pairs):
        raise EvidenceOtherIdentity("this identity is known otherwise here", scid=state.scid)
    return max(known, state, key=lambda each: each.version_count)


def _read(data: bytes) -> _Fork | _Identity:
    if len(data) > EVIDENCE_BYTES_MAX:
        raise EvidenceTooLarge("the evidence is too large", bytes=len(data), bytes_max=EVIDENCE_BYTES_MAX)
    try:
        return msgspec.convert(canonical.decode(data), _Fork | _Identity)
    except NotCanonical as error:
        raise EvidenceMalformed(f"the evidence is not canonical: {error.message}") from None
    except msgspec.ValidationError as error:
        raise EvidenceMalformed(f"the evidence has other members: {error}"[:200]) from None


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise EvidenceMalformed("the evidence holds a lone surrogate") from None


def _written(kind: str, did_log: Sequence[bytes], witness: bytes | None, rest: dict[str, JSON]) -> bytes:
    members: dict[str, JSON] = {"v": 1, "kind": kind, "didLog": [line.decode() for line in did_log], **rest}
    if witness is not None:
        members["didWitness"] = witness.decode()
    return canonical.encode(members)
