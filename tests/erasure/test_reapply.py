"""What a restore brings back is destroyed before it is served."""

from pathlib import Path

import pytest

from federation.projection.check import StoredLogBroken
from federation.projection.reapply import reapply
from store.database import Database
from store.sweep import pending, sweep
from tests.clock import FrozenClock
from tests.erasure.story import erase
from tests.nodes import TestNode, start_test_node


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


async def test_a_payload_that_came_back_is_found_and_destroyed_again(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    (need,) = await node.publish_needs(guest.scid, "Beras")
    async with node.database.acquire() as connection:
        kept = await connection.fetchrow("select log_id, index, part, salt, data from payload where index = 1")
        assert kept is not None
    await erase(node, guest.scid, need)
    async with node.database.acquire() as connection:
        assert await sweep(connection, node.clock()) is not None
    assert await reapply(node.database, now=node.clock()) == 0
    async with node.database.acquire() as connection:
        await connection.execute(
            "insert into payload (log_id, index, part, salt, data) values ($1, $2, $3, $4, $5)", *kept
        )
    with pytest.raises(StoredLogBroken):
        await node.check(guest.origin)
    assert await reapply(node.database, now=node.clock()) == 1
    assert (await node.check(guest.origin)).erased == 1
    async with node.database.acquire() as connection:
        assert await pending(connection) == 1
    assert await reapply(node.database, now=node.clock()) == 0


async def test_in_another_epoch_the_copies_go_and_what_was_never_agreed_on_goes_too(node: TestNode) -> None:
    """An older epoch holds what a thief wrote under that record; a newer one copies the entries before the theft."""
    guest = await node.participant("baca-yuk")
    (need,) = await node.publish_needs(guest.scid, "Beras")
    async with node.database.transaction() as connection:
        number = await connection.fetchval("select id from log where origin = $1", guest.origin)
        for epoch in (1, 2):
            await connection.execute(
                """
                insert into log (participant_id, epoch, origin, is_projected)
                select participant_id, $2::integer, replace(origin, '/0', '/' || $2::integer), false
                from log where id = $1
                """,
                number,
                epoch,
            )
        # Seen from the middle epoch: 0 is older, 2 is newer.
        await connection.execute(
            """
            insert into entry (log_id, index, leaf_hash, data, received_at)
            select log.id, index, leaf_hash, data, received_at
            from entry, log where entry.log_id = $1 and log.id <> $1 and log.epoch in (1, 2)
              and log.participant_id = (select participant_id from log where id = $1)
            """,
            number,
        )
        await connection.execute(
            """
            insert into payload (log_id, index, part, salt, data)
            select log.id, 1, 1, salt, payload.data from payload, log
            where payload.log_id = $1 and index = 1 and part = 1 and log.epoch in (1, 2)
            """,
            number,
        )
        # A revision in the oldest epoch that the others do not have, and one in the newest after the erasure.
        for epoch, index in ((0, 7), (2, 9)):
            await connection.execute(
                """
                insert into entry (log_id, index, leaf_hash, data, received_at)
                select log.id, $3::bigint, sha256($3::bigint::text::bytea), data, received_at from entry, log
                where entry.log_id = $1 and index = 1 and log.epoch = $2
                  and log.participant_id = (select participant_id from log where id = $1)
                """,
                number,
                epoch,
                index,
            )
            await connection.execute(
                """
                insert into payload (log_id, index, part, salt, data)
                select log.id, $3::bigint, 1, salt, payload.data from payload, log
                where payload.log_id = $1 and index = 1 and part = 1 and log.epoch = $2
                  and log.participant_id = (select participant_id from log where id = $1)
                """,
                number,
                epoch,
                index,
            )
        await connection.execute(
            """
            insert into erasure (log_id, index, type, record_id, parts, at, executed_at)
            select id, 2, 'need', $2, '{1}', now(), now() from log
            where epoch = 1 and participant_id = (select participant_id from log where id = $1)
            """,
            number,
            need.record_id,
        )
        await connection.execute(
            """
            insert into unprojected (log_id, index, reason, type, v, record_id, revision)
            select id, 1, 'RECORD_INVALID', 'need', 1, $2, 0 from log
            where epoch = 1 and participant_id = (select participant_id from log where id = $1)
            """,
            number,
            need.record_id,
        )
    assert await reapply(node.database, now=node.clock()) == 1
    async with node.database.acquire() as connection:
        left = await connection.fetch(
            """
            select epoch, index from payload join log on log.id = log_id
            where log.participant_id = (select participant_id from log where id = $1) order by 1, 2
            """,
            number,
        )
    assert [tuple(row) for row in left] == [(2, 9)]
