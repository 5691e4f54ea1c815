"""Served nodes of other rooms' tests, for those who read and ask for restricted parts."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from api.federation_backup import BackupEdge
from api.federation_restricted import RestrictedEdge
from federation.identity.keys import KeyRing
from federation.publish.append import Draft
from store.database import Database
from tests.api.conftest import node, regions, served, services
from tests.clock import FrozenClock
from tests.mirror.conftest import MakeLaptop, Mirror, make_laptop, taking_deposits
from tests.nodes import fixed
from tests.restricted.away import Away, MakeAway, away_of
from tests.restricted.backups import ROOM, Bare, allow
from tests.restricted.nodes import Side, asking_of, introduce, side_of
from tests.schema.world import organization_body
from tests.sync.conftest import MakeNode, SyncNode, make_node

__all__ = ["make_laptop", "make_node", "node", "regions", "served", "services"]


@pytest.fixture
async def home(make_node: MakeNode) -> Side:
    """A village's node with a guest."""
    return await side_of(await make_node("desa"), "baca-yuk")


@pytest.fixture
async def asker(make_node: MakeNode, home: Side) -> Side:
    """An NGO's node with a guest; both nodes know each other."""
    made = await side_of(await make_node("lsm"), "relawan")
    await introduce(home, made)
    return made


async def keeping_mail(made: SyncNode) -> Mirror:
    """Have a node take deposits, and keep requests for who deposits there."""
    asking = asking_of(made.node)
    made.app.router.routes.extend(RestrictedEdge(asking.releases, asking.mailbox, made.callers).routes())
    return await taking_deposits(made)


@pytest.fixture
async def mirror(make_node: MakeNode) -> Mirror:
    """A node named `cermin` where others deposit, and that keeps requests for them."""
    return await keeping_mail(await make_node("cermin"))


@pytest.fixture
def make_away(mirror: Mirror, make_laptop: MakeLaptop) -> MakeAway:
    """Call it with a short name for a laptop that joined a mirror, `cermin` unless told otherwise."""

    async def make(slug: str, at: Mirror = mirror) -> Away:
        invitation = await at.invite(slug)
        laptop = await make_laptop(invitation)
        await laptop.join(invitation)
        about = Draft("organization", None, fixed(organization_body(slug=slug)))
        await laptop.node.appender.append(laptop.node.operator.scid, [about])
        await laptop.deposit(at.url)
        return away_of(laptop, at)

    return make


@pytest.fixture
async def keeper(home: Side, asker: Side) -> Side:
    """The other node, which keeps the village's backups."""
    asker.sync.app.router.routes.extend(BackupEdge(asker.sync.database, asker.sync.callers).routes())
    await allow(asker, ROOM)
    return asker


@pytest.fixture
async def bare(new_database: Callable[[], Awaitable[str]], tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Bare]:
    async with Database(await new_database(), connections=6) as database:
        yield Bare(database, KeyRing(tmp_path / "bare" / "keys"), clock)
