"""Compile a stretch of the event log, each event with its record as it is now: what subscriptions and pollers read.

Events of several record types are one branch a type, each ordered and limited by the index on (type, seq).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphql import FieldNode, GraphQLField, GraphQLObjectType, is_abstract_type

from schema.compile.build import Build, Scope, class_name, source_of
from schema.compile.filters import conditions
from schema.compile.read import Follow
from schema.compile.text import Json, literal, render
from schema.compile.visibility import drills, visible

EVENTS_SCANNED_MAX = 20_000
"""How many numbers one statement looks at, however few of them fit."""

Columns = Callable[[Scope], Sequence[Json]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """SQL of the stream's identity, and of the numbers between which events are read: above one, up to another."""

    stream: str
    above: str
    up_to: str


def events_sql(
    build: Build,
    declared: GraphQLField,
    node: FieldNode,
    read: Follow,
    columns: Columns,
    stretch: Stretch,
    limit: int,
) -> str:
    """Return the SELECT of (seq, c0, c1, ...) of the events that fit the field's filter, in order."""
    branches = [
        _branch(build, declared, node, read, type_, columns, stretch, limit) for type_ in _node_types(build, read)
    ]
    if len(branches) == 1:
        return branches[0]
    return (
        f"select * from ({' union all '.join(f'({branch})' for branch in branches)}) every order by seq limit {limit}"
    )


def _node_types(build: Build, read: Follow) -> Sequence[GraphQLObjectType]:
    type_ = build.schema.type_map[class_name(read.node())]
    if is_abstract_type(type_):
        return list(build.schema.get_possible_types(type_))
    assert isinstance(type_, GraphQLObjectType)
    return [type_]


def _branch(
    build: Build,
    declared: GraphQLField,
    node: FieldNode,
    read: Follow,
    type_: GraphQLObjectType,
    columns: Columns,
    stretch: Stretch,
    limit: int,
) -> str:
    source = source_of(type_)
    n = build.statement.alias()
    ev = f"ev{n}"
    row = Scope.of(source, n)
    scope = row.filled({"ev": ev, "stream": stretch.stream, "region_path": source.region_path})
    now, later = build.arguments(declared, node)
    given = now.get("filter") or {}
    where = [f"{ev}.type = '{source.type}'", drills(source, n, asked=bool(given.get("exercise")))]
    if read.kinds:
        where.append(f"{ev}.kind in ({', '.join(literal(kind) for kind in read.kinds)})")
    where += conditions(
        build, declared.args["filter"].type, given, scope, lambda asking: later(asking.variables)["filter"]
    ).values()
    selected = [f"{ev}.seq", *(f"{render(json)} as c{position}" for position, json in enumerate(columns(scope)))]
    return (
        f"select {', '.join(selected)} from {visible(source, n)} {row.join_sql()} "
        f"join event {ev} on {ev}.publisher_id = t{n}.publisher_id and {ev}.record_id = t{n}.record_id "
        f"where {ev}.seq > {stretch.above} and {ev}.seq <= {stretch.up_to} and {' and '.join(where)} "
        f"order by {ev}.seq limit {limit}"
    )
