"""What a node shows does not depend on when bodies and erasures came, nor in which pieces."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from federation.projection.fold import Reason
from federation.projection.rebuild import compare
from store.database import Database
from tests.clock import FrozenClock
from tests.copies import Mirror, content
from tests.erasure.story import Author, Delivery, settled
from tests.nodes import TestNode, start_test_node

NewDatabase = Callable[[], Awaitable[str]]


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


@pytest.fixture
async def copy(new_database: NewDatabase) -> AsyncIterator[Database]:
    async with Database(await new_database(), connections=4) as database:
        yield database


async def _rows(database: Database, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    async with database.acquire() as connection:
        return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]


async def _bodies(database: Database) -> list[tuple[Any, ...]]:
    return await _rows(
        database,
        "select origin, index, data from payload join log on log.id = log_id where part = 1 order by origin, index",
    )


async def _reasons(database: Database) -> list[tuple[Any, ...]]:
    return await _rows(
        database, "select origin, index, reason from unprojected join log on log.id = log_id order by origin, index"
    )


@pytest.mark.parametrize("seed", range(12))
async def test_the_state_is_the_same_however_entries_and_bodies_came(node: TestNode, copy: Database, seed: int) -> None:
    """Two logs that refer to each other and erase; a sender without regard for erasures; bodies late, or never."""
    chance = random.Random(seed)
    guests = [await node.participant(slug) for slug in ("baca-yuk", "ojol-peduli")]
    authors = [Author(node, guest.scid, guest.origin, chance) for guest in guests]
    for _ in range(30):
        node.clock.advance(minutes=1)
        await chance.choice(authors).act([record for author in authors for record in author.records])
    origins = [author.origin for author in authors]
    await settled(node.database, origins, node)
    deliveries = [Delivery(Mirror(copy, node, author.origin), author, chance) for author in authors]
    for delivery in deliveries:
        await delivery.mirror.meet()
    left = list(deliveries)
    while left:
        delivery = chance.choice(left)
        if await delivery.step():
            left.remove(delivery)
        if chance.random() < 0.3:
            await settled(copy, origins, node)
    for delivery in deliveries:
        await delivery.heal(sorted(delivery.author.kept))
    await settled(copy, origins, node)
    assert await content(copy) == await content(node.database)
    assert await _bodies(copy) == await _bodies(node.database)
    assert await _reasons(copy) == await _reasons(node.database)
    assert Reason.WITHHELD not in {reason for _, _, reason in await _reasons(copy)}
    assert await compare(copy, as_of=node.clock()) == []
    assert await compare(node.database, as_of=node.clock()) == []
