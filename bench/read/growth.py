"""`make bench-growth`: what a page costs at ten thousand needs and at many more; the first page and one halfway down.

Gotong's own statements, prepared once as the server does it, executed one after the other on an idle connection.
Only values with full pages at both sizes are asked for, so that as many rows are compared.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import cluster
from bench.read import load, report
from bench.read.statements import Statement, Statements, literal
from node.wiring import load_regions
from schema.compile.cursor import encode, head
from schema.compile.read import Order
from schema.compile.text import fill
from schema.needs.types import ORDERS, NeedOrder
from store.database import Connection

SMALL = load.Size("growth", 10_000, 1_000, updated_share=0, searched=False)
SIZES = {
    "smoke": load.SMOKE,
    "full": load.FULL,
    "huge": load.Size("huge", 10_000_000, 1_000, updated_share=0, searched=False, copies=50),
}
PAGE_ROWS = 10
VALUES = 8
SAMPLES = 400
OPEN = "t.state = 'OPEN'"


@dataclass(frozen=True, slots=True)
class Case:
    """A question: its order, the filter in GraphQL and in SQL, and where its values come from, best filled first."""

    name: str
    order: NeedOrder
    filter: str
    where: str
    values: str | None = None


def _most(column: str, more: str = "true") -> str:
    return (
        f"select {column} from need t join participant p on p.id = t.publisher_id where {OPEN} and {more} "
        f"group by 1 having count(*) >= {3 * PAGE_ROWS} order by count(*) desc, 1 limit {VALUES}"
    )


CASES = (
    Case(
        "open by category, newest received", NeedOrder.RECEIVED, "{categories: [$value], states: [OPEN]}",
        f"{OPEN} and t.category = $1", _most("t.category", "t.category like '%.%'"),
    ),
    Case(
        "open by regency, most urgent", NeedOrder.URGENCY, "{region: $value, states: [OPEN]}",
        f"{OPEN} and t.region_path[2] = $1", _most("t.region_path[2]"),
    ),
    Case(
        "open by province, most urgent", NeedOrder.URGENCY, "{region: $value, states: [OPEN]}",
        f"{OPEN} and t.region_path[1] = $1", _most("t.region_path[1]"),
    ),
    Case(
        "open by regency, newest received", NeedOrder.RECEIVED, "{region: $value, states: [OPEN]}",
        f"{OPEN} and t.region_path[2] = $1", _most("t.region_path[2]"),
    ),
    Case(
        "by publisher, newest received", NeedOrder.RECEIVED, "{publishers: [$value]}",
        "'gotong:' || p.scid = $1", _most("'gotong:' || p.scid"),
    ),
    Case("open, soonest needed", NeedOrder.NEEDED_BY, "{states: [OPEN]}", OPEN),
    Case("all, soonest needed", NeedOrder.NEEDED_BY, "{}", "true"),
    Case("all, newest received", NeedOrder.RECEIVED, "{}", "true"),
)  # fmt: skip


def main() -> None:
    """Measure at the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="smoke")
    size = SIZES[parser.parse_args().size]
    with cluster.running() as dsn:
        asyncio.run(cluster.tune(dsn))
    with cluster.running() as dsn:
        found = asyncio.run(run(dsn, size))
    show(found)
    sys.stderr.write(f"bench-growth: written to {report.write('growth', found)}\n")


async def run(dsn: str, size: load.Size) -> dict[str, Any]:
    """Return times and ratios; writes the plans at the large size beside the results."""
    small_dsn, large_dsn = await _database(dsn, SMALL), await _database(dsn, size)
    statements = Statements(load_regions())
    cases: dict[str, Any] = {}
    plans: list[str] = []
    async with cluster.connected(small_dsn) as small, cluster.connected(large_dsn) as large:
        for case in CASES:
            values = [row[0] for row in await small.fetch(case.values)] if case.values else [None]
            for depth in ("first", "deep"):
                asked = {
                    connection: [await _statement(connection, statements, case, value, depth) for value in values]
                    for connection in (small, large)
                }
                times = await _medians_us(asked)
                cases[f"{case.name}, {depth} page"] = {
                    "small_us": round(times[small]),
                    "large_us": round(times[large]),
                    "ratio": round(times[large] / times[small], 2),
                    "values": len(values),
                }
                for connection, name in ((small, "small"), (large, "large")):
                    texts = [await _full(connection, statement) for statement in asked[connection]]
                    plans.append(f"{case.name}, {depth} page, {name}\n{texts[0]}\n")
    report.RESULTS.mkdir(exist_ok=True)
    (report.RESULTS / "growth-plans.txt").write_text("\n".join(plans))
    return {"small": SMALL.needs, "large": size.needs, "cases": cases}


async def _database(dsn: str, size: load.Size) -> str:
    name = load.name_of(size)
    await cluster.drop_others(dsn, f"{cluster.PREFIX}{size.name}_", keep=name)
    keys = cluster.directory() / name / "keys"
    return (await cluster.database(dsn, name, lambda empty: load.load(empty, size, keys)))[0]


async def _statement(
    connection: Connection, statements: Statements, case: Case, value: str | None, depth: str
) -> Statement:
    variables: dict[str, Any] = {} if value is None else {"value": value}
    declared = "" if value is None else "$value: String!, "
    declared = declared.replace("String", "ID") if "publishers" in case.filter else declared
    if depth == "deep":
        variables["after"] = await _halfway(connection, case, value)
    document = (
        f"query ({declared}$after: String) {{ needs(filter: {case.filter}, orderBy: {case.order.name}, "
        f"first: {PAGE_ROWS}, after: $after) {{ nodes {{ id title urgency neededBy publisher {{ id name }} }} }} }}"
    )
    return statements.of(document, variables)


async def _halfway(connection: Connection, case: Case, value: str | None) -> str:
    """Return the cursor of the row in the middle of what the filter lets through."""
    order: Order = ORDERS[case.order]
    names = {"t": "t", "p": "p"}
    plain = " || ',' || ".join(fill(key.text, names) for key in order.keys)
    sorted_by = ", ".join(f"{fill(key.sql, names)} {'desc' if order.descending else 'asc'}" for key in order.keys)
    source = f"from need t join participant p on p.id = t.publisher_id where {case.where}"
    values = [] if value is None else [value]
    count = await connection.fetchval(f"select count(*) {source}", *values)
    place = await connection.fetchval(
        f"select {plain} {source} order by {sorted_by} offset {count // 2} limit 1", *values
    )
    return encode(head("need", order) + place)


async def _medians_us(asked: Mapping[Connection, Sequence[Statement]]) -> dict[Connection, float]:
    """Return the median of each connection's statements; they take turns, so that a slow moment hits both.

    By PostgreSQL's own clock: which core a connection's process happens to wake on costs more than the statement.
    """
    times: dict[Connection, list[float]] = {connection: [] for connection in asked}
    for connection, statements in asked.items():
        await connection.execute(f"prepare asked as {statements[0].sql}")
    for repeat in range(SAMPLES // min(map(len, asked.values())) + 1):
        for each in zip(*asked.values(), strict=True):
            for connection, statement in zip(asked, each, strict=True):
                lines = await _explained(connection, statement, "analyze, timing off, buffers off")
                if repeat:
                    times[connection].append(float(lines[-1].split()[-2]) * 1000)
    for connection in asked:
        await connection.execute("deallocate asked")
    return {connection: statistics.median(found) for connection, found in times.items()}


async def _full(connection: Connection, statement: Statement) -> str:
    """Return the statement's plan with everything that happened, raise RuntimeError where its page is not full."""
    rows = await connection.fetch(statement.sql, *statement.values)
    if len(rows) < PAGE_ROWS:
        raise RuntimeError(f"a page of {len(rows)} rows: {statement.values}")
    await connection.execute(f"prepare asked as {statement.sql}")
    lines = await _explained(connection, statement, "analyze, buffers")
    await connection.execute("deallocate asked")
    return "\n".join(lines)


async def _explained(connection: Connection, statement: Statement, options: str) -> list[str]:
    values = ", ".join(map(literal, statement.values))
    rows = await connection.fetch(f"explain ({options}) execute asked{f'({values})' if values else ''}")
    return [row[0] for row in rows]


def show(found: Mapping[str, Any]) -> None:
    """Print the table."""
    table = Table(title=f"A page of {PAGE_ROWS} at {found['small']:,} and at {found['large']:,} needs")
    for column in ("question", "small us", "large us", "ratio"):
        table.add_column(column, justify="left" if column == "question" else "right")
    for name, case in found["cases"].items():
        table.add_row(name, str(case["small_us"]), str(case["large_us"]), f"{case['ratio']:.2f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
