"""How long a request is waited for: its body a while, its answer as long as the client stays.

Nearly every request is over before either matters. A timer for each would cost more than its SQL, so those who wait
stand in a queue that is looked at now and then.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from api.graphql_request import ClientGone, Headers, Receive, read_body
from api.graphql_response import RequestTimedOut

BODY_TIMEOUT_S = 15.0
WATCH_AFTER_S = 0.05

T = TypeVar("T")

if TYPE_CHECKING:
    Task = asyncio.Task[Any]  # generic to the type checker only
else:
    Task = asyncio.Task


class Overdue:
    """Calls that are made `after_s` after they were added, unless they are dropped before: one timer for all."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._due_s: dict[Callable[[], None], float] = {}  # in the order in which they are due
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Have `call` called by `loop` when it is due; it must not raise."""
        self._due_s[call] = loop.time() + self._after_s
        if self._timer is None:
            self._timer = loop.call_later(self._after_s, self._look, loop)

    def drop(self, call: Callable[[], None]) -> None:
        """Have `call` called no more."""
        self._due_s.pop(call, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._due_s:
            call, due_s = next(iter(self._due_s.items()))
            if due_s > loop.time():
                self._timer = loop.call_at(due_s, self._look, loop)
                return
            del self._due_s[call]
            call()


class Patience:
    """What waits for clients, in one process; `task` is the one that calls."""

    def __init__(self) -> None:
        self._bodies = Overdue(BODY_TIMEOUT_S)
        self._answers = Overdue(WATCH_AFTER_S)

    async def body(self, task: Task, headers: Headers, receive: Receive) -> bytes:
        """Return the request's body; raises RequestTimedOut and what `read_body` raises."""
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            task.cancel()

        self._bodies.add(expire, task.get_loop())
        try:
            return await read_body(headers, receive)
        except asyncio.CancelledError:
            if expired and task.uncancel() == 0:
                raise RequestTimedOut("The request's body did not arrive in time.") from None
            raise
        finally:
            self._bodies.drop(expire)

    async def while_connected(self, task: Task, running: Coroutine[Any, Any, T], receive: Receive) -> T:
        """Return what `running` gives; cancel it and raise ClientGone when the client leaves meanwhile."""
        loop = task.get_loop()
        watcher: asyncio.Task[None] | None = None
        gone = False

        async def until_gone() -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            gone = True
            task.cancel()

        def watch() -> None:
            nonlocal watcher
            watcher = loop.create_task(until_gone())

        self._answers.add(watch, loop)
        try:
            return await running
        except asyncio.CancelledError:
            if gone and task.uncancel() == 0:
                raise ClientGone from None
            raise
        finally:
            self._answers.drop(watch)
            if watcher is not None:
                watcher.cancel()


def running_task() -> Task:
    """Return the task that calls: looking it up costs enough to do it once a request."""
    task = asyncio.current_task()
    assert task is not None
    return task
