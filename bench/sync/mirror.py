"""A whole node mirrors a long log: its memory, its pace with everything a node does besides, and how far text lags."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from bench.sync import nodes
from bench.sync.bulk import begin, fill
from bench.sync.nodes import Place, Running
from store.database import Connection, connect

LOOK_S = 0.25
MIRRORED_TIMEOUT_S = 3_600.0
_STATE = """
    select (select coalesce(max(size), 0) from log where origin = $1) as entries,
           (select max(seq) from event) - indexed_seq + (select count(*) from outbox) as waiting
    from text_progress
"""


async def measure(dsn: str, directory: Path, entries: int) -> dict[str, Any]:
    """Return what it took a fresh node, `gotong up`, to mirror a log of so many entries."""
    peer = await nodes.place(dsn, directory, "source")
    mirror = await nodes.place(dsn, directory, "mirror")
    await begin(peer, "pengurus")
    await begin(mirror, "pengurus")
    begun_s = time.perf_counter()
    origin = await fill(peer, entries)
    filled_s = time.perf_counter() - begun_s
    async with nodes.running(peer) as serving, nodes.running(mirror) as node:
        await mirror.add_peer(peer.url)
        watched = await _watch(node, origin, entries + 1)
        return {
            "mirrored": entries,
            "source_made_s": round(filled_s, 1),
            **watched,
            "peer_rss_mb": round(serving.rss_mb(), 1),
            "tile_ms": round(await _tile_ms(mirror, origin, entries), 2),
        }


async def _watch(node: Running, origin: str, size: int) -> dict[str, Any]:
    """Return how it went, looked at from outside until the log is here and all its text is indexed."""
    connection = await connect(node.place.dsn, statement_timeout_s=None)
    begun_s, here_s, peak_mb = time.perf_counter(), 0.0, 0.0
    try:
        while time.perf_counter() - begun_s < MIRRORED_TIMEOUT_S:
            await asyncio.sleep(LOOK_S)
            peak_mb = max(peak_mb, node.rss_mb())
            state = await connection.fetchrow(_STATE, origin)
            assert state is not None
            if state["entries"] >= size and not here_s:
                here_s = time.perf_counter() - begun_s
            if here_s and not state["waiting"]:
                found_s = time.perf_counter() - begun_s
                return {
                    "mirror_s": round(here_s, 1),
                    "mirror_per_s": round(size / here_s),
                    "text_lag_s": round(found_s - here_s, 1),
                    "memory_mb": round(peak_mb, 1),
                    "rows": await _rows(connection),
                }
    finally:
        await connection.close()
    raise SystemExit("the log was not mirrored in time")


async def _rows(connection: Connection) -> dict[str, int]:
    return {table: await connection.fetchval(f"select count(*) from {table}") for table in ("need", "need_search")}


async def _tile_ms(node: Place, origin: str, size: int) -> float:
    """Return the milliseconds that the last full tile of the mirrored log takes to be served."""
    tile = size // 256 - 1
    path = f"{tile // 1000:03d}"
    url = f"{node.url}/federation/v1/log/{origin.removeprefix('gotong/')}/tile/0/"
    url += f"x{path}/{tile % 1000:03d}" if tile >= 1000 else f"{tile:03d}"
    async with httpx.AsyncClient(trust_env=False) as client:
        begun_s = time.perf_counter()
        (await client.get(url)).raise_for_status()
        return (time.perf_counter() - begun_s) * 1000
