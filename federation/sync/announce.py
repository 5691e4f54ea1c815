"""Tell connected peers which logs have grown, and that mail waits for them. Shell; carries names and sizes, no data.

One task a process reads what changed when the database says that something did,
and every listener gets the names it has not been told yet: a slow one costs a
dictionary of at most one line a log, and misses nothing but intermediate sizes.
Another task does the same for what waits here for nodes that nobody can connect to.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple

import structlog

from domain.errors import GotongError
from federation.sync.serve import read_hint, write_hint
from store import relay
from store.database import Database
from store.outbox import HEAD_CHANNEL, MAIL_CHANNEL
from store.relay import Position, RelayRow
from store.wake import Wake

LISTENERS_MAX = 1_000

_log = structlog.get_logger()


class ListenersExhausted(GotongError):
    """As many peers as this process serves are listening already; poll instead, or come back later."""

    code: ClassVar[str] = "STREAM_LISTENERS_EXHAUSTED"


class Told(NamedTuple):
    """What a peer is told at once: sizes by origin, the position after them, and whether mail waits that is new."""

    sizes: dict[str, int]
    position: str
    mail: bool


class Listener:
    """What one peer has not been told yet, by origin; `position` is what it may resume from once it was."""

    def __init__(self) -> None:
        self._news: dict[str, int] = {}
        self._position = ""
        self._mail = False
        self._ring = asyncio.Event()

    def tell(self, rows: list[RelayRow], position: str) -> None:
        """Keep news for the peer."""
        self._news |= {row.origin: row.size for row in rows}
        self._position = position
        self._ring.set()

    def tell_mail(self) -> None:
        """Keep for the peer that mail waits."""
        self._mail = True
        self._ring.set()

    async def take(self, timeout_s: float) -> Told:
        """Return what is news; nothing when `timeout_s` passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ring.wait()
        self._ring.clear()
        told = Told(self._news, self._position, self._mail)
        self._news, self._mail = {}, False
        return told


class HeadFeed:
    """The process's one reader of changed heads. Run `run()` as a background task."""

    def __init__(self, database: Database, wake: Wake) -> None:
        self._database = database
        self._wake = wake
        self._listeners: set[Listener] = set()
        self._position: Position | None = None

    @contextlib.asynccontextmanager
    async def listen(self, since: str | None) -> AsyncIterator[Listener]:
        """Yield a listener that is told all that changes from now on, or from the position `since` on.

        Raises ListenersExhausted.
        """
        if len(self._listeners) >= LISTENERS_MAX:
            raise ListenersExhausted("too many peers are listening", count_max=LISTENERS_MAX)
        listener = Listener()
        self._listeners.add(listener)
        try:
            after = None if since is None else read_hint(since)
            if after is not None:
                rows, position = await self._changed(after)
                listener.tell(rows, write_hint(position))
            yield listener
        finally:
            self._listeners.discard(listener)

    async def run(self) -> None:
        """Read and tell until cancelled."""
        async with self._wake.watch(HEAD_CHANNEL) as watch:
            while True:
                try:
                    await self._tell()
                except GotongError as error:
                    _log.warning("heads_not_read", code=error.code)
                except Exception:
                    _log.exception("heads_not_read")
                await watch.wait()

    async def _tell(self) -> None:
        if self._position is None or not self._listeners:
            async with self._database.acquire() as connection:
                self._position = await relay.position(connection)
            return
        rows, self._position = await self._changed(self._position)
        if rows:
            hint = write_hint(self._position)
            for listener in self._listeners:
                listener.tell(rows, hint)

    async def _changed(self, after: Position) -> tuple[list[RelayRow], Position]:
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            position = await relay.position(connection)
            rows = await relay.heads_changed(connection, after)
            return (await relay.heads(connection) if rows is None else rows), position


class MailFeed:
    """The process's one reader of what waits for listening peers. Run `run()` as a background task.

    `newest` returns for each of these peers for whom something waits how far it goes: numbers that grow.
    """

    def __init__(self, wake: Wake, newest: Callable[[Sequence[int]], Awaitable[dict[int, tuple[int, ...]]]]) -> None:
        self._wake = wake
        self._newest = newest
        self._listeners: dict[Listener, int] = {}
        self._told: dict[Listener, tuple[int, ...]] = {}

    @contextlib.contextmanager
    def listen(self, listener: Listener, peer_id: int) -> Iterator[None]:
        """Have a peer's listener told of what waits for it, what waits already at the next look."""
        self._listeners[listener] = peer_id
        try:
            yield
        finally:
            del self._listeners[listener]
            self._told.pop(listener, None)

    async def run(self) -> None:
        """Look and tell until cancelled."""
        async with self._wake.watch(MAIL_CHANNEL) as watch:
            while True:
                try:
                    await self._tell()
                except GotongError as error:
                    _log.warning("mail_not_read", code=error.code)
                await watch.wait()

    async def _tell(self) -> None:
        if not self._listeners:
            return
        listening = dict(self._listeners)
        newest = await self._newest(sorted(set(listening.values())))
        for listener, peer_id in listening.items():
            told, found = self._told.get(listener, ()), newest.get(peer_id)
            if listener in self._listeners and found is not None and (not told or _is_beyond(found, told)):
                self._told[listener] = tuple(map(max, found, told or found))
                listener.tell_mail()


def _is_beyond(found: tuple[int, ...], told: tuple[int, ...]) -> bool:
    return any(now > before for now, before in zip(found, told, strict=True))
