"""Bundles and deposits between real nodes."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.federation_deposit import DepositEdge
from federation.bundles import bundle
from federation.bundles.bundle import Extent
from federation.bundles.intake import Intake, Taken
from federation.identity.keys import KeyRing
from federation.lifecycle.enroll import start_node
from federation.mirror import join as mirror_join
from federation.mirror.depositor import Depositor, Handed
from federation.mirror.deposits import Deposits
from federation.mirror.link import Invitation, Join, Joined, parse_link, read_joined, write, write_link
from federation.moderation.trust import Trust, add_peer
from federation.peers.loop import Syncer
from federation.publish.append import Appender
from federation.sync.client import PeerClient
from store import depositors, participants, peers
from store.database import Connection, Database, connect
from store.locks import Claims
from store.peers import PeerRow
from store.wake import Wake
from tests.clock import FrozenClock
from tests.nodes import TestNode, seed_of
from tests.sync.conftest import MakeNode, SyncNode, client_of, mail_of, make_node

__all__ = ["MakeNode", "SyncNode", "exported", "imported", "make_node"]


async def exported(node: SyncNode, *scids: str, since: dict[str, Extent] | None = None) -> bytes:
    """Return a bundle of these participants, of everybody relayed by default."""
    wanted = await bundle.wanted_logs(node.database, list(scids) or None, since or {})
    return b"".join([piece async for piece in bundle.export(node.database, wanted)])


async def imported(node: SyncNode, pieces: bytes | Iterable[bytes]) -> dict[str, Taken]:
    """Import a bundle; raises what ends it early."""
    intake = new_intake(node)
    return await run_import(intake, pieces)


def new_intake(node: SyncNode) -> Intake:
    """Return an intake of a node."""
    claims = Claims(lambda: connect(node.database.dsn))
    return Intake(node.database, "test", node.node.clock, claims)


async def run_import(intake: Intake, pieces: bytes | Iterable[bytes]) -> dict[str, Taken]:
    """Have the intake take a bundle."""
    try:
        await bundle.import_(intake, [pieces] if isinstance(pieces, bytes) else pieces)
    finally:
        await intake._claims.close()
    return intake.taken


NEEDS = "select title_text::text, state, revision, published_at from need order by log_id, index"
MakeLaptop = Callable[..., Awaitable["Laptop"]]


@dataclass
class Mirror:
    """A node that takes deposits, and what makes invitations for it."""

    served: SyncNode
    deposits: Deposits

    @property
    def url(self) -> str:
        return self.served.url

    async def invite(self, slug: str | None = None, *, trust: Trust = "allowed", days: int = 7) -> Invitation:
        """Return an invitation, read from its link as the invited would."""
        made = await mirror_join.invite(
            self.served.database,
            url=self.url,
            network="test",
            slug=slug,
            trust=trust,
            days=days,
            now=self.served.node.clock(),
            actor="test",
        )
        return parse_link(write_link(made.invitation))


@dataclass
class Laptop:
    """A node that nobody can connect to: nothing of it listens anywhere."""

    node: TestNode
    syncer: Syncer
    wake: Wake
    depositor: Depositor
    keys_dir: Path

    @property
    def database(self) -> Database:
        return self.node.database

    def client(self, url: str) -> PeerClient:
        """Return a client that signs as this node."""
        return client_of(self.node, url)

    async def join(self, invitation: Invitation, **changes: Any) -> Joined:
        """Join a mirror as `gotong peer join` does."""
        await add_peer(self.database, invitation.url, trust="allowed", actor="test")
        joined = await self.ask_to_join(invitation, **changes)
        async with self.database.acquire() as connection:
            peer = await peers.find(connection, invitation.url)
            assert peer is not None
            await depositors.add_mirror(connection, peer.id)
        return joined

    async def ask_to_join(self, invitation: Invitation, **changes: Any) -> Joined:
        async with self.database.acquire() as connection:
            lines = await participants.did_lines(connection, self.node.operator.participant_id)
        join = Join(**({"code": invitation.code, "did_log": [line.decode() for line in lines]} | changes))
        kind = "application/json"
        async with self.client(invitation.url) as client:
            answer = await client.post("join", write(join), content_type=kind, answer_type=kind, bytes_max=2**16)
        return read_joined(answer)

    async def deposit(self, url: str) -> Handed:
        """Hand over once what is missing there."""
        return await self.depositor.once(url)

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return what a query gives, as tuples."""
        async with self.database.acquire() as connection:
            return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return one value."""
        async with self.database.acquire() as connection:
            return await connection.fetchval(query, *arguments)


@pytest.fixture
async def mirror(make_node: MakeNode) -> Mirror:
    """A node named `cermin` that takes deposits."""
    served = await make_node("cermin")
    return await taking_deposits(served)


async def taking_deposits(served: SyncNode) -> Mirror:
    """Have a node take deposits."""
    claims = Claims(lambda: connect(served.database.dsn))
    deposits = Deposits(served.database, "test", served.node.clock, claims)
    edge = DepositEdge(served.database, "test", served.node.clock, served.callers, deposits)
    served.app.router.routes.extend(edge.routes())
    return Mirror(served, deposits)


@pytest.fixture
async def make_laptop(
    new_database: Callable[[], Awaitable[str]], tmp_path: Path, clock: FrozenClock
) -> AsyncIterator[MakeLaptop]:
    """Call it with the host and name of its identity for a node that does not listen."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(invitation: Invitation) -> Laptop:
            dsn = await new_database()
            database = await stack.enter_async_context(Database(dsn, connections=6))
            keys_dir = tmp_path / f"keys-{invitation.slug}-{len(list(tmp_path.iterdir()))}"
            keys = KeyRing(keys_dir)
            place = invitation.place()
            assert place is not None
            operator = await start_node(
                database,
                keys,
                place=place,
                base_url=invitation.url,
                network="test",
                seed=seed_of(f"{invitation.slug}{keys_dir}"),
                now=clock(),
            )
            node = TestNode(database, keys, clock, operator, Appender(database, keys, clock))

            async def own_connection() -> Connection:
                return await connect(dsn)

            def client(peer: PeerRow) -> PeerClient:
                return client_of(node, peer.url, skew_ms=peer.skew_ms or 0)

            wake = Wake(own_connection)
            syncer = Syncer(
                database, client, "test", clock, own_connection, lambda: 0.5, fetch_mail=mail_of(node).fetch
            )
            depositor = Depositor(database, client, own_connection, wake, lambda: 0.5, backoff_s=0.05)
            stack.push_async_callback(syncer.close)
            return Laptop(node, syncer, wake, depositor, keys_dir)

        yield make


@pytest.fixture
async def laptop(mirror: Mirror, make_laptop: MakeLaptop) -> Laptop:
    """A laptop that was invited as `dapur-ibu` and joined."""
    invitation = await mirror.invite("dapur-ibu")
    made = await make_laptop(invitation)
    await made.join(invitation)
    return made
