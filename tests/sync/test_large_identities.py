"""However large the identities that a caller asks for, a node that answers holds a few MiB of them at a time."""

import tracemalloc
from pathlib import Path

import pytest

from federation.sync import serve
from federation.sync.frames import Decoder
from federation.sync.messages import PULL_BYTES_MAX, Pull, Wanted
from federation.sync.sections import Assembler, Closed, Opened
from store.database import Database
from tests.clock import FrozenClock
from tests.nodes import TestNode, start_test_node

GUESTS = 12
LINES = 60
LINE_BYTES = 60_000
HELD_BYTES_MAX = 8 * 1024 * 1024
"""What one answer may hold; the identities asked for have 43 MB, and one of them 3.6 MB."""
GROWN = """
    insert into did_line (participant_id, version, line)
    select $1, version, convert_to(rpad(version::text, $3, 'x'), 'utf8') from generate_series(2, $2) version
"""


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


async def with_large_identities(node: TestNode, lines: int, line_bytes: int) -> list[Wanted]:
    """Return how to ask for participants whose identities have so many lines of that size, every other one 1 line."""
    guests = [await node.participant(f"warga-{number}") for number in range(GUESTS)]
    async with node.database.acquire() as connection:
        for guest in guests[::2]:
            await connection.execute(GROWN, guest.participant_id, lines, line_bytes)
            await connection.execute(
                "update participant set did_version = $2 where id = $1", guest.participant_id, lines
            )
    for guest in guests:
        await node.publish_needs(guest.scid, "Beras", "Air")
    return [Wanted(guest.origin) for guest in guests]


async def answer(node: TestNode, wanted: list[Wanted]) -> bytes:
    return b"".join([frames async for frames in serve.pull(node.database, Pull(wanted))])


async def test_an_answer_is_the_same_however_much_of_it_is_read_at_once(
    node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = await with_large_identities(node, 9, 300)
    whole = await answer(node, wanted)
    for bytes_max in (1, 700, 2_000, 5_000):
        monkeypatch.setattr(serve, "IDENTITIES_BYTES_MAX", bytes_max)
        assert await answer(node, wanted) == whole
    monkeypatch.setattr(serve, "IDENTITIES_PER_PAGE", 3)
    assert await answer(node, wanted) == whole
    assembler = Assembler([each.origin for each in wanted])
    events = [assembler.take(frame) for frame in Decoder().feed(whole)]
    assembler.finish()
    assert [len(each.lines) for each in events if isinstance(each, Opened)] == [9, 1] * (GUESTS // 2)
    assert sum(isinstance(each, Closed) for each in events) == GUESTS


async def test_an_answer_ends_after_the_section_that_fills_it(node: TestNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when that is an identity that is read in parts; whoever asks again goes on from there."""
    wanted = await with_large_identities(node, 9, 300)
    monkeypatch.setattr(serve, "IDENTITIES_BYTES_MAX", 700)
    frames = b"".join([each async for each in serve.pull(node.database, Pull(wanted, 1_000))])
    assembler = Assembler([each.origin for each in wanted])
    events = [assembler.take(frame) for frame in Decoder().feed(frames)]
    assembler.finish()
    assert [each.origin for each in events if isinstance(each, Opened)] == [wanted[0].origin]


async def test_a_pull_of_many_large_identities_holds_a_few_megabytes(node: TestNode) -> None:
    wanted = await with_large_identities(node, LINES, LINE_BYTES)
    async for _ in serve.pull(node.database, Pull(wanted[1::2])):
        pass  # what the first answer loads is not counted
    tracemalloc.start()
    try:
        sent = 0
        async for frames in serve.pull(node.database, Pull(wanted)):
            sent += len(frames)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent > PULL_BYTES_MAX
    assert most < HELD_BYTES_MAX, f"{most:,} bytes"
