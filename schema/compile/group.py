"""Compile statistics: records counted and summed by what the reader asks to tell apart, in one statement.

Which dimensions are asked for is a parameter: the others are null in every row, so that one plan serves them all.
Amounts are summed within one unit or currency and never across. Nothing is cut off: an answer of too many groups is
refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type

from domain.errors import GotongError
from schema.compile import fields
from schema.compile.after import filled
from schema.compile.build import Asking, Build, Scope, class_name, source_of
from schema.compile.filters import conditions
from schema.compile.query import Query, text
from schema.compile.read import Dimension, Grouped
from schema.compile.text import fill, render
from schema.compile.visibility import drills, visible
from schema.compile.visibility import names as aliases

GROUPS_MAX = 10_000


class TooManyGroups(GotongError):
    """Statistics would have more than 10,000 groups, units and currencies told apart."""

    code: ClassVar[str] = "TOO_MANY_GROUPS"


class GroupingContradictory(GotongError):
    """Statistics are to tell one thing apart in two ways at once, such as regions on two levels."""

    code: ClassVar[str] = "GROUPING_CONTRADICTORY"


@dataclass(frozen=True, slots=True)
class Statistics:
    """A compiled root field of statistics: a row a group."""

    query: Query

    async def run(self, asking: Asking) -> bytes:
        """Return the list of groups; raises TooManyGroups."""
        rows = await self.query.rows(asking)
        if sum(parts for _, parts in rows) > GROUPS_MAX:
            raise TooManyGroups(
                f"More than {GROUPS_MAX} groups. Narrow the filter, or group by less.", groups_max=GROUPS_MAX
            )
        return await filled(f"[{','.join(text(json) for json, _ in rows)}]", self.query.holes, asking)


def compile_grouped(build: Build, read: Grouped, declared: GraphQLField, nodes: list[FieldNode]) -> Statistics:
    """Return a root field of statistics, compiled."""
    node_type, stat_type = build.schema.type_map[class_name(read.node())], get_named_type(declared.type)
    assert isinstance(node_type, GraphQLObjectType)
    assert isinstance(stat_type, GraphQLObjectType)
    source = source_of(node_type)
    n = build.statement.alias()
    names = aliases(source, n)
    now, later = build.arguments(declared, nodes[0])
    given = now.get("filter") or {}
    where = [drills(source, n, asked=bool(given.get("exercise")))]
    where += conditions(
        build, declared.args["filter"].type, given, names, lambda asking: later(asking.variables)["filter"]
    ).values()
    columns = _columns(build, read, names, lambda asking: later(asking.variables)["groupBy"])
    selected = build.fields(stat_type, [node.selection_set for node in nodes]).values()
    wanted = {found[0].name.value for found in selected}
    sums = {name: read.sums[name] for name in read.sums if name in wanted}
    json = render(fields.record(build, stat_type, [node.selection_set for node in nodes], Scope(source, "g", "p", {})))
    row = [f"{sql} as {name}" for name, sql in columns.items()]
    for name, (unit, value) in sums.items():
        row += [f"{fill(unit, names)} as {name}_unit", f"{fill(value, names)} as {name}"]
    seen = visible(source, n, unverified=bool(given.get("unverifiedCritical")))
    sql = (
        f"with fitting as (select {', '.join(row)} from {seen} where {' and '.join(where)}), "
        f"{_parts(list(columns), list(sums))}, {_groups(list(columns), list(sums))} "
        f"select {json}, g.parts from g order by {', '.join(columns)}"
    )
    return Statistics(Query(sql, build.statement.binders, build.statement.holes, uneven=True))


def _parts(columns: list[str], sums: list[str]) -> str:
    """Return the CTE of a row a group, and of a row a group and unit for each of `sums`, which `summed` names."""
    sets = [columns, *([*columns, f"{name}_unit"] for name in sums)]
    kinds = " ".join(f"when grouping({name}_unit) = 0 then '{name}'" for name in sums)
    row = [*columns, "count(*) as count", f"case {kinds} end as summed" if kinds else "null as summed"]
    for name in sums:
        row += [f"{name}_unit", f"sum({name}) as {name}"]
    grouped = ", ".join(f"({', '.join(each)})" for each in sets)
    return f"part as (select {', '.join(row)} from fitting group by grouping sets ({grouped}) limit {GROUPS_MAX + 1})"


def _groups(columns: list[str], sums: list[str]) -> str:
    """Return the CTE of a row a group, with an array of units and one of sums for each kind of amount."""
    row = [*columns, "sum(count) filter (where summed is null) as count", "count(*) as parts"]
    for name in sums:
        of = f"filter (where summed = '{name}' and {name} is not null)"
        row += [f"array_agg({what} order by {name}_unit) {of} as {name}_{as_}" for what, as_ in _arrays(name)]
    return f"g as (select {', '.join(row)} from part group by {', '.join(columns)})"


def _arrays(name: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (f"{name}_unit", "units"), (name, "sums")


def _columns(build: Build, read: Grouped, names: Mapping[str, str], asked: Callable[[Asking], Any]) -> dict[str, str]:
    """Return the SQL of each column groups are told apart by; null for those not asked for."""
    levels: dict[str, dict[str, Dimension]] = {}
    for dimension, each in read.dimensions.items():
        levels.setdefault(each.column, {})[dimension.name] = each

    def level(column: str) -> Callable[[Asking], int | None]:
        def get(asking: Asking) -> int | None:
            wanted = {dimension.name for dimension in asked(asking)} & levels[column].keys()
            if len(wanted) > 1:
                raise GroupingContradictory(f"Group by one of {', '.join(sorted(wanted))}.", argument="groupBy")
            return levels[column][wanted.pop()].level if wanted else None

        return get

    return {
        column: f"case when {(place := build.bind('int', level(column)))} is not null "
        f"then {fill(next(iter(each.values())).sql, {**names, 'level': place})} end"
        for column, each in levels.items()
    }
