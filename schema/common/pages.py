"""Pages of what is not a record: keyset by number in plain SQL, for operators or for who else may."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import strawberry

from auth import policy
from schema.common.connections import Edge, PageInfo
from schema.compile.connection import size
from schema.compile.cursor import CursorInvalid
from schema.compile.read import Argument, Value, declare
from schema.context import Caller, Services
from store import participants
from store.database import Connection

PAGE_COST = 100
NUMBER_DIGITS_MAX = 18
T = TypeVar("T")

FIRST = Argument("first", int | None, "How many, 1 to 100. Default: 20.")
AFTER = Argument("after", str | None, "Only those behind this cursor.")

Rows = Sequence[Mapping[str, Any]]
May = Callable[[Connection], Awaitable[object]]
Make = Callable[[Services, Caller, Mapping[str, Any]], Awaitable["Page"]]


class Fetch(Protocol):
    """Gives rows with a `number`, the highest first, below a number, at most so many."""

    def __call__(self, connection: Connection, /, *, before: int | None, count: int) -> Awaitable[Rows]:
        """Return the rows."""


@strawberry.type(name="Connection", description="One page, newest first.")
class Listed(Generic[T]):
    """A page."""

    nodes: list[T] = declare(Value(), "What is on this page.")
    edges: list[Edge[T]] = declare(Value(), "What is on this page, each with its cursor.")
    page_info: PageInfo = declare(Value(), "Where this page stands.")


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its cursor."""

    node: Mapping[str, Any]
    cursor: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page, ready to be written."""

    nodes: Rows
    edges: Sequence[Row]
    page_info: PageInfo


def pages_of(fetch: Fetch) -> Make:
    """Return what makes the pages of these rows, for operators."""

    async def make(services: Services, caller: Caller, arguments: Mapping[str, Any]) -> Page:
        return await listed(services, caller, arguments, fetch)

    return make


async def require_operator(connection: Connection, caller: Caller) -> str:
    """Return who acts for this node's operator, or raise NotAuthenticated, ScopeMissing or Forbidden."""
    operator = await participants.operator(connection)
    return policy.require_scope(caller.viewer, policy.PEERS_ADMIN, "" if operator is None else operator.scid).subject


async def listed(
    services: Services,
    caller: Caller,
    arguments: Mapping[str, Any],
    fetch: Fetch,
    *,
    may: May | None = None,
) -> Page:
    """Return the page that the arguments ask for; raises PageSizeOutOfRange, CursorInvalid and
    what `require_operator` does, or instead of that `may`.
    """
    count, _ = size(arguments)
    after = arguments.get("after")
    before = None if after is None else _number(after)
    async with services.database.acquire() as connection:
        await (require_operator(connection, caller) if may is None else may(connection))
        rows = await fetch(connection, before=before, count=count + 1)
    shown = rows[:count]
    cursors = [_cursor(row["number"]) for row in shown]
    return Page(
        shown,
        [Row(row, cursor) for row, cursor in zip(shown, cursors, strict=True)],
        PageInfo(
            has_next_page=len(rows) > count,
            has_previous_page=after is not None,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        ),
    )


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def _number(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
    except (binascii.Error, UnicodeError):
        raise CursorInvalid("The cursor is not one of this node's.") from None
    if not text.isdecimal() or len(text) > NUMBER_DIGITS_MAX:
        raise CursorInvalid("The cursor is not one of this node's.")
    return int(text)
