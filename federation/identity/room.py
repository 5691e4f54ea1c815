"""Decide whether an identity has room for a change, so that what people need never fails for what they chose. Pure.

An identity grows with every change and never shrinks (rule D1.2), and a document names every key that its epoch's log
ever had (D4.4). Full, it could not be recovered after a theft, not be moved, not even be ended. So new keys that
somebody chooses leave room for what somebody needs (new cards, a new epoch, another host, an end), and that for the
end. A new epoch begins with one key; nothing makes room for bytes.
"""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from domain.errors import GotongError
from federation.did.state import DidState
from federation.did.webvh import LINE_BYTES_MAX, LOG_BYTES_MAX, VERSIONS_MAX
from federation.log.service import DOCUMENT_KEYS_MAX
from store.alerts import Room


class IdentityFull(GotongError):
    """The identity is too large for that change; the room that is left is for what is needed after it, and its end."""

    code: ClassVar[str] = "IDENTITY_FULL"


class LogKeysFull(GotongError):
    """The log had as many keys as fit beside it; `gotong keys recover` from all its entries goes on with a new one."""

    code: ClassVar[str] = "LOG_KEYS_FULL"


@dataclass(frozen=True, slots=True)
class Left:
    """What a change has to leave: bytes of lines, versions, and keys of a document."""

    bytes: int
    versions: int
    keys: int


class Purpose(Enum):
    """What a change is for; its value is what it leaves."""

    CHOSEN = Left(8 * LINE_BYTES_MAX, 64, 8)
    NEEDED = Left(2 * LINE_BYTES_MAX, 4, 0)
    END = Left(0, 0, 0)


IDENTITY_ROOM = Room(LOG_BYTES_MAX, VERSIONS_MAX, DOCUMENT_KEYS_MAX)
"""What an operator is told of long before it is used up."""


def require_keys(count: int, purpose: Purpose) -> None:
    """Return if a document may name so many keys, one of them new, or raise LogKeysFull."""
    if count > DOCUMENT_KEYS_MAX - purpose.value.keys:
        raise LogKeysFull("no more keys fit into the document", keys=count - 1, count_max=DOCUMENT_KEYS_MAX)


def require_room(state: DidState, purpose: Purpose) -> None:
    """Return if an identity may be as large as it is after a change, or raise IdentityFull."""
    size, left = state.canonical_bytes, purpose.value
    if size > LOG_BYTES_MAX - left.bytes or state.version_count > VERSIONS_MAX - left.versions:
        raise IdentityFull(
            "the room that is left is kept for what may be needed",
            bytes=size,
            bytes_max=LOG_BYTES_MAX,
            versions=state.version_count,
            count_max=VERSIONS_MAX,
        )
