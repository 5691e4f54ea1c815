"""The contract itself: its golden copy, its descriptions, and that every field of it is read somehow."""

from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    is_introspection_type,
    is_specified_scalar_type,
)

import schema
from auth.policy import OPEN, SCOPES
from domain.records import activity, need, organization
from schema.activities.types import ActivityStatus
from schema.compile.build import read_of
from schema.needs.types import Mode, NeedKind, NeedState, Urgency
from schema.organizations.types import OrganizationKind
from schema.root import SCHEMA, sdl

GOLDEN = Path(schema.__file__).parent / "schema.graphql"
OWN = [
    type_
    for type_ in SCHEMA.type_map.values()
    if not is_introspection_type(type_)
    and not (isinstance(type_, GraphQLScalarType) and is_specified_scalar_type(type_))
]


def test_the_golden_copy_is_what_is_served() -> None:
    """Run `python -m schema > schema/schema.graphql` after a change that is meant."""
    assert GOLDEN.read_text(encoding="utf-8") == sdl()


@pytest.mark.parametrize("type_", OWN, ids=lambda type_: type_.name)
def test_everything_has_a_description(type_: GraphQLNamedType) -> None:
    missing = [] if type_.description else [type_.name]
    if isinstance(type_, GraphQLEnumType):
        missing += [name for name, value in type_.values.items() if not value.description]
    if isinstance(type_, GraphQLInputObjectType):
        missing += [name for name, field in type_.fields.items() if not field.description]
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        for name, output in type_.fields.items():
            missing += [] if output.description else [name]
            missing += [f"{name}({argument})" for argument, given in output.args.items() if not given.description]
    assert missing == []


@pytest.mark.parametrize("type_", [t for t in OWN if isinstance(t, GraphQLObjectType)], ids=lambda type_: type_.name)
def test_every_field_says_how_it_is_read(type_: GraphQLObjectType) -> None:
    for field in type_.fields.values():
        assert read_of(field) is not None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (NeedKind, need.NeedKind),
        (Mode, need.Mode),
        (Urgency, need.Urgency),
        (NeedState, need.NeedState),
        (ActivityStatus, activity.ActivityStatus),
        (OrganizationKind, organization.OrganizationKind),
    ],
)
def test_the_enums_are_the_domains(ours: type[Enum], theirs: type[Enum]) -> None:
    values: list[Any] = [(member.name, member.value) for member in ours]
    assert values == [(member.name, member.value) for member in theirs]


def test_every_mutation_has_a_scope_or_is_for_everybody() -> None:
    assert SCHEMA.mutation_type is not None
    assert set(SCHEMA.mutation_type.fields) == set(SCOPES) | OPEN
    assert OPEN.isdisjoint(SCOPES)


def test_every_mutation_has_one_input_and_the_same_outside() -> None:
    assert SCHEMA.mutation_type is not None
    for field in SCHEMA.mutation_type.fields.values():
        assert list(field.args) == ["input"]
        payload: Any = field.type.of_type
        assert {"userErrors", "clientMutationId"} < set(payload.fields)
        given: Any = field.args["input"].type.of_type
        assert {"dryRun", "idempotencyKey", "clientMutationId"} < set(given.fields)
