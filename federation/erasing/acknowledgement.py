"""Write and read what a node's operator signs about erasures: a signed note, one a log. Pure.

    gotong/erasures/v1
    gotong/<SCID of the log's participant>/<epoch>
    <size>
    <root, base64>
    <time>

It says: every erase entry among the first `size` entries of the tree with that root is executed on my node, in its
database and its files. It proves that an operator said so, not that no copy exists.

Rules, with the code that answers each:
- A3.1 the text is these five lines: the first as it stands here, a log's origin, a size of 1 or more without leading
  zeros, the root in canonical base64, an instant (rule E1.7): ACKNOWLEDGEMENT_MALFORMED.
- A3.2 it is one signed note with one signature, named `gotong/<SCID of the operator>/erasures`:
  ACKNOWLEDGEMENT_MALFORMED.
- A3.3 a `#cosign-<n>` key of that operator's DID document made the signature: ACKNOWLEDGEMENT_SIGNATURE_INVALID.
- A3.4 the reader's own tree of that log has that root at that size: ACKNOWLEDGEMENT_OF_ANOTHER_TREE.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError
from federation.encoding import base64text
from federation.log import operator_note
from federation.log.entry import instant, parse_instant
from federation.log.merkle import HASH_BYTES, TREE_SIZE_MAX
from federation.log.names import parse_origin

HEADER: Final = "gotong/erasures/v1"
USE: Final = "erasures"
_SIZE = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


class AcknowledgementMalformed(GotongError):
    """The bytes are no acknowledgement of erasures."""

    code: ClassVar[str] = "ACKNOWLEDGEMENT_MALFORMED"


class AcknowledgementSignatureInvalid(GotongError):
    """The operator that an acknowledgement names did not sign it, or is not known here."""

    code: ClassVar[str] = "ACKNOWLEDGEMENT_SIGNATURE_INVALID"


class AcknowledgementOfAnotherTree(GotongError):
    """An acknowledgement is about another tree than the one that is held here."""

    code: ClassVar[str] = "ACKNOWLEDGEMENT_OF_ANOTHER_TREE"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What an operator says: erasures of the log `origin` up to `size` entries under `root` are executed, at `at`."""

    operator: str
    origin: str
    size: int
    root: bytes
    at: datetime


def sign(said: Acknowledgement, key: Ed25519PrivateKey) -> bytes:
    """Return the acknowledgement as a note signed by the operator's cosigning key."""
    lines = (HEADER, said.origin, str(said.size), base64text.encode(said.root), instant(said.at))
    return operator_note.sign(lines, said.operator, USE, key)


def read(data: bytes) -> Acknowledgement:
    """Return what a note says, its signature unverified, or raise AcknowledgementMalformed (rules A3.1, A3.2)."""
    try:
        operator, lines = operator_note.read(data, USE, lines=5)
        if lines[0] != HEADER:
            raise AcknowledgementMalformed("the first line names the form")
        parse_origin(lines[1])
        if _SIZE.fullmatch(lines[2]) is None or int(lines[2]) > TREE_SIZE_MAX:
            raise AcknowledgementMalformed("the size is a plain decimal number from 1 on")
        root = base64text.decode(lines[3])
        if root is None or len(root) != HASH_BYTES:
            raise AcknowledgementMalformed("the root is 32 bytes in canonical base64")
        return Acknowledgement(operator, lines[1], int(lines[2]), root, parse_instant(lines[4]))
    except AcknowledgementMalformed:
        raise
    except GotongError as error:
        raise AcknowledgementMalformed(f"no acknowledgement: {error.message}", cause=error.code) from None


def verify(data: bytes, said: Acknowledgement, public_keys: Sequence[bytes]) -> None:
    """Return if one of the operator's keys signed the note, or raise AcknowledgementSignatureInvalid (rule A3.3)."""
    try:
        operator_note.verify(data, said.operator, USE, public_keys)
    except GotongError as error:
        raise AcknowledgementSignatureInvalid(
            "no key of that operator signed this", operator=said.operator, cause=error.code
        ) from None


def check_tree(said: Acknowledgement, root: bytes) -> None:
    """Return if the reader's tree has this root at that size, or raise AcknowledgementOfAnotherTree (rule A3.4)."""
    if root != said.root:
        raise AcknowledgementOfAnotherTree("the trees differ", origin=said.origin, size=said.size)
