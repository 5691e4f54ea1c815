"""Tables are rewritten in the hours that the operator names; large ones at night where none are named."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from node import erasing
from node.erasing import is_in
from store import sweep as sweep_
from store.database import Connection, Database, connect
from store.sweep import LARGE_WAIT, Hold, sweep
from tests.clock import FrozenClock
from tests.erasure.disk import database_server, template_database
from tests.erasure.story import erase
from tests.nodes import TestNode, start_test_node

__all__ = ["database_server", "template_database"]


@pytest.mark.parametrize(
    ("hours", "within"),
    [
        ("", set(range(24))),
        ("1-4", {1, 2, 3}),
        ("22-5", {22, 23, 0, 1, 2, 3, 4}),
        ("0-24", set(range(24))),
        ("20-24", {20, 21, 22, 23}),
        ("3-3", set(range(24))),
    ],
)
def test_hours_may_pass_midnight(hours: str, within: set[int]) -> None:
    assert {hour for hour in range(24) if is_in(hours, hour)} == within


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    """A node where something is erased and still in the files."""
    made = await start_test_node(database, tmp_path, clock)
    guest = await made.participant("baca-yuk")
    (need,) = await made.publish_needs(guest.scid, "Beras")
    await erase(made, guest.scid, need, "body")
    return made


async def held(connection: Connection, node: TestNode, *, is_quiet: bool) -> tuple[Hold | None, bool]:
    """Return what keeps erased bytes, and whether a table was written anew."""
    swept = await sweep(connection, node.clock(), is_quiet=is_quiet)
    assert swept is not None
    return swept.hold, bool(swept.tables)


async def test_a_large_table_waits_for_a_quiet_hour_and_a_day_at_most(
    node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_, "LARGE_BYTES", 0)
    async with node.database.acquire() as connection:
        assert await held(connection, node, is_quiet=False) == (Hold.QUIET_HOUR, False)
        assert await connection.fetchval("select waits_for from erasure") == "QUIET_HOUR"
        node.clock.advance(seconds=LARGE_WAIT.total_seconds())
        assert await held(connection, node, is_quiet=False) == (Hold.QUIET_HOUR, False)
        node.clock.advance(seconds=1)
        assert await held(connection, node, is_quiet=False) == (None, True)


async def test_what_waits_for_the_write_ahead_log_alone_hurries_nothing(
    node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of one's own may keep its log for days: its tables are written anew already."""
    monkeypatch.setattr(sweep_, "LARGE_BYTES", 0)
    async with node.database.acquire() as connection:
        assert await held(connection, node, is_quiet=True) == (None, True)
        await connection.execute("update erasure set swept_at = null, reused_to = null")
        node.clock.advance(seconds=LARGE_WAIT.total_seconds() + 1)
        (need,) = await node.publish_needs(node.operator.scid, "Air")
        await erase(node, node.operator.scid, need, "body")
        assert await held(connection, node, is_quiet=False) == (Hold.QUIET_HOUR, False)


@pytest.mark.parametrize("size", [0, 2**40])
async def test_in_a_quiet_hour_large_tables_are_written_anew_and_small_ones_always(
    node: TestNode, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(sweep_, "LARGE_BYTES", size)
    async with node.database.acquire() as connection:
        assert await held(connection, node, is_quiet=size == 0) == (None, True)


@pytest.mark.parametrize(
    ("hours", "hour", "told"),
    [("", 2, [True]), ("", 12, [False]), ("9-17", 12, [True]), ("9-17", 2, []), ("0-24", 12, [True])],
)
async def test_a_node_says_whether_the_hour_is_quiet(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch, hours: str, hour: int, told: list[bool]
) -> None:
    asked: list[bool] = []

    async def once(_connect: Callable[[], Awaitable[Connection]], _now: datetime, *, is_quiet: bool) -> None:
        asked.append(is_quiet)

    async def over(_seconds: float) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(erasing, "sweep_once", once)
    monkeypatch.setattr(asyncio, "sleep", over)
    now: Any = datetime(2026, 11, 22, hour).astimezone()
    with contextlib.suppress(asyncio.CancelledError):
        await erasing.sweep_files(lambda: connect(database_dsn), lambda: now, hours)
    assert asked == told
