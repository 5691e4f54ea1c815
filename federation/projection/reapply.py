"""Execute again every erasure that is known here. Shell.

After a restore, or whenever payloads came back by another way than through a log, this runs before anything is served.
Where all is well it changes nothing. Erasures that a backup has not heard of come with the entries that a mirror has:
pull first, which executes them, then serve.
"""

from datetime import datetime

from store import erasures, logs
from store.database import Database


async def reapply(database: Database, *, now: datetime) -> int:
    """Return how many erasures had left something behind, all of it destroyed now and to be swept out of the files."""
    async with database.acquire() as connection:
        origins = await erasures.origins(connection)
    repaired = 0
    for origin in origins:
        async with database.transaction() as connection:
            log = await logs.lock_head(connection, origin)
            if log is None:
                continue
            for erasure in await erasures.of_log(connection, log.id):
                if await erasures.destroy(connection, erasure):
                    await erasures.make_unswept(connection, erasure, now=now)
                    repaired += 1
    return repaired
