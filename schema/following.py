"""Follow the events of this node: read once per distinct question, tell everyone who asked it.

One task a process wakes when events were numbered (by any process), and reads
each distinct question's part of them with one statement. A follower that was
away first reads what it missed on its own, then joins: between its last look
at the group's place and joining there is no await, so nothing falls in
between, and an event below its own place is not told twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from domain.errors import GotongError
from schema.compile import stream
from schema.compile.build import Asking
from schema.compile.follow import Event, FollowPlan
from schema.context import Services
from store.database import DatabaseUnavailable
from store.outbox import EVENT_CHANNEL, latest_seq, stream_id
from store.wake import POLL_S

RETRY_S = 1.0
FAILURES_MAX = 3
"""Times in a row that a question cannot be answered before those who follow it are told so."""

_log = structlog.get_logger()


Room = Callable[[], Awaitable[None]]
Tell = Callable[[Event], bool]
"""Takes an event; returns False when the follower cannot take more and is cut off."""


@dataclass(eq=False)
class Follower:
    """One who follows: how to tell it, what it has been told, and what ends it when it cannot be told any more."""

    tell: Tell
    place: int
    lost: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass(eq=False)
class Group:
    """All who follow one question, and how far it has been read."""

    plan: FollowPlan
    asking: Asking
    place: int
    followers: set[Follower] = field(default_factory=set)
    joining: int = 0
    failures: int = 0

    def told(self, events: list[Event]) -> None:
        """Tell the events to everyone; those who cannot follow are let go."""
        for follower in list(self.followers):
            for event in events:
                if event.seq > follower.place and not follower.tell(event):
                    self.followers.discard(follower)
                    break


class Following:
    """This process's followers. Run `run()` as a background task."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._groups: dict[tuple[object, ...], Group] = {}
        self._stream: str | None = None

    async def run(self) -> None:
        """Tell followers what happens until cancelled; a database that goes away is waited for."""
        async with self._services.wake.watch(EVENT_CHANNEL) as watch:
            while True:
                await watch.wait(POLL_S)
                try:
                    await self.advance()
                except GotongError as error:
                    _log.warning("following_interrupted", code=error.code)
                    await asyncio.sleep(RETRY_S)
                except Exception as error:
                    _log.error("following_failed", exc_info=error)
                    await asyncio.sleep(RETRY_S)

    async def advance(self) -> None:
        """Read what is new for every question and tell it; raises the first failure when all others are told."""
        if not self._groups:
            return
        latest, stream = await self._latest(), await self.stream()
        failures: list[Exception] = []
        for group in list(self._groups.values()):
            try:
                await self._advance(group, stream, latest)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # one question that cannot be answered keeps nobody else waiting
                failures.append(error)
                self._count(group, error)
        if failures:
            raise failures[0]

    async def _advance(self, group: Group, stream: str, latest: int) -> None:
        while group.place < latest:
            events, group.place = await group.plan.read(group.asking, stream, group.place, latest)
            group.told(events)
        group.failures = 0

    def _count(self, group: Group, error: Exception) -> None:
        """Let those go whose question has failed too often: they come back with the last cursor they have."""
        group.failures += 1
        if group.failures < FAILURES_MAX:
            return
        self._groups.pop(group.plan.key)
        for follower in group.followers:
            if not follower.lost.done():
                follower.lost.set_exception(error)

    @contextlib.asynccontextmanager
    async def follow(
        self, plan: FollowPlan, asking: Asking, tell: Tell, room: Room
    ) -> AsyncIterator[asyncio.Future[None]]:
        """Tell the events behind the plan's `after`, or from now on, while the context lasts.

        Gives what raises when the question cannot be answered any more. Raises CursorInvalid, StreamChanged. `room` is
        awaited while what was missed is told.
        """
        cursor = plan.after(asking)
        latest = await self._latest()
        after = None
        if cursor is not None:
            theirs, after = stream.parse(cursor)
            stream.check(theirs, after, await self.stream(), latest)
        group = self._groups.setdefault(plan.key, Group(plan, asking, latest))
        group.joining += 1
        follower = Follower(tell, latest if after is None else after)
        try:
            await self._catch_up(group, follower, asking, room)
            yield follower.lost
        finally:
            follower.lost.cancel()
            group.joining -= 1
            group.followers.discard(follower)
            if not group.joining and self._groups.get(plan.key) is group:
                del self._groups[plan.key]

    async def _catch_up(self, group: Group, follower: Follower, asking: Asking, room: Room) -> None:
        while follower.place < group.place:
            events, place = await group.plan.read(asking, await self.stream(), follower.place, group.place)
            for event in events:
                await room()
                if not follower.tell(event):
                    return
            follower.place = place
        group.followers.add(follower)

    async def stream(self) -> str:
        """Return the identity of this database's numbering of events."""
        if self._stream is None:
            async with self._services.database.acquire() as connection:
                self._stream = str(await stream_id(connection))
        return self._stream

    async def _latest(self) -> int:
        async with self._services.database.acquire() as connection:
            return await latest_seq(connection)
