"""Write and read the text of a C2SP tlog-proof: where a leaf stands, and the checkpoint that vouches for it. Pure.

It checks the form only; `merkle` and `note` decide whether the proof holds.

Rule, with its error:
- Q1.1 the lines are exactly those of c2sp.org/tlog-proof@v1: header, an optional `extra` (ignored: nothing vouches for
  it), `index`, at most PROOF_HASHES_MAX hashes in canonical base64, an empty line, the checkpoint:
  TLOG_PROOF_MALFORMED.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from domain.errors import GotongError
from federation.encoding import base64text
from federation.log.merkle import HASH_BYTES, TREE_SIZE_MAX

PROOF_HASHES_MAX = 64

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,15})")


class TlogProofMalformed(GotongError):
    """The text is not a C2SP tlog-proof."""

    code: ClassVar[str] = "TLOG_PROOF_MALFORMED"


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The index of a leaf, its inclusion proof, and the signed checkpoint as it came."""

    index: int
    inclusion: tuple[bytes, ...]
    checkpoint: bytes


def encode(index: int, inclusion: Sequence[bytes], checkpoint: bytes) -> str:
    """Return the text of a proof; `checkpoint` is a signed note."""
    hashes = "".join(f"{base64text.encode(each)}\n" for each in inclusion)
    return f"{_HEADER}\nindex {index}\n{hashes}\n{checkpoint.decode()}"


def parse(text: str) -> TlogProof:
    """Return the parts of a proof, or raise TlogProofMalformed (rule Q1.1); the note itself is not looked at."""
    head, empty_line, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not empty_line or lines.pop(0) != _HEADER:
        raise TlogProofMalformed(f"not a {_HEADER}")
    extra = lines.pop(0).removeprefix("extra ") if lines and lines[0].startswith("extra ") else ""
    if base64text.decode(extra) is None:
        raise TlogProofMalformed("the extra data is not base64")
    found = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if found is None or int(found[1]) >= TREE_SIZE_MAX:
        raise TlogProofMalformed("the index is not a plain number")
    if len(lines) > PROOF_HASHES_MAX:
        raise TlogProofMalformed("too many hashes", hashes=len(lines), hashes_max=PROOF_HASHES_MAX)
    try:
        return TlogProof(int(found[1]), tuple(_hash(line) for line in lines), checkpoint.encode())
    except UnicodeEncodeError:
        raise TlogProofMalformed("the checkpoint is not UTF-8 text") from None


def _hash(line: str) -> bytes:
    data = base64text.decode(line)
    if data is None or len(data) != HASH_BYTES:
        raise TlogProofMalformed("a hash is the base64 of 32 bytes")
    return data
