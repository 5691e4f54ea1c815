"""Cursors: opaque to the reader, and bound to an order but not to a filter.

base64url, unpadded, of `1 <record type>.<ORDER> <key>,<key>`: the 1 is the
version of this format.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, ClassVar

from domain.errors import GotongError
from schema.compile.read import Order

VERSION = "1"
CURSOR_CHARS_MAX = 512


class CursorInvalid(GotongError):
    """A cursor is not one this node gave."""

    code: ClassVar[str] = "CURSOR_INVALID"


class CursorOtherOrder(GotongError):
    """A cursor was given by a connection of another order or another type."""

    code: ClassVar[str] = "CURSOR_OTHER_ORDER"


def head(type_: str, order: Order) -> str:
    """Return what every cursor of this order begins with, before it is encoded."""
    return f"{VERSION} {type_}.{order.name} "


def encode(plain: str) -> str:
    """Return the cursor of a row from its plain text."""
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def encode_sql(plain_sql: str) -> str:
    """Return SQL that does what `encode` does."""
    return f"rtrim(translate(encode(convert_to({plain_sql}, 'UTF8'), 'base64'), E'+/\\n', '-_'), '=')"


def decode(cursor: str, type_: str, order: Order) -> Sequence[Any]:
    """Return the keys in `cursor`, or raise CursorInvalid or CursorOtherOrder."""
    if len(cursor) > CURSOR_CHARS_MAX:
        raise CursorInvalid("The cursor is too long to be one of this node's.")
    try:
        plain = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
    except (binascii.Error, UnicodeError):
        raise CursorInvalid("The cursor is not one of this node's.") from None
    version, _, rest = plain.partition(" ")
    name, _, keys_text = rest.partition(" ")
    if version != VERSION or not name or not keys_text:
        raise CursorInvalid("The cursor is not one of this node's.")
    if name != f"{type_}.{order.name}":
        raise CursorOtherOrder("The cursor belongs to another order.", cursor_order=name, order=f"{type_}.{order.name}")
    texts = keys_text.split(",")
    if len(texts) != len(order.keys):
        raise CursorInvalid("The cursor is not one of this node's.")
    try:
        return [key.parse(text) for key, text in zip(order.keys, texts, strict=True)]
    except (ValueError, OverflowError):
        raise CursorInvalid("The cursor is not one of this node's.") from None
