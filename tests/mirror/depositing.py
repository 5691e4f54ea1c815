"""A process that deposits once, to be killed: `python -m tests.mirror.depositing DSN KEYS URL`."""

import asyncio
import sys
from pathlib import Path

from federation.identity.keys import KeyRing
from federation.mirror import depositor
from federation.mirror.depositor import hand_over
from federation.requests.addresses import TEST
from federation.requests.signer import Signer
from federation.sync.client import PeerClient
from store.database import Database
from tests.clock import FrozenClock


async def deposit(dsn: str, keys: str, url: str) -> None:
    """Hand over in small steps; say when it begins."""
    depositor.STEP_BYTES = 4_000
    async with Database(dsn, connections=4) as database:
        signer = Signer(database, KeyRing(Path(keys)), FrozenClock())
        async with PeerClient(url, reach=TEST, signer=signer) as client:
            sys.stdout.write("begun\n")
            sys.stdout.flush()
            await hand_over(database, client)


if __name__ == "__main__":
    asyncio.run(deposit(*sys.argv[1:]))
