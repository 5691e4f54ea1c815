"""Cursors of events, of subscriptions and pollers alike: which numbering of events, and a number in it."""

import base64
import binascii
from typing import ClassVar

from domain.errors import GotongError
from schema.compile import cursor
from schema.compile.cursor import CursorInvalid

CURSOR_CHARS_MAX = 128
CURSOR_SQL = cursor.encode_sql("{stream} || ' ' || {ev}.seq")
SEQ_MAX = 2**63 - 1


class StreamChanged(GotongError):
    """The cursor belongs to another numbering of events: the node was restored, or is another one.

    To catch up, ask `needs(filter: {receivedAfter: ...})` for what came since, then follow without `after`.
    """

    code: ClassVar[str] = "STREAM_CHANGED"


def encode(stream: str, seq: int) -> str:
    """Return the cursor of event `seq`."""
    return cursor.encode(f"{stream} {seq}")


def parse(text: str) -> tuple[str, int]:
    """Return (stream, number) of a cursor; raises CursorInvalid."""
    try:
        if len(text) > CURSOR_CHARS_MAX:
            raise ValueError
        plain = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        stream, _, number = plain.decode("ascii").partition(" ")
        seq = int(number)
        if not 0 <= seq <= SEQ_MAX:
            raise ValueError
    except (binascii.Error, ValueError):
        raise CursorInvalid("The cursor is not one of an event of this node.") from None
    return stream, seq


def check(theirs: str, seq: int, stream: str, latest: int) -> None:
    """Return if event `seq` of stream `theirs` is one of this numbering; raises StreamChanged, CursorInvalid."""
    if theirs != stream:
        raise StreamChanged(
            "The numbering of events here has changed. "
            "Ask for what you missed by the filter `receivedAfter`, then follow without `after`."
        )
    if seq > latest:
        raise CursorInvalid("The cursor is of an event that has not happened here.")
