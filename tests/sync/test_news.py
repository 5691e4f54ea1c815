"""What a peer's stream says wakes the puller for just that, and for everything when it is not understood."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from federation.peers import loop
from federation.sync import serve
from federation.sync.client import PeerClient, PeerTooMuch
from federation.sync.messages import Wanted
from federation.sync.news import NEWS_LOGS_MAX, Bell, News, read_news, split_events
from federation.sync.plan import grown
from store.held import Held
from tests.clock import START
from tests.sync.conftest import MakeNode
from tests.sync.test_quiet_logs import alive
from tests.sync.test_syncer import holds
from tests.waiting import eventually

ONE = b'event: head\ndata: {"origin":"gotong/a/0","size":3}'
MAIL = b"event: mail\ndata: {}"
TWO = b'event: head\ndata: {"origin":"gotong/b/0","size":8}\nid: x:7'


def held(size: int, **changes: Any) -> Held:
    given: dict[str, Any] = {
        "scid": "a",
        "participant_id": 1,
        "host": "h",
        "hosted": False,
        "trust": "allowed",
        "did_version": 2,
    }
    edge: dict[str, Any] = {"edge": b"", "checkpoint": None, "checkpoint_size": 0}
    return Held(**(given | edge | {"size": size} | changes))


def test_events_name_logs_and_the_place_to_resume_from() -> None:
    assert read_news([b": still here", ONE, TWO]) == News("x:7", {"gotong/a/0": 3, "gotong/b/0": 8})
    assert read_news([b": still here"]) is None


def test_mail_is_told_beside_logs_and_alone() -> None:
    assert read_news([MAIL]) == News(mail=True)
    assert read_news([MAIL, TWO]) == News("x:7", {"gotong/b/0": 8}, mail=True)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_are_found_however_their_lines_end_and_wherever_the_stream_is_cut(end: bytes) -> None:
    stream = b"".join(event.replace(b"\n", end) + end + end for event in (ONE, MAIL, TWO)) + b":" + end
    for piece_bytes in (1, 2, 3, 7, len(stream)):
        found: list[bytes] = []
        rest = b""
        for start in range(0, len(stream), piece_bytes):
            events, rest = split_events(rest + stream[start : start + piece_bytes])
            found += events
        assert found == [ONE, MAIL, TWO]


async def test_mail_rings_for_mail_alone_and_everything_has_it_looked_at_too() -> None:
    bell = Bell(None)
    bell.tell(News(mail=True), START)
    assert await bell.rung(0) == News(mail=True)
    bell.tell(News(None, {"a": 1}), START)
    bell.tell(News(mail=True), START)
    assert await bell.rung(0) == News(None, {"a": 1}, mail=True)
    bell.tell(News(mail=True), START)
    bell.ring()
    assert await bell.rung(0) == News(mail=True, unnamed=True)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"origin":1,"size":2}', b'{"origin":"a"}', b"[" * 5_000])
def test_an_event_that_is_not_understood_has_everything_looked_at(data: bytes) -> None:
    assert read_news([ONE, b"event: head\ndata: " + data]) == News(unnamed=True)


async def test_a_bell_gathers_names_beside_what_is_not_named() -> None:
    bell = Bell(None)
    bell.tell(News(None, {"a": 1}), START)
    bell.tell(News(None, {"a": 2, "b": 1}), START)
    assert await bell.rung(0) == News(None, {"a": 2, "b": 1})
    bell.tell(News(None, {"a": 3}), START)
    bell.ring()
    bell.tell(News(unnamed=True), START)
    assert await bell.rung(0) == News(None, {"a": 3}, unnamed=True)
    bell.tell(News(None, {str(number): 1 for number in range(NEWS_LOGS_MAX + 1)}), START)
    assert await bell.rung(0) == News(unnamed=True)


async def test_a_bell_is_heard_for_as_long_as_work_lasts_and_nothing_is_lost_then() -> None:
    bell = Bell(None)
    done = asyncio.Event()

    async def long() -> None:
        await done.wait()

    work = asyncio.create_task(long())
    bell.tell(News(None, {"a": 1}), START)
    assert await bell.rung_during({work}, 0) == News(None, {"a": 1})
    done.set()
    assert await bell.rung_during({work}, 0) is None
    bell.tell(News(None, {"b": 1}), START)
    assert await bell.rung_during({work}, 3_600.0) is None
    assert await bell.rung(0) == News(None, {"b": 1})


def test_names_that_come_while_a_pull_lasts_do_not_pile_up() -> None:
    bell = Bell(None)
    for number in range(10 * NEWS_LOGS_MAX):
        bell.tell(News(None, {f"gotong/{number}/0": 1}), START)
        assert len(bell._sizes) <= NEWS_LOGS_MAX


async def test_a_stream_that_breaks_a_rule_is_opened_less_and_less_often(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless:
        async def news(self, _last_id: str | None) -> AsyncGenerator[News, None]:
            yield News(unnamed=True)
            raise PeerTooMuch("an event without an end")

    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 8:
            raise asyncio.CancelledError

    b = await make_node("b")
    monkeypatch.setattr(loop, "asyncio", SimpleNamespace(sleep=sleep))
    with pytest.raises(asyncio.CancelledError):
        await b.syncer._listen("http://127.0.0.1:9", cast("PeerClient", Endless()), Bell(None))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


async def test_news_do_not_end_a_pause_and_an_operator_does() -> None:
    bell = Bell(START + timedelta(seconds=5))
    bell.tell(News(None, {"a": 1}), START)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await bell.rung(0)
    bell.tell(News(None, {"a": 1}), START + timedelta(seconds=5))
    assert await bell.rung(0) == News(None, {"a": 1})
    bell.ring()
    assert await bell.rung(0) == News(unnamed=True)


def test_only_what_needs_no_second_look_is_pulled_by_name() -> None:
    assert grown({"l": 5}, {"l": held(3)}) == ([Wanted("l", 3, 2)], True)
    assert grown({"l": 5}, {"l": held(3, trust="blocked")}) == ([], True)
    for ours in (held(3, hosted=True), held(5), held(3, frozen_size=3), held(3, trust="quarantined")):
        assert grown({"l": 5}, {"l": ours}) == ([], False)
    assert grown({"l": 5}, {}) == ([], False), "who is met for the first time has a home to be found"
    assert grown({"new": 5, "l": 5}, {"l": held(3)}) == ([Wanted("l", 3, 2)], False)


async def test_what_is_announced_is_pulled_without_asking_for_heads(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await make_node("a", poll_s=3_600.0), await make_node("b", poll_s=3_600.0)
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    asked: list[object] = []
    heads = serve.heads

    async def told(*arguments: Any, **more: Any) -> bytes:
        asked.append(arguments)
        return await heads(*arguments, **more)

    monkeypatch.setattr(serve, "heads", told)
    count = 0
    async with alive([a, b]):
        while not count or asked:  # the first ones may still fall into the exchange that found the publisher's home
            asked.clear()
            count += 1
            await a.node.publish_needs(guest.scid, f"Beras nomor {count}")
            await eventually(partial(holds, b, count))
            assert count < 20
