"""A new log after a theft: how long the switch takes, at home and at a mirror, and whom it holds up meanwhile.

Both are whole nodes, `gotong up`, and go on answering and publishing for others; the thief's entries are the last ones.
"""

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.sync import nodes, source
from bench.sync.bulk import begin
from bench.sync.nodes import Place
from federation.identity.cards import split
from federation.projection.project import arrival_of, project
from federation.publish.append import Draft
from federation.publish.prepare import Parts
from node.identity import introduction
from node.wiring import now
from store import logs
from store.database import Connection, connect

STOLEN_ENTRIES = 20
PAGE_ENTRIES = 1_024
LOOK_S = 0.1
QUIET_S = 5.0
TIMEOUT_S = 7_200.0
QUESTION = {"query": "{ needs(first: 20) { nodes { id title } } }"}
_SEED_NAME = "lumbung"
_RUNNING = """
    select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0) from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
"""
_WAITING = "select count(*) from pg_locks where not granted"
_SHOWN = "select is_projected from log where origin = $1"


@dataclass
class Watched:
    """What others felt while it happened, on one node."""

    questions_ms: list[float] = field(default_factory=list)
    published_ms: list[float] = field(default_factory=list)
    longest_transaction_s: float = 0.0
    waits_seen: int = 0

    def told(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "question_ms": _spread(self.questions_ms),
            "publish_ms": _spread(self.published_ms),
            "longest_transaction_s": round(self.longest_transaction_s, 1),
            "lock_waits_seen": self.waits_seen,
        }


async def measure(dsn: str, directory: Path, entries: int) -> dict[str, Any]:
    """Return what the switch cost at home and at a mirror."""
    home = await nodes.place(dsn, directory, "home")
    mirror = await nodes.place(dsn, directory, "mirror")
    for place in (home, mirror):
        await begin(place, "pengurus")
    origin, size = await _fill(home, entries)
    await _project(home, origin)
    next_origin = f"{origin.removesuffix('/0')}/1"
    async with nodes.running(home), nodes.running(mirror) as mirroring:
        await mirror.add_peer(home.url)
        await _until(mirror, lambda each: _size_is(each, origin, size))
        before = [await _quiet(home), await _quiet(mirror)]
        async with _watched(home) as felt:
            recovered = await _recover(home, directory, size - STOLEN_ENTRIES)
        peak_mb = [mirroring.rss_mb()]
        begun_s = time.perf_counter()
        async with _watched(mirror) as felt_there:
            await _until(mirror, lambda each: _is_shown(each, next_origin), lambda: peak_mb.append(mirroring.rss_mb()))
        followed_s = time.perf_counter() - begun_s
    return {
        "epoch_entries": entries,
        "epoch_home": {**recovered, "before": before[0], **felt.told()},
        "epoch_mirror": {
            "before": before[1],
            "seconds": round(followed_s, 1),
            "memory_mb": round(max(peak_mb), 1),
            **felt_there.told(),
        },
    }


async def _fill(place: Place, entries: int) -> tuple[str, int]:
    """Return origin and size of a guest's log of an introduction, without which nobody sees its needs, and of needs."""
    async with place.opened() as node:
        guest = await source.new_log(node.database, node.keys, place.did_host, _SEED_NAME, now())
        who = introduction(node, slug=_SEED_NAME, name="Lumbung", kind="COMMUNITY", region="32.03.28", description=None)
        parts = Parts({}, who.body)
        await node.appender.append(guest.scid, [Draft("organization", None, lambda _: parts)])
        size = await source.extend(node.database, node.keys, guest.origin, source.bodies(entries), now())
    return guest.origin, size


async def _project(place: Place, origin: str) -> None:
    """Give the home its rows, which `source` leaves out."""
    async with place.opened() as node:
        start = 2
        while True:
            async with node.database.transaction() as connection:
                log = await logs.lock_head(connection, origin)
                assert log is not None
                page = await logs.entries(connection, log.id, start, PAGE_ENTRIES)
                await project(connection, log, [arrival_of(each) for each in page], as_of=now())
            if not page:
                return
            start += len(page)


async def _recover(home: Place, directory: Path, size: int) -> dict[str, Any]:
    cards = []
    for number, words in enumerate(split(source.seed(home.did_host, _SEED_NAME))[:2]):
        path = directory / f"card-{number}"
        path.write_text(words)
        cards += ["--card", str(path)]
    command = [sys.executable, "-m", "node.cli", "keys", "recover", _SEED_NAME, "--size", str(size), *cards, "--json"]
    begun_s, peak_mb = time.perf_counter(), 0.0
    process = await asyncio.create_subprocess_exec(
        *command,
        "--data",
        str(home.settings.data_dir),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    watched = psutil.Process(process.pid)
    while process.returncode is None:
        with contextlib.suppress(psutil.Error):
            peak_mb = max(peak_mb, watched.memory_info().rss / 2**20)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), LOOK_S)
    if process.returncode:
        assert process.stderr is not None
        raise SystemExit(f"recovering failed: {(await process.stderr.read()).decode()[-2000:]}")
    return {"seconds": round(time.perf_counter() - begun_s, 1), "memory_mb": round(peak_mb, 1)}


@contextlib.asynccontextmanager
async def _watched(place: Place) -> AsyncIterator[Watched]:
    """Ask and publish for somebody else on a node, and look at its database, as long as this lasts."""
    felt = Watched()
    tasks = [asyncio.create_task(each(place, felt)) for each in (_ask, _publish, _look)]
    try:
        yield felt
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def _quiet(place: Place) -> dict[str, Any]:
    """Return what is felt while nothing happens."""
    async with _watched(place) as felt:
        await asyncio.sleep(QUIET_S)
    return felt.told()


async def _ask(place: Place, felt: Watched) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_S) as client:
        while True:
            begun_s = time.perf_counter()
            (await client.post(f"{place.url}/graphql", json=QUESTION)).raise_for_status()
            felt.questions_ms.append((time.perf_counter() - begun_s) * 1000)
            await asyncio.sleep(LOOK_S)


async def _publish(place: Place, felt: Watched) -> None:
    """Publish for the node's operator, whose log is another one."""
    bodies = source.bodies(1_000_000)
    async with place.opened() as node:
        operator = await node.operator()
        while True:
            parts = Parts({}, source.decoded(next(bodies)))
            begun_s = time.perf_counter()
            await node.appender.append(operator.scid, [Draft("need", None, lambda _, parts=parts: parts)])
            felt.published_ms.append((time.perf_counter() - begun_s) * 1000)
            await asyncio.sleep(LOOK_S)


async def _look(place: Place, felt: Watched) -> None:
    connection = await connect(place.dsn, statement_timeout_s=None)
    try:
        while True:
            felt.longest_transaction_s = max(felt.longest_transaction_s, float(await connection.fetchval(_RUNNING)))
            felt.waits_seen += int(await connection.fetchval(_WAITING))
            await asyncio.sleep(LOOK_S)
    finally:
        await connection.close()


async def _until(
    place: Place, condition: Callable[[Connection], Awaitable[bool]], look: Callable[[], object] = lambda: None
) -> None:
    connection = await connect(place.dsn, statement_timeout_s=None)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while not await condition(connection):
                look()
                await asyncio.sleep(LOOK_S)
    finally:
        await connection.close()


async def _size_is(connection: Connection, origin: str, size: int) -> bool:
    return bool(await connection.fetchval("select size = $2 from log where origin = $1", origin, size))


async def _is_shown(connection: Connection, origin: str) -> bool:
    return bool(await connection.fetchval(_SHOWN, origin))


def _spread(each_ms: list[float]) -> dict[str, float]:
    if not each_ms:
        return {}
    return {"p50": round(statistics.median(each_ms), 1), "max": round(max(each_ms), 1), "n": len(each_ms)}
