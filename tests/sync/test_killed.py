"""A node killed in the middle of a sync goes on where it was, and ends up with the same tables as one that was not."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from federation.sync import serve
from federation.sync.messages import Pull
from store.database import Database
from tests.house.source import ROOT
from tests.nodes import need_draft
from tests.sync.conftest import MakeNode, SyncNode
from tests.waiting import PATIENCE_S

NEEDS = 4_000
KILLS = 8
PAGE_ENTRIES = 64

# Everything but local numbers, which two databases may give differently.
TABLES = {
    "log": "select origin, size, edge, checkpoint, checkpoint_size, target, target_size from log order by 1",
    "entry": "select origin, index, leaf_hash, data from entry join log on log.id = log_id order by 1, 2",
    "payload": "select origin, index, part, salt, data from payload join log on log.id = log_id order by 1, 2, 3",
    "tile_hash": "select origin, level, index, hash from tile_hash join log on log.id = log_id order by 1, 2, 3",
    "did_line": "select scid, version, line from did_line join participant p on p.id = participant_id order by 1, 2",
    "participant": "select scid, did, host, slug, trust, trust_set_by, did_version from participant order by 1",
    "unprojected": "select index, reason, type, v, record_id from unprojected order by 1",
    "need": "select to_jsonb(need) - 'publisher_id' - 'log_id' from need order by record_id",
    "outbox": "select kind, type, record_id, revision from outbox order by 3, 4",
}


async def tables(node: SyncNode, origin: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the contents of every table a sync writes; what the node wrote of itself left out."""
    own = node.node.operator
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, query in TABLES.items():
        rows = await node.rows(query)
        found[name] = [row for row in rows if own.scid not in row and own.origin not in row]
    assert len(found["need"]) == NEEDS
    assert (await node.node.check(origin)).signed_size == NEEDS + 1
    return found


async def test_killed_at_any_point_the_sync_goes_on_and_ends_the_same(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", PAGE_ENTRIES)  # many small batches: many points to die at
    a, whole, killed = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    for start in range(0, NEEDS, 1_000):
        drafts = [need_draft(f"Beras {number}") for number in range(start, start + 1_000)]
        await a.node.appender.append(guest.scid, drafts)
    for node in (whole, killed):
        await node.add_peer(a.url)
    await whole.pull(a.url)

    async def size() -> int:
        found: int = await killed.value("select coalesce(max(size), 0) from log where origin = $1", guest.origin)
        return found

    async def a_while() -> None:
        await asyncio.sleep(chance.uniform(0.0, 0.2))  # it is taking what it got, or waits for more

    async def some_of_it() -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await size() <= 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    sizes: list[int] = []
    chance = random.Random(11)
    gate = Gate(monkeypatch)
    for until in (*[a_while] * KILLS, some_of_it):
        gate.close_after(chance.randrange(1, NEEDS // PAGE_ENTRIES // (KILLS + 1)))
        await run_and_kill(killed, a.url, gate, until)
        sizes.append(await size())
    assert sizes == sorted(sizes)
    assert 1 < sizes[-1] < NEEDS

    gate.open()
    done = await killed.pull_when_free(a.url)
    assert done.refused == {}
    assert await tables(whole, guest.origin) == await tables(killed, guest.origin)


class Gate:
    """Stands in the way of pulls from the nodes of this process: each gets so many pages, and then nothing more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = asyncio.Event()
        self._pages: int | None = None
        self._serve = serve.pull
        monkeypatch.setattr(serve, "pull", self._pull)

    def close_after(self, pages: int) -> None:
        self._pages = pages
        self.reached.clear()

    def open(self) -> None:
        self._pages = None

    async def _pull(self, database: Database, asked: Pull) -> AsyncIterator[bytes]:
        pages = 0
        async for frames in self._serve(database, asked):
            if pages == self._pages:
                self.reached.set()
                await asyncio.Event().wait()
            pages += 1
            yield frames


async def run_and_kill(node: SyncNode, url: str, gate: Gate, until: Callable[[], Awaitable[None]]) -> None:
    """Have a process pull as far as the gate, and kill it without warning a while later.

    One that finds the log busy ends at once: the database has not noticed yet that the one before it is gone.
    """
    while not gate.reached.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.sync.puller", node.database.dsn, url, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        ended = asyncio.create_task(process.communicate())
        reached = asyncio.create_task(gate.reached.wait())
        await asyncio.wait((ended, reached), return_when=asyncio.FIRST_COMPLETED)
        if gate.reached.is_set():
            await until()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.gather(ended)
        reached.cancel()


async def test_cancelled_at_any_point_the_sync_goes_on_and_ends_the_same(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 16)
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.appender.append(guest.scid, [need_draft(f"Beras {number}") for number in range(600)])
    await b.add_peer(a.url)
    chance = random.Random(5)
    for _ in range(12):
        pulling = asyncio.create_task(b.pull(a.url))
        await asyncio.sleep(chance.uniform(0.01, 0.25))
        pulling.cancel()
        await asyncio.gather(pulling, return_exceptions=True)
    done = await b.pull_when_free(a.url)
    assert done.refused == {}
    assert (await b.node.check(guest.origin)).signed_size == 601
    needs = "select title_text::text from need order by record_id"
    assert await a.rows(needs) == await b.rows(needs)
    assert await b.value("select count(*) from outbox where type = 'need'") == 600
