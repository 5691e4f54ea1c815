"""A process killed in the middle of importing a bundle leaves what was verified, and the next import ends the same."""

import asyncio
import sys

import pytest

from federation.moderation.trust import set_participant_trust
from federation.projection.rebuild import compare
from federation.sync import serve
from tests.house.source import ROOT
from tests.mirror.conftest import NEEDS, MakeNode, SyncNode, exported, imported
from tests.mirror.importing import NAME
from tests.nodes import need_draft
from tests.waiting import eventually

ENTRIES = 601
KILLS = 3
SIZE = "select coalesce(max(size), 0) from log where origin = $1"


async def test_killed_in_the_middle_an_import_goes_on_and_ends_the_same(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 8)  # many small batches: many points to die at
    sender, whole, killed = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await sender.node.participant("ojol", host="a.gotong.test")
    await sender.node.appender.append(guest.scid, [need_draft(f"Beras {number}") for number in range(ENTRIES - 1)])
    data = await exported(sender, guest.scid)
    await imported(whole, data)

    sizes = [0]
    for number in range(1, KILLS + 1):
        begun = data[: len(data) * number // (KILLS + 1)]
        await import_and_kill(killed, begun, guest.origin, after=sizes[-1])
        sizes.append(await killed.value(SIZE, guest.origin))
    assert sizes == sorted(set(sizes))  # each of them stored something more
    assert sizes[-1] < ENTRIES

    taken = (await imported(killed, data))[guest.origin]
    assert (taken.entries, taken.error) == (ENTRIES - sizes[-1], None)
    assert (await killed.node.check(guest.origin)).signed_size == ENTRIES
    for node in (whole, killed):
        await set_participant_trust(node.database, guest.scid, "allowed", actor="test")
        assert await compare(node.database, as_of=node.node.clock()) == []
    assert await killed.rows(NEEDS) == await whole.rows(NEEDS) == await sender.rows(NEEDS)


async def import_and_kill(node: SyncNode, data: bytes, origin: str, *, after: int) -> None:
    """Have a process import what begins like the bundle; kill it without warning once it holds more than `after`.

    Return when the database has noticed: what it was told to commit is committed by then.
    """

    async def is_noticed() -> bool:
        left = "select count(*) from pg_stat_activity where datname = current_database() and application_name = $1"
        return bool(await node.value(left, NAME) == 0)

    async def is_more() -> bool:
        assert process.returncode is None
        return bool(await node.value(SIZE, origin) > after)

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.mirror.importing", node.database.dsn, stdin=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        await process.stdin.drain()
        await eventually(is_more)
    finally:
        process.kill()  # it waits for the rest of its bundle, or is in the midst of storing
        await process.wait()
    await eventually(is_noticed)
