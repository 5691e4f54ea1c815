"""Run the root fields of a query: each one SQL statement, or one Python answer, and the bytes it becomes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import asyncpg
from graphql import FieldNode, GraphQLField, GraphQLObjectType

from domain.errors import GotongError
from domain.ids import UriParts, split_uri
from schema.compile import connection, cursor, fields, values
from schema.compile.after import filled
from schema.compile.arguments import Variables
from schema.compile.build import Asking, Build, Scope, source_of
from schema.compile.changes import compile_changes
from schema.compile.connection import Member, Page
from schema.compile.group import compile_grouped
from schema.compile.query import Query, RowUnreadable, Variants, text
from schema.compile.read import Answer, ById, Changes, Grouped, Many
from schema.compile.several import by_ids_sql, entities, kind_of, nodes_by_ids
from schema.compile.text import fill, render
from schema.compile.together import Together
from schema.compile.turn import Turn, is_small
from schema.compile.visibility import visible


class ArgumentsContradict(GotongError):
    """Exactly one of two arguments must be given."""

    code: ClassVar[str] = "ARGUMENTS_CONTRADICT"


class Root(Protocol):
    """A compiled root field."""

    async def run(self, asking: Asking) -> bytes:
        """Return the field's value as JSON; raises Located or a GotongError."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A field whose value the schema alone decides."""

    json: bytes

    async def run(self, asking: Asking) -> bytes:
        """Return it."""
        return self.json


@dataclass(frozen=True, slots=True)
class Made:
    """A field Python makes."""

    answer: Answer
    later: Callable[[Variables], Mapping[str, Any]]
    write: Callable[[Any, Asking], bytes]

    async def run(self, asking: Asking) -> bytes:
        """Return the written object."""
        made = await self.answer.make(asking.services, asking.caller, self.later(asking.variables))
        return self.write(made, asking)


@dataclass(frozen=True, slots=True)
class One:
    """A record by its URI, of whichever type it is: one statement a type, of which a request runs one."""

    uri: Callable[[Asking], UriParts]
    queries: Mapping[str | None, Together]

    async def run(self, asking: Asking) -> bytes:
        """Return the record the request names, or null when there is none to be seen."""
        return await self.read(self.uri(asking), asking)

    async def read(self, uri: UriParts, asking: Asking) -> bytes:
        """Return the record of that URI, or null when there is none to be seen."""
        query = self.queries.get(uri[1])
        if query is None:
            return b"null"
        json = await query.json(uri, asking)
        return b"null" if json is None else await filled(json, query.query.holes, asking)


@dataclass(frozen=True, slots=True)
class BySlug:
    """A record that a statement finds by other keys than its URI."""

    query: Query

    async def run(self, asking: Asking) -> bytes:
        """Return the record, or null when there is none to be seen."""
        rows = await self.query.rows(asking)
        return await filled(text(rows[0][0]), self.query.holes, asking) if rows else b"null"


@dataclass(frozen=True, slots=True)
class Connection:
    """A root connection: a row a node."""

    page: Page
    members: Sequence[Member]
    query: Query
    counted: bool

    async def run(self, asking: Asking) -> bytes:
        """Return the connection's object."""
        rows = await self.query.rows(asking)
        counts = rows[0] if self.counted else None
        if self.counted and rows[0]["found"] is None:
            rows = []
        fetched = len(rows)
        rows = rows[: self.page.rows_max]
        if self.page.backward:
            rows.reverse()
        written = [
            f"{key_json(member.key)}:{self._member(member, position, rows, fetched, counts)}"
            for position, member in enumerate(self.members)
        ]
        return await filled(f"{{{','.join(written)}}}", self.query.holes, asking)

    def _member(
        self, member: Member, position: int, rows: list[asyncpg.Record], fetched: int, counts: asyncpg.Record | None
    ) -> str:
        match member.name:
            case "nodes" | "edges":
                column = f"c{position}"
                try:
                    return f"[{','.join([row[column] for row in rows])}]"
                except TypeError:
                    raise RowUnreadable(column) from None
            case "pageInfo":
                return _object((key, self._page_info(name, rows, fetched)) for key, name in member.inner)
            case "__typename":
                return key_json(self.page.type.name)
        assert counts is not None
        match member.name:
            case "totalCount":
                return "null" if counts["total"] > connection.TOTAL_COUNT_MAX else str(counts["total"])
            case "suggestions":
                return text(counts["suggestions"])
            case "textPending":
                return str(counts["waiting"])
            case "totalAtLeast":
                return str(min(counts["total"], connection.TOTAL_COUNT_MAX))
        hidden = {"count": str(counts["hidden"]), "critical": str(counts["critical"]), "__typename": '"HiddenByTrust"'}
        return _object((key, hidden[name]) for key, name in member.inner)

    def _page_info(self, name: str, rows: list[asyncpg.Record], fetched: int) -> str:
        page = self.page
        after, before = page.ranged
        match name:
            case "hasNextPage":
                return _boolean(before if page.backward else fetched > page.rows_max)
            case "hasPreviousPage":
                return _boolean(fetched > page.rows_max if page.backward else after)
            case "__typename":
                return '"PageInfo"'
        if not rows:
            return "null"
        place = rows[0 if name == "startCursor" else -1]["place"]
        return f'"{cursor.encode(page.cursor_head + place)}"'


def key_json(key: str) -> str:
    """Return a response key as JSON; names need no escaping."""
    return f'"{key}"'


def _object(pairs: Any) -> str:
    return "{" + ",".join(f'"{key}":{json}' for key, json in pairs) + "}"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def compile_root(build: Build, declared: GraphQLField, nodes: list[FieldNode], read: Any) -> Root:
    """Return a root field of Query, compiled."""
    if isinstance(read, Many):
        return _connection(build, read, declared, nodes)
    if isinstance(read, Answer):
        _, later = build.arguments(declared, nodes[0])
        sets = [node.selection_set for node in nodes]
        return Made(read, later, values.writer(build, declared.type, sets))
    if isinstance(read, Changes):
        return compile_changes(build, read, declared, nodes)
    if isinstance(read, Grouped):
        return compile_grouped(build, read, declared, nodes)
    assert isinstance(read, ById), read
    if read.argument == "ids":
        return nodes_by_ids(build, declared, nodes)
    if read.argument == "representations":
        return entities(build, declared, nodes)
    return _one(build, declared, nodes)


def _connection(build: Build, read: Many, declared: GraphQLField, nodes: list[FieldNode]) -> Connection:
    build.statement.chooses = True
    page = connection.page(build, read, declared, nodes, None)
    scope = Scope.of(page.source, page.n)
    found = connection.members_of(build, fields.record, page, scope)
    counted = connection.selects(found, *connection.COUNTS)
    rows = any(member.rows is not None or member.name == "pageInfo" for member in found)
    sql = connection.rows_sql(page, found, scope)
    if counted:
        counts = connection.counts_sql(page, found)
        # Nothing is read of the second, but all parameters are in it: those of `after`, which counts do not mind.
        nothing = f"(select true as found from {page.shown_sql} where {page.keyset} limit 0)"
        listed = f"(select true as found, r.* from ({sql}) r)" if rows else nothing
        sql = f"select h.*, r.* from ({counts}) h left join {listed} r on true"
    variants = None
    if build.statement.choices:
        place = replace(build)  # as it is now: the errors of a variant belong to the same field
        variants = Variants(
            build.statement.choices,
            lambda asking: _connection(place.again(asking.variables), read, declared, nodes).query,
        )
    statement = build.statement
    is_short = statement.is_flat and not (counted or statement.uneven or page.searches)
    parameters = len(statement.binders)
    turn = Turn(sql, parameters) if is_short and is_small(sql, parameters) else None
    query = Query(sql, statement.binders, statement.holes, statement.uneven, variants, turn)
    return Connection(page, found, query, counted)


def _one(build: Build, declared: GraphQLField, nodes: list[FieldNode]) -> Root:
    now, later = build.arguments(declared, nodes[0])
    if "slug" not in declared.args:
        return one_by_uri(build, declared, nodes, lambda asking: split_uri(later(asking.variables)["id"]))
    if (now.get("id") is None) == (now.get("slug") is None):
        raise ArgumentsContradict("Give either `id` or `slug`.")
    if now.get("id") is not None:
        return one_by_uri(build, declared, nodes, lambda asking: split_uri(later(asking.variables)["id"]))
    slug = build.bind("text", lambda asking: later(asking.variables)["slug"])
    order = "order by {i}.hosted desc, {i}.first_seen, {i}.id limit 1"
    return BySlug(_query_where(build, fields.record_types(build, declared)[0], nodes, f"{{t}}.slug = {slug} {order}"))


def one_by_uri(
    build: Build, declared: GraphQLField, nodes: list[FieldNode], uri: Callable[[Asking], UriParts] | None = None
) -> One:
    """Return a record field that is read by URI: the request's, or one its user has."""
    queries: dict[str | None, Together] = {}
    for type_ in fields.record_types(build, declared):
        own = build.fresh()
        select = by_ids_sql(own, type_, [node.selection_set for node in nodes])
        sql = select(len(own.statement.binders) + 1)
        query = Query(sql, own.statement.binders, own.statement.holes)
        queries[kind_of(type_)] = Together(query, is_short=own.statement.is_flat)
    return One(uri or _no_uri, queries)


def _no_uri(_asking: Asking) -> UriParts:
    raise RowUnreadable("this field is read by another's URI")


def _query_where(build: Build, type_: GraphQLObjectType, nodes: list[FieldNode], where: str) -> Query:
    """Return the statement of one record; `where` is a template at its row."""
    source = source_of(type_)
    n = build.statement.alias()
    scope = Scope.of(source, n)
    json = render(fields.record(build, type_, [node.selection_set for node in nodes], scope))
    condition = fill(where, scope)
    sql = f"select {json} from {visible(source, n)} {scope.join_sql()} where {condition}"
    return Query(sql, build.statement.binders, build.statement.holes)
