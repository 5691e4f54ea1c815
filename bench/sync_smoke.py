"""Measure a sync of needs into an empty node against a bare COPY of the same rows into the same tables.

    .venv/bin/python -m bench.sync_smoke [--needs 10000] [--rounds 3] [--profile]

Both run in one go, interleaved, on one server with durable commits, because only ratios taken in one run mean
anything. The peer is a process of its own behind a real socket. Prints a table and writes bench/results/sync.json.
"""

import argparse
import asyncio
import contextlib
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from api.callers import Callers
from api.federation import FederationEdge
from api.peer_budget import Allowance, PeerBudgets, PeerRates
from federation.addresses import TEST
from federation.announce import HeadFeed
from federation.client import PeerClient
from federation.requests import Requests
from federation.sync import Syncer
from federation.trust import add_peer
from node.wiring import now
from store.database import Connection, Database, connect
from store.embedded import EmbeddedServer
from store.migrate import migrate
from store.peers import PeerRow
from store.wake import Wake
from tests.dsn import dsn_of
from tests.nodes import TestNode, need_draft, start_test_node

RESULT = Path(__file__).parent / "results" / "sync.json"
PARENTS = ("participant", "log")
TABLES = ("entry", "payload", "need", "outbox")
DRAFTS_PER_APPEND = 1_000
RATES = PeerRates(Allowance(10_000, 2**40), Allowance(10_000, 2**40))


async def new_database(server_dsn: str) -> str:
    """Return the DSN of a new migrated database."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    admin = await connect(server_dsn, statement_timeout_s=None)
    await admin.execute(f'create database "{name}" template template0')
    await admin.close()
    dsn = dsn_of(server_dsn, name)
    await migrate(dsn)
    return dsn


async def start(dsn: str, directory: Path, host: str) -> TestNode:
    """Return a node begun in an empty database, its pool open."""
    database = Database(dsn, statement_timeout_s=120)
    await database.open()
    return await start_test_node(database, directory, now, host=host)  # type: ignore[arg-type]


async def publish(node: TestNode, count: int) -> float:
    """Append needs to one log and return the seconds it took."""
    guest = await node.participant("ojol", host="a.gotong.test")
    begun_s = time.perf_counter()
    for start_at in range(0, count, DRAFTS_PER_APPEND):
        stop = min(count, start_at + DRAFTS_PER_APPEND)
        drafts = [need_draft(f"Beras untuk dapur umum nomor {number}") for number in range(start_at, stop)]
        await node.appender.append(guest.scid, drafts)
    return time.perf_counter() - begun_s


async def copy_seconds(source: Database, dsn: str) -> float:
    """Return the seconds that COPY alone takes to write the source's rows into the same tables of an empty database."""
    rows: dict[str, tuple[list[str], list[Any]]] = {}
    async with source.acquire() as connection:
        for table in (*PARENTS, *TABLES):
            found = await connection.fetch(f"select * from {table}")
            columns = [name for name in found[0].keys() if (table, name) != ("outbox", "id")]  # noqa: SIM118
            rows[table] = columns, [tuple(row[name] for name in columns) for row in found]
    target = await connect(dsn, statement_timeout_s=None)
    try:
        for table in PARENTS:
            await target.copy_records_to_table(table, columns=rows[table][0], records=rows[table][1])
        await target.execute("checkpoint")
        begun_s = time.perf_counter()
        for table in TABLES:
            await target.copy_records_to_table(table, columns=rows[table][0], records=rows[table][1])
        return time.perf_counter() - begun_s
    finally:
        await target.close()


async def sync_seconds(dsn: str, url: str, directory: Path, needs: int) -> float:
    """Return the seconds that an empty node takes to pull, verify and project everything."""
    node = await start(dsn, directory, f"{directory.name}.gotong.test")

    async def own_connection() -> Connection:
        return await connect(dsn)

    def client(peer: PeerRow) -> PeerClient:
        return PeerClient(peer.url, reach=TEST)

    syncer = Syncer(node.database, client, "test", now, own_connection, lambda: 0.5)
    await add_peer(node.database, url, trust="allowed", actor="bench")
    await mark_allowed(node.database)
    begun_s = time.perf_counter()
    done = await syncer.once(url)
    taken_s = time.perf_counter() - begun_s
    if done.refused or done.records != needs:
        raise SystemExit(f"the sync went wrong: {done}")
    await syncer.close()
    await node.database.close()
    return taken_s


async def mark_allowed(database: Database) -> None:
    """Write what is waiting, so that both sides begin alike."""
    async with database.acquire() as connection:
        await connection.execute("checkpoint")


@contextlib.contextmanager
def serving(dsn: str) -> Any:
    """Yield the URL of a process that serves the federation's routes over this database."""
    program = [sys.executable, "-m", "bench.sync_smoke", "--serve", dsn]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def serve(dsn: str) -> None:
    """Serve until terminated; print the URL first."""
    import socket

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with Database(dsn) as database:
            feed = HeadFeed(database, Wake(lambda: connect(dsn)))
            callers = Callers(Requests(database, ["127.0.0.1"], now), PeerBudgets(RATES))
            app.router.routes.extend(FederationEdge(database, "test", feed, now, asyncio.Event(), callers).routes())
            yield

    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(Starlette(lifespan=lifespan), log_level="error")).run(sockets=[listening])


async def measure(server_dsn: str, directory: Path, needs: int, rounds: int) -> dict[str, Any]:
    """Return the medians of interleaved rounds."""
    source_dsn = await new_database(server_dsn)
    source = await start(source_dsn, directory / "a", "a.gotong.test")
    append_s = await publish(source, needs)
    copies: list[float] = []
    syncs: list[float] = []
    with serving(source_dsn) as url:
        for number in range(rounds):
            copies.append(await copy_seconds(source.database, await new_database(server_dsn)))
            syncs.append(await sync_seconds(await new_database(server_dsn), url, directory / f"b{number}", needs))
    await source.database.close()
    copy_s, sync_s = statistics.median(copies), statistics.median(syncs)
    return {
        "needs": needs,
        "rounds": rounds,
        "cpus": os.cpu_count(),
        "append_per_s": round(needs / append_s),
        "sync_per_s": round(needs / sync_s),
        "copy_per_s": round(needs / copy_s),
        "sync_share_of_copy": round(copy_s / sync_s, 3),
        "append_share_of_copy": round(copy_s / append_s, 3),
    }


def main() -> None:
    """Run the benchmark, or serve as its peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--needs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print where this process spends its time")
    parser.add_argument("--serve", metavar="DSN", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="gotong-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        server = EmbeddedServer(directory / "db")
        profile = cProfile.Profile()
        try:
            dsn = server.start()
            if given.profile:
                profile.enable()
            result = asyncio.run(measure(dsn, directory, given.needs, given.rounds))
            profile.disable()
        finally:
            server.stop()
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    for key, value in result.items():
        sys.stdout.write(f"{key:<24} {value:>12}\n")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
