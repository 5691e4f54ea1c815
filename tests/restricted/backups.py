"""A keeper of backups, and a machine that has nothing."""

import dataclasses
from collections.abc import Awaitable
from contextlib import AsyncExitStack

import pytest

from domain.errors import GotongError
from federation.backup import restore
from federation.backup.backing_up import BackingUp
from federation.backup.restore import Hosting, Source
from federation.identity.keys import KeyRing
from federation.requests.addresses import TEST
from federation.sealing.vault import Vault
from federation.sync.client import PeerClient
from store import backups, peers
from store.database import Database
from store.peers import PeerRow
from tests.clock import FrozenClock
from tests.restricted.nodes import Side
from tests.sync.conftest import client_of

NODE = {"base_url": "http://desa.gotong.test", "network": "test"}
ROOM = 10_000_000


async def allow(keeper: Side, bytes_max: int) -> None:
    async with keeper.sync.database.acquire() as connection:
        for peer in await peers.every(connection):
            await backups.set_allowance(connection, peer.id, bytes_max)


def backing_up(home: Side) -> BackingUp:
    node = home.sync.node

    def client(peer: PeerRow) -> PeerClient:
        return client_of(node, peer.url)

    settings: dict[str, str | int] = {**NODE}
    return BackingUp(node.database, node.keys, node.appender.vault, client, node.clock, settings)


async def deposit(home: Side, keeper: Side) -> list[int]:
    """Deposit what changed; return how many bytes each participant's backup had."""
    async with home.sync.database.acquire() as connection:
        peer = await peers.find(connection, keeper.sync.url)
    assert peer is not None
    return [each.bytes for each in await backing_up(home).to(peer)]


@dataclasses.dataclass
class Bare:
    """A machine with an empty database and no keys."""

    database: Database
    keys: KeyRing
    clock: FrozenClock

    async def look(self, stack: AsyncExitStack, keeper: Side, seed: bytes) -> Source:
        client = await stack.enter_async_context(PeerClient(keeper.sync.url, reach=TEST))
        return await restore.look(client, keeper.sync.url, seed)

    async def restored(
        self, keeper: Side, seed: bytes, *, wanted: str | None = None, guest: bool = False
    ) -> tuple[restore.Found, list[int], str]:
        """Return the backup found, the parts that are missing, and the log's origin."""
        async with AsyncExitStack() as stack:
            sources = [await self.look(stack, keeper, seed)]
            scid = restore.identity(sources, wanted)
            origin = await restore.take_log(self.database, sources, scid, network="test", clock=self.clock)
            await restore.check_cards(self.database, scid, seed)
            found = await restore.fetch_backup(self.database, sources, scid, seed)
            _, missing = await restore.begin_again(
                self.database,
                self.keys,
                Vault(self.keys),
                origin,
                seed,
                Hosting(None),
                found.contents,
                operator_of=None if guest else "test",
                now=self.clock(),
            )
        return found, missing, origin


async def refused(work: Awaitable[object]) -> str:
    with pytest.raises(GotongError) as caught:
        await work
    return caught.value.code
