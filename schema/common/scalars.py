"""The contract's own scalars, and how their input is read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError

from domain.instants import InstantInvalid, format_instant, read_instant

BIGINT_MAX = 2**63 - 1

DateTime = NewType("DateTime", datetime)
BigInt = NewType("BigInt", int)
Decimal = NewType("Decimal", str)


@dataclass(frozen=True, slots=True)
class Representation:
    """What a gateway says of a record it wants: unchecked. Opaque, so that a batch of any size shares one plan."""

    typename: Any
    id: Any


def _read_time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise GraphQLError(f"DateTime cannot represent {repr(value)[:64]}: give RFC 3339 text with an offset.")
    try:
        return read_instant(value).astimezone(UTC)
    except (InstantInvalid, OverflowError) as error:
        raise GraphQLError(f"DateTime cannot represent {value[:64]!r}: {error}") from None


def _write_time(value: Any) -> str:
    return format_instant(value)


def _read_big_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -BIGINT_MAX <= value <= BIGINT_MAX:
        raise GraphQLError("BigInt is a whole number of at most 64 bits.")
    return value


def _read_decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError('Decimal is text such as "12.5", so that no digit is lost.')
    return str(value)


def _read_representation(value: Any) -> Representation:
    if not isinstance(value, dict):
        raise GraphQLError('_Any is an object such as {"__typename": "Need", "id": "gotong:..."}.')
    return Representation(value.get("__typename"), value.get("id"))


SCALARS: dict[object, Any] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="An instant. Answers are UTC in milliseconds: 2026-11-22T07:00:00.000Z. Input: RFC 3339.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_write_time,
        parse_value=_read_time,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number of up to 64 bits, as a JSON number.",
        serialize=int,
        parse_value=_read_big_int,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description='A decimal number as text, so that no digit is lost: "12.5", "120000000".',
        serialize=str,
        parse_value=_read_decimal,
    ),
    Representation: strawberry.scalar(
        name="_Any",
        description="A record as a gateway names it: its `__typename` and its `id`; other members are not looked at.",
        serialize=lambda value: {"__typename": value.typename, "id": value.id},
        parse_value=_read_representation,
    ),
}
