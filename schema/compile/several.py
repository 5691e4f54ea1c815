"""Compile the root fields that find many records at once, of any type, by their names: one statement for all.

`nodes` is refused whole when one of its ids is none. `_entities` is asked by a gateway on behalf of many
fields at once, so what is wrong with one representation is told at its place and the others are answered.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphql import FieldNode, GraphQLField, GraphQLObjectType

from domain.errors import GotongError
from domain.ids import RecordUri, parse_uri
from schema.common.scalars import Representation
from schema.compile import fields
from schema.compile.after import filled
from schema.compile.arguments import Variables
from schema.compile.build import Asking, Build, Scope, source_of
from schema.compile.query import Partly, Query, text
from schema.compile.select import Sets
from schema.compile.text import render
from schema.compile.visibility import visible

IDS_MAX = 100
REPRESENTATIONS_MAX = 500
COLUMNS = 3  # of what is asked for: SCIDs, record ids, places

Wanted = Sequence[RecordUri | GotongError]


class TooManyIds(GotongError):
    """More ids were asked for at once than a node answers."""

    code: ClassVar[str] = "TOO_MANY_IDS"


class RepresentationInvalid(GotongError):
    """What a gateway sent does not name a record: its `__typename` or its `id` is missing or of another type."""

    code: ClassVar[str] = "REPRESENTATION_INVALID"


@dataclass(frozen=True, slots=True)
class Several:
    """Records by their URIs, in the order asked for, null where there is none to be seen."""

    wanted: Callable[[Variables], Wanted]
    kinds: Sequence[str | None]
    query: Query

    async def run(self, asking: Asking) -> bytes:
        """Return the list; raises Partly when some of what is wanted is refused."""
        wanted = self.wanted(asking.variables)
        found = ["null"] * len(wanted)
        for place, json in await self.query.rows(asking, *self._columns(wanted)):
            found[place] = text(json)
        answer = await filled(f"[{','.join(found)}]", self.query.holes, asking)
        refused = {place: each for place, each in enumerate(wanted) if isinstance(each, GotongError)}
        if refused:
            raise Partly(answer, refused)
        return answer

    def _columns(self, wanted: Wanted) -> Iterable[list[Any]]:
        """Return the last parameters: of each type the SCIDs, the record ids and the places wanted."""
        places: dict[str | None, list[int]] = {kind: [] for kind in self.kinds}
        scids: dict[str | None, list[str]] = {kind: [] for kind in self.kinds}
        ids: dict[str | None, list[Any]] = {kind: [] for kind in self.kinds}
        for place, uri in enumerate(wanted):
            if isinstance(uri, RecordUri) and uri.type in places:
                places[uri.type].append(place)
                scids[uri.type].append(uri.scid)
                ids[uri.type].append(uri.id)
        return [column for kind in self.kinds for column in (scids[kind], ids[kind], places[kind])]


def nodes_by_ids(build: Build, declared: GraphQLField, nodes: list[FieldNode]) -> Several:
    """Return `nodes(ids)`, compiled."""
    _, later = build.arguments(declared, nodes[0])

    def wanted(variables: Variables) -> Wanted:
        ids = later(variables)["ids"]
        if len(ids) > IDS_MAX:
            raise TooManyIds(f"At most {IDS_MAX} ids at once.", count=len(ids), ids_max=IDS_MAX)
        return [parse_uri(id_) for id_ in ids]

    return _several(build, declared, nodes, wanted)


def entities(build: Build, declared: GraphQLField, nodes: list[FieldNode]) -> Several:
    """Return Apollo Federation's `_entities(representations)`, compiled."""
    _, later = build.arguments(declared, nodes[0])
    kinds = {type_.name: kind_of(type_) for type_ in fields.record_types(build, declared)}

    def wanted(variables: Variables) -> Wanted:
        asked = later(variables)["representations"]
        if len(asked) > REPRESENTATIONS_MAX:
            raise TooManyIds(
                f"At most {REPRESENTATIONS_MAX} representations at once.",
                count=len(asked),
                representations_max=REPRESENTATIONS_MAX,
            )
        return [_named(each, kinds) for each in asked]

    return _several(build, declared, nodes, wanted)


def _named(asked: Representation, kinds: dict[str, str | None]) -> RecordUri | GotongError:
    """Return the record a representation names, or why it names none."""
    if not isinstance(asked.typename, str) or asked.typename not in kinds:
        return RepresentationInvalid("`__typename` is none of the types with a key.", typename=_told(asked.typename))
    if not isinstance(asked.id, str):
        return RepresentationInvalid("`id` is the record's URI, as text.", typename=asked.typename)
    try:
        uri = parse_uri(asked.id)
    except GotongError as error:
        return error
    if uri.type != kinds[asked.typename]:
        return RepresentationInvalid(f"The id is not that of a {asked.typename}.", typename=asked.typename, id=asked.id)
    return uri


def _told(typename: Any) -> str | None:
    return typename[:64] if isinstance(typename, str) else None


def kind_of(type_: GraphQLObjectType) -> str | None:
    """Return the type inside the URIs of a record type; None: its URI is its publisher's."""
    source = source_of(type_)
    return None if source.table == "organization" else source.type


def by_ids_sql(build: Build, type_: GraphQLObjectType, sets: Sets) -> Callable[[int], str]:
    """Return the SELECT of (place, JSON) of a type's records by columns of SCIDs, record ids and places.

    These are the parameters from the one given on, which can only be said when all others are bound.
    """
    source, n = source_of(type_), build.statement.alias()
    scope = Scope.of(source, n)
    json = render(fields.record(build, type_, sets, scope))
    same = f"{scope['p']}.scid = asked.scid" + ("" if kind_of(type_) is None else f" and t{n}.record_id = asked.id")

    def sql(parameter: int) -> str:
        columns = f"${parameter}::text[], ${parameter + 1}::uuid[], ${parameter + 2}::int[]"
        return (
            f"select asked.place, {json} as json from {visible(source, n)} {scope.join_sql()} "
            f"join unnest({columns}) as asked(scid, id, place) on {same}"
        )

    return sql


def _several(
    build: Build, declared: GraphQLField, nodes: list[FieldNode], wanted: Callable[[Variables], Wanted]
) -> Several:
    types = fields.record_types(build, declared)
    sets = [node.selection_set for node in nodes]
    selects = [by_ids_sql(build, type_, sets) for type_ in types]
    first = len(build.statement.binders) + 1
    sql = " union all ".join(select(first + COLUMNS * place) for place, select in enumerate(selects))
    return Several(
        wanted, [kind_of(type_) for type_ in types], Query(sql, build.statement.binders, build.statement.holes)
    )
