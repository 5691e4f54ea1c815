"""Followers that ask too much, read too slowly or leave: what becomes of them, and of everybody else."""

import asyncio
from typing import Any

import pytest

from api import graphql_ws
from schema import following
from schema.compile.build import Asking
from schema.compile.follow import FollowPlan
from schema.engine import Engine
from store.database import StatementTimedOut
from tests.api.conftest import Served
from tests.api.test_following import followed, opened, publish
from tests.api.test_writing import PUBLISH, need


async def test_who_lets_large_answers_pile_up_is_cut_off_before_there_are_many(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_ws, "QUEUED_BYTES_MAX", 1_000)
    async with opened(served.url, init={}) as client:
        await client.follow()
        (socket,) = served.endpoint._sockets._sockets
        assert socket.put(b'{"type":"pong","payload":{"x":"%b"}}' % (b"x" * 5_000))  # alone it is sent, however large
        assert not socket.put(b'{"type":"pong"}')
        assert await client.closed_with() == graphql_ws.TOO_SLOW


async def test_a_question_that_cannot_be_answered_keeps_nobody_else_waiting(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RETRY_S", 0.01)
    monkeypatch.setattr(following, "POLL_S", 0.01)
    read = FollowPlan.read

    async def failing(plan: FollowPlan, asking: Asking, *more: Any) -> Any:
        if asking.variables.get("f"):
            raise StatementTimedOut("this took too long")
        return await read(plan, asking, *more)

    monkeypatch.setattr(FollowPlan, "read", failing)
    async with opened(served.url, init={}) as client:
        await client.follow("too dear", f={"text": "beras"})
        await client.follow("cheap")
        await followed(served.endpoint, 2)
        await publish(served, "Beras")
        told = {message["id"]: message for message in [await client.take(), await client.take()]}
        assert told["cheap"]["payload"]["data"]["needPublished"]["need"]["title"] == "Beras"
        assert told["too dear"]["type"] == "error"
        assert told["too dear"]["payload"][0]["extensions"]["code"] == "STATEMENT_TIMED_OUT"
        await publish(served, "Kopi")
        assert (await client.event())["need"]["title"] == "Kopi"


async def test_what_is_too_costly_to_follow_is_not_compiled(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "follow", None)
    inner = "updates(first: 100) { nodes { publisher { updates(first: 100) { nodes { id } } } } }"
    query = f"subscription {{ needPublished {{ need {{ {inner} }} }} }}"
    async with opened(served.url, init={}) as client:
        await client.send(type="subscribe", id="1", payload={"query": query})
        refused = await client.take()
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", "QUERY_TOO_COSTLY")


async def test_a_mutation_goes_on_when_nobody_waits_for_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    began, may_go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    execute = Engine.execute

    async def slow(engine: Engine, *more: Any) -> Any:
        began.set()
        await may_go_on.wait()
        answer = await execute(engine, *more)
        done.set()
        return answer

    async with opened(served.url, init={"Authorization": f"Bearer {served.token()}"}) as client:
        monkeypatch.setattr(Engine, "execute", slow)
        await client.send(type="subscribe", id="1", payload={"query": PUBLISH, "variables": {"input": need(served)}})
        await began.wait()
        await client.send(type="complete", id="1")
        await client.send(type="ping")
        assert (await client.take())["type"] == "pong"
    may_go_on.set()
    await done.wait()
    monkeypatch.undo()
    assert (await served.ask("{ needs { totalCount } }"))["data"]["needs"]["totalCount"] == 1
