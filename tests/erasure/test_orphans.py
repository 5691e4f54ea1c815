"""What a killed server leaves behind of tables is emptied, and what belongs to somebody is not."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from store import orphans
from store.database import Connection, connect
from store.embedded import EmbeddedServer
from store.migrate import migrate
from tests.erasure.disk import files_with


class Server:
    """A server of the test's own, with a migrated database, that can be killed."""

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedServer(directory, durable=False)
        self.cluster = self._server.cluster
        self.dsn = self._server.start()

    async def connected(self) -> Connection:
        """Return a new connection."""
        return await connect(self.dsn, statement_timeout_s=None)

    async def crash(self) -> None:
        """Kill every process of the server, and start it again."""
        postmaster = self._server._postmaster()
        assert postmaster is not None
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            process.suspend()  # none may notice that another is gone, and tidy up
        for process in processes:
            process.kill()
        await asyncio.to_thread(psutil.wait_procs, processes, 30)
        self.dsn = await asyncio.to_thread(self._server.start)

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="gotong-orphans-") as directory:
        Path(directory).chmod(0o755)
        server = Server(Path(directory))
        await migrate(server.dsn)
        try:
            yield server
        finally:
            server.stop()


async def half_written(connection: Connection, name: str, marker: str) -> None:
    """Write a table in a transaction that stays open; its pages go to the disk."""
    await connection.execute("begin")
    rows = "generate_series(1, 999) number"
    await connection.execute(f"create table {name} as select '{marker}' || number as words from {rows}")
    await connection.execute("checkpoint")


async def test_what_a_killed_server_left_is_emptied(server: Server) -> None:
    marker = f"zq{secrets.token_hex(9)}"
    writer = await server.connected()
    await half_written(writer, "unfinished", marker)
    await server.crash()
    writer.terminate()
    connection = await server.connected()
    await connection.execute("select pg_switch_wal()")
    await connection.execute("checkpoint")
    (left,) = files_with(server.cluster, marker)
    assert left.startswith("base/")
    assert await orphans.empty(connection) == 2  # the table, and the index of its TOAST
    assert files_with(server.cluster, marker) == []
    assert await orphans.empty(connection) == 0
    await connection.close()


async def test_a_table_that_somebody_is_writing_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "WAIT_S", 0.2)
    marker = f"zq{secrets.token_hex(9)}"
    connection, writer = await server.connected(), await server.connected()
    await connection.execute("create table finished as select 1 as one")
    await half_written(writer, "unfinished", marker)
    assert await orphans.empty(connection) is None
    await writer.execute("commit")
    assert await orphans.empty(connection) == 0
    assert await connection.fetchval("select count(*) from unfinished") == 999
    assert await connection.fetchval("select count(*) from finished") == 1
    await connection.close()
    await writer.close()


async def test_who_may_not_look_empties_nothing(server: Server) -> None:
    connection = await server.connected()
    await connection.execute("create role plain login")
    await connection.execute("set role plain")
    assert await orphans.empty(connection) == 0
    await connection.close()
