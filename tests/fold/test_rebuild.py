"""`verify --deep`: rows are what the logs say, and one that is not is found."""

from datetime import timedelta
from pathlib import Path

import pytest

from federation.projection.rebuild import Difference, compare
from federation.publish.append import Draft
from store.database import Database
from tests.clock import FrozenClock
from tests.nodes import TestNode, fixed, need_body, start_test_node
from tests.schema.world import organization_body


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


async def _story(node: TestNode) -> str:
    """Write two logs, the first about a record of the second, and return the need's id."""
    early, late = await node.participant("a-awal"), await node.participant("b-akhir")
    (need,) = await node.publish_needs(late.scid, "Beras")
    await node.appender.append(late.scid, [Draft("need", need.record_id, fixed(need_body("Beras dan minyak")))])
    about = {"uri": need.uri, "leaf": need.leaf_hash.hex()}
    news = {"about": about, "text": [{"lang": "id", "text": "Sudah kami antar"}]}
    await node.appender.append(early.scid, [Draft("update", None, fixed(news))])
    return str(need.record_id)


async def test_a_healthy_node_has_no_difference_and_nothing_is_left_behind(node: TestNode) -> None:
    await _story(node)
    async with node.database.acquire() as connection:
        before = await connection.fetch("select * from need")
    assert await compare(node.database, as_of=node.clock()) == []
    async with node.database.acquire() as connection:
        assert await connection.fetch("select * from need") == before
        assert await connection.fetchval("select to_regclass('pg_temp.need')") is None


@pytest.mark.parametrize(
    ("spoil", "stored", "rebuilt"),
    [
        ("update need set state = 'WITHDRAWN'", True, True),
        ("update need set quantity_value = 2500", True, True),
        ("delete from need", False, True),
    ],
)
async def test_a_row_that_was_changed_by_hand_is_found(node: TestNode, spoil: str, stored: bool, rebuilt: bool) -> None:
    record_id = await _story(node)
    async with node.database.acquire() as connection:
        await connection.execute(spoil)
    (found,) = await compare(node.database, as_of=node.clock())
    assert (found.table, found.record_id, found.stored, found.rebuilt) == ("need", record_id, stored, rebuilt)
    assert isinstance(found, Difference)


async def test_an_organization_shown_against_the_operators_word_is_found(node: TestNode) -> None:
    guest = await node.participant("a-awal")
    await node.appender.append(guest.scid, [Draft("organization", None, fixed(organization_body(slug="a-awal")))])
    assert await compare(node.database, as_of=node.clock()) == []
    async with node.database.acquire() as connection:
        scid = await connection.fetchval("update organization set visible = false where slug = 'a-awal' returning scid")
    (found,) = await compare(node.database, as_of=node.clock())
    assert (found.table, found.publisher) == ("organization", scid)


async def test_a_state_the_sweeper_has_not_reached_is_a_difference(node: TestNode) -> None:
    record_id = await _story(node)
    late = node.clock() + timedelta(days=400)
    assert [found.record_id for found in await compare(node.database, as_of=late)] == [record_id]
