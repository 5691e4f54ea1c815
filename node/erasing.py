"""Get erased bytes out of the database's files, soon and without being in the way. Shell; runs until cancelled.

Answers lose what is erased at once; the files lose it by rewriting the tables, which nobody can use meanwhile. So the
rewriting waits SWEEP_PAUSE_S after the last one, and longer where it takes long: at most a hundredth of the time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import asyncpg
import structlog

from domain.errors import GotongError
from store.database import Connection
from store.sweep import Swept, sweep

SWEEP_POLL_S = 30.0
SWEEP_PAUSE_S = 600.0
SWEEP_SHARE = 100
"""How many times as long as it took a rewrite is waited for the next one."""

_log = structlog.get_logger()


async def sweep_files(connect: Callable[[], Awaitable[Connection]], clock: Callable[[], datetime]) -> None:
    """Sweep when something is erased, again and again, until cancelled."""
    elapsed_s = asyncio.get_running_loop().time
    while True:
        pause_s = SWEEP_POLL_S
        began_s = elapsed_s()
        try:
            swept = await sweep_once(connect, clock())
        except GotongError as error:
            _log.warning("sweep_failed", code=error.code, message=error.message)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            _log.warning("sweep_failed", code=type(error).__name__, message=str(error))
        else:
            if swept is not None:
                took_s = elapsed_s() - began_s
                pause_s = max(SWEEP_PAUSE_S, SWEEP_SHARE * took_s)
                _log.info("swept", erasures=swept.erasures, took_s=round(took_s, 3), wal_clean=swept.is_wal_clean)
        await asyncio.sleep(pause_s)


async def sweep_once(connect: Callable[[], Awaitable[Connection]], now: datetime) -> Swept | None:
    """Return what one run did on a connection of its own; raises the database's errors."""
    connection = await connect()
    try:
        return await sweep(connection, now)
    finally:
        connection.terminate()
