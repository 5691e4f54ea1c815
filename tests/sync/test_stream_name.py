"""Events have other numbers wherever the database may be older than what was told of it, and keep them elsewhere."""

import asyncio
import json
from pathlib import Path

import pytest

from federation.publish.guard import REACHED_FILE, Guard
from tests.sync.conftest import SyncNode
from tests.sync.test_guard import begun, ended, guard_of, home, kill, publishes
from tests.waiting import eventually

__all__ = ["ended", "home"]


async def _stream(node: SyncNode) -> object:
    return await node.value("select stream_id from node_state")


async def test_after_a_kill_events_keep_their_numbers_where_the_database_goes_on(
    home: SyncNode, tmp_path: Path
) -> None:
    await kill(await _decided(home, tmp_path))
    before = await _stream(home)
    await kill(await _decided(home, tmp_path))
    assert await _stream(home) == before


@pytest.mark.parametrize("how", ["older", "another", "unknown", "half said", "not said"])
async def test_after_a_kill_events_have_new_numbers_where_the_database_may_be_older(
    home: SyncNode, tmp_path: Path, how: str
) -> None:
    """It was put back from a copy of a running node: there is no marker on either side."""
    await kill(await _decided(home, tmp_path))
    before, file = await _stream(home), tmp_path / REACHED_FILE
    reached = json.loads(file.read_text())
    changed = {
        "older": json.dumps(reached | {"transaction": reached["transaction"] + 1_000}),
        "another": json.dumps(reached | {"identity": "1/1/1"}),
        "unknown": "{",
        "half said": '{"transaction": 1}',
        "not said": None,
    }[how]
    file.unlink() if changed is None else file.write_text(changed)
    await kill(await _decided(home, tmp_path))
    assert await _stream(home) != before


async def test_it_is_written_down_how_far_the_database_has_come(home: SyncNode, tmp_path: Path) -> None:
    await guard_of(home, tmp_path).confirm()
    process = await begun(home, tmp_path)
    assert await process.decide()
    watching = asyncio.create_task(process.watch())
    try:
        assert await publishes(home)
        number = await home.value("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")

        async def is_written() -> bool:
            return bool(json.loads((tmp_path / REACHED_FILE).read_text())["transaction"] >= number)

        await eventually(is_written)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _decided(node: SyncNode, directory: Path) -> Guard:
    """Return the guard of a new process that has looked at its database."""
    process = await begun(node, directory)
    await process.decide()
    return process
