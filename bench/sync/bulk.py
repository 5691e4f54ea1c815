"""Verify and apply a long log from a peer, beside a bare COPY of the rows that came of it."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil

from bench.read.servers import Postgres
from bench.sync import nodes, source
from bench.sync.nodes import Place, Running
from federation.identity.create import Place as DidPlace
from federation.lifecycle.enroll import start_node
from node.wiring import now
from store.database import connect
from store.migrate import migrate

PARENTS = ("peer", "participant", "log")
TABLES = ("entry", "payload", "tile_hash", "need", "outbox", "event")
"""What applying a log of needs writes, but for its head. Text that it indexes meanwhile is not compared with."""


@dataclass(frozen=True, slots=True)
class Synced:
    """One sync of a whole log: how long, and the processor time of the puller, of the peer and of PostgreSQL."""

    seconds: float
    puller_cpu_s: float
    peer_cpu_s: float
    postgres_cpu_s: float
    rss_mb: float
    indexed: int


async def begin(place: Place, slug: str) -> None:
    """Make the place's node."""
    async with place.opened() as node:
        await start_node(
            node.database,
            node.keys,
            place=DidPlace(place.did_host, None, slug),
            base_url=place.url,
            network="test",
            seed=place.name.encode().ljust(32),
            now=now(),
        )


async def fill(place: Place, needs: int) -> str:
    """Give the place's node a guest with a log of so many needs and return the log's origin."""
    async with place.opened() as node:
        guest = await source.new_log(node.database, node.keys, place.did_host, "lumbung", now())
        await source.extend(node.database, node.keys, guest.origin, source.bodies(needs), now())
    return guest.origin


async def measure(dsn: str, directory: Path, needs: int, rounds: int) -> dict[str, Any]:
    """Return the medians of interleaved rounds."""
    peer = await nodes.place(dsn, directory, "peer")
    await begin(peer, "pengurus")
    await fill(peer, needs)
    postgres = Postgres(dsn)
    syncs: list[Synced] = []
    copies: list[float] = []
    async with nodes.running(peer) as serving:
        for number in range(rounds):
            puller = await nodes.place(dsn, directory, f"puller{number}")
            await begin(puller, "pengurus")
            await puller.add_peer(peer.url)
            syncs.append(await sync(puller, serving, postgres, needs))
            copies.append(await copy(puller, await nodes.place(dsn, directory, f"copy{number}"), postgres))
    copy_s, sync_s = statistics.median(copies), statistics.median(each.seconds for each in syncs)
    return {
        "records": needs,
        "rounds": rounds,
        "records_per_s": round(needs / sync_s),
        "copy_per_s": round(needs / copy_s),
        "share_of_copy": round(copy_s / sync_s, 3),
        "shares_of_copy": [round(one / each.seconds, 3) for one, each in zip(copies, syncs, strict=True)],
        "cpu_us_per_record": {
            part: round(statistics.median(getattr(each, f"{part}_cpu_s") for each in syncs) / needs * 1e6, 1)
            for part in ("puller", "peer", "postgres")
        },
        "indexed_beside": min(each.indexed for each in syncs),
        "puller_rss_mb": round(max(each.rss_mb for each in syncs), 1),
    }


async def sync(puller: Place, peer: Running, postgres: Postgres, needs: int) -> Synced:
    """Return what one exchange cost that brought everything."""
    await _checkpoint(puller.dsn)
    before = peer.cpu_s(), postgres.cpu_s()
    told = await asyncio.to_thread(_run_puller, puller, peer.place.url)
    if told["refused"] or told["records"] != needs:
        raise SystemExit(f"the sync went wrong: {told}")
    return Synced(
        told["seconds"],
        told["cpu_s"],
        peer.cpu_s() - before[0],
        postgres.cpu_s() - before[1],
        told["rss_mb"],
        await _indexed(puller.dsn),
    )


async def _indexed(dsn: str) -> int:
    """Return how many records were indexed when the sync was over."""
    connection = await connect(dsn, statement_timeout_s=None)
    try:
        return int(await connection.fetchval("select indexed_seq from text_progress"))
    finally:
        await connection.close()


def _run_puller(puller: Place, url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.sync.puller", str(puller.settings.data_dir), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the puller failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def copy(filled: Place, empty: Place, _postgres: Postgres) -> float:
    """Return the seconds that COPY alone takes to write the rows of a filled node into an empty node's tables."""
    await migrate(empty.dsn)
    rows = await _binary_rows(filled.dsn, (*PARENTS, *TABLES))
    target = await connect(empty.dsn, statement_timeout_s=None)
    try:
        for table in PARENTS:
            await _copy_in(target, table, rows[table])
        await target.execute("checkpoint")
        begun_s = time.perf_counter()
        for table in TABLES:
            await _copy_in(target, table, rows[table])
        return time.perf_counter() - begun_s
    finally:
        await target.close()


async def _checkpoint(dsn: str) -> None:
    """Write what is waiting, so that both sides begin alike."""
    connection = await connect(dsn, statement_timeout_s=None)
    await connection.execute("checkpoint")
    await connection.close()


async def _binary_rows(dsn: str, tables: Sequence[str]) -> dict[str, bytes]:
    """Return the rows of these tables as COPY writes them, so that no client's encoding slows the bare COPY down."""
    found: dict[str, bytes] = {}
    connection = await connect(dsn, statement_timeout_s=None)
    try:
        for table in tables:
            to = BytesIO()
            await connection.copy_from_table(table, output=to, format="binary")
            found[table] = to.getvalue()
    finally:
        await connection.close()
    return found


async def _copy_in(connection: Any, table: str, rows: bytes) -> None:
    await connection.copy_to_table(table, source=BytesIO(rows), format="binary")


def own_rss_mb() -> float:
    """Return the resident memory of this process."""
    return float(psutil.Process().memory_info().rss) / 2**20
