"""Connections: handed out in turn, given back clean, replaced when dead, and failing under stable names."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest

from store.database import Database, DatabaseBusy, DatabaseUnavailable, DiskFull, StatementTimedOut, connect, translated
from tests.dsn import dsn_of
from tests.waiting import PATIENCE_S, eventually

PASSWORD = "s3cr3t-pangkal"


@pytest.fixture
async def single(database_dsn: str) -> AsyncIterator[Database]:
    async with Database(database_dsn, connections=1, acquire_timeout_s=PATIENCE_S) as database:
        yield database


async def pid(connection: asyncpg.Connection) -> int:
    value: int = await connection.fetchval("select pg_backend_pid()")
    return value


async def kill(dsn: str, backend: int) -> None:
    connection = await connect(dsn)
    try:
        assert await connection.fetchval("select pg_terminate_backend($1)", backend)
    finally:
        await connection.close()


async def noticed(connection: asyncpg.Connection) -> None:
    """Return when a connection knows that it is dead."""

    async def is_closed() -> bool:
        return connection.is_closed()

    await eventually(is_closed)


async def test_a_connection_is_used_again_and_keeps_its_prepared_statements(single: Database) -> None:
    async with single.acquire() as connection:
        first = await pid(connection)
    async with single.acquire() as connection:
        assert await pid(connection) == first
        kept = await connection.fetch("select statement from pg_prepared_statements")
    assert "select pg_backend_pid()" in [row["statement"] for row in kept]


async def test_waiters_are_served_in_the_order_they_came(single: Database) -> None:
    served: list[int] = []

    async def wait(number: int) -> None:
        async with single.acquire():
            served.append(number)

    async with single.acquire():
        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert served == [0, 1, 2, 3, 4]


async def test_a_latecomer_does_not_overtake_a_waiter(single: Database) -> None:
    served: list[str] = []

    async def take(name: str) -> None:
        async with single.acquire():
            served.append(name)

    async with single.acquire():
        waiting = asyncio.create_task(take("waiter"))
        await asyncio.sleep(0)
    await take("latecomer")
    await waiting
    assert served == ["waiter", "latecomer"]


async def test_never_more_connections_than_allowed(database_dsn: str) -> None:
    async with Database(database_dsn, connections=3) as database:

        async def use() -> int:
            async with database.acquire() as connection:
                await connection.execute("select pg_sleep(0.02)")
                return await pid(connection)

        pids = await asyncio.gather(*(use() for _ in range(30)))
    assert len(set(pids)) <= 3


async def test_a_waiter_gives_up_with_a_name_for_it(database_dsn: str) -> None:
    async with Database(database_dsn, connections=1, acquire_timeout_s=0.05) as database, database.acquire():
        with pytest.raises(DatabaseBusy):
            await database.acquire().__aenter__()


async def test_a_cancelled_waiter_loses_no_connection(single: Database) -> None:
    async def wait() -> None:
        async with single.acquire():
            pass

    for yields in range(4):  # cancelled before, while and after it was handed the connection
        lease = single.acquire()
        await lease.__aenter__()
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await lease.__aexit__(None, None, None)
        for _ in range(yields):
            await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(PATIENCE_S), single.acquire() as connection:
            assert await connection.fetchval("select 1") == 1


async def test_a_query_cancelled_halfway_leaves_the_connection_usable(single: Database, database_dsn: str) -> None:
    watcher = await connect(database_dsn)
    sleepers = """
        select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
    """

    async def sleeps() -> bool:
        return bool(await watcher.fetchval(sleepers))

    async def slow() -> None:
        async with single.transaction() as connection:
            await connection.execute("create table left_behind ()")
            await connection.execute("select pg_sleep(600)")

    task = asyncio.create_task(slow())
    await eventually(sleeps)
    await watcher.close()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with asyncio.timeout(PATIENCE_S), single.acquire() as connection:
        assert await connection.fetchval("select to_regclass('left_behind')") is None


async def test_an_open_transaction_is_not_handed_on(single: Database) -> None:
    async with single.acquire() as connection:
        await connection.execute("begin")
        await connection.execute("create table left_behind ()")
    async with single.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("select to_regclass('left_behind')") is None


async def test_a_transaction_that_raises_is_rolled_back(single: Database) -> None:
    async def fail() -> None:
        async with single.transaction() as connection:
            await connection.execute("create table left_behind ()")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with single.acquire() as connection:
        assert await connection.fetchval("select to_regclass('left_behind')") is None


async def test_an_idle_connection_that_died_is_replaced(single: Database, database_dsn: str) -> None:
    async with single.acquire() as connection:
        first = await pid(connection)
    await kill(database_dsn, first)
    await noticed(connection)
    async with single.acquire() as connection:
        assert await pid(connection) != first


async def test_a_connection_that_dies_at_work_says_so_and_is_replaced(single: Database, database_dsn: str) -> None:
    async def work() -> None:
        async with single.acquire() as connection:
            await kill(database_dsn, await pid(connection))
            await connection.fetchval("select 1")

    with pytest.raises(DatabaseUnavailable):
        await work()
    async with single.acquire() as connection:
        assert await connection.fetchval("select 1") == 1


async def test_a_waiter_gets_a_new_connection_when_the_one_in_use_dies(single: Database, database_dsn: str) -> None:
    async def wait() -> int:
        async with single.acquire() as connection:
            return await pid(connection)

    async with single.acquire() as connection:
        first = await pid(connection)
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        await kill(database_dsn, first)
        await noticed(connection)
    assert await waiting != first


async def test_a_slow_statement_is_cut_off(database_dsn: str) -> None:
    async with Database(database_dsn, connections=1, statement_timeout_s=1.0) as database:
        with pytest.raises(StatementTimedOut):
            async with database.acquire() as connection:
                await connection.execute("select pg_sleep(600)")
        async with database.acquire() as connection:
            assert await connection.fetchval("select 1") == 1


async def test_an_error_of_the_caller_passes_unchanged(single: Database) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with single.acquire() as connection:
            await connection.execute("select 1/0")
    with pytest.raises(ConnectionResetError):  # of some other socket
        async with single.acquire():
            raise ConnectionResetError


async def test_nobody_listening_is_an_unavailable_database_and_names_no_secret() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DatabaseUnavailable) as caught:
            await connect(f"postgresql://gotong:{PASSWORD}@127.0.0.1:{port}/gotong")
    assert PASSWORD not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize(
    "dsn",
    ["postgresql://u:p@localhost:notaport/x", "nonsense", f"postgresql://u:{PASSWORD}@[::1/x", ""],
)
async def test_a_dsn_that_is_none_is_an_unavailable_database_and_names_no_secret(dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(dsn)
    assert PASSWORD not in f"{caught.value} {caught.value.details}"


async def test_a_database_that_does_not_exist_is_unavailable(database_server: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(dsn_of(database_server, "no_such_database"))
    assert caught.value.details["sqlstate"] == "3D000"


def test_a_full_disk_has_its_own_name_and_no_message_of_the_server_leaks() -> None:
    error = translated(asyncpg.DiskFullError(f"could not extend file of {PASSWORD}"))
    assert isinstance(error, DiskFull)
    assert PASSWORD not in f"{error} {error.details}"
    assert error.details == {"reason": "DiskFullError", "sqlstate": "53100"}


async def test_a_closed_database_refuses_and_its_waiters_too(database_dsn: str) -> None:
    database = Database(database_dsn, connections=1)
    lease = database.acquire()
    await lease.__aenter__()
    waiting = asyncio.create_task(database.take())
    await asyncio.sleep(0)
    await database.close(timeout_s=0.05)
    with pytest.raises(DatabaseUnavailable):
        await waiting
    with pytest.raises(DatabaseUnavailable):
        await database.take()
    await lease.__aexit__(None, None, None)


async def test_close_waits_for_the_work_in_hand(database_dsn: str) -> None:
    database = Database(database_dsn, connections=1)

    begun = asyncio.Event()

    async def work() -> int:
        async with database.acquire() as connection:
            begun.set()
            value: int = await connection.fetchval("select 1 from pg_sleep(0.2)")
            return value

    working = asyncio.create_task(work())
    await begun.wait()
    await database.close()
    assert working.done()
    assert await working == 1


async def test_jsonb_is_read_and_written_as_values_and_json_stays_text(single: Database) -> None:
    value = {"judul": "Beras", "jumlah": [1, 2**60], "kosong": None}
    async with single.acquire() as connection:
        assert await connection.fetchval("select $1::jsonb", value) == value
        assert await connection.fetchval("""select '{"a": 1}'::json""") == '{"a": 1}'
        await connection.execute("create temporary table copied (doc jsonb) on commit preserve rows")
        await connection.copy_records_to_table("copied", records=[(value,)])
        assert await connection.fetchval("select doc from copied") == value


async def test_the_database_object_shows_no_secret(single: Database) -> None:
    assert repr(Database(f"postgresql://u:{PASSWORD}@localhost/x")) == "<Database 0 leased, 0 idle of 10>"
