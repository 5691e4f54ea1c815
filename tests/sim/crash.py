"""Kill a simulated process between any two of its statements, or just after one whose answer it never sees.

A process dies by losing every connection at once and by an exception that no
handler of errors takes for one. What the database had committed stays.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from weakref import WeakSet

import asyncpg

from store.database import Connection

STATEMENTS = ("execute", "_execute", "_executemany", "_copy_in")
"""Through these methods of the driver every statement goes."""
COMMIT = "COMMIT;"
"""As the driver writes it."""

real_connect: Any = asyncpg.connect


class Crashed(BaseException):
    """The process is dead; not an Exception, as a SIGKILL is none."""


class Lifeline:
    """One process's hold on life: its connections, and after how many statements they are cut."""

    def __init__(self) -> None:
        self.statements_left: int | None = None
        self.answer_is_lost = False
        self.dies_of_commit = False
        self.is_dead = False
        self._connections: WeakSet[Connection] = WeakSet()

    def adopt(self, connection: Connection) -> None:
        """Have this connection die with the others."""
        self._connections.add(connection)

    def kill(self) -> None:
        """Cut every connection; whatever runs next in this process raises Crashed."""
        self.is_dead = True
        for connection in list(self._connections):
            connection.terminate()

    async def step(self, statement: Callable[[], Awaitable[Any]], text: object) -> Any:
        """Run one statement, or die before it or after it; `dies_of_commit`: of the first COMMIT."""
        if self.is_dead:
            raise Crashed
        if self.dies_of_commit and text == COMMIT:
            self.statements_left = 0
        if self.statements_left is None:
            return await statement()
        self.statements_left -= 1
        if self.statements_left >= 0:
            return await statement()
        if self.answer_is_lost:
            with contextlib.suppress(asyncpg.PostgresError):
                await statement()
        self.kill()
        raise Crashed


@contextlib.contextmanager
def mortal(lifelines: dict[str, Lifeline]) -> Iterator[None]:
    """Within, connections to the databases in `lifelines` (by DSN) die with their process."""

    async def connect(dsn: str, **options: Any) -> Any:
        lifeline = lifelines.get(dsn)
        if lifeline is None:
            return await real_connect(dsn, **options)
        if lifeline.is_dead:
            raise Crashed
        connection: Connection = await real_connect(dsn, connection_class=_class_for(lifeline), **options)
        lifeline.adopt(connection)
        return connection

    asyncpg.connect = connect  # type: ignore[assignment]
    try:
        yield
    finally:
        asyncpg.connect = real_connect


def _class_for(lifeline: Lifeline) -> type:
    """Return the class of connections whose every statement is a step of this life."""

    class Mortal(asyncpg.Connection):
        pass

    def stepping(statement: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def step(self: Any, *arguments: Any, **options: Any) -> Any:
            return await lifeline.step(lambda: statement(self, *arguments, **options), arguments[0])

        return step

    for name in STATEMENTS:
        setattr(Mortal, name, stepping(getattr(asyncpg.Connection, name)))
    return Mortal
