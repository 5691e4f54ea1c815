"""Nodes that speak over real sockets, each on a database of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from api.callers import Callers
from api.errors import install
from api.federation import FederationEdge
from api.federation_erasures import ErasuresEdge
from api.federation_evidence import EvidenceEdge
from api.federation_removals import RemovalsEdge
from api.federation_vouches import VouchesEdge
from api.federation_witness import WitnessEdge
from api.peer_budget import Allowance, PeerBudgets, PeerRates
from domain.errors import GotongError
from federation.erasing.removal_mail import RemovalMail
from federation.lifecycle.enroll import Enrolled
from federation.moderation.trust import add_peer
from federation.peers.exchange import Exchanged
from federation.peers.loop import Syncer
from federation.peers.mail import Mail
from federation.requests.addresses import TEST
from federation.requests.caller import Requests
from federation.requests.signatures import authority_of
from federation.requests.signer import Signer
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import Releases
from federation.sync.announce import HeadFeed, MailFeed
from federation.sync.client import DEFAULT_LIMITS, Limits, PeerClient
from federation.witness.cosigning import Witness
from federation.witness.witnessing import Witnessing
from store import peers
from store.database import Connection, Database, connect
from store.peers import PeerRow
from store.wake import Wake
from tests.clock import FrozenClock
from tests.nodes import TestNode, start_test_node
from tests.sockets import open_socket, serving, url_of
from tests.sync.liar import Liar
from tests.waiting import PATIENCE_S

ANSWERS = ("need", "activity", "organization", "update_post", "outbox", "event")
RATES = PeerRates(Allowance(1_000_000, 2**40), Allowance(1_000_000, 2**40))
QUICK = Limits(connect_s=2.0, read_s=2.0, grace_s=3.0, silence_s=5.0)
"""For tests of peers that are too slow; in all others a busy machine is no failure."""


@dataclass
class SyncNode:
    """A node with its federation edge and its syncer."""

    node: TestNode
    app: Starlette
    wake: Wake
    feed: HeadFeed
    mail_feed: MailFeed
    syncer: Syncer
    stopping: asyncio.Event
    witnessing: Witnessing
    callers: Callers
    url: str
    limits: Limits = DEFAULT_LIMITS

    @property
    def database(self) -> Database:
        return self.node.database

    async def add_peer(self, url: str, trust: Any = "allowed") -> None:
        """Add a peer as an operator would."""
        await add_peer(self.database, url, trust=trust, actor="test")

    async def pull(self, url: str) -> Exchanged:
        """Run one exchange with a peer."""
        return await self.syncer.once(url)

    async def pull_when_free(self, url: str) -> Exchanged:
        """Run exchanges until no log is busy.

        What a killed or cancelled task had claimed is free when the database has noticed that its connection is gone.
        """
        async with asyncio.timeout(PATIENCE_S):
            while (done := await self.pull(url)).busy:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return done

    async def ask_for_cosignatures(self) -> int:
        """Have every allowed peer cosign once; return how many cosignatures that brought."""
        async with self.database.acquire() as connection:
            known = await peers.every(connection)
        return sum([await self.witnessing.once(peer) for peer in known])

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return what a query gives, as tuples."""
        async with self.database.acquire() as connection:
            return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return one value."""
        async with self.database.acquire() as connection:
            return await connection.fetchval(query, *arguments)


MakeNode = Callable[..., Awaitable[SyncNode]]


@pytest.fixture
async def make_node(
    new_database: Callable[[], Awaitable[str]], tmp_path: Path, clock: FrozenClock
) -> AsyncIterator[MakeNode]:
    """Call it with a name for one more node, serving on a socket under `<name>.gotong.test`."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(name: str, **changes: Any) -> SyncNode:
            dsn = await new_database()
            database = await stack.enter_async_context(Database(dsn, connections=6))
            node = await start_test_node(database, tmp_path / name, clock, host=f"{name}.gotong.test")
            listening = open_socket()
            served = sync_node(node, dsn, url_of(listening), **changes)
            await stack.enter_async_context(serving(served.app, listening))
            stack.push_async_callback(served.syncer.close)
            stack.callback(served.stopping.set)
            return served

        yield make


def mail_of(node: TestNode) -> Mail:
    """Return what fetches requests that wait for a node elsewhere."""
    return Mail(Releases(node.database, node.keys, node.appender.vault, node.clock), RemovalMail(node.database))


def sync_node(node: TestNode, dsn: str, url: str, **changes: Any) -> SyncNode:
    """Return the federation edge and the syncer of a node that is going to serve under `url`."""

    async def own_connection() -> Connection:
        return await connect(dsn, application_name="gotong-sync")

    wake = Wake(own_connection)
    feed = HeadFeed(node.database, wake)
    stopping = asyncio.Event()

    def client(peer: PeerRow) -> PeerClient:
        return client_of(node, peer.url, limits=served.limits, skew_ms=peer.skew_ms or 0)

    callers = callers_of(node, url)
    mailbox = Mailbox(node.database, node.clock)
    mail_feed = MailFeed(wake, mailbox.newest)
    edge = FederationEdge(
        node.database, "test", feed, node.clock, stopping, callers, mail_of=mailbox.waiting_for, mail_feed=mail_feed
    )
    witness = WitnessEdge(Witness(node.database, node.keys, node.clock), callers)
    erasures, vouches = (made(node.database, callers, node.clock) for made in (ErasuresEdge, VouchesEdge))
    removals = RemovalsEdge(RemovalMail(node.database), callers)
    edges = (edge, witness, EvidenceEdge(node.database, callers), erasures, vouches, removals)
    app = Starlette(routes=[route for each in edges for route in each.routes()])
    install(app)
    syncer = Syncer(
        database=node.database,
        client=client,
        network="test",
        clock=node.clock,
        connect=own_connection,
        jitter=lambda: 0.5,
        fetch_mail=mail_of(node).fetch,
        **changes,
    )
    witnessing = Witnessing(node.database, client, node.clock, own_connection, lambda: 0.5)
    served = SyncNode(node, app, wake, feed, mail_feed, syncer, stopping, witnessing, callers, url)
    return served


def callers_of(node: TestNode, url: str, **changes: Any) -> Callers:
    """Return what tells a node under `url` who calls; its budgets are out of reach unless `rates` says otherwise."""
    return Callers(Requests(node.database, [authority_of(url)], node.clock), PeerBudgets(changes.pop("rates", RATES)))


def client_of(
    node: TestNode, url: str, *, limits: Limits = DEFAULT_LIMITS, skew_ms: int = 0, **changes: Any
) -> PeerClient:
    """Return a client that signs as the node's operator."""
    signer = Signer(node.database, node.keys, node.clock)
    return PeerClient(url, limits=limits, reach=TEST, signer=signer, skew_ms=skew_ms, **changes)


@dataclass
class Scene:
    """An honest node with a guest, a liar before it, and a node that pulls through the liar."""

    honest: SyncNode
    guest: Enrolled
    puller: SyncNode
    liar: Liar
    url: str = ""

    async def pull_code(self) -> str | None:
        """Return the code of the first rule that an exchange broke, as a failure or as a refusal of the guest's log."""
        try:
            done = await self.puller.pull(self.url)
        except GotongError as error:
            return error.code
        return done.refused.get(self.guest.origin)

    async def answers(self) -> dict[str, int]:
        """Return how many rows of the guest every table has from which questions are answered."""
        query = """
            select count(*) from {} where publisher_id in (select id from participant where scid = $1)
        """
        return {table: await self.puller.value(query.format(table), self.guest.scid) for table in ANSWERS}

    async def reports(self) -> list[str]:
        async with self.puller.database.acquire() as connection:
            return [row.code for row in await peers.refusals(connection, 100)]

    async def assert_honesty_heals(self) -> None:
        self.liar.be_honest()
        done = await self.puller.pull(self.url)
        assert done.refused == {}
        assert (await self.puller.node.check(self.guest.origin)).signed_size == 5
        needs = "select title_text::text, state from need order by index"
        assert await self.honest.rows(needs) == await self.puller.rows(needs)


@pytest.fixture
async def scene(make_node: MakeNode) -> AsyncIterator["Scene"]:
    honest, puller = await make_node("jujur"), await make_node("b")
    guest = await honest.node.participant("ojol", host="jujur.gotong.test")
    await honest.node.publish_needs(guest.scid, "Beras", "Air bersih", "Selimut", "Obat")
    liar = Liar(honest.url)
    async with serving(liar.app) as url:
        await puller.add_peer(url)
        yield Scene(honest, guest, puller, liar, url)
