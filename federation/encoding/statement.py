"""Sign and check statements: canonical JSON objects that carry a signature over themselves. Pure.

What is signed is a line that says what sort of statement it is, and the canonical object without `signature`, so that
no statement of one sort passes for one of another. What a statement may say, whose keys count and which error answers
is for the module of its rules.
"""

from typing import Annotated, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from domain.errors import GotongError
from federation.encoding import canonical

Scid = Annotated[str, Meta(pattern=r"^Qm[1-9A-HJ-NP-Za-km-z]{44}\Z")]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
REASON_CHARS_MAX = 200


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every statement has beside what it says; empty before it is signed."""

    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")] = ""


S = TypeVar("S", bound=Statement)


def sign(statement: Statement, line: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the bytes of the statement, signed."""
    signature = key.sign(_signed(statement, line)).hex()
    return canonical.encode({**msgspec.to_builtins(statement), "signature": signature})


def read(data: bytes, form: type[S], *, bytes_max: int, refusal: type[GotongError]) -> S:
    """Return a statement, its signature not checked yet, or raise `refusal` for what is none of this form."""
    if len(data) > bytes_max:
        raise refusal("this is too large", bytes=len(data), bytes_max=bytes_max)
    try:
        return msgspec.convert(canonical.decode(data), form)
    except (GotongError, msgspec.ValidationError) as error:
        raise refusal(f"not of the form this has: {error}"[:REASON_CHARS_MAX]) from None


def is_signed_by(statement: Statement, line: bytes, public_key: bytes) -> bool:
    """Return whether the key with these 32 bytes signed the statement."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(bytes.fromhex(statement.signature), _signed(statement, line))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed(statement: Statement, line: bytes) -> bytes:
    stated = msgspec.to_builtins(statement)
    del stated["signature"]
    return line + canonical.encode(stated)
