"""What a node does by itself goes on, whatever one part of it fails over."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from federation.projection.project import settle
from node import background
from store.database import Connection, Database
from tests.clock import FrozenClock
from tests.nodes import need_draft, start_test_node
from tests.waiting import PATIENCE_S


async def test_work_that_ends_by_something_unforeseen_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN_S", 0.0)
    begun = asyncio.Event()
    failures = iter([ZeroDivisionError(), KeyError()])

    async def work() -> None:
        for error in failures:
            raise error
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(background.lasting(work))
    async with asyncio.timeout(PATIENCE_S):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_log_that_cannot_be_settled_holds_up_neither_others_nor_the_states(
    database: Database, tmp_path: Path, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PAUSE_AFTER_ERROR_S", 0.0)
    node = await start_test_node(database, tmp_path, clock)
    await node.appender.append(node.operator.scid, [need_draft(expiresAt="2026-04-01T00:00:00.000Z")])
    origins = [node.operator.origin, (await node.participant("rt01")).origin]
    async with node.database.acquire() as connection:
        await connection.execute(
            """
            insert into unprojected (log_id, index, reason, type, v, record_id, revision, due_at)
            select id, 0, 'TARGET_MISSING', 'log', 1, gen_random_uuid(), 0, $1 from log where origin = any($2)
            """,
            clock(),
            origins,
        )
    settled = []

    async def failing(connection: Connection, origin: str, *, as_of: datetime) -> int:
        settled.append(origin)
        if len(settled) == 1:
            raise ZeroDivisionError
        return await settle(connection, origin, as_of=as_of)

    monkeypatch.setattr(background, "settle", failing)
    clock.advance(days=60)
    await background.sweep_once(node.database, clock())
    assert sorted(settled) == sorted(origins)
    async with node.database.acquire() as connection:
        assert await connection.fetchval("select state from need") == "EXPIRED"
