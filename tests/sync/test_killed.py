"""A node killed in the middle of a sync goes on where it was, and ends up with the same tables as one that was not."""

import asyncio
import contextlib
import random
import sys
from typing import Any

import pytest

from federation.sync import serve
from tests.house.source import ROOT
from tests.nodes import need_draft
from tests.sync.conftest import MakeNode, SyncNode

NEEDS = 4_000
KILLS = 8

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
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 64)  # many small batches: many points to die at
    a, whole, killed = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    for start in range(0, NEEDS, 1_000):
        drafts = [need_draft(f"Beras {number}") for number in range(start, start + 1_000)]
        await a.node.appender.append(guest.scid, drafts)
    for node in (whole, killed):
        await node.add_peer(a.url)
    await whole.pull(a.url)

    sizes: list[int] = []
    chance = random.Random(11)
    for _ in range(KILLS):
        await run_and_kill(killed, a.url, after_s=chance.uniform(0.05, 0.45))
        sizes.append(await killed.value("select coalesce(max(size), 0) from log where origin = $1", guest.origin))
    assert sizes == sorted(sizes)
    assert any(1 < size < NEEDS for size in sizes), sizes

    done = await killed.pull(a.url)
    assert (done.busy, done.refused) == (0, {})
    assert await tables(whole, guest.origin) == await tables(killed, guest.origin)


async def run_and_kill(node: SyncNode, url: str, *, after_s: float) -> None:
    """Start a process that pulls, and kill it without warning a while after it began."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.sync.puller", node.database.dsn, url, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    await asyncio.sleep(after_s)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


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
    done = await b.pull(a.url)
    assert (done.busy, done.refused) == (0, {})
    assert (await b.node.check(guest.origin)).signed_size == 601
    needs = "select title_text::text from need order by record_id"
    assert await a.rows(needs) == await b.rows(needs)
    assert await b.value("select count(*) from outbox where type = 'need'") == 600
