"""Read and write the body of `add-checkpoint`, and decide what a witness may cosign: C2SP tlog-witness. Pure.

The witness's memory, its keys and its clock are arguments. Which HTTP status
answers which error stands in `api.federation_witness`.

Rules, with the error that answers each:
- W1.1 a request has at most REQUEST_BYTES_MAX bytes: the line `old <size>`, at most CONSISTENCY_LINES_MAX lines of one
  base64 hash each, an empty line, and a note: ADD_CHECKPOINT_MALFORMED.
- W1.2 the old size is not larger than the checkpoint's: ADD_CHECKPOINT_MALFORMED.
- W1.3 the old size is the one this witness cosigned last, 0 if none: WITNESS_AT_OTHER_SIZE.
- W1.4 the checkpoint extends the one cosigned last: at size 0 it has the empty root, from old size 0 there is no proof,
  else the consistency proof holds: CHECKPOINT_NOT_EXTENDING.
- W1.5 a log that evidence has frozen is not cosigned any more: LOG_FROZEN.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from domain.errors import GotongError
from federation.encoding import base64text
from federation.log.evidence import LogFrozen
from federation.log.merkle import EMPTY_ROOT, HASH_BYTES, TREE_SIZE_MAX, ConsistencyProofInvalid, verify_consistency
from federation.log.note import NOTE_BYTES_MAX, Checkpoint, CheckpointMalformed, NoteMalformed, parse_note

CONSISTENCY_LINES_MAX = 63
REQUEST_BYTES_MAX = NOTE_BYTES_MAX + 4_096
"""63 lines of a hash in base64 take 2,835 bytes."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,15})", re.ASCII)
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


class AddCheckpointMalformed(GotongError):
    """The body is no tlog-witness request, or its old size is beyond its checkpoint."""

    code: ClassVar[str] = "ADD_CHECKPOINT_MALFORMED"


class WitnessAtOtherSize(GotongError):
    """The witness cosigned another size last; the answer's body says which, and the proof has to start there."""

    code: ClassVar[str] = "WITNESS_AT_OTHER_SIZE"


class CheckpointNotExtending(GotongError):
    """The checkpoint is not shown to extend what was cosigned last."""

    code: ClassVar[str] = "CHECKPOINT_NOT_EXTENDING"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client submits: no signature of `note` is verified. `checkpoint` is what the note's text states."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint


def write(old_size: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Return the body of a request."""
    hashes = "".join(f"{base64text.encode(each)}\n" for each in proof)
    return f"old {old_size}\n{hashes}\n".encode() + note


def parse(body: bytes) -> Request:
    """Return the parts of a request, or raise AddCheckpointMalformed (rules W1.1, W1.2)."""
    head, empty_line, note = body.partition(b"\n\n")
    if len(body) > REQUEST_BYTES_MAX or not empty_line:
        raise AddCheckpointMalformed("a request is old size, hashes, an empty line and a checkpoint", bytes=len(body))
    try:
        old_line, *lines = head.decode("ascii").split("\n")
        checkpoint = _stated(parse_note(note).text)
    except UnicodeDecodeError:
        raise AddCheckpointMalformed("size and hashes are ASCII") from None
    except (NoteMalformed, CheckpointMalformed) as error:
        raise AddCheckpointMalformed(f"no checkpoint: {error.message}") from None
    old = _OLD.fullmatch(old_line)
    if old is None:
        raise AddCheckpointMalformed("the first line is `old` and a size")
    if len(lines) > CONSISTENCY_LINES_MAX:
        raise AddCheckpointMalformed("too many hashes", count=len(lines), count_max=CONSISTENCY_LINES_MAX)
    proof = tuple(_hash(line) for line in lines)
    if int(old[1]) > checkpoint.size:
        raise AddCheckpointMalformed("the old size is beyond the checkpoint", old=int(old[1]), size=checkpoint.size)
    return Request(int(old[1]), proof, note, checkpoint)


def require_extension(request: Request, cosigned: Checkpoint | None, frozen_size: int | None) -> None:
    """Return if a witness whose newest cosigned checkpoint is `cosigned` may cosign; raise for rules W1.3 to W1.5.

    The note's signature was verified before.
    """
    target, size = request.checkpoint, 0 if cosigned is None else cosigned.size
    if request.old_size != size:
        raise WitnessAtOtherSize("another size was cosigned last", size=size)
    if target.size == 0 and target.root != EMPTY_ROOT:
        raise CheckpointNotExtending("the empty tree has the empty root")
    try:
        root = EMPTY_ROOT if cosigned is None else cosigned.root
        verify_consistency(size, root, target.size, target.root, request.proof)
    except ConsistencyProofInvalid as error:
        raise CheckpointNotExtending(error.message, old=size, size=target.size) from None
    if frozen_size is not None:
        raise LogFrozen("two stories were signed for this log", origin=target.origin, size=frozen_size)


def _stated(text: str) -> Checkpoint:
    """Return what a checkpoint states, an impossible root of the empty tree included: that one has its own answer."""
    lines = text.split("\n")
    size_text, root_text = (lines[1], lines[2]) if len(lines) == 4 else ("", "")
    root = base64text.decode(root_text)
    if not lines[0] or _SIZE.fullmatch(size_text) is None or root is None or len(root) != HASH_BYTES:
        raise CheckpointMalformed("a checkpoint is exactly the lines origin, size and root")
    if int(size_text) > TREE_SIZE_MAX:
        raise CheckpointMalformed("the size is at most 2**53 - 1")
    return Checkpoint(lines[0], int(size_text), root)


def _hash(line: str) -> bytes:
    data = base64text.decode(line)
    if data is None or len(data) != HASH_BYTES:
        raise AddCheckpointMalformed("a proof line is the base64 of 32 bytes")
    return data
