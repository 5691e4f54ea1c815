"""The text index: in order, but for what need not wait, and one process at a time."""

from collections.abc import Sequence

import pytest

from store import outbox, texts
from store.database import Connection, Database
from store.outbox import Change
from tests.schema.world import World, need_body

MANY = 7
"""Records of one publisher; more than FEW of a test that lowers it."""
_FOUND = "select publisher_id from need_search order by publisher_id, record_id"


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH_EVENTS_MAX", 2)
    monkeypatch.setattr(texts, "FEW_EVENTS_MAX", 3)


async def _published(world: World, connection: Connection, publisher: int, count: int) -> list[Change]:
    """Return the changes of so many needs, whose words nobody knows yet and which are not written to the outbox."""
    ids = [await world.record("need", publisher, need_body()) for _ in range(count)]
    await connection.execute("delete from need_search where record_id = any($1)", ids)
    return [Change(outbox.PUBLISHED, "need", publisher, id_, 0) for id_ in ids]


async def _numbered(connection: Connection, changes: Sequence[Change]) -> None:
    await outbox.record(connection, changes)
    assert await outbox.sequence(connection) == len(changes)


async def _found(connection: Connection) -> list[int]:
    return [row["publisher_id"] for row in await connection.fetch(_FOUND)]


async def test_one_need_does_not_wait_for_the_words_of_a_long_log(world: World, database: Database) -> None:
    long, short = await world.participant(1), await world.participant(2)
    async with database.acquire() as connection:
        await _numbered(connection, await _published(world, connection, long, MANY))
        await _numbered(connection, await _published(world, connection, short, 1))
        first = await texts.index(connection)
        assert (first.events, await _found(connection)) == (2, [long, long, short])
        await _numbered(connection, await _published(world, connection, short, 2))
        second = await texts.index(connection, first.looked)
        assert (second.events, await _found(connection)) == (2, [*[long] * 4, *[short] * 3])
        while (await texts.index(connection)).events:
            pass
        assert await _found(connection) == [*[long] * MANY, *[short] * 3]
        assert await texts.unindexed(connection, 10) == 0


async def test_how_much_is_not_found_by_words_is_counted_from_the_commit_on(world: World, database: Database) -> None:
    publisher = await world.participant(1)
    async with database.acquire() as connection:
        changes = await _published(world, connection, publisher, 5)
        await outbox.record(connection, changes)
        assert [await texts.unindexed(connection, count_max) for count_max in (10, 3)] == [5, 3]
        await outbox.sequence(connection)
        assert await texts.unindexed(connection, 10) == 5
        await texts.index(connection)
        assert await texts.unindexed(connection, 10) == 3


async def test_a_batch_that_was_cut_off_is_indexed_again(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await world.participant(1)

    async def cut(*_: object) -> None:
        raise ConnectionError

    async with database.acquire() as connection:
        await _numbered(connection, await _published(world, connection, publisher, 2))
        with monkeypatch.context() as patched:
            patched.setattr(texts, "_index", cut)
            with pytest.raises(ConnectionError):
                await texts.index(connection)
        assert (await texts.index(connection)).events == 2
        assert await _found(connection) == [publisher] * 2


async def test_one_process_indexes_at_a_time(world: World, database: Database) -> None:
    publisher = await world.participant(1)
    async with database.acquire() as connection, database.acquire() as other:
        await _numbered(connection, await _published(world, connection, publisher, 2))
        async with other.transaction():
            await other.execute("select pg_advisory_xact_lock($1)", texts.TEXT_LOCK)
            assert await texts.index(connection, 1) == texts.Progress(0, 1)
        assert (await texts.index(connection)).events == 2


async def test_words_go_with_the_record_and_a_change_of_state_touches_none(world: World, database: Database) -> None:
    publisher = await world.participant(1)
    async with database.acquire() as connection:
        stays, goes = await _published(world, connection, publisher, 2)
        await _numbered(connection, [stays, goes])
        await texts.index(connection)
        written = "select xmin::text from need_search where record_id = $1"
        before = await connection.fetchval(written, stays.record_id)
        await connection.execute("delete from need where record_id = $1", goes.record_id)
        kinds = ((outbox.STATE, stays), (outbox.ERASED, goes))
        await _numbered(connection, [Change(kind, "need", publisher, each.record_id, 0) for kind, each in kinds])
        await texts.index(connection)
        assert await connection.fetchval(written, stays.record_id) == before
        assert await connection.fetchval("select count(*) from need_search") == 1
