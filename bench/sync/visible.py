"""How long after a publisher asked is a need told to those who follow another node: directly, and through three relays.

Five nodes in a row, each a process with a database of its own; each copies from the one before it. The clock starts
before the publisher's request is sent and stops when a follower of the other node has the event in hand.
"""

import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from auth.tokens import issue
from bench.sync import nodes
from bench.sync.nodes import Place
from domain.records.registry import RECORDS
from federation.moderation.trust import set_participant_trust
from node.identity import introduction, make_operator
from node.wiring import TOKEN_KEY, now
from store.database import Database
from store.participants import find

RELAYS = 3
WARM_UP = 5
ARRIVAL_TIMEOUT_S = 30.0
PAUSE_S = 0.05
PUBLISH = """mutation ($input: PublishNeedInput!) {
  publishNeed(input: $input) { need { id } userErrors { code message field } } }"""
FOLLOW = "subscription { needPublished { need { title } } }"


@dataclass(slots=True)
class Follower:
    """Someone who follows the needs of one node."""

    socket: ClientConnection
    arrivals: "dict[str, asyncio.Future[float]]" = field(default_factory=dict)

    async def listen(self) -> None:
        """Note when each need comes, by its title, until cancelled."""
        async for message in self.socket:
            told = json.loads(message)
            if told["type"] == "next":
                self._arrival(told["payload"]["data"]["needPublished"]["need"]["title"]).set_result(time.perf_counter())

    async def has(self, title: str) -> float:
        """Return when the need arrived."""
        async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
            return await self._arrival(title)

    def _arrival(self, title: str) -> "asyncio.Future[float]":
        return self.arrivals.setdefault(title, asyncio.get_running_loop().create_future())


async def measure(dsn: str, directory: Path, count: int) -> dict[str, Any]:
    """Return the median and the 99th percentile of both distances, in milliseconds."""
    row = [await nodes.place(dsn, directory, f"desa{number}") for number in range(RELAYS + 2)]
    scid = ""
    for number, each in enumerate(row):
        made = await _begin(each)
        scid = scid or made
        if number:
            await each.add_peer(row[number - 1].url)
    async with contextlib.AsyncExitStack() as stack:
        for each in row:
            await stack.enter_async_context(nodes.running(each))
        for each in row[1:]:
            await _allow(each, scid)
        direct = await stack.enter_async_context(_following(row[1]))
        far = await stack.enter_async_context(_following(row[-1]))
        publisher = await stack.enter_async_context(_publishing(row[0], scid))
        times = [await _one(publisher, scid, f"Beras nomor {n}", direct, far) for n in range(WARM_UP + count)]
    near, through = ([each[place] for each in times[WARM_UP:]] for place in (0, 1))
    return {
        "publish_visible_ms": {"published": count, "direct": _percentiles(near), "three_relays": _percentiles(through)}
    }


async def _begin(place: Place) -> str:
    async with place.opened() as node:
        who = introduction(node, slug="warga", name="Warga", kind="COMMUNITY", region="32.03.28", description=None)
        made = await make_operator(node, who, host=place.did_host, cards_dir=None)
    return made.scid


async def _allow(place: Place, scid: str) -> None:
    """Wait until the node has met the publisher and has its introduction, its operator allowing it."""
    table = RECORDS.named("organization").table
    async with Database(place.dsn, connections=1) as database, asyncio.timeout(ARRIVAL_TIMEOUT_S):
        while True:
            async with database.acquire() as connection:
                found = await find(connection, scid)
                query = f"select count(*) from {table} where publisher_id = $1"
                introduced = found is not None and await connection.fetchval(query, found.id)
            if found is not None and found.trust != "allowed":
                await set_participant_trust(database, scid, "allowed", actor="bench")
            elif introduced:
                return
            await asyncio.sleep(PAUSE_S)


@contextlib.asynccontextmanager
async def _following(place: Place) -> AsyncIterator[Follower]:
    url = place.url.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        await socket.recv()
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": FOLLOW}}))
        follower = Follower(socket)
        listening = asyncio.create_task(follower.listen())
        await asyncio.sleep(PAUSE_S)
        try:
            yield follower
        finally:
            listening.cancel()


@contextlib.asynccontextmanager
async def _publishing(place: Place, scid: str) -> AsyncIterator[httpx.AsyncClient]:
    async with place.opened() as node:
        token = issue(
            node.keys.get_or_create(TOKEN_KEY),
            issuer=place.url,
            audience=place.url,
            subject=f"gotong:{scid}",
            organizations=[scid],
            scopes=["records:write"],
            now=now(),
        )
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=place.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


async def _one(
    publisher: httpx.AsyncClient, scid: str, title: str, direct: Follower, far: Follower
) -> tuple[float, float]:
    """Return the milliseconds until both followers had one need."""
    await asyncio.sleep(PAUSE_S)
    begun_s = time.perf_counter()
    answer = (
        await publisher.post("/graphql", json={"query": PUBLISH, "variables": {"input": _need(scid, title)}})
    ).json()
    if answer.get("errors") or answer["data"]["publishNeed"]["userErrors"]:
        raise SystemExit(f"the need was refused: {answer}")
    arrived_s = await direct.has(title), await far.has(title)
    return (arrived_s[0] - begun_s) * 1000, (arrived_s[1] - begun_s) * 1000


def _need(scid: str, title: str) -> dict[str, Any]:
    return {
        "as": f"gotong:{scid}",
        "title": [{"lang": "id", "text": title}],
        "kind": "GOODS",
        "category": "food.rice",
        "quantity": {"value": "25", "unit": "kg"},
        "urgency": "HIGH",
        "place": {"code": "32.03.28"},
        "modes": ["DONATE"],
    }


def _percentiles(times_ms: Sequence[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(times_ms), 1), "p99": round(statistics.quantiles(times_ms, n=100)[98], 1)}
