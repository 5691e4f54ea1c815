"""Ask the nodes that may have copies of a lost participant: those that were named, and whoever a backup names.

What a node has that was not asked may be more than what all others have; a log that goes on without it is refused
there. So it is remembered who did not answer, and whoever restores decides whether that may be.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import ClassVar

from domain.errors import GotongError
from federation.backup import restore
from federation.backup.restore import Source
from federation.log.entry import Network, NetworkMismatch
from federation.requests.addresses import reach_of
from federation.sync.client import PeerClient, checked_url
from store import peers
from store.database import Database


class PeersNotAsked(GotongError):
    """Nodes that may have more of the log than those that answered did not answer; say so if that has to do."""

    code: ClassVar[str] = "PEERS_NOT_ASKED"


class Copies:
    """The nodes that answered, and why others did not. Clients live as long as `stack`."""

    def __init__(self, stack: contextlib.AsyncExitStack, seed: bytes) -> None:
        self._stack = stack
        self._seed = seed
        self._asked: set[str] = set()
        self.sources: list[Source] = []
        self.failed: dict[str, GotongError] = {}

    @property
    def network(self) -> Network:
        """The network of those that answered."""
        return self.sources[0].heads.network

    async def ask(self, places: Mapping[str, bool]) -> int:
        """Return how many nodes answered that were not asked before; `places` says which may be in a private network.

        Raises the last failure when nobody ever answered, NetworkMismatch when they are of different networks.
        """
        new = {url: private for each, private in places.items() if (url := checked_url(each)) not in self._asked}
        self._asked |= new.keys()
        before = len(self.sources)
        await asyncio.gather(*(self._look(url, private=private) for url, private in new.items()))
        if not self.sources:
            raise next(reversed(self.failed.values()), restore.LogNotFound("no node was named"))
        if any(source.heads.network != self.network for source in self.sources):
            raise NetworkMismatch("these nodes are of different networks")
        return len(self.sources) - before

    async def _look(self, url: str, *, private: bool) -> None:
        client = await self._stack.enter_async_context(PeerClient(url, reach=reach_of("live", private=private)))
        try:
            self.sources.append(await restore.look(client, url, self._seed))
        except GotongError as error:
            self.failed[url] = error


async def own_peers(database: Database) -> dict[str, bool]:
    """Return the addresses of this node's own peers, and which may be in a private network."""
    async with database.acquire() as connection:
        known = await peers.every(connection)
    return {peer.url: peer.private for peer in known if peer.trust != "blocked"}
