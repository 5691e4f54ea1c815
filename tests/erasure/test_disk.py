"""Erased bytes are nowhere: in no table, in no file of the server."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from federation.erasing.overview import overview
from federation.log.note import NoteMalformed
from federation.publish.append import Appended, Draft, Once
from store import acknowledgements, peers
from store.database import Connection, Database, connect
from store.sweep import Hold, pending, sweep
from tests.clock import FrozenClock
from tests.copies import Mirror
from tests.erasure.disk import database_server, files_with, index_texts, tables_with, template_database
from tests.erasure.story import erase
from tests.nodes import TestNode, fixed, need_body, start_test_node

__all__ = ["database_server", "template_database"]

NewDatabase = Callable[[], Awaitable[str]]


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


async def _publish(node: TestNode, scid: str, marker: str) -> Appended:
    """Publish and revise a need whose words are on every kind of page: rows, TOAST, indexes, statistics."""
    chance = " ".join(secrets.token_hex(8) for _ in range(400))  # does not compress
    body = need_body(marker, description=[{"lang": "id", "text": f"{marker} {chance}"}])
    once = Once(f"kunci {marker[::-1]}", marker.encode() * 2)
    (need,) = await node.appender.append(scid, [Draft("need", None, fixed(body))], once=once)
    again = need_body(f"{marker} lagi", description=body["description"])
    await node.appender.append(scid, [Draft("need", need.record_id, fixed(again))])
    news = {"about": {"uri": need.uri, "leaf": need.leaf_hash.hex()}, "text": [{"lang": "id", "text": "Kabar"}]}
    await node.appender.append(scid, [Draft("update", None, fixed(news))])
    return need


async def _settle_on_disk(database: Database) -> None:
    await index_texts(database)
    async with database.acquire() as connection:
        await connection.execute("analyze")
        await connection.execute("checkpoint")


async def _report(database: Database, origin: str, evidence: bytes) -> None:
    async with database.transaction() as connection:
        await peers.report(connection, NoteMalformed("x"), peer_id=None, origin=origin, evidence=evidence)


async def test_erased_words_are_in_no_table_and_no_file_of_origin_and_replica(
    node: TestNode, new_database: NewDatabase
) -> None:
    marker = f"zq{secrets.token_hex(9)}"
    guest = await node.participant("baca-yuk")
    need = await _publish(node, guest.scid, marker)
    dsn = await new_database()
    async with Database(dsn, connections=3) as replica:
        mirror = Mirror(replica, node, guest.origin)
        await mirror.meet()
        await mirror.feed(99)
        for database in (node.database, replica):
            await _report(database, guest.origin, f"{need.record_id} {marker}".encode())
            await _settle_on_disk(database)
        async with replica.acquire() as connection:
            directory = Path(await connection.fetchval("show data_directory"))
            assert {"need", "need_search", "payload", "refusal"} <= set(await tables_with(connection, marker))
        before = files_with(directory, marker)
        assert any(name.startswith("pg_wal/") for name in before)
        assert len([name for name in before if name.startswith("base/")]) > 6

        await erase(node, guest.scid, need)
        await mirror.feed(99)
        for database in (node.database, replica):
            await index_texts(database)
            async with database.acquire() as connection:
                assert await tables_with(connection, marker) == []
        for database in (node.database, replica):
            async with database.acquire() as connection:
                swept = await sweep(connection, node.clock())
                assert swept is not None
                assert (swept.erasures, swept.hold) == (1, None)
                assert await pending(connection) == 0
        assert files_with(directory, marker) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nobody within a run: for those who are going to be there."""
    monkeypatch.setattr("store.sweep.HORIZON_WAIT_S", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_who_may_still_see_erased_rows_is_waited_for(node: TestNode, database_dsn: str) -> None:
    guest = await node.participant("baca-yuk")
    (need,) = await node.publish_needs(guest.scid, "Beras")
    reader = await connect(database_dsn)
    async with node.database.acquire() as connection:
        async with reader.transaction(isolation="repeatable_read"):
            assert await reader.fetchval("select count(*) from need") == 1
            await erase(node, guest.scid, need)
            assert await _swept(connection, node) == (0, Hold.TRANSACTION)
            assert await pending(connection) == 1
        assert await _swept(connection, node) == (1, None)
    await reader.close()


@pytest.mark.usefixtures("impatient")
async def test_bytes_that_another_database_keeps_in_the_files_are_not_said_to_be_gone(
    node: TestNode, database_dsn: str, new_database: NewDatabase
) -> None:
    """Whoever still writes in any database of the server makes a rewrite keep what was erased meanwhile."""
    marker = f"zq{secrets.token_hex(9)}"
    guest = await node.participant("baca-yuk")
    need = await _publish(node, guest.scid, marker)
    await _settle_on_disk(node.database)
    writer = await connect(await new_database())
    async with node.database.acquire() as connection:
        directory = Path(await connection.fetchval("show data_directory"))
        async with writer.transaction():
            await writer.execute("select pg_current_xact_id()")
            await erase(node, guest.scid, need)
            await index_texts(node.database)
            assert await _swept(connection, node) == (0, Hold.TRANSACTION)
            (told,) = await overview(node.database, 10)
            assert (told.state(node.clock()), told.listed.waits_for) == ("IN_FILES", "TRANSACTION")
            assert await acknowledgements.with_erasures(connection, 10) == []
            assert files_with(directory, marker) != []
        assert await _swept(connection, node) == (1, None)
        assert files_with(directory, marker) == []
        (told,) = await overview(node.database, 10)
        assert (told.state(node.clock()), told.listed.waits_for) == ("DONE", None)
        assert len(await acknowledgements.with_erasures(connection, 10)) == 1
    await writer.close()


async def test_a_rewrite_that_kept_erased_rows_is_noticed(
    node: TestNode, database_dsn: str, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that this user may not look at cannot be waited for; what the rewrite kept is looked at afterwards."""
    marker = f"zq{secrets.token_hex(9)}"
    guest = await node.participant("baca-yuk")
    need = await _publish(node, guest.scid, marker)
    await _settle_on_disk(node.database)
    monkeypatch.setattr("store.sweep._IS_SEEN", "false")
    reader = await connect(database_dsn)
    async with node.database.acquire() as connection:
        directory = Path(await connection.fetchval("show data_directory"))
        async with reader.transaction(isolation="repeatable_read"):
            await reader.execute("select pg_current_snapshot()")  # sees the rows, holds no lock on the table
            await erase(node, guest.scid, need)
            swept = await sweep(connection, node.clock())
            assert swept is not None
            assert "need" in swept.tables
            assert (swept.erasures, swept.hold) == (0, Hold.TRANSACTION)
            assert any(name.startswith("base/") for name in files_with(directory, marker))
        assert await _swept(connection, node) == (1, None)
        assert files_with(directory, marker) == []
    await reader.close()


async def test_beside_busy_databases_what_is_said_to_be_gone_is_gone(node: TestNode, new_database: NewDatabase) -> None:
    marker = f"zq{secrets.token_hex(9)}"
    guest = await node.participant("baca-yuk")
    stopping = asyncio.Event()
    busy = [asyncio.create_task(_write_all_the_time(await new_database(), stopping)) for _ in range(3)]
    try:
        need = await _publish(node, guest.scid, marker)
        await _settle_on_disk(node.database)
        await erase(node, guest.scid, need)
        await index_texts(node.database)
        async with node.database.acquire() as connection:
            directory = Path(await connection.fetchval("show data_directory"))
            while await pending(connection):
                await sweep(connection, node.clock())
        assert files_with(directory, marker) == []
    finally:
        stopping.set()
        await asyncio.gather(*busy)


async def _write_all_the_time(dsn: str, stopping: asyncio.Event) -> None:
    connection = await connect(dsn)
    while not stopping.is_set():
        async with connection.transaction():
            await connection.execute("select pg_current_xact_id()")
            await asyncio.sleep(0.1)
    await connection.close()


async def _swept(connection: Connection, node: TestNode) -> tuple[int, Hold | None]:
    swept = await sweep(connection, node.clock())
    assert swept is not None
    return swept.erasures, swept.hold
