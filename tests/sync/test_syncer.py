"""The syncer as a daemon: told at once, alone on its peer, patient with peers that fail, and gone when told to go."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from starlette.responses import Response

from federation.moderation.trust import set_peer_trust
from federation.requests.addresses import TEST
from federation.sync import plan, receive
from federation.sync.apply import Ready
from federation.sync.apply import apply as real_apply
from federation.sync.client import PeerClient
from federation.sync.news import News
from store.database import Database
from store.wake import Watch
from tests.beside import beside
from tests.sockets import http_client, serving, url_of
from tests.sync.conftest import MakeNode, SyncNode, sync_node
from tests.sync.liar import Liar
from tests.waiting import PATIENCE_S, eventually

NEED_COUNT = "select count(*) from need"


@contextlib.asynccontextmanager
async def running(*nodes: SyncNode) -> AsyncIterator[None]:
    """Run the background tasks of these nodes."""
    works = [[node.wake.run(), node.feed.run(), node.syncer.run()] for node in nodes]
    async with beside(*itertools.chain(*works)) as tasks:
        try:
            yield
            assert [task for task in tasks if task.done()] == []
        finally:
            for node in nodes:
                node.stopping.set()


async def holds(node: SyncNode, count: int) -> bool:
    return bool(await node.value(NEED_COUNT) == count)


async def test_what_is_published_is_pulled_at_once_over_the_pullers_own_connection(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = Watch.wait
    monkeypatch.setattr(Watch, "wait", lambda watch, *_: wait(watch, 3_600.0))  # nobody looks by the clock
    a, b = await make_node("a"), await make_node("b", poll_s=3_600.0)
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    async with running(a, b):
        await eventually(lambda: holds_participant(b, guest.scid))
        await eventually(lambda: listens(a))
        for count in range(1, 6):
            await a.node.publish_needs(guest.scid, f"Beras {count}")
            await eventually(partial(holds, b, count))


@pytest.mark.parametrize("is_told", [True, False])
async def test_news_of_other_logs_do_not_wait_for_a_long_one_of_the_same_peer(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    """The long copy begins by news, or by an exchange that finds something in both logs."""
    a, b = await make_node("a"), await make_node("b", poll_s=3_600.0)
    long, short = [await a.node.participant(slug, host="a.gotong.test") for slug in ("gudang", "ojol")]
    await b.add_peer(a.url)
    await b.pull(a.url)
    is_begun, may_end = asyncio.Event(), asyncio.Event()

    async def apply(database: Database, ready: Ready, **more: Any) -> int:
        if ready.batch.head.origin == long.origin:
            is_begun.set()
            await may_end.wait()
        return await real_apply(database, ready, **more)

    monkeypatch.setattr(plan, "LONG_ENTRIES_MIN", 0)
    monkeypatch.setattr(receive, "apply", apply)
    if not is_told:
        await a.node.publish_needs(long.scid, "Semen")
        await a.node.publish_needs(short.scid, "Gula")
    async with running(a, b):
        await eventually(lambda: listens(a))
        if is_told:
            await a.node.publish_needs(long.scid, "Semen")
            await a.node.publish_needs(short.scid, "Gula")
        await asyncio.wait_for(is_begun.wait(), PATIENCE_S)
        await eventually(lambda: holds(b, 1))
        await a.node.publish_needs(short.scid, "Beras")
        await eventually(lambda: holds(b, 2))
        may_end.set()
        await eventually(lambda: holds(b, 3))


async def holds_participant(node: SyncNode, scid: str) -> bool:
    return bool(await node.value("select count(*) from participant where scid = $1 and trust = 'allowed'", scid))


async def listens(node: SyncNode) -> bool:
    return len(node.feed._listeners) > 0


async def test_two_nodes_copy_each_other_in_both_directions(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    for node in (a, b):
        guest = await node.node.participant("warga", host=f"{'a' if node is a else 'b'}.gotong.test")
        await node.node.publish_needs(guest.scid, "Beras", "Air")
    await a.add_peer(b.url)
    await b.add_peer(a.url)
    async with running(a, b):
        await eventually(lambda: holds(a, 4))
        await eventually(lambda: holds(b, 4))


async def test_a_peer_that_comes_back_is_found_again_when_its_pause_is_over(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    liar = Liar(a.url, answer=lambda _request, _body: Response("down", 500))
    async with serving(liar.app) as url:
        await b.add_peer(url)
        async with running(b):
            await eventually(lambda: has_failed(b))
            liar.be_honest()
            await asyncio.sleep(1.5)
            assert await b.value(NEED_COUNT) == 0
            b.node.clock.advance(minutes=1)
            await eventually(lambda: holds(b, 1))
            await eventually(lambda: has_recovered(b))


async def test_a_peer_that_was_away_is_asked_as_soon_as_it_is_there_again(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    with socket.socket() as away:
        away.bind(("127.0.0.1", 0))  # refuses connections until it listens
        await b.add_peer(url_of(away))
        async with running(b):
            await eventually(lambda: has_failed(b))
            away.listen()
            async with serving(a.app, away):
                await eventually(lambda: holds(b, 1))  # although the clock stands still, and with it the pause


async def test_a_pause_that_a_wrong_clock_set_is_not_waited_for(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    await b.add_peer(a.url)
    async with b.database.acquire() as connection:
        await connection.execute("update peer set next_pull_at = '2040-01-01', failures = 1")
    async with running(b):
        await eventually(lambda: holds(b, 1))


async def test_what_an_operator_allows_is_pulled_at_once(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    await b.add_peer(a.url, "blocked")
    async with running(b):
        await asyncio.sleep(1.2)
        assert await b.value(NEED_COUNT) == 0
        await set_peer_trust(b.database, a.url, "allowed", actor="test")
        await eventually(lambda: holds(b, 1))


async def has_recovered(node: SyncNode) -> bool:
    return not await has_failed(node)


async def has_failed(node: SyncNode) -> bool:
    return bool(await node.value("select failures > 0 from peer"))


async def test_two_processes_on_one_database_serve_a_peer_once(
    make_node: MakeNode, new_database: Callable[[], Awaitable[str]]
) -> None:
    a, b = await make_node("a"), await make_node("b")
    twin = sync_node(b.node, b.database.dsn, b.url)
    await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    async with running(b):
        await eventually(lambda: listens_to_one(b))
        async with running(twin):
            await asyncio.sleep(1.5)
            assert len(twin.syncer._served) == 0
        assert len(b.syncer._served) == 1
    async with running(twin):
        await eventually(lambda: listens_to_one(twin))


async def listens_to_one(node: SyncNode) -> bool:
    return len(node.syncer._served) == 1


async def test_one_log_is_never_pulled_twice_at_a_time(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air")
    twin = sync_node(b.node, b.database.dsn, b.url)
    await b.add_peer(a.url)
    claimed = await twin.syncer._claims.take([guest.origin])
    assert claimed == {guest.origin}
    done = await b.pull(a.url)
    assert done.busy == 1
    assert await b.value(NEED_COUNT) == 0
    await twin.syncer.close()
    await b.pull_when_free(a.url)
    assert await b.value(NEED_COUNT) == 2


async def test_two_exchanges_at_once_store_everything_once(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, *[f"Beras {number}" for number in range(20)])
    twin = sync_node(b.node, b.database.dsn, b.url)
    await b.add_peer(a.url)
    done = await asyncio.gather(b.pull(a.url), twin.pull(a.url), b.pull(a.url))
    await b.pull(a.url)
    await twin.syncer.close()
    assert sum(each.records for each in done) <= 20
    assert await b.value(NEED_COUNT) == 20
    assert [each.refused for each in done] == [{}, {}, {}]
    assert (await b.node.check(guest.origin)).signed_size == 21


async def test_the_clocks_difference_is_remembered(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    liar = Liar(a.url, heads=lambda body: body.replace(b"T09:26:53.589Z", b"T09:25:53.589Z"))
    async with serving(liar.app) as url:
        await b.add_peer(url)
        await b.pull(url)
    assert await b.value("select skew_ms from peer") == 60_000


async def test_news_name_what_grew_and_can_be_resumed(make_node: MakeNode) -> None:
    a = await make_node("a")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    async with (
        running(a),
        PeerClient(
            a.url,
            reach=TEST,
        ) as client,
    ):
        before = (await client.heads()).since
        await a.node.publish_needs(guest.scid, "Beras")
        async with contextlib.aclosing(client.news(before)) as news:
            assert await anext(news) == News(unnamed=True)
            resumed = (await anext(news)).id
            await a.node.publish_needs(guest.scid, "Air")
            later = (await anext(news)).id
        assert resumed is not None
        assert later is not None  # may equal `resumed`: a transaction of another database can hold both back
        async with (
            http_client() as http,
            http.stream("GET", f"{a.url}/federation/v1/stream", headers={"last-event-id": before}) as response,
        ):
            seen = b""
            async for piece in response.aiter_raw():
                seen += piece
                if b"event: head" in seen:
                    break
        assert f'data: {{"origin":"{guest.origin}","size":3}}'.encode() in seen


async def test_a_stream_ends_when_the_node_stops(make_node: MakeNode) -> None:
    a = await make_node("a")
    async with running(a), PeerClient(a.url, reach=TEST) as client, contextlib.aclosing(client.news()) as news:
        await anext(news)
        a.stopping.set()
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(StopAsyncIteration):
                await anext(news)
