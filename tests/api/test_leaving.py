"""A question nobody waits for any more, or that takes too long, stops in PostgreSQL as well."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from schema.context import Services
from store.database import Connection, Database, connect
from tests.api.conftest import Served, serving
from tests.api.test_following import opened
from tests.sockets import http_client
from tests.waiting import eventually

QUERY = "{ needs { nodes { id } } }"
RUNNING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and state = 'active' and query like '%from need t%' and pid <> pg_backend_pid()
"""


@contextlib.asynccontextmanager
async def slow_questions(database: Database) -> AsyncIterator[Connection]:
    """Yield a connection to watch with, while every question about needs waits inside PostgreSQL for their table."""
    holder, watcher = await connect(database.dsn), await connect(database.dsn)
    try:
        async with holder.transaction():
            await holder.execute("lock table need in access exclusive mode")
            yield watcher  # not the holder: inside a transaction pg_stat_activity stands still
    finally:
        await holder.close()
        await watcher.close()


async def running_becomes(connection: Connection, expected: int) -> None:
    async def are_so_many() -> bool:
        return bool(await connection.fetchval(RUNNING) == expected)

    await eventually(are_so_many)


async def leave(asking: asyncio.Task[httpx.Response]) -> None:
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_leaves_stops_its_statement(served: Served, method: str) -> None:
    async with slow_questions(served.node.database) as connection, http_client() as leaving:
        given = {"params": {"query": QUERY}} if method == "GET" else {"json": {"query": QUERY}}
        asking = asyncio.create_task(leaving.request(method, served.url, **given))  # type: ignore[arg-type]
        await running_becomes(connection, 1)
        await leave(asking)
        await running_becomes(connection, 0)
    assert (await served.ask(QUERY))["data"] == {"needs": {"nodes": []}}


async def test_a_connection_whose_statement_was_stopped_serves_the_next_question(served: Served) -> None:
    async with slow_questions(served.node.database) as connection:
        for _ in range(12):  # more than there are connections
            asking = asyncio.create_task(served.http.post(served.url, json={"query": QUERY}))
            await running_becomes(connection, 1)
            await leave(asking)
            await running_becomes(connection, 0)
    answers = await asyncio.gather(*[served.ask(QUERY) for _ in range(12)])
    assert [answer["data"] for answer in answers] == [{"needs": {"nodes": []}}] * 12


async def test_a_query_over_a_socket_stops_when_it_is_completed_or_the_socket_closes(served: Served) -> None:
    async with slow_questions(served.node.database) as connection:
        async with opened(served.url, init={}) as client:
            for operation in ("1", "2"):  # of two plans: pages of one share a statement, which runs until both leave
                await client.send(type="subscribe", id=operation, payload={"query": f"query Q{operation} {QUERY}"})
            await running_becomes(connection, 2)
            await client.send(type="complete", id="1")
            await running_becomes(connection, 1)
        await running_becomes(connection, 0)


async def test_a_statement_that_takes_too_long_is_stopped_and_told(services: Services) -> None:
    async with (
        Database(services.database.dsn, statement_timeout_s=1.0) as hurried,
        serving(replace(services, database=hurried)) as (url, _),
        slow_questions(hurried) as connection,
        http_client() as http,
    ):
        response = await http.post(url, json={"query": QUERY})
        await running_becomes(connection, 0)
    assert response.json()["errors"][0]["extensions"]["code"] == "STATEMENT_TIMED_OUT"
