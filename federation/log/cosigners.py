"""Decide whose cosignatures count, and read them out of notes. Pure.

A cosigner is a node's operator participant; its keys stand in its DID document. Whether a cosigner is on another host
than the log, so that it says something about freshness, is for whoever asks to compare.

Rules:
- W2.1 a Gotong cosigner is named `gotong/<SCID>/witness`, and its keys are the `#cosign-<n>` keys of that participant's
  newest DID document. Signature lines by other names or keys are ignored, and so is one that does not hold.
- W2.2 a cosignature dated more than AHEAD_S_MAX ahead of the reader's clock is not kept.
- W2.3 notes are compared by their text; a log's cosignatures are no part of what its owner said.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.ids import SCID_SYNTAX
from federation.log.note import (
    CosignatureInvalid,
    Note,
    NoteMalformed,
    Signature,
    parse_note,
    verify_cosignature,
)
from federation.log.service import DocumentKey

AHEAD_S_MAX = 900
COSIGNERS_MAX = 32
"""Cosignatures read from one note, and served with one."""

_NAME = re.compile(rf"gotong/({SCID_SYNTAX})/witness", re.ASCII)

KeysOf = Callable[[str], Sequence[DocumentKey]]
"""The cosigning keys of the participant with that SCID, none when it is not known."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """One cosignature that holds: who says to have seen exactly the note's tree, when, and the signature line."""

    scid: str
    at_s: int
    line: bytes


def cosigner_name(scid: str) -> str:
    """Return the name under which a node's operator cosigns (rule W2.1)."""
    return f"gotong/{scid}/witness"


def named(note: Note) -> list[tuple[str, Signature]]:
    """Return (SCID, signature) of the lines that carry a cosigner's name, at most COSIGNERS_MAX; none is verified."""
    found = [(match[1], each) for each in note.signatures if (match := _NAME.fullmatch(each.name))]
    return found[:COSIGNERS_MAX]


def cosigned(note: bytes, keys_of: KeysOf, now_s: int) -> list[Cosigned]:
    """Return the cosignatures of known cosigners that hold, each cosigner's newest; raises NoteMalformed."""
    parsed = parse_note(note)
    newest: dict[str, Cosigned] = {}
    for scid, signature in named(parsed):
        at_s = _time(parsed.text, signature, keys_of(scid))
        if at_s is None or at_s > now_s + AHEAD_S_MAX:
            continue
        if scid not in newest or newest[scid].at_s < at_s:
            newest[scid] = Cosigned(scid, at_s, signature.line().encode())
    return list(newest.values())


def own_note(note: bytes) -> bytes:
    """Return the note with only the signatures that its first line names: what its owner said. Raises NoteMalformed."""
    parsed = parse_note(note)
    origin = parsed.text.partition("\n")[0]
    own = tuple(each for each in parsed.signatures if each.name == origin)
    return Note(parsed.text, own).to_bytes() if own else note


def same_text(one: bytes, other: bytes) -> bool:
    """Return whether two notes say the same, whoever signed them (rule W2.3)."""
    return _said(one) == _said(other)


def _said(note: bytes) -> bytes:
    text, empty_line, _ = note.rpartition(b"\n\n")
    return text if empty_line else note


def _time(text: str, signature: Signature, keys: Sequence[DocumentKey]) -> int | None:
    alone = Note(text, (signature,)).to_bytes()
    for key in keys:
        try:
            return verify_cosignature(alone, signature.name, key.public_key)
        except (CosignatureInvalid, NoteMalformed):
            continue
    return None
