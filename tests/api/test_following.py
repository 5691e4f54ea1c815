"""Following needs over graphql-transport-ws, on real sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from api import graphql_ws
from api.graphql import GraphQLEndpoint
from schema.compile.follow import FollowPlan
from schema.following import Group
from store import database as store_database
from store.wake import Wake
from tests.api.conftest import Served, serving
from tests.api.test_writing import PUBLISH, need
from tests.waiting import PATIENCE_S, eventually

FOLLOW = """
subscription ($f: NeedFilter, $after: String) {
  needPublished(filter: $f, after: $after) { cursor kind need { title } }
}
"""


class Client:
    """A graphql-transport-ws client that says what it gets."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def take(self) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await self.socket.recv())

    async def event(self) -> Any:
        message = await self.take()
        assert message["type"] == "next", message
        return message["payload"]["data"]["needPublished"]

    async def follow(self, operation_id: str = "1", query: str = FOLLOW, **variables: Any) -> None:
        await self.send(type="subscribe", id=operation_id, payload={"query": query, "variables": variables})
        await self.send(type="ping")  # answered after the subscription was taken in
        assert (await self.take())["type"] == "pong"

    async def closed_with(self) -> int | None:
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.socket.recv()
        return self.socket.close_code


@contextlib.asynccontextmanager
async def opened(
    url: str,
    *,
    init: dict[str, Any] | None = None,
    protocol: str = "graphql-transport-ws",
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Client]:
    protocols = [Subprotocol(protocol)]
    address = url.replace("http", "ws")
    async with connect(address, subprotocols=protocols, additional_headers=headers, open_timeout=PATIENCE_S) as socket:
        client = Client(socket)
        if init is not None:
            await client.send(type="connection_init", payload=init)
            assert (await client.take())["type"] == "connection_ack"
        yield client


async def publish(served: Served, title: str, **changes: Any) -> None:
    answer = await served.ask(PUBLISH, served.token(), input=need(served, title=[{"text": title}], **changes))
    assert answer["data"]["publishNeed"]["userErrors"] == []


def groups_of(endpoint: GraphQLEndpoint) -> list[Group]:
    return list(endpoint._sockets.following._groups.values())


async def followed(endpoint: GraphQLEndpoint, count: int = 1) -> None:
    """Return when so many subscriptions have reached their place: whatever is published from now on is told to them."""

    async def are_there() -> bool:
        return sum(len(group.followers) for group in groups_of(endpoint)) == count

    await eventually(are_there)


async def test_a_published_need_reaches_who_follows_and_its_filter(served: Served) -> None:
    async with opened(served.url, init={}) as client:
        await client.follow("a")
        await client.follow("b", f={"urgencyAtLeast": "CRITICAL"})
        await followed(served.endpoint, 2)
        await publish(served, "Beras", urgency="LOW")
        await publish(served, "Ambulans", urgency="CRITICAL")
        got = [await client.take() for _ in range(3)]
        titles = [(message["id"], message["payload"]["data"]["needPublished"]["need"]["title"]) for message in got]
        assert sorted(titles) == [("a", "Ambulans"), ("a", "Beras"), ("b", "Ambulans")]


async def test_a_cursor_replays_what_was_missed_without_gap_or_duplicate(served: Served) -> None:
    async with opened(served.url, init={}) as client:
        await client.follow()
        await followed(served.endpoint)
        await publish(served, "first")
        cursor = (await client.event())["cursor"]
    for number in range(7):
        await publish(served, f"missed {number}")
    async with opened(served.url, init={}) as client:
        await client.follow(after=cursor)
        writing = asyncio.create_task(publish(served, "live"))
        titles = [(await client.event())["need"]["title"] for _ in range(8)]
        await writing
        assert titles == [f"missed {number}" for number in range(7)] + ["live"]


async def test_followers_that_join_while_needs_are_published_miss_and_repeat_nothing(served: Served) -> None:
    async with opened(served.url, init={}) as client:
        await client.follow()
        await followed(served.endpoint)
        await publish(served, "start")
        start = (await client.event())["cursor"]

    async def reader() -> list[str]:
        async with opened(served.url, init={}) as client:
            await client.follow(after=start)
            return [(await client.event())["need"]["title"] for _ in range(30)]

    async def writer() -> None:
        for number in range(30):
            await publish(served, str(number))

    async def late(delay_s: float) -> list[str]:
        await asyncio.sleep(delay_s)
        return await reader()

    _, *read = await asyncio.gather(writer(), *(late(delay * 0.03) for delay in range(8)))
    assert read == [[str(number) for number in range(30)]] * 8


async def test_two_processes_on_one_database_both_tell(served: Served) -> None:
    dsn = served.node.database.dsn
    async with store_database.Database(dsn, connections=3) as second:
        services = replace(served.services, database=second, wake=Wake(lambda: store_database.connect(dsn)))
        async with (
            serving(services) as (url, theirs),
            opened(url, init={}) as other,
            opened(served.url, init={}) as own,
        ):
            await other.follow()
            await own.follow()
            for endpoint in (theirs, served.endpoint):
                await followed(endpoint)
            await publish(served, "Beras")
            assert (await own.event())["need"]["title"] == "Beras"
            assert (await other.event())["need"]["title"] == "Beras"


async def test_one_statement_serves_all_who_ask_the_same(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    read = FollowPlan.read

    async def counted(*args: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(*args)

    monkeypatch.setattr(FollowPlan, "read", counted)
    await everything_is_numbered(served)
    async with opened(served.url, init={}) as client:
        for number in range(40):
            await client.follow(str(number))
        await followed(served.endpoint, 40)
        await publish(served, "Beras")
        assert len([await client.event() for _ in range(40)]) == 40
    assert reads <= 3


@pytest.mark.parametrize(
    ("after", "code"),
    [
        ("nonsense", "CURSOR_INVALID"),
        ("MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwIDE", "STREAM_CHANGED"),
    ],
)
async def test_a_cursor_of_another_numbering_says_how_to_catch_up(served: Served, after: str, code: str) -> None:
    async with opened(served.url, init={}) as client:
        await client.send(type="subscribe", id="1", payload={"query": FOLLOW, "variables": {"after": after}})
        message = await client.take()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", code)


async def test_what_may_not_be_seen_is_not_told(served: Served) -> None:
    async with opened(served.url, init={}) as client:
        await client.follow()
        await followed(served.endpoint)
        async with served.node.database.acquire() as connection:
            await connection.execute("update participant set trust = 'quarantined'")
        await publish(served, "hidden")
        async with served.node.database.acquire() as connection:
            await connection.execute("update participant set trust = 'allowed'")
        await publish(served, "shown")
        assert (await client.event())["need"]["title"] == "shown"


async def test_queries_and_mutations_go_over_the_socket_too(served: Served) -> None:
    token = served.token()
    async with opened(served.url, init={"Authorization": f"Bearer {token}"}) as client:
        await client.send(type="subscribe", id="1", payload={"query": "{ viewer { subject scopes } }"})
        taken = await client.take()
        assert (taken["id"], taken["type"]) == ("1", "next")
        assert taken["payload"]["data"] == {"viewer": {"subject": "sari", "scopes": ["records:write"]}}
        assert await client.take() == {"id": "1", "type": "complete"}
        await client.send(type="subscribe", id="2", payload={"query": PUBLISH, "variables": {"input": need(served)}})
        assert (await client.take())["payload"]["data"]["publishNeed"]["userErrors"] == []


async def test_completing_a_subscription_ends_it(served: Served) -> None:
    async with opened(served.url, init={}) as client:
        await client.follow()
        await followed(served.endpoint)
        await client.send(type="complete", id="1")
        await followed(served.endpoint, 0)
        assert groups_of(served.endpoint) == []


async def test_the_legacy_protocol_is_not_spoken(served: Served) -> None:
    async with opened(served.url, protocol="graphql-ws") as client:
        assert await client.closed_with() == graphql_ws.PROTOCOL_UNKNOWN


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}}], 4401),
        ([{"type": "connection_init"}, {"type": "connection_init"}], 4429),
        ([{"type": "nonsense"}], 4400),
        (["not json"], 4400),
        ([[]], 4400),
        ([{"type": "connection_init", "payload": {"Authorization": "Bearer x"}}], 4401),
        (
            [
                {"type": "connection_init"},
                {"type": "subscribe", "id": "1", "payload": {"query": FOLLOW}},
                {"type": "subscribe", "id": "1", "payload": {"query": FOLLOW}},
            ],
            4409,
        ),
        ([{"type": "connection_init"}, {"type": "subscribe", "id": 1, "payload": {"query": FOLLOW}}], 4400),
        ([{"type": "connection_init"}, {"type": "subscribe", "id": "1", "payload": {"query": 1}}], 4400),
    ],
)
async def test_a_message_that_breaks_the_protocol_closes_the_socket(
    served: Served, messages: list[Any], code: int
) -> None:
    async with opened(served.url) as client:
        for message in messages:
            await client.socket.send(message if isinstance(message, str) else json.dumps(message))
        assert await client.closed_with() == code


async def test_who_says_nothing_at_first_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphql_ws, "INIT_TIMEOUT_S", 0.1)
    async with opened(served.url) as client:
        assert await client.closed_with() == 4408


async def test_an_expired_token_closes_the_socket(served: Served) -> None:
    token = served.token(lifetime_s=1)
    async with opened(served.url, init={"Authorization": f"Bearer {token}"}) as client:
        assert await client.closed_with() == 4401


async def test_who_reads_too_slowly_is_cut_off_and_goes_on_by_its_cursor(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphql_ws, "FRAMES_QUEUED_MAX", 3)
    async with opened(served.url, init={}) as client:
        await client.follow()
        await followed(served.endpoint)
        client.socket.transport.pause_reading()
        (socket,) = served.endpoint._sockets._sockets
        for _ in range(4):
            for _ in range(200_000):  # more than kernels buffer
                if not socket.put(b'{"type":"pong","payload":{"x":"%b"}}' % (b"x" * 60_000)):
                    break
                await asyncio.sleep(0)
        client.socket.transport.resume_reading()
        assert await client.closed_with() == graphql_ws.TOO_SLOW


REVISE = "mutation ($input: ReviseNeedInput!) { reviseNeed(input: $input) { need { revision } userErrors { code } } }"
EVERYTHING = """
subscription ($after: String) { recordChanged(after: $after) {
  cursor kind record { __typename id revision ... on Need { title } ... on Organization { slug } }
} }
"""


async def everything_is_numbered(served: Served) -> None:
    """Return when no change waits to become an event: what came before a subscription is not told by it."""

    async def is_none_left() -> bool:
        answer = await served.ask("{ thisNode { changesWaiting } }")
        return bool(answer["data"]["thisNode"]["changesWaiting"] == 0)

    await eventually(is_none_left)


async def test_records_of_every_type_are_followed_and_polled_by_one_cursor(served: Served) -> None:
    await everything_is_numbered(served)
    async with opened(served.url, init={}) as client:
        await client.follow("1", "subscription { needChanged { kind need { id revision } } }")
        await client.follow("2", EVERYTHING)
        await followed(served.endpoint, 2)
        answer = await served.ask(PUBLISH, served.token(), input=need(served))
        need_id = answer["data"]["publishNeed"]["need"]["id"]
        told = [(await client.take())["payload"]["data"]]
        changed = {"id": need_id, "title": [{"text": "Lain"}]}
        answer = await served.ask(REVISE, served.token(), input=changed)
        assert answer["data"]["reviseNeed"]["userErrors"] == []
        told += [(await client.take())["payload"]["data"] for _ in range(2)]
    every = [each["recordChanged"] for each in told if "recordChanged" in each]
    assert [(event["kind"], event["record"]["id"]) for event in every] == [("PUBLISHED", need_id), ("REVISED", need_id)]
    assert every[1]["record"]["title"] == "Lain"
    [revised] = [each["needChanged"] for each in told if "needChanged" in each]
    assert revised == {"kind": "REVISED", "need": {"id": need_id, "revision": 1}}
    polled = await served.ask(
        "query ($after: String) { changes(after: $after) { nodes { kind cursor record { id } } } }",
        after=every[0]["cursor"],
    )
    assert polled["data"]["changes"]["nodes"] == [
        {"kind": "REVISED", "cursor": every[1]["cursor"], "record": {"id": need_id}}
    ]
    async with opened(served.url, init={}) as client:
        first = await served.ask("{ changes(first: 1) { nodes { record { __typename } } pageInfo { endCursor } } }")
        assert first["data"]["changes"]["nodes"] == [{"record": {"__typename": "Organization"}}]
        cursor = first["data"]["changes"]["pageInfo"]["endCursor"]
        await client.send(type="subscribe", id="1", payload={"query": EVERYTHING, "variables": {"after": cursor}})
        assert [(await client.take())["payload"]["data"]["recordChanged"]["kind"] for _ in range(2)] == [
            "PUBLISHED",
            "REVISED",
        ]
