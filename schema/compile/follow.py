"""Compile a subscription: events of a stretch of the event log, each with its record, in one statement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import FieldNode, GraphQLField, GraphQLObjectType, VariableNode, get_named_type, print_ast
from graphql.language import OperationDefinitionNode
from msgspec.structs import replace

from schema.compile import fields
from schema.compile.after import filled
from schema.compile.arguments import Variables
from schema.compile.build import Asking, Binder, Build, Hole
from schema.compile.events import EVENTS_SCANNED_MAX, Stretch, events_sql, hidden_sql
from schema.compile.read import Follow

EVENTS_PER_READ_MAX = 500


@dataclass(frozen=True, slots=True)
class Event:
    """An event as followers get it: its number, and the JSON of the operation's `data`."""

    seq: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FollowPlan:
    """A compiled subscription. Two with one `key` have one answer, whoever follows: the key is all that was asked."""

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
        """Return the events numbered above `above` and at most up to `up_to`, and how far they reach.

        Followers of one question share its events, so they are made for nobody in particular.
        """
        asking = replace(asking, caller=replace(asking.caller, viewer=None))
        up_to = min(up_to, above + EVENTS_SCANNED_MAX)
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
    _, later = build.arguments(declared, nodes[0])
    event_type = get_named_type(declared.type)
    assert isinstance(event_type, GraphQLObjectType)
    sets = [node.selection_set for node in nodes]
    # Its own parameters come last, and how many there are before is known only when the rest is compiled.
    stretch = Stretch("$stream$", "$above$", "$up_to$")
    events = events_sql(
        build,
        declared,
        nodes[0],
        read,
        lambda scope: [fields.record(build, event_type, sets, scope)],
        stretch,
        EVENTS_PER_READ_MAX,
    )
    hidden = f"{hidden_sql(build, declared, nodes[0], read)}, " if build.statement.counts_hidden else ""
    count = len(build.statement.binders)
    stream = f"${count + 1}::text"
    for mark, place in (
        ("$stream$", stream),
        ("$above$", f"${count + 2}::bigint"),
        ("$up_to$", f"${count + 3}::bigint"),
    ):
        events = events.replace(mark, place)
    # Names the parameter's type also where nobody selects the cursor.
    sql = f"with {hidden}events as ({events}) select seq, c0 from events where {stream} is not null order by seq"
    return FollowPlan(
        key=(*_asked(build, operation, nodes[0]), tuple(reader_languages)),
        sql=sql,
        binders=build.statement.binders,
        holes=build.statement.holes,
        response_key=key,
        later=later,
    )


def _asked(build: Build, operation: OperationDefinitionNode, node: FieldNode) -> tuple[str, bytes]:
    """Return the document and the variables' values as bytes, without one that only says where to begin.

    The document itself and no identity of its nodes: these may be forgotten, and others made in their place, while
    somebody still follows.
    """
    own = {
        argument.value.name.value
        for argument in node.arguments or ()
        if argument.name.value == "after" and isinstance(argument.value, VariableNode)
    }
    document = print_ast(operation) + "".join(print_ast(fragment) for fragment in build.fragments.values())
    used_once = {name for name in own if document.count(f"${name}") == 2}  # declared, and given as `after`
    values = {name: value for name, value in build.variables.coerced.items() if name not in used_once}
    return document, orjson.dumps(values, option=orjson.OPT_SORT_KEYS, default=str)
