"""The contract's own scalars, and how their input is read."""

from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError

from domain.instants import InstantInvalid, format_instant, read_instant

BIGINT_MAX = 2**63 - 1

DateTime = NewType("DateTime", datetime)
BigInt = NewType("BigInt", int)
Decimal = NewType("Decimal", str)


def _read_time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise GraphQLError(f"DateTime cannot represent {value!r}: give RFC 3339 text with an offset.")
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
}
