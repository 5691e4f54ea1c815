"""One LISTEN connection a process: who waits is told that something changed, never what.

Losing a notification loses nothing: every waiter re-reads by cursor and polls
anyway, at POLL_S at the latest.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import structlog

from domain.errors import GotongError
from store.database import Connection
from store.outbox import EVENT_CHANNEL, HEAD_CHANNEL, MAIL_CHANNEL, OUTBOX_CHANNEL

POLL_S = 2.0
RECONNECT_S = 0.5
CHANNELS = (OUTBOX_CHANNEL, EVENT_CHANNEL, HEAD_CHANNEL, MAIL_CHANNEL)

_log = structlog.get_logger()


class Watch:
    """One waiter on one channel; notifications that come while it works are remembered as one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the waiter, now or at its next wait."""
        self._event.set()

    async def wait(self, timeout_s: float = POLL_S) -> bool:
        """Return True when rung, False when `timeout_s` passed (then poll)."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Wake:
    """Fan-out of PostgreSQL notifications inside this process. Run `run()` as a background task."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._watches: dict[str, set[Watch]] = {channel: set() for channel in CHANNELS}

    @contextlib.asynccontextmanager
    async def watch(self, channel: str) -> AsyncIterator[Watch]:
        """Yield a Watch on `channel` that exists as long as the context."""
        watch = Watch()
        self._watches[channel].add(watch)
        try:
            yield watch
        finally:
            self._watches[channel].discard(watch)

    async def run(self) -> None:
        """Listen until cancelled; reconnect when the database goes away, then ring everybody once."""
        while True:
            try:
                await self._listen()
            except (GotongError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("listen_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        connection = await self._connect()
        lost = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: lost.set())
            for channel in CHANNELS:
                await connection.add_listener(channel, self._on_notification)
                self._ring(channel)
            await lost.wait()
        finally:
            connection.terminate()

    def _on_notification(self, _connection: object, _pid: int, channel: str, _payload: object) -> None:
        self._ring(channel)

    def _ring(self, channel: str) -> None:
        for watch in self._watches[channel]:
            watch.ring()
