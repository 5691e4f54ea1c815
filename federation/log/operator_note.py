"""Write, take apart and check what an operator states in a note: lines, one signature, a key named for its use. Pure.

The key's name is `gotong/<SCID of the operator>/<use>`, so that a note of one use is never one of another. What the
lines may say, and which code answers, is for the module of each use: it lists the rules.
"""

import re
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.ids import SCID_SYNTAX
from federation.log import note

_NAME = re.compile(rf"gotong/(?P<scid>{SCID_SYNTAX})/(?P<use>[a-z]+)")


def sign(lines: Sequence[str], operator: str, use: str, key: Ed25519PrivateKey) -> bytes:
    """Return the note of these lines, signed by the operator's key for that use."""
    return note.sign("".join(f"{line}\n" for line in lines), note.Signer(_name(operator, use), key))


def read(data: bytes, use: str, *, lines: int) -> tuple[str, list[str]]:
    """Return the operator's SCID and the lines, nothing verified; raise NoteMalformed for another form or use."""
    parsed = note.parse_note(data)
    found = parsed.text.split("\n")[:-1]
    name = _NAME.fullmatch(parsed.signatures[0].name)
    if len(parsed.signatures) != 1 or name is None or name["use"] != use or len(found) != lines:
        raise note.NoteMalformed(f"{lines} lines and one signature by an operator", use=use)
    return name["scid"], found


def verify(data: bytes, operator: str, use: str, public_keys: Sequence[bytes]) -> None:
    """Return if one of these keys of the operator signed the note, or raise NoteMalformed, NoteSignatureInvalid."""
    note.verify(data, [note.Verifier(_name(operator, use), key) for key in public_keys])


def _name(scid: str, use: str) -> str:
    return f"gotong/{scid}/{use}"
