"""What will go is announced as docs/api.md promises: with two days a year apart, and in the changelog."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
)

import schema
from schema.root import SCHEMA

CHANGELOG = Path(schema.__file__).parents[1] / "CHANGELOG.md"
KEPT_AT_LEAST = timedelta(days=365)
REASON = re.compile(r"Since (?P<since>\d{4}-\d\d-\d\d), until (?P<until>\d{4}-\d\d-\d\d) at least: \S.*\.")


def deprecated(schema_: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Return the name and the reason of everything that is deprecated."""
    for type_ in schema_.type_map.values():
        if isinstance(type_, GraphQLEnumType):
            members = list(type_.values.items())
            yield from (
                (f"{type_.name}.{n}", v.deprecation_reason) for n, v in members if v.deprecation_reason is not None
            )
        elif isinstance(type_, GraphQLInputObjectType):
            for name, given in type_.fields.items():
                if given.deprecation_reason is not None:
                    yield f"{type_.name}.{name}", given.deprecation_reason
        elif isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            for name, field in type_.fields.items():
                if field.deprecation_reason is not None:
                    yield f"{type_.name}.{name}", field.deprecation_reason
                for argument, taken in field.args.items():
                    if taken.deprecation_reason is not None:
                        yield f"{type_.name}.{name}({argument})", taken.deprecation_reason


def wrong(schema_: GraphQLSchema, changelog: str) -> list[str]:
    """Return the names of what is deprecated against the promise."""
    sections = re.split(r"^### ", changelog, flags=re.MULTILINE)
    announced = "".join(section for section in sections if section.startswith("Deprecated"))
    found = []
    for name, reason in deprecated(schema_):
        match = REASON.fullmatch(reason)
        days = [date.fromisoformat(match[day]) for day in ("since", "until")] if match else []
        if not days or days[1] - days[0] < KEPT_AT_LEAST or f"`{name}`" not in announced:
            found.append(name)
    return found


def test_whatever_is_deprecated_is_announced_and_stays_a_year() -> None:
    assert wrong(SCHEMA, CHANGELOG.read_text(encoding="utf-8")) == []


KEPT = "Since 2027-01-15, until 2028-01-15 at least: ask b."


@pytest.mark.parametrize(
    ("reason", "changelog", "promise_kept"),
    [
        (KEPT, "### Deprecated\n- `Query.a`, `Query.a(x)`, `E.OLD`, `I.x`\n### Fixed\n", True),
        (KEPT, "### Removed\n- `Query.a`, `Query.a(x)`, `E.OLD`, `I.x`\n", False),
        (KEPT, "", False),
        ("Since 2027-01-15, until 2027-07-15 at least: ask b.", "### Deprecated\n- `Query.a`\n", False),
        ("No longer supported", "### Deprecated\n- `Query.a`\n", False),
    ],
)
def test_a_broken_promise_is_noticed(reason: str, changelog: str, promise_kept: bool) -> None:
    gone = f'@deprecated(reason: "{reason}")'
    made = build_schema(
        f"type Query {{ a(x: I {gone}): E {gone} b: Int }} "
        f"enum E {{ NEW OLD {gone} }} input I {{ x: Int {gone} y: Int }}"
    )
    expected = [] if promise_kept else ["E.OLD", "I.x", "Query.a", "Query.a(x)"]
    assert sorted(wrong(made, changelog)) == expected
