"""Compile a page of events for those who ask now and then: the cursor is the one subscriptions give and take.

A page that is not full ends where the events end that this node's operator allows, not at the last one that fits: a
poller's next question begins there, however rarely something fits. What is hidden moves no cursor. One statement
looks at a bounded stretch of numbers, so a page may be short, or empty, and more may follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type

from schema.compile import connection, fields, stream
from schema.compile.after import filled
from schema.compile.arguments import Arguments, Variables
from schema.compile.build import Asking, Build, Scope
from schema.compile.connection import ROWS, Member
from schema.compile.events import EVENTS_SCANNED_MAX, GONE, Stretch, events_sql, hidden_sql
from schema.compile.hidden import HIDDEN
from schema.compile.query import Query, text
from schema.compile.read import Changes as Read
from schema.compile.text import Json, Sql, fill, literal, members, quoted
from schema.compile.visibility import ALLOWED

_HEAD = f"""select node_state.stream_id::text as stream, (select coalesce(max(seq), 0) from event) as latest,
    coalesce((select event.seq from event join participant on participant.id = event.publisher_id and {ALLOWED}
              where event.kind in ({", ".join(sorted(map(literal, GONE)))})
                 or not is_suppressed(event.publisher_id, event.type, event.record_id)
              order by event.seq desc limit 1), 0) as shown from node_state"""


@dataclass(frozen=True, slots=True)
class Changes:
    """A compiled page of events: a row an event, or one row without any."""

    query: Query
    later: Callable[[Variables], Arguments]
    rows_max: int
    members: Sequence[Member]
    type_name: str

    async def run(self, asking: Asking) -> bytes:
        """Return the connection's object; raises StreamChanged, CursorInvalid."""
        rows = await self.query.rows(asking)
        head = rows[0]
        after = self.later(asking.variables).get("after")
        if after is not None:
            stream.check(*stream.parse(after), head["stream"], head["latest"])
        found = [row for row in rows if row["seq"] is not None]
        page = Page(head, found[: self.rows_max], more=len(found) > self.rows_max, after=after is not None)
        parts = [f'"{member.key}":{self._member(member, page)}' for member in self.members]
        return await filled(f"{{{','.join(parts)}}}", self.query.holes, asking)

    def _member(self, member: Member, page: "Page") -> str:
        if member.name in ROWS:
            return f"[{','.join(text(row[f'c{member.column}']) for row in page.rows)}]"
        if member.name == "__typename":
            return quoted(self.type_name)
        told = page.info if member.name == "pageInfo" else page.hidden
        return "{" + ",".join(f'"{key}":{told(name)}' for key, name in member.inner) + "}"


@dataclass(frozen=True, slots=True)
class Page:
    """The events of one page, and where it stands."""

    head: asyncpg.Record
    rows: Sequence[asyncpg.Record]
    more: bool
    after: bool

    def info(self, name: str) -> str:
        """Return a field of PageInfo as JSON."""
        match name:
            case "hasNextPage":
                return _boolean(self.more or self.head["up_to"] < self.head["shown"])
            case "hasPreviousPage":
                return _boolean(self.after)
            case "__typename":
                return '"PageInfo"'
            case "startCursor":
                return self._cursor(self.rows[0]["seq"]) if self.rows else "null"
        return self._cursor(self.rows[-1]["seq"] if self.more else max(self.head["above"], self.head["up_to"]))

    def hidden(self, name: str) -> str:
        """Return a field of HiddenByTrust as JSON."""
        return '"HiddenByTrust"' if name == "__typename" else str(self.head[name])

    def _cursor(self, seq: int) -> str:
        return quoted(stream.encode(self.head["stream"], seq))


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def compile_changes(build: Build, read: Read, declared: GraphQLField, nodes: list[FieldNode]) -> Changes:
    """Return a page of events, compiled."""
    type_ = get_named_type(declared.type)
    assert isinstance(type_, GraphQLObjectType)
    now, later = build.arguments(declared, nodes[0])
    rows_max, _ = connection.size(now)
    found, selected = _members(build, type_, build.fields(type_, [node.selection_set for node in nodes]))
    above = build.bind("bigint", lambda asking: _above(later(asking.variables)))
    up_to = f"least(shown, {above} + {EVENTS_SCANNED_MAX})"
    stretch = Stretch("(select stream from head)", above, f"(select {up_to} from head)")
    events = events_sql(
        build,
        declared,
        nodes[0],
        read.follow,
        lambda scope: [_row(build, type_, name, inner, scope) for name, inner in selected],
        stretch,
        rows_max + 1,
    )
    counts, hidden = "", ""
    if build.statement.counts_hidden:
        counts = f"{HIDDEN}.*, "
        hidden = f", {hidden_sql(build, declared, nodes[0], read.follow)}"
    sql = (
        f"with head as ({_HEAD}){hidden} select {counts}head.*, {above} as above, {up_to} as up_to, page.* "
        f"from head{f' cross join {HIDDEN}' if hidden else ''} left join ({events}) page on true order by page.seq"
    )
    return Changes(Query(sql, build.statement.binders, build.statement.holes), later, rows_max, found, type_.name)


def _above(given: Arguments) -> int:
    return 0 if given.get("after") is None else stream.parse(given["after"])[1]


def _members(
    build: Build, type_: GraphQLObjectType, selected: Any
) -> tuple[list[Member], list[tuple[str, list[FieldNode]]]]:
    """Return what is selected of the connection, and of it what has a column: its name and nodes."""
    found: list[Member] = []
    columns: list[tuple[str, list[FieldNode]]] = []
    for key, nodes in selected.items():
        name = nodes[0].name.value
        if name in ROWS:
            found.append(Member(key, name, column=len(columns)))
            columns.append((name, nodes))
        elif name in ("pageInfo", "hiddenByTrust"):
            build.statement.counts_hidden |= name == "hiddenByTrust"
            info = get_named_type(type_.fields[name].type)
            assert isinstance(info, GraphQLObjectType)
            inner = build.fields(info, [node.selection_set for node in nodes])
            found.append(Member(key, name, None, tuple((key, each[0].name.value) for key, each in inner.items())))
        else:
            found.append(Member(key, name))
    return found, columns


def _row(build: Build, type_: GraphQLObjectType, name: str, nodes: list[FieldNode], scope: Scope) -> Json:
    """Return the JSON of one event, as a node or as an edge."""
    row_type = get_named_type(type_.fields[name].type)
    assert isinstance(row_type, GraphQLObjectType)
    sets = [node.selection_set for node in nodes]
    if name == "nodes":
        return fields.record(build, row_type, sets, scope)
    pairs: list[tuple[str, Json]] = []
    for key, found in build.fields(row_type, sets).items():
        match found[0].name.value:
            case "__typename":
                pairs.append((key, (quoted(row_type.name),)))
            case "cursor":
                pairs.append((key, ('"', Sql(fill(stream.CURSOR_SQL, scope)), '"')))
            case _:
                event_type = get_named_type(row_type.fields["node"].type)
                assert isinstance(event_type, GraphQLObjectType)
                with build.at(key, found):
                    pairs.append((key, fields.record(build, event_type, [node.selection_set for node in found], scope)))
    return members(pairs)
