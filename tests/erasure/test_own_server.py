"""On a server of an operator's own the node says what it is not allowed to look at, and nothing that it cannot know."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from federation.erasing.overview import overview
from store import acknowledgements
from store.database import Connection, Database, connect
from store.migrate import migrate
from store.sweep import Hold, sweep
from tests.clock import FrozenClock
from tests.dsn import dsn_of
from tests.erasure.disk import database_server, files_with, index_texts, reload, template_database
from tests.erasure.story import erase
from tests.nodes import TestNode, start_test_node

__all__ = ["database_server", "template_database"]

USER = "biasa"
NEEDED = "grant pg_checkpoint, pg_monitor to biasa; grant execute on function pg_switch_wal() to biasa"
"""What docs/operate.md tells the operator to run."""


@pytest.fixture
async def admin(database_server: str) -> AsyncIterator[Connection]:
    """A superuser's connection to that user's database, which is gone afterwards."""
    server = await connect(database_server)
    await server.execute(f"create role {USER} login")
    await server.execute(f"create database {USER} owner {USER}")
    connection = await connect(dsn_of(database_server, USER))
    yield connection
    await connection.execute("alter system reset wal_recycle")
    await connection.close()
    await reload(database_server)
    await server.execute(f"drop database {USER} with (force)")
    await server.execute(f"drop owned by {USER}; drop role {USER}")
    await server.close()


@pytest.fixture
async def node(admin: Connection, database_server: str, tmp_path: Path, clock: FrozenClock) -> AsyncIterator[TestNode]:
    dsn = dsn_of(database_server, USER).replace("//postgres@", f"//{USER}@")
    await migrate(dsn)
    async with Database(dsn, connections=3) as database:
        yield await start_test_node(database, tmp_path, clock)


async def hold(node: TestNode) -> Hold | None:
    """Return what keeps erasures after one more sweep."""
    async with node.database.acquire() as connection:
        swept = await sweep(connection, node.clock())
    return None if swept is None else swept.hold


async def test_a_user_who_may_not_look_at_the_write_ahead_log_says_nothing_is_gone(
    node: TestNode, admin: Connection
) -> None:
    marker = f"zq{secrets.token_hex(9)}"
    guest = await node.participant("baca-yuk")
    gone, _ = await node.publish_needs(guest.scid, marker, "Air")
    await erase(node, guest.scid, gone)
    await index_texts(node.database)
    directory = Path(await admin.fetchval("show data_directory"))
    assert await hold(node) is Hold.WRITE_AHEAD_LOG
    (told,) = await overview(node.database, 10)
    assert (told.state(node.clock()), told.listed.waits_for) == ("IN_FILES", "WRITE_AHEAD_LOG")
    async with node.database.acquire() as connection:
        assert await acknowledgements.with_erasures(connection, 10) == []
    left = files_with(directory, marker)
    assert left != []
    assert all(name.startswith("pg_wal/") for name in left)

    await admin.execute(NEEDED)
    assert await hold(node) is None
    assert files_with(directory, marker) == []
    (told,) = await overview(node.database, 10)
    assert (told.state(node.clock()), told.listed.waits_for) == ("DONE", None)


async def test_a_segment_that_the_server_reuses_is_waited_for_until_it_is_written_over(
    node: TestNode, admin: Connection, database_server: str
) -> None:
    marker = f"zq{secrets.token_hex(9)}"
    await admin.execute(NEEDED)
    await admin.execute("alter system set wal_recycle = on")
    await reload(database_server)
    guest = await node.participant("baca-yuk")
    gone, _ = await node.publish_needs(guest.scid, marker, "Air")
    await erase(node, guest.scid, gone)
    await index_texts(node.database)
    directory = Path(await admin.fetchval("show data_directory"))
    assert await hold(node) is Hold.WRITE_AHEAD_LOG
    assert all(name.startswith("pg_wal/") for name in files_with(directory, marker))
    for _ in range(20):
        if await hold(node) is None:
            break
    assert files_with(directory, marker) == []
    (told,) = await overview(node.database, 10)
    assert told.state(node.clock()) == "DONE"
