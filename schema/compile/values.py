"""Write Python objects as a selection asks: categories, regions, the node, the outside of payloads."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    SelectionSetNode,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

from domain.instants import format_instant
from schema.compile.build import Asking, Build, read_of
from schema.compile.read import Stored, Value

Sets = Sequence[SelectionSetNode | None]
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
        name = nodes[0].name.value
        if name == "__typename":
            picks.append((key, _constant(type_.name)))
            continue
        declared = type_.fields[name]
        with build.at(key, nodes):
            inner = picker(build, declared.type, [node.selection_set for node in nodes])
            picks.append((key, _member(build, declared, nodes[0], inner)))
    return lambda value, asking: None if value is None else {key: pick(value, asking) for key, pick in picks}


def _constant(value: str) -> Pick:
    return lambda _value, _asking: value


def _member(build: Build, declared: GraphQLField, node: Any, inner: Pick) -> Pick:
    read = read_of(declared)
    name: str = declared.extensions["strawberry-definition"].python_name
    if isinstance(read, Stored):  # filled in by whoever reads the record
        return lambda value, _: value.records.get(id(node))
    assert isinstance(read, Value)
    get = read.get
    if get is None:
        return lambda value, asking: inner(getattr(value, name), asking)
    _, later = build.arguments(declared, node)
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
