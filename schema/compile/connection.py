"""Compile keyset connections: at the root a row is a node, nested ones are one JSON text made by PostgreSQL."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type

from domain.errors import GotongError
from schema.compile import cursor, suggest
from schema.compile.build import Asking, Build, Scope, class_name, source_of
from schema.compile.filters import conditions, shown_only
from schema.compile.hidden import counted, rows
from schema.compile.read import Many, Order, Source
from schema.compile.select import Sets
from schema.compile.text import Json, Sql, fill, literal, members, quoted, render
from schema.compile.visibility import drills, unindexed, visible
from schema.compile.visibility import names as aliases

PAGE_ROWS_DEFAULT = 20
PAGE_ROWS_MAX = 100
TOTAL_COUNT_MAX = 10_000

RecordJson = Callable[[Build, GraphQLObjectType, Sets, Scope], Json]
"""Compiles what is selected of a row: `fields.record`, handed in, since records hold connections of records."""


class PageSizeOutOfRange(GotongError):
    """`first` or `last` is not between 1 and 100, or both are given."""

    code: ClassVar[str] = "PAGE_SIZE_OUT_OF_RANGE"


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows a connection asks for, as SQL, and what of them."""

    source: Source
    n: int
    order: Order
    backward: bool
    rows_max: int
    ranged: tuple[bool, bool]  # whether `after`, `before` were given
    where: str  # the filter: for counts
    where_hidden: str  # and for counts of what is hidden
    keyset: str  # and the place: for rows
    selected: Mapping[str, list[FieldNode]]
    type: GraphQLObjectType
    unverified: bool = False
    searches: bool = False  # for words
    suggestions: str = suggest.NOTHING  # SQL of a JSON list

    @property
    def shown_sql(self) -> str:
        """The FROM of what may be seen."""
        return visible(self.source, self.n, unverified=self.unverified)

    @property
    def order_sql(self) -> str:
        """The ORDER BY of the direction in which rows are fetched."""
        way = "desc" if self.order.descending != self.backward else "asc"
        return ", ".join(f"{fill(key.sql, {'t': f't{self.n}'})} {way}" for key in self.order.keys)

    @property
    def cursor_sql(self) -> str:
        """The plain text of a row's cursor, without its head."""
        return " || ',' || ".join(fill(key.text, {"t": f"t{self.n}"}) for key in self.order.keys)

    @property
    def cursor_head(self) -> str:
        """What every cursor begins with."""
        return cursor.head(self.source.type, self.order)


def page(
    build: Build,
    read: Many,
    declared: GraphQLField,
    nodes: list[FieldNode],
    outer: Scope | None,
    pinned: str | None = None,
) -> Page:
    """Return the page a connection field asks for; raises for sizes, cursors and filters that are wrong."""
    connection_type = get_named_type(declared.type)
    assert isinstance(connection_type, GraphQLObjectType)
    node_type = build.schema.type_map[class_name(read.node())]
    assert isinstance(node_type, GraphQLObjectType)
    source = source_of(node_type)
    n = build.statement.alias()
    now, later = build.arguments(declared, nodes[0])
    rows_max, backward = size(now)
    order = read.orders[now.get("orderBy") or read.default]
    names = aliases(source, n)
    if outer is not None:
        names |= {"outer": outer["t"], "outer_p": outer["p"]}
    where = [fill(clause, names) for clause in (read.on, read.fixed, pinned) if clause]
    filter_now = now.get("filter") or {}
    where.append(drills(source, n, asked=bool(filter_now.get("exercise"))))
    given = {}
    where_hidden = list(where)
    if "filter" in declared.args:
        filter_type = declared.args["filter"].type
        given = conditions(build, filter_type, filter_now, names, lambda asking: later(asking.variables)["filter"])
        where_hidden += (clause for name, clause in given.items() if name not in shown_only(filter_type))
    selected = build.fields(connection_type, [node.selection_set for node in nodes])
    suggestions = suggest.NOTHING
    if "text" in given and any(found[0].name.value == "suggestions" for found in selected.values()):
        words = build.bind("text[]", lambda asking: suggest.typed(later(asking.variables)["filter"]["text"]))
        rest = [*where, *(clause for name, clause in given.items() if name != "text")]
        suggestions = suggest.suggestions_sql(
            source, n, " and ".join([*where, *given.values()]), " and ".join(rest), words
        )
    where += given.values()
    keyset = [_beyond(build, source, order, n, name, now, later) for name in ("after", "before")]
    return Page(
        source=source,
        n=n,
        order=order,
        backward=backward,
        rows_max=rows_max,
        ranged=(bool(keyset[0]), bool(keyset[1])),
        where=" and ".join(where),
        where_hidden=" and ".join(where_hidden),
        keyset=" and ".join([*where, *filter(None, keyset)]),
        selected=selected,
        type=connection_type,
        unverified=bool(filter_now.get("unverifiedCritical")),
        searches="text" in given,
        suggestions=suggestions,
    )


def size(now: Mapping[str, Any]) -> tuple[int, bool]:
    """Return (rows of a page, whether they are the last ones); raises PageSizeOutOfRange."""
    first, last = now.get("first"), now.get("last")
    if first is not None and last is not None:
        raise PageSizeOutOfRange("Ask for `first` or for `last`, not for both.")
    rows = first if first is not None else last if last is not None else PAGE_ROWS_DEFAULT
    if not 1 <= rows <= PAGE_ROWS_MAX:
        raise PageSizeOutOfRange(f"A page has 1 to {PAGE_ROWS_MAX} rows, not {rows}.", size=rows)
    return rows, last is not None


def _beyond(
    build: Build,
    source: Source,
    order: Order,
    n: int,
    name: str,
    now: Mapping[str, Any],
    later: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> str:
    """Return the condition that `after` or `before` makes, "" when not given."""
    if now.get(name) is None:
        return ""
    cursor.decode(now[name], source.type, order)
    places = [
        build.bind(key.type, _key(name, position, source, order, later)) for position, key in enumerate(order.keys)
    ]
    sign = "<" if order.descending == (name == "after") else ">"
    keys = ", ".join(fill(key.sql, {"t": f"t{n}"}) for key in order.keys)
    return f"({keys}) {sign} ({', '.join(places)})"


def _key(
    name: str, position: int, source: Source, order: Order, later: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Callable[[Asking], Any]:
    return lambda asking: cursor.decode(later(asking.variables)[name], source.type, order)[position]


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a connection's object, by response key: its rows as JSON, or the fields of what it holds."""

    key: str
    name: str
    rows: Json | None = None
    inner: tuple[tuple[str, str], ...] = ()
    column: int = 0


ROWS = ("nodes", "edges")
COUNTS = ("totalCount", "totalAtLeast", "hiddenByTrust", "suggestions", "textPending")
TEXT_PENDING_MAX = 1_000
_TEXT_PENDING = unindexed(TEXT_PENDING_MAX)


def members_of(build: Build, record: RecordJson, page: Page, scope: Scope) -> list[Member]:
    """Return what is selected of a connection."""
    found = []
    for key, nodes in page.selected.items():
        name = nodes[0].name.value
        sets = [node.selection_set for node in nodes]
        with build.at(key, nodes):
            if name in ROWS:
                type_ = get_named_type(page.type.fields[name].type)
                assert isinstance(type_, GraphQLObjectType)
                row = record if name == "nodes" else partial(_edge, record=record, page=page)
                found.append(Member(key, name, row(build, type_, sets, scope)))
            elif name in ("pageInfo", "hiddenByTrust"):
                type_ = get_named_type(page.type.fields[name].type)
                assert isinstance(type_, GraphQLObjectType)
                inner = tuple((inner_key, x[0].name.value) for inner_key, x in build.fields(type_, sets).items())
                found.append(Member(key, name, None, inner))
            else:
                found.append(Member(key, name))
    return found


def _edge(build: Build, type_: GraphQLObjectType, sets: Sets, scope: Scope, *, record: RecordJson, page: Page) -> Json:
    pairs: list[tuple[str, Json]] = []
    for key, found in build.fields(type_, sets).items():
        name = found[0].name.value
        if name == "__typename":
            pairs.append((key, (quoted(type_.name),)))
        elif name == "cursor":
            pairs.append((key, ('"', Sql(cursor.encode_sql(f"{literal(page.cursor_head)} || {page.cursor_sql}")), '"')))
        else:
            node_type = get_named_type(type_.fields["node"].type)
            assert isinstance(node_type, GraphQLObjectType)
            with build.at(key, found):
                pairs.append((key, record(build, node_type, [node.selection_set for node in found], scope)))
    return members(pairs)


def selects(found: list[Member], *names: str) -> bool:
    """Return whether any of these fields is selected, of the connection itself or inside pageInfo."""
    return any(member.name in names or any(name in names for _, name in member.inner) for member in found)


def limit(page: Page, found: list[Member]) -> int:
    """Return how many rows to fetch: one more than the page only where somebody asks whether there are more."""
    return page.rows_max + (1 if selects(found, "hasPreviousPage" if page.backward else "hasNextPage") else 0)


def rows_sql(page: Page, found: list[Member], scope: Scope) -> str:
    """Return the SELECT of the page's rows: a column for each member that has rows, then the plain cursor if needed."""
    columns = [
        f"{render(member.rows)} as c{position}" for position, member in enumerate(found) if member.rows is not None
    ]
    if selects(found, "startCursor", "endCursor"):
        columns.append(f"{page.cursor_sql} as place")
    return (
        f"select {', '.join(columns) or '1 as c'} from {page.shown_sql} {scope.join_sql()} "
        f"where {page.keyset} order by {page.order_sql} limit {limit(page, found)}"
    )


def counts_sql(page: Page, found: list[Member]) -> str:
    """Return the SELECT of one row (total, hidden, critical, suggestions): what is told of the filter as a whole."""
    total = hidden_count = "0"
    froms = ""
    if selects(found, "totalCount", "totalAtLeast"):
        total = (
            f"(select count(*) from (select 1 from {page.shown_sql} where {page.where} "
            f"limit {TOTAL_COUNT_MAX + 1}) counted)"
        )
    critical = "0"
    if selects(found, "hiddenByTrust"):
        hidden_count, critical = "hid.count", "hid.critical"
        froms = f" from ({counted(rows(page.source, page.n, page.where_hidden, unverified=page.unverified))}) hid"
    told = {"total": total, "hidden": hidden_count, "critical": critical, "suggestions": page.suggestions}
    told["waiting"] = _TEXT_PENDING if selects(found, "textPending") else "0"
    return f"select {', '.join(f'{sql} as {name}' for name, sql in told.items())}{froms}"


def nested(
    build: Build, record: RecordJson, read: Many, declared: GraphQLField, nodes: list[FieldNode], outer: Scope
) -> Json:
    """Return the JSON of a connection inside a record, as one correlated subquery."""
    asked = page(build, read, declared, nodes, outer)
    scope = Scope.of(asked.source, asked.n)
    found = members_of(build, record, asked, scope)
    if [member.name for member in found] in (["nodes"], ["edges"]) and not asked.backward:
        rows = f"array_to_string(array({rows_sql(asked, found, scope)}), ',')"  # half the price of what follows
        return members([(found[0].key, ("[", Sql(rows), "]"))])
    way = "desc" if asked.backward else "asc"
    columns = [
        f"string_agg(c{i}, ',' order by i {way}) filter (where i <= {asked.rows_max}) as c{i}"
        for i, member in enumerate(found)
        if member.rows is not None
    ]
    columns.append("count(*) as fetched")
    if selects(found, "startCursor", "endCursor"):
        columns.append("array_agg(place order by i) as places")
    froms = [
        f"(select {', '.join(columns)} from (select y.*, row_number() over () as i from "
        f"({rows_sql(asked, found, scope)}) y) x) r"
    ]
    if selects(found, *COUNTS):
        froms.append(f"({counts_sql(asked, found)}) h")
    json = members([(member.key, _nested_member(asked, member, position)) for position, member in enumerate(found)])
    return (Sql(f"(select {render(json)} from {' cross join '.join(froms)})"),)


def _nested_member(page: Page, member: Member, position: int) -> Json:
    match member.name:
        case "nodes" | "edges":
            return ("[", Sql(f"coalesce(r.c{position}, '')"), "]")
        case "pageInfo":
            return members([(key, _nested_page_info(page, name)) for key, name in member.inner])
        case "totalCount":
            return (Sql(f"case when h.total > {TOTAL_COUNT_MAX} then 'null' else h.total::text end"),)
        case "suggestions":
            return (Sql("h.suggestions"),)
        case "textPending":
            return (Sql("h.waiting::text"),)
        case "totalAtLeast":
            return (Sql(f"least(h.total, {TOTAL_COUNT_MAX})::text"),)
        case "hiddenByTrust":
            return members([(key, _nested_hidden(name)) for key, name in member.inner])
    return (quoted(page.type.name),)


def _nested_page_info(page: Page, name: str) -> Json:
    more: Json = (Sql(f"(r.fetched > {page.rows_max})::text"),)
    after, before = (("true" if given else "false",) for given in page.ranged)
    match name:
        case "hasNextPage":
            return before if page.backward else more
        case "hasPreviousPage":
            return more if page.backward else after
        case "__typename":
            return (quoted("PageInfo"),)
    first = (name == "startCursor") != page.backward
    place = f"r.places[{'1' if first else f'least(r.fetched, {page.rows_max})'}]"
    encoded = cursor.encode_sql(f"{literal(page.cursor_head)} || {place}")
    return (Sql(f"""coalesce('"' || {encoded} || '"', 'null')"""),)


def _nested_hidden(name: str) -> Json:
    return (
        (quoted("HiddenByTrust"),)
        if name == "__typename"
        else (Sql(f"h.{'hidden' if name == 'count' else name}::text"),)
    )
