"""Compile a stretch of the event log, each event with its record as it is now: what subscriptions and pollers read.

Events of several record types are one branch a type, each ordered and limited by the index on (type, seq).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphql import FieldNode, GraphQLField, GraphQLObjectType, is_abstract_type

from schema.compile.build import Build, Scope, class_name, source_of
from schema.compile.filters import conditions, of_gone, shown_only
from schema.compile.hidden import HIDDEN, counted, rows
from schema.compile.read import Follow, Source
from schema.compile.text import Json, fill, literal, render
from schema.compile.visibility import drills, gone, visible
from schema.compile.visibility import names as aliases

EVENTS_SCANNED_MAX = 20_000
"""How many numbers one statement looks at, however few of them fit."""

GONE = frozenset({"ERASED", "WITHDRAWN", "SUPPRESSED"})
"""Kinds of events after which a record has no row, or none that is shown."""

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
    types = _node_types(build, read)
    branches = [_branch(build, declared, node, read, type_, columns, stretch, limit) for type_ in types]
    if not read.kinds or not GONE.isdisjoint(read.kinds):
        branches += [_gone(build, declared, node, type_, columns, stretch, limit) for type_ in types]
    if len(branches) == 1:
        return branches[0]
    return (
        f"select * from ({' union all '.join(f'({branch})' for branch in branches)}) every order by seq limit {limit}"
    )


def hidden_sql(build: Build, declared: GraphQLField, node: FieldNode, read: Follow) -> str:
    """Return `HIDDEN` for a WITH: how many records fit the field's filter but have no events here, being hidden."""
    now, later = build.arguments(declared, node)
    filter_type = declared.args["filter"].type
    given = {name: value for name, value in (now.get("filter") or {}).items() if name not in shown_only(filter_type)}
    selects = []
    for type_ in _node_types(build, read):
        source, n = source_of(type_), build.statement.alias()
        organization = f"(select said from organization said where said.publisher_id = t{n}.publisher_id)"
        names = {**aliases(source, n), "ev": f"ev{n}"}
        names["region_path"] = fill(source.region_path, {"t": f"t{n}", "p": organization})  # hidden rows join none
        where = [drills(source, n, asked=bool(given.get("exercise")))]
        where += conditions(build, filter_type, given, names, lambda asking: later(asking.variables)["filter"]).values()
        selects += rows(
            source, n, f"exists (select from (select '{source.type}' as type) ev{n} where {' and '.join(where)})"
        )
    return f"{HIDDEN} as ({counted(selects)})"


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
    names = {"ev": ev, "stream": stretch.stream, "region_path": source.region_path}
    scope = row.filled({**names, "uri": _uri(source, f"{row['p']}.scid", ev)})
    now, later = build.arguments(declared, node)
    given = now.get("filter") or {}
    where = [f"{ev}.type = '{source.type}'", drills(source, n, asked=bool(given.get("exercise")))]
    if read.kinds:
        where.append(f"{ev}.kind in ({', '.join(literal(kind) for kind in read.kinds)})")
    where += conditions(
        build, declared.args["filter"].type, given, scope, lambda asking: later(asking.variables)["filter"]
    ).values()
    return (
        f"select {_selected(ev, columns(scope))} from {visible(source, n)} {row.join_sql()} "
        f"join event {ev} on {ev}.publisher_id = t{n}.publisher_id and {ev}.record_id = t{n}.record_id "
        f"where {ev}.seq > {stretch.above} and {ev}.seq <= {stretch.up_to} and {' and '.join(where)} "
        f"order by {ev}.seq limit {limit}"
    )


def _gone(
    build: Build,
    declared: GraphQLField,
    node: FieldNode,
    type_: GraphQLObjectType,
    columns: Columns,
    stretch: Stretch,
    limit: int,
) -> str:
    """Return the events of records without a row that is shown: told to all but those who ask for other ones by name.

    Where such a record was and what it said is gone, so a follower is told rather once too often: it may hold a copy.
    """
    source = source_of(type_)
    n = build.statement.alias()
    ev = f"ev{n}"
    row = Scope.of(source, n)
    own = {"ev": ev, "stream": stretch.stream, "region_path": "null::text[]"}
    scope = row.filled({**own, "uri": _uri(source, f"g{n}.scid", ev)})
    now, later = build.arguments(declared, node)
    asked = of_gone(declared.args["filter"].type)
    given = {name: value for name, value in (now.get("filter") or {}).items() if name in asked}
    where = [f"{ev}.type = '{source.type}'", f"{ev}.kind in ({', '.join(sorted(map(literal, GONE)))})"]
    where += conditions(
        build,
        declared.args["filter"].type,
        given,
        row.filled({**own, "t": ev, "p": f"g{n}"}),
        lambda asking: later(asking.variables)["filter"],
    ).values()
    selected = _selected(ev, columns(scope))
    return (
        f"select {selected} from {gone(source, n)} {row.join_sql().replace('join ', 'left join ')} "
        f"where t{n}.record_id is null and {ev}.seq > {stretch.above} and {ev}.seq <= {stretch.up_to} "
        f"and {' and '.join(where)} order by {ev}.seq limit {limit}"
    )


def _selected(ev: str, columns: Sequence[Json]) -> str:
    return ", ".join([f"{ev}.seq", *(f"{render(json)} as c{position}" for position, json in enumerate(columns))])


def _uri(source: Source, scid: str, ev: str) -> str:
    """Return the SQL of the URI of an event's record."""
    if source.table == "organization":
        return f"'gotong:' || {scid}"
    return f"'gotong:' || {scid} || '/{source.type}/' || {ev}.record_id"
