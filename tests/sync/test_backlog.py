"""A bulk pull waits for the text index, helps it, and a small one does neither."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from federation.sync import receive
from federation.sync.backlog import BULK_ENTRIES_MIN, LOOK_AGAIN_S, Backlog
from node import importer
from node.wiring import Node, load_regions
from store import outbox, texts
from store.database import Database
from store.outbox import Change
from tests.schema.world import uuid
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.test_exchange import publish_many
from tests.waiting import PATIENCE_S

MAP = """
[source]
name = "posko"
id = ["nomor"]

[fields]
title = { column = "kebutuhan" }
kind = "GOODS"
category = "food.rice"
urgency = "HIGH"
region = "32.03.28"
quantity = { value = "1", unit = "kg" }
"""


async def _behind(node: SyncNode) -> int:
    async with node.database.acquire() as connection:
        return await texts.unindexed(connection, 1_000_000)


async def _commit(node: SyncNode, count: int) -> None:
    """Commit so many changes of records whose words nobody has to look for."""
    async with node.database.acquire() as connection:
        publisher = await connection.fetchval("select min(id) from participant")
        changes = [Change(outbox.PUBLISHED, "need", publisher, uuid(number), 0) for number in range(count)]
        await outbox.record(connection, changes)


def _watched(node: SyncNode, behind: list[int]) -> type[Backlog]:
    """Return a backlog of at most 200 changes, which notes how many there are after each wait."""

    class Watched(Backlog):
        def __init__(self, database: Database) -> None:
            super().__init__(database, records_max=200)

        async def grew(self, entries: int) -> None:
            await super().grew(entries)
            behind.append(await _behind(node))

    return Watched


async def test_a_bulk_pull_indexes_what_nobody_else_does(make_node: MakeNode) -> None:
    node = await make_node("a")
    await _commit(node, 30)
    mine = Backlog(node.database, records_max=20)
    await mine.grew(BULK_ENTRIES_MIN)
    assert await _behind(node) <= 10
    await mine.aclose()


async def test_a_small_pull_and_one_that_is_not_behind_wait_for_nothing(make_node: MakeNode) -> None:
    node = await make_node("a")
    await _commit(node, 30)
    async with node.database.acquire() as indexer, indexer.transaction():  # another process that is slow
        await indexer.execute("select pg_advisory_xact_lock($1)", texts.TEXT_LOCK)
        small = Backlog(node.database, records_max=20)
        await small.grew(BULK_ENTRIES_MIN - 1)
        ahead = Backlog(node.database, records_max=60)
        await ahead.grew(BULK_ENTRIES_MIN)
        halfway = Backlog(node.database, records_max=40)
        await halfway.grew(BULK_ENTRIES_MIN)  # has begun to help, and goes on meanwhile
        await halfway.aclose()


async def test_few_records_that_have_waited_long_are_waited_for_too(make_node: MakeNode) -> None:
    """Of a slow machine a number of records says nothing."""
    node = await make_node("a")
    await _commit(node, 30)
    async with node.database.acquire() as connection:
        while await outbox.sequence(connection):
            pass
        await connection.execute("update event set at = at - interval '1 hour'")
        assert await texts.oldest_s(connection) > 3_000
    mine = Backlog(node.database, s_max=1_000.0)
    await mine.grew(BULK_ENTRIES_MIN)
    assert await _behind(node) == 0
    async with node.database.acquire() as connection:
        assert await texts.oldest_s(connection) == 0
    await mine.aclose()


async def test_a_bulk_pull_goes_on_when_another_process_has_caught_up(make_node: MakeNode) -> None:
    node = await make_node("a")
    await _commit(node, 30)
    async with node.database.acquire() as indexer:
        mine = Backlog(node.database, records_max=20)
        while await outbox.sequence(indexer):
            pass
        async with indexer.transaction():
            await indexer.execute("select pg_advisory_xact_lock($1)", texts.TEXT_LOCK)
            waiting = asyncio.create_task(mine.grew(BULK_ENTRIES_MIN))
            await asyncio.sleep(3 * LOOK_AGAIN_S)
            assert not waiting.done()
            await indexer.execute("update text_progress set indexed_seq = 20")
        async with asyncio.timeout(PATIENCE_S):
            await waiting
    await mine.aclose()


async def test_a_pull_of_a_long_log_keeps_to_the_bound(make_node: MakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the whole exchange, with no running node beside it that would index."""
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await publish_many(a, guest.scid, 900)
    await b.add_peer(a.url)
    behind: list[int] = []
    monkeypatch.setattr(receive, "Backlog", _watched(b, behind))
    assert (await b.pull(a.url)).records == 900
    assert behind
    assert max(behind) <= 200 + BULK_ENTRIES_MIN


async def test_an_import_of_a_large_sheet_keeps_to_the_bound(
    make_node: MakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no running node beside it that would index."""
    a = await make_node("a")
    rows = 2 * importer.ROWS_AT_ONCE + 1
    sheet, map_file = tmp_path / "needs.csv", tmp_path / "map.toml"
    sheet.write_text("nomor,kebutuhan\n" + "".join(f"{n},Beras nomor {n}\n" for n in range(rows)), encoding="utf-8")
    map_file.write_text(MAP, encoding="utf-8")
    behind: list[int] = []
    monkeypatch.setattr(importer, "Backlog", _watched(a, behind))
    node = cast("Node", SimpleNamespace(database=a.database, appender=a.node.appender, regions=load_regions()))
    report = await importer.import_needs(node, a.node.operator.scid, sheet, importer.read_map(map_file))
    assert (report.published, report.refusals) == (rows, [])
    assert len(behind) == 2
    assert max(behind) <= 200
