"""Many logs, few of which grow: what an exchange costs depends on what changed, and relays in circles do no harm."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from federation.sync import serve
from store import held as held_
from store import relay
from store.locks import Claims
from store.relay import Position
from tests.beside import beside
from tests.sync.conftest import MakeNode, SyncNode
from tests.waiting import PATIENCE_S


async def linked(*nodes: SyncNode) -> None:
    """Have every node copy from the one before it."""
    for before, after in itertools.pairwise(nodes):
        await after.add_peer(before.url)


async def allow_everybody(node: SyncNode) -> None:
    await node.rows("update participant set trust = 'allowed', trust_set_by = 'operator' where not hosted")


async def titles(node: SyncNode) -> list[tuple[Any, ...]]:
    return await node.rows("select record_id::text, title_text::text from need order by 1")


async def position(node: SyncNode) -> Position:
    """Return a point that no writer in another database of this server holds back."""
    async with asyncio.timeout(PATIENCE_S), node.database.acquire() as connection:
        while True:
            found = await relay.position(connection)
            held_back = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint > $1"
            if not await connection.fetchval(held_back, found.transaction):
                return found
            await asyncio.sleep(0.01)


async def changed(node: SyncNode, after: Position) -> list[str] | None:
    async with node.database.transaction(isolation="repeatable_read", readonly=True) as connection:
        rows = await relay.heads_changed(connection, after)
    return None if rows is None else [row.origin for row in rows]


async def test_only_what_changed_since_a_hint_is_told(make_node: MakeNode) -> None:
    node = await make_node("a")
    quiet = await node.node.participant("sepi", host="a.gotong.test")
    busy = await node.node.participant("ramai", host="a.gotong.test")
    before = await position(node)
    await node.node.publish_needs(busy.scid, "Beras")
    assert await changed(node, before) == [busy.origin]
    assert quiet.origin in (await changed(node, Position(before.stream, 0)) or [])
    assert await changed(node, Position(before.stream, 2**60)) is None, "a future that was lost"


@pytest.mark.parametrize("column", ["trust = 'quarantined'", "did_version = did_version + 1"])
async def test_what_is_said_of_a_participant_is_a_change_of_its_logs(make_node: MakeNode, column: str) -> None:
    node = await make_node("a")
    guest = await node.node.participant("ramai", host="a.gotong.test")
    before = await position(node)
    await node.rows(f"update participant set {column} where scid = $1 returning 1", guest.scid)
    await node.rows("update participant set trust = 'allowed' where scid = $1 returning 1", guest.scid)
    assert await changed(node, before) == [guest.origin]


async def test_where_a_participant_is_at_home_is_no_change_that_others_are_told_of(make_node: MakeNode) -> None:
    node = await make_node("a")
    before = await position(node)
    await node.rows("update participant set home_peer_id = null returning 1")
    assert await changed(node, before) == []


async def test_an_exchange_without_news_asks_the_database_nothing_about_logs(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    await b.pull(a.url)
    looked_up: list[object] = []
    held = held_.held

    async def noted(*arguments: Any) -> Any:
        looked_up.append(arguments)
        return await held(*arguments)

    monkeypatch.setattr(held_, "held", noted)
    async with b.syncer.client(await b.syncer._peer(a.url)) as client, asyncio.timeout(PATIENCE_S):
        while True:  # a writer in another database of this server may hold the hint back for a while
            looked_up.clear()
            assert (await b.syncer._exchange(a.url, client, in_full=False)).entries == 0
            if not looked_up:
                break


async def test_everything_is_asked_for_twice_a_day_also_by_another_process(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await make_node("a"), await make_node("b")
    asked: list[str | None] = []
    heads = serve.heads

    async def told(database: Any, network: Any, since: str | None, now: Any, **more: Any) -> bytes:
        asked.append(since)
        return await heads(database, network, since, now, **more)

    monkeypatch.setattr(serve, "heads", told)
    await b.add_peer(a.url)
    async with b.syncer.client(await b.syncer._peer(a.url)) as client:
        for hours in (0, 1, 12, 1):
            b.node.clock.advance(hours=hours)
            await b.syncer._exchange(a.url, client, in_full=False)
    assert [since is None for since in asked] == [True, False, True, False]


async def test_a_record_goes_through_a_chain_of_four_nodes(make_node: MakeNode) -> None:
    nodes = [await make_node(name) for name in "abcd"]
    await linked(*nodes)
    guest = await nodes[0].node.participant("ojol", host="a.gotong.test")
    await nodes[0].node.publish_needs(guest.scid, "Beras", "Air bersih")
    for before, after in itertools.pairwise(nodes):
        await after.pull(before.url)
        await allow_everybody(after)
    assert await titles(nodes[3]) == await titles(nodes[0]) != []
    assert (await nodes[3].node.check(guest.origin)).signed_size == 3


@contextlib.asynccontextmanager
async def alive(nodes: list[SyncNode]) -> AsyncIterator[None]:
    """Run what a node runs by itself, on each of them."""
    works = [[node.wake.run(), node.feed.run(), node.mail_feed.run(), node.syncer.run()] for node in nodes]
    async with beside(*itertools.chain(*works)):
        yield


async def test_relays_in_a_circle_come_to_rest(make_node: MakeNode) -> None:
    """Each of three copies from both others: every record arrives once, then there is silence."""
    nodes = [await make_node(name, poll_s=3_600.0) for name in "abc"]
    for node in nodes:
        for other in nodes:
            if node is not other:
                await node.add_peer(other.url)
    guest = await nodes[0].node.participant("ojol", host="a.gotong.test")
    async with alive(nodes), asyncio.timeout(PATIENCE_S):
        await nodes[0].node.publish_needs(guest.scid, "Beras", "Air bersih", "Selimut")
        while await _moves(nodes) or [await titles(node) for node in nodes] != [await titles(nodes[0])] * 3:
            pass
        assert len(await titles(nodes[2])) == 3
    for node in nodes:
        assert await node.value("select count(*) from refusal") == 0
        assert await node.value("select count(*) from outbox") == await node.value(
            "select count(distinct (publisher_id, record_id, revision)) from outbox"
        )


async def everything(node: SyncNode) -> list[tuple[Any, ...]]:
    """Return what moves when a node takes something in."""
    return await node.rows("select origin, size, changed_by::text from log order by 1")


async def _moves(nodes: list[SyncNode]) -> bool:
    before = [await everything(node) for node in nodes]
    await asyncio.sleep(1.0)  # many times what one hop takes: a circle that went on would be seen
    return [await everything(node) for node in nodes] != before


async def test_who_came_by_a_relay_while_its_home_was_busy_is_found_at_home_all_the_same(make_node: MakeNode) -> None:
    home, relay, b = await make_node("a"), await make_node("c"), await make_node("b")
    await relay.add_peer(home.url)
    await relay.pull(home.url)
    await b.add_peer(home.url)
    await b.add_peer(relay.url, "quarantined")
    elsewhere = Claims(b.syncer.connect)
    assert await elsewhere.take([home.node.operator.origin])
    assert (await b.pull(home.url)).busy == 1
    await elsewhere.close()
    await b.pull(relay.url)
    trust = "select trust from participant where scid = $1"
    assert await b.value(trust, home.node.operator.scid) == "quarantined"
    b.node.clock.advance(seconds=2)
    await b.syncer.once(home.url, in_full=False)
    assert await b.value(trust, home.node.operator.scid) == "allowed"
