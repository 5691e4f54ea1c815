"""A process that pulls once from a peer into a database, to be killed: `python -m tests.sync.puller DSN URL`."""

import asyncio
import sys

from federation.peers.loop import Syncer
from federation.requests.addresses import TEST
from federation.sync.client import PeerClient
from store.database import Connection, Database, connect
from store.peers import PeerRow
from tests.clock import FrozenClock


async def pull(dsn: str, url: str) -> None:
    """Pull once; say when it begins and what came of it."""

    async def own_connection() -> Connection:
        return await connect(dsn)

    def client(peer: PeerRow) -> PeerClient:
        return PeerClient(peer.url, reach=TEST)

    async with Database(dsn, connections=4) as database:
        syncer = Syncer(database, client, "test", FrozenClock(), own_connection, lambda: 0.5)
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        done = await syncer.once(url)
        sys.stdout.write(f"done {done.busy} {done.refused}\n")
        await syncer.close()


if __name__ == "__main__":
    asyncio.run(pull(*sys.argv[1:]))
