"""A process that imports a bundle from its standard input, to be killed: `python -m tests.mirror.importing DSN`."""

import asyncio
import sys

from federation.bundles import bundle
from federation.bundles.intake import Intake
from federation.sync import receive
from store.database import Database, connect
from store.locks import Claims
from tests.clock import FrozenClock

NAME = "importing"
"""How its connections are told from others."""


async def import_bundle(dsn: str) -> None:
    """Take what comes in small pieces, and store nearly all of it before more is read."""
    bundle.READ_BYTES = 512
    receive.QUEUED_ENTRIES_MAX = 8
    async with Database(dsn, connections=4, application_name=NAME) as database:
        intake = Intake(database, "test", FrozenClock(), Claims(lambda: connect(dsn, application_name=NAME)))
        await bundle.import_(intake, bundle.pieces_of(sys.stdin.buffer))


if __name__ == "__main__":
    asyncio.run(import_bundle(sys.argv[1]))
