"""Write Python objects as a selection asks: categories, regions, the node, the outside of payloads."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
from graphql import (
    FieldNode,
    GraphQLObjectType,
    GraphQLOutputType,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

from domain.instants import format_instant
from schema.compile.build import Asking, Build, read_of
from schema.compile.read import Value
from schema.compile.select import Sets

Pick = Callable[[Any, Asking], Any]


def writer(build: Build, type_: GraphQLOutputType, sets: Sets) -> Callable[[Any, Asking], bytes]:
    """Return a function that writes a Python value of `type_` as JSON."""
    pick = picker(build, type_, sets)
    return lambda value, asking: orjson.dumps(pick(value, asking))


def picker(build: Build, type_: GraphQLOutputType, sets: Sets) -> Pick:
    """Return a function that gives of a Python value what is selected, ready for JSON."""
    if is_non_null_type(type_):
        return picker(build, type_.of_type, sets)
    if is_list_type(type_):
        each = picker(build, type_.of_type, sets)
        return lambda value, asking: None if value is None else [each(member, asking) for member in value]
    if not is_object_type(type_):
        return lambda value, _: plain(value)
    return _object(build, type_, sets)


def _object(build: Build, type_: GraphQLObjectType, sets: Sets) -> Pick:
    picks: list[tuple[str, Pick]] = []
    for key, nodes in build.fields(type_, sets).items():
        with build.at(key, nodes):
            picks.append((key, member(build, type_, nodes[0].name.value, nodes)))
    return lambda value, asking: None if value is None else {key: pick(value, asking) for key, pick in picks}


def member(build: Build, type_: GraphQLObjectType, field: str, nodes: list[FieldNode]) -> Pick:
    """Return a function that gives one field of a Python object, ready for JSON."""
    if field == "__typename":
        type_name = type_.name
        return lambda _value, _asking: type_name
    declared = type_.fields[field]
    read = read_of(declared)
    assert isinstance(read, Value), read
    inner = picker(build, declared.type, [node.selection_set for node in nodes])
    get = read.get
    if get is None:
        name: str = declared.extensions["strawberry-definition"].python_name
        return lambda value, asking: inner(getattr(value, name), asking)
    _, later = build.arguments(declared, nodes[0])
    return lambda value, asking: inner(get(value, later(asking.variables), asking.reader), asking)


def plain(value: Any) -> Any:
    """Return a leaf as JSON has it: enum names, UTC instants, decimal strings."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Decimal):
        return str(value)
    return value
