"""Get erased bytes out of the database's files, soon and without being in the way. Shell; runs until cancelled.

Answers lose what is erased at once; the files lose it by rewriting the tables, which nobody can use meanwhile. So the
rewriting waits SWEEP_PAUSE_S after the last one, and longer where it takes long: at most a hundredth of the time. Large
tables are rewritten at night, if the machine is on then. Where somebody may still see the erased rows nothing is
rewritten, and it is looked again soon. An operator may name hours, for tables of any size.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import asyncpg
import structlog

from domain.errors import GotongError
from store.database import Connection
from store.sweep import Hold, Swept, sweep

SWEEP_POLL_S = 5.0
SWEEP_PAUSE_S = 600.0
SWEEP_SHARE = 100
"""How many times as long as it took a rewrite is waited for the next one."""
NIGHT = "1-4"
SOON_OVER = (None, Hold.TRANSACTION, Hold.TABLE)

_log = structlog.get_logger()


def is_in(hours: str, hour: int) -> bool:
    """Return whether an hour, 0 to 23, lies in `hours`: "1-4" is 1:00 to 4:00, "22-5" goes over midnight, "" is all."""
    if not hours:
        return True
    begin, end = map(int, hours.split("-"))
    return begin <= hour < end if begin < end else hour >= begin or hour < end


async def sweep_files(
    connect: Callable[[], Awaitable[Connection]], clock: Callable[[], datetime], hours: str = ""
) -> None:
    """Sweep when something is erased and the hour is one of `hours`, again and again, until cancelled."""
    elapsed_s = asyncio.get_running_loop().time
    held: Hold | None = None
    while True:
        pause_s = SWEEP_POLL_S
        began_s = elapsed_s()
        hour = clock().astimezone().hour
        if not is_in(hours, hour):
            await asyncio.sleep(pause_s)
            continue
        try:
            swept = await sweep_once(connect, clock(), is_quiet=is_in(hours or NIGHT, hour))
        except GotongError as error:
            _log.warning("sweep_failed", code=error.code, message=error.message)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            _log.warning("sweep_failed", code=type(error).__name__, message=str(error))
        else:
            if swept is not None:
                took_s = elapsed_s() - began_s
                if swept.tables or swept.hold not in SOON_OVER:
                    pause_s = max(SWEEP_PAUSE_S, SWEEP_SHARE * took_s)
                if swept.erasures:
                    _log.info("swept", erasures=swept.erasures, took_s=round(took_s, 3))
                if swept.hold is not None and swept.hold is not held:
                    _log.warning("sweep_held", reason=swept.hold.value, by=swept.held_by)
            held = None if swept is None else swept.hold
        await asyncio.sleep(pause_s)


async def sweep_once(
    connect: Callable[[], Awaitable[Connection]], now: datetime, *, is_quiet: bool = True
) -> Swept | None:
    """Return what one run did on a connection of its own; raises the database's errors."""
    connection = await connect()
    try:
        return await sweep(connection, now, is_quiet=is_quiet)
    finally:
        connection.terminate()
