"""`make bench-read`: load, assert that all answer alike, measure in turns, print and write the result."""

import argparse
import asyncio
import contextlib
import sys
from typing import Any

from bench import cluster
from bench.read import load, report
from bench.read.measure import Bench, Plan
from bench.read.questions import QUESTIONS, Draw, draws
from bench.read.servers import HERE, SERVERS, Postgres, serving
from bench.read.statements import Statements
from node.wiring import load_regions

PLANS = {
    "smoke": Plan(rounds=3, seconds=1, latency_rounds=1, warm_up_s=1),
    "full": Plan(rounds=5, seconds=3, latency_rounds=3, warm_up_s=3),
}
SIZES = {"smoke": load.SMOKE, "full": load.FULL}
PLAIN = """
create table peer.plain_search as select * from public.need_search;
alter table peer.plain_search add primary key (publisher_id, record_id);
create index on peer.plain_search using gin (document);
vacuum analyze peer.plain_search
"""


def main() -> None:
    """Measure at the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="smoke")
    parser.add_argument("--questions", default=",".join(QUESTIONS), help="some of them, for a quick look")
    given = parser.parse_args()
    with cluster.running() as dsn:
        asyncio.run(cluster.tune(dsn))  # holds from the next start on
    with cluster.running() as dsn:
        name, bench_dsn = asyncio.run(prepared(dsn, SIZES[given.size]))
        found = measured(name, bench_dsn, given.size, given.questions.split(","))
    report.show(found)
    say(f"written to {report.write('read', found)}")


async def prepared(dsn: str, size: load.Size) -> tuple[str, str]:
    """Return the name and the DSN of the loaded database, with what the peers need."""
    name = load.name_of(size)
    say(f"loading {size.needs} needs, unless they are there")
    await cluster.drop_others(dsn, f"{cluster.PREFIX}{size.name}_", keep=name)
    keys = cluster.directory() / name / "keys"
    bench_dsn, _ = await cluster.database(dsn, name, lambda empty: load.load(empty, size, keys))
    async with cluster.connected(bench_dsn) as connection:
        await connection.execute((HERE / "peers" / "peers.sql").read_text())
        if not await connection.fetchval("select to_regclass('peer.plain_search') is not null"):
            for statement in PLAIN.split(";"):
                await connection.execute(statement)
        async for table, rows, size_bytes in load.sizes(connection):
            say(f"{table}: {rows} rows, {size_bytes / 2**20:.0f} MiB")
        await connection.execute("checkpoint")
    return name, bench_dsn


def measured(name: str, dsn: str, size: str, wanted: list[str]) -> dict[str, Any]:
    """Return the results of all servers, started for it and stopped afterwards."""
    data_dir = cluster.directory() / name
    drawn = asyncio.run(_drawn(dsn))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(server, dsn, data_dir)) for server in SERVERS]
        bench = Bench(servers, dsn, Postgres(dsn), Statements(load_regions()))
        found = {}
        for question in wanted:
            bench.assert_equal(question, drawn[question])
            say(f"{question}: {QUESTIONS[question]}; all answer the same")
            found[question] = bench.question(question, drawn[question], PLANS[size])
        return report.results(size, found, {server.name: server.rss_mb() for server in servers})


async def _drawn(dsn: str) -> dict[str, list[Draw]]:
    async with cluster.connected(dsn) as connection:
        return await draws(connection)


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    sys.stderr.write(f"bench-read: {text}\n")


if __name__ == "__main__":
    main()
