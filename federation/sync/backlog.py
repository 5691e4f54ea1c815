"""Have whatever brings many records wait while too many here cannot be found by their words yet. Shell.

Words are indexed beside the commits (`store/texts.py`). What brings records faster than that waits here between two
batches, so that a search is never further behind than UNINDEXED_RECORDS_MAX of them, nor, where the machine is slow,
much longer than UNINDEXED_S_MAX. Small batches do not wait. Whoever waits also lends a hand: where no node runs beside
it (`gotong import`), nobody else would do the work it waits for.
"""

import asyncio

from store import outbox, texts
from store.database import Database

UNINDEXED_RECORDS_MAX = 30_000
"""Changes that no search by words knows of yet, beyond which pulls, bundles, deposits and imports wait."""
UNINDEXED_S_MAX = 15.0
"""How long the oldest of these may have waited."""
BULK_ENTRIES_MIN = 256
"""Entries written at once, below which nobody waits."""
HELPED_FROM = 0.5
"""From so much of either on whoever brings records indexes too, until it is less."""
LOOK_AGAIN_S = 0.05


class Backlog:
    """What one pull or import leaves to be indexed."""

    def __init__(
        self, database: Database, *, records_max: int = UNINDEXED_RECORDS_MAX, s_max: float = UNINDEXED_S_MAX
    ) -> None:
        self._database = database
        self._records_max = records_max
        self._s_max = s_max
        self._helping: asyncio.Task[None] | None = None

    async def grew(self, entries: int) -> None:
        """Wait, after so many entries were written, until little enough is unindexed. Raises the database's errors."""
        if entries < BULK_ENTRIES_MIN:
            return
        behind = await self._behind()
        if behind <= HELPED_FROM:
            return
        if self._helping is None or self._helping.done():
            self._helping = asyncio.create_task(self._help(), name="index beside")
        if behind > 1.0:
            await self._helping

    async def aclose(self) -> None:
        """Stop helping."""
        if self._helping is not None:
            self._helping.cancel()
            await asyncio.gather(self._helping, return_exceptions=True)

    async def _behind(self) -> float:
        """Return how much of what may be unindexed is: 1.0 is all of it."""
        async with self._database.acquire() as connection:
            records = await texts.unindexed(connection, self._records_max + 1)
            return max(records / self._records_max, await texts.oldest_s(connection) / self._s_max)

    async def _help(self) -> None:
        """Index, or look on while another process does, until little enough is unindexed."""
        looked = 0
        while await self._behind() > HELPED_FROM:
            async with self._database.acquire() as connection:
                numbered = await outbox.sequence(connection)
                done = await texts.index(connection, looked)
                looked = done.looked
            if not numbered and not done.events:
                await asyncio.sleep(LOOK_AGAIN_S)
