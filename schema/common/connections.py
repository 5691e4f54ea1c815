"""Keyset connections, as Relay describes them, and the orders rows can stand in."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID

import strawberry

from schema.compile.hidden import HIDDEN
from schema.compile.read import Argument, Key, Many, Order, Value, declare, number

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAME_KEY_CHARS = 32  # the index organization_name_total has it too
T = TypeVar("T")


def _from_us(text: str) -> datetime:
    return EPOCH + timedelta(microseconds=int(text))


def instant_key(column: str) -> Key:
    """Return the sort key of a timestamptz column."""
    return Key(
        f"{{t}}.{column}", "timestamptz", f"(extract(epoch from {{t}}.{column}) * 1000000)::bigint::text", _from_us
    )


def _end(text: str) -> str:
    return "infinity" if text == "infinity" else (EPOCH + timedelta(microseconds=int(text))).isoformat()


def last_instant_key(column: str) -> Key:
    """Return the sort key of a nullable timestamptz column whose nulls come last."""
    sql = f"coalesce({{t}}.{column}, 'infinity')"
    text = f"coalesce((extract(epoch from {{t}}.{column}) * 1000000)::bigint::text, 'infinity')"
    return Key(sql, "text::timestamptz", text, _end)


def small_key(column: str) -> Key:
    """Return the sort key of a smallint column."""
    return Key(f"{{t}}.{column}", "smallint", f"{{t}}.{column}::text", _small)


def _small(text: str) -> int:
    value = int(text)
    if abs(value) > 2**15 - 1:
        raise OverflowError(text)
    return value


def _number(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**31:
        raise OverflowError(text)
    return value


def _hex(text: str) -> str:
    return bytes.fromhex(text).decode()


def name_key(column: str) -> Key:
    """Return the sort key of a localized column: how its first text begins, by code points."""
    sql = f"left({{t}}.{column} -> 0 ->> 'text', {NAME_KEY_CHARS}) collate \"C\""
    return Key(sql, "text", f"encode(convert_to({sql}, 'UTF8'), 'hex')", _hex)


IDENTITY = (
    Key("{t}.record_id", "uuid", "{t}.record_id::text", UUID),
    Key("{t}.publisher_id", "integer", "{t}.publisher_id::text", _number),
)
"""What ends every order: two publishers may use one uuid at one instant, and no row may be skipped for it."""


def order(name: str, *keys: Key, descending: bool) -> Order:
    """Return the total order by these keys."""
    return Order(name, (*keys, *IDENTITY), descending)


RECEIVED = order("RECEIVED", instant_key("received_at"), descending=True)
PUBLISHED = order("PUBLISHED", instant_key("published_at"), descending=True)


@strawberry.type(description="Where a page stands in its connection.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool = declare(Value(), "Whether rows follow. Paging backward: whether `before` was given.")
    has_previous_page: bool = declare(Value(), "Whether rows precede. Paging forward: whether `after` was given.")
    start_cursor: str | None = declare(Value(), "The cursor of the first row, null when there is none.")
    end_cursor: str | None = declare(Value(), "The cursor of the last row, null when there is none.")


@strawberry.type(
    description="What fits the filter but is not shown: this node's operator has not allowed its publisher, or has "
    "suppressed this one record. It does not tell what these say: "
    "`text`, `near` and `externalId` do not narrow it."
)
class HiddenByTrust:
    """What trust hides."""

    count: int = number(f"(select {HIDDEN}.count from {HIDDEN})", "How many records, counted up to 10,000.")
    critical: int = number(f"(select {HIDDEN}.critical from {HIDDEN})", "How many of them are critical needs.")


@strawberry.type(description="A row of a connection with its cursor.")
class Edge(Generic[T]):
    """Relay's edge."""

    node: T = declare(Value(), "The record.")
    cursor: str = declare(Value(), "An opaque place in this order: give it as `after` or `before`.")


@strawberry.type(description="One page of records, in a stable order.")
class Connection(Generic[T]):
    """Relay's connection, with lazy counts."""

    nodes: list[T] = declare(Value(), "The records of this page.")
    edges: list[Edge[T]] = declare(Value(), "The records of this page, each with its cursor.")
    page_info: PageInfo = declare(Value(), "Where this page stands.")
    total_count: int | None = declare(Value(), "How many records fit the filter; null when more than 10,000 do.")
    total_at_least: int = declare(Value(), "How many records fit the filter, counted up to 10,000.")
    suggestions: list[str] = declare(
        Value(),
        "At most 5 words to try instead, when a search by `text` found nothing: from the newest 500 records that fit "
        "the rest of the filter, those closest to words that are in none of these. Otherwise empty.",
    )
    text_pending: int = declare(
        Value(),
        "How fresh a search by words is: how many changes here are not found by their words yet, counted up to 1,000. "
        "They are looked into within seconds; by everything but `text` they are found already.",
    )
    hidden_by_trust: HiddenByTrust = declare(Value(), "What fits the filter but is hidden by trust, or suppressed.")


def connection(
    description: str,
    node: Callable[[], type],
    orders: Mapping[Any, Order],
    default: Enum,
    filter_type: type,
    *,
    on: str | None = None,
    fixed: str | None = None,
) -> Any:
    """Return a connection field with the arguments all of them have."""
    return declare(
        Many(node, orders, default, on, fixed),
        description,
        (
            Argument("filter", filter_type | None, "Which records. Without it: all that may be seen, drills excepted."),
            Argument("order_by", type(default) | None, f"In which order. Default: {default.name}."),
            Argument("first", int | None, "How many records from the start, 1 to 100. Default: 20."),
            Argument("after", str | None, "Only records behind this cursor."),
            Argument("last", int | None, "How many records from the end, 1 to 100. Not together with `first`."),
            Argument("before", str | None, "Only records in front of this cursor."),
        ),
    )
