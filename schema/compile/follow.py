"""Compile a subscription: events of a stretch of the event log, each with its record, in one statement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import FieldNode, GraphQLField, GraphQLObjectType, VariableNode, get_named_type, print_ast
from graphql.language import OperationDefinitionNode

from schema.compile import fields
from schema.compile.after import filled
from schema.compile.arguments import Variables
from schema.compile.build import Asking, Binder, Build, Hole, Scope, class_name, source_of
from schema.compile.filters import conditions
from schema.compile.read import Follow
from schema.compile.text import render
from schema.compile.visibility import drills, visible

EVENTS_PER_READ_MAX = 500
_STREAM = "$stream$"  # until it is known which parameter that is


@dataclass(frozen=True, slots=True)
class Event:
    """An event as followers get it: its number, and the JSON of the operation's `data`."""

    seq: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FollowPlan:
    """A compiled subscription. Two with one `key` have one answer, whoever follows."""

    key: tuple[Any, ...]
    sql: str
    binders: Sequence[Binder]
    holes: Sequence[Hole]
    response_key: str
    later: Callable[[Variables], Mapping[str, Any]]

    def after(self, asking: Asking) -> str | None:
        """Return the cursor behind which the follower wants to begin."""
        cursor: str | None = self.later(asking.variables).get("after")
        return cursor

    async def read(self, asking: Asking, stream: str, above: int, up_to: int) -> tuple[list[Event], int]:
        """Return the events numbered above `above` and up to `up_to`, and how far they reach."""
        parameters = [bind(asking) for bind in self.binders]
        async with asking.services.database.acquire() as connection:
            rows = await connection.fetch(self.sql, *parameters, stream, above, up_to)
        events = []
        for seq, json in rows:
            data = await filled(f'{{"{self.response_key}":{json}}}', self.holes, asking)
            events.append(Event(seq, data))
        return events, rows[-1][0] if len(rows) == EVENTS_PER_READ_MAX else up_to


def compile_follow(
    build: Build,
    operation: OperationDefinitionNode,
    declared: GraphQLField,
    key: str,
    nodes: list[FieldNode],
    read: Follow,
    reader_languages: Sequence[str],
) -> FollowPlan:
    """Return a subscription field, compiled. Parameters after its own: stream id, above, up to."""
    now, later = build.arguments(declared, nodes[0])
    node_type = build.schema.type_map[class_name(read.node())]
    event_type = get_named_type(declared.type)
    assert isinstance(node_type, GraphQLObjectType)
    assert isinstance(event_type, GraphQLObjectType)
    source = source_of(node_type)
    n = build.statement.alias()
    names = {"t": f"t{n}", "p": f"p{n}"}
    given = now.get("filter") or {}
    where = [drills(source, n, asked=bool(given.get("exercise")))]
    where += conditions(
        build, declared.args["filter"].type, given, names, lambda asking: later(asking.variables)["filter"]
    ).values()
    row = Scope.of(source, n)
    scope = row.filled({"ev": "ev", "stream": _STREAM})
    json = render(fields.record(build, event_type, [node.selection_set for node in nodes], scope))
    count = len(build.statement.binders)
    stream, above, up_to = f"${count + 1}::text", f"${count + 2}::bigint", f"${count + 3}::bigint"
    kinds = ", ".join(f"'{kind}'" for kind in read.kinds)
    sql = (
        f"select ev.seq, {json.replace(_STREAM, stream)} from {visible(source, n)} {row.join_sql()} "
        f"join event ev on ev.publisher_id = t{n}.publisher_id and ev.record_id = t{n}.record_id "
        f"where ev.type = '{source.type}' and ev.kind in ({kinds}) and ev.seq > {above} and ev.seq <= {up_to} "
        f"and {stream} is not null "  # names the parameter's type also where nobody selects the cursor
        f"and {' and '.join(where)} order by ev.seq limit {EVENTS_PER_READ_MAX}"
    )
    return FollowPlan(
        key=(id(operation), _values(build, operation, nodes[0]), tuple(reader_languages)),
        sql=sql,
        binders=build.statement.binders,
        holes=build.statement.holes,
        response_key=key,
        later=later,
    )


def _values(build: Build, operation: OperationDefinitionNode, node: FieldNode) -> bytes:
    """Return the variables' values as bytes, without one that only says where to begin."""
    own = {
        argument.value.name.value
        for argument in node.arguments or ()
        if argument.name.value == "after" and isinstance(argument.value, VariableNode)
    }
    document = print_ast(operation) + "".join(print_ast(fragment) for fragment in build.fragments.values())
    used_once = {name for name in own if document.count(f"${name}") == 2}  # declared, and given as `after`
    values = {name: value for name, value in build.variables.coerced.items() if name not in used_once}
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS, default=str)
