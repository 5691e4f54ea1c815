"""Have requests that come at one moment ask PostgreSQL with one statement, and give each its own answer.

To wake a database process and to be woken by it costs as much as a short statement itself. So what is asked for in the
same turn of the event loop is asked for together. What may share, how many at once and when they begin is said by each
kind (`turn`: pages, `together`: records by id). Here is decided what holds for all of them:

- Nobody's answer depends on who else asked: what fails together is asked once more, each alone.
- Nobody is held up by others for longer than SHARED_S_MAX. Where that was reached nobody shares for ALONE_S: how long a
  question takes depends on its values too, and what is short on a small node may be long on a large one.
- Who leaves takes nobody along; a statement that nobody waits for any more is stopped.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import asyncpg
import msgspec

from store.database import Database, DatabaseBusy, DatabaseUnavailable

SHARED_S_MAX = 0.25
"""How long a shared statement may take; short ones take a hundredth of it."""
ALONE_S = 60.0
"""How long nobody shares a statement after it was cut off."""
WAITED_S_MAX = 0.02
"""How long is waited for the statement before: a connection that hangs holds nobody else up."""

Rows = list[asyncpg.Record]
W = TypeVar("W")
A = TypeVar("A")


class _Wish(msgspec.Struct, Generic[W, A]):
    """What one request asks for, and its answer; once it is asked for, by which task, and all that this answers."""

    database: Database
    asked: W
    answer: "asyncio.Future[A]"
    task: "asyncio.Task[None] | None" = None
    all_of_it: "Sequence[asyncio.Future[A]]" = ()


class Gathering(ABC, Generic[W, A]):
    """The requests that one statement of a plan can answer at once."""

    AFTER_EACH_OTHER: ClassVar[bool] = False
    """Whether those who come while a statement runs wait for its end, so that the next one answers all of them."""

    def __init__(self) -> None:
        self._wishes: list[_Wish[W, A]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._alone_until_s = 0.0

    @abstractmethod
    def at_once(self, waiting: int) -> int:
        """Return how many of those who wait the next statement answers, at least 1."""

    @abstractmethod
    def statement(self, asked: Sequence[W]) -> tuple[str, Sequence[Any]]:
        """Return the SQL that answers these, and its parameters."""

    @abstractmethod
    def answers(self, rows: Rows, count: int) -> Iterable[A]:
        """Return the answer of each of `count` that were asked together, in their order."""

    async def answer(self, database: Database, asked: W) -> A:
        """Return what is asked for; raises the database's errors."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        wishes, wish = self._wishes, _Wish(database, asked, answer)
        wishes.append(wish)
        if len(wishes) == 1:
            if self.AFTER_EACH_OTHER and self._running:
                loop.call_later(WAITED_S_MAX, self._begin, wishes)
            else:
                loop.call_soon(self._begin, wishes)  # what else this turn of the event loop brings comes along
        try:
            return await answer
        except asyncio.CancelledError:
            if wish.task is not None and all(each.cancelled() for each in wish.all_of_it):
                wish.task.cancel()
            raise

    def _begin(self, wishes: list[_Wish[W, A]]) -> None:
        if self._wishes is not wishes:
            return  # they have begun: what they waited for ended
        self._wishes = []
        wishes = [wish for wish in wishes if not wish.answer.done()]
        is_alone = self._alone_until_s > 0 and asyncio.get_running_loop().time() < self._alone_until_s
        while wishes:
            count = 1 if is_alone else self.at_once(len(wishes))
            self._ask(wishes[:count])
            wishes = wishes[count:]

    def _ask(self, wishes: Sequence[_Wish[W, A]]) -> None:
        task = asyncio.get_running_loop().create_task(self._fulfil(wishes))
        self._running.add(task)
        task.add_done_callback(self._ended)
        answers = [wish.answer for wish in wishes]
        for wish in wishes:
            wish.task, wish.all_of_it = task, answers

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if self.AFTER_EACH_OTHER and not self._running:
            self._begin(self._wishes)

    async def _fulfil(self, wishes: Sequence[_Wish[W, A]]) -> None:
        is_alone = len(wishes) == 1
        try:
            sql, values = self.statement([wish.asked for wish in wishes])
            async with wishes[0].database.acquire() as connection:
                rows = await connection.fetch(sql, *values, timeout=None if is_alone else SHARED_S_MAX)
            answers = self.answers(rows, len(wishes))
        except Exception as error:
            if isinstance(error, TimeoutError):
                self._alone_until_s = asyncio.get_running_loop().time() + ALONE_S
            is_final = is_alone or isinstance(error, DatabaseUnavailable | DatabaseBusy)
            for wish in wishes:
                if not wish.answer.done() and is_final:
                    wish.answer.set_exception(error)
                elif not wish.answer.done():
                    self._ask([wish])
            return
        for wish, answer in zip(wishes, answers, strict=True):
            if not wish.answer.done():
                wish.answer.set_result(answer)
