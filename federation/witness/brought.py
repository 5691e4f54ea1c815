"""Write and read cosignatures that a node brings of its own accord. Pure.

A witness is asked by the homes of logs (`add_checkpoint`). One that nobody can connect to cannot be: it cosigns what it
copied, and brings its signature lines to a node that it can reach and that serves those logs.

Rules, with the error that answers each:
- W3.1 what is brought is JSON of `cosignatures`, 1 to BROUGHT_MAX, each the `origin` of a log, the `size` of its
  checkpoint, and the `line` of the signature; the answer is JSON of `kept`, the origins of which the line was kept:
  COSIGNATURES_MALFORMED.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from domain.errors import GotongError
from federation.log.merkle import TREE_SIZE_MAX
from federation.sync.frames import ORIGIN_BYTES_MAX
from federation.sync.messages import ESCAPED_NUL

BROUGHT_MAX = 256
LINE_CHARS_MAX = 512
BROUGHT_BYTES_MAX = BROUGHT_MAX * (ORIGIN_BYTES_MAX + 4 * LINE_CHARS_MAX + 64)
KEPT_BYTES_MAX = BROUGHT_MAX * (ORIGIN_BYTES_MAX + 8) + 64


class CosignaturesMalformed(GotongError):
    """Cosignatures that a node brings, or the answer to them, are not of the form that the protocol gives them."""

    code: ClassVar[str] = "COSIGNATURES_MALFORMED"


_Origin = Annotated[str, Meta(min_length=1, max_length=ORIGIN_BYTES_MAX)]


class Brought(msgspec.Struct, frozen=True):
    """A cosignature on the checkpoint of that size, as the line of a note."""

    origin: _Origin
    size: Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)]
    line: Annotated[str, Meta(pattern=r"^— [^\n]+\n\Z", max_length=LINE_CHARS_MAX)]


class _Brought(msgspec.Struct, frozen=True):
    cosignatures: Annotated[list[Brought], Meta(min_length=1, max_length=BROUGHT_MAX)]


class _Kept(msgspec.Struct, frozen=True):
    kept: Annotated[list[_Origin], Meta(max_length=BROUGHT_MAX)]


def write_brought(cosignatures: Sequence[Brought]) -> bytes:
    """Return the bytes of what is brought."""
    return msgspec.json.encode(_Brought(list(cosignatures)))


def read_brought(data: bytes) -> list[Brought]:
    """Return what is brought, none of it verified, or raise CosignaturesMalformed (rule W3.1)."""
    if ESCAPED_NUL in data:
        raise CosignaturesMalformed("texts hold no NUL")
    try:
        return msgspec.json.decode(data, type=_Brought).cosignatures
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CosignaturesMalformed(f"not a list of cosignatures: {error}"[:200]) from None


def write_kept(origins: Sequence[str]) -> bytes:
    """Return the bytes of the answer."""
    return msgspec.json.encode(_Kept(list(origins)))


def read_kept(data: bytes) -> list[str]:
    """Return of which logs the cosignature was kept, or raise CosignaturesMalformed (rule W3.1)."""
    try:
        return msgspec.json.decode(data, type=_Kept).kept
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CosignaturesMalformed(f"not an answer to cosignatures: {error}"[:200]) from None
