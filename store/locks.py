"""Claims on work that only one process at a time should do: session advisory locks on a connection of their own.

A claim ends with the connection, so a killed process leaves none behind. It
saves work and nothing else: whoever loses a claim without noticing still
writes through the head's row lock, and correctness never rests on this.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

import asyncpg

from store.database import Connection, DatabaseUnavailable


class Claims:
    """What this process has claimed. One process's tasks exclude each other too."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._held: set[str] = set()
        self._turn = asyncio.Lock()  # a connection does one thing at a time

    async def take(self, names: Sequence[str]) -> set[str]:
        """Return those of `names` that were free and are claimed now; raise DatabaseUnavailable."""
        free = [name for name in dict.fromkeys(names) if name not in self._held]
        if not free:
            return set()
        self._held |= set(free)  # before the first await: another task must not ask for the same
        taken: set[str] = set()
        try:
            rows = await self._ask(
                "select name from unnest($1::text[]) as name where pg_try_advisory_lock(hashtextextended(name, 0))",
                free,
            )
            taken = {row["name"] for row in rows}
        finally:
            self._held -= set(free) - taken
        return taken

    async def release(self, names: Iterable[str]) -> None:
        """Give claims back; a lost connection has given them back already."""
        mine = [name for name in names if name in self._held]
        self._held -= set(mine)
        if mine and self._connection is not None and not self._connection.is_closed():
            with contextlib.suppress(DatabaseUnavailable):
                await self._ask(
                    "select pg_advisory_unlock(hashtextextended(name, 0)) from unnest($1::text[]) as name", mine
                )

    async def close(self) -> None:
        """Give everything back."""
        self._held.clear()
        if self._connection is not None:
            self._connection.terminate()

    async def _ask(self, query: str, names: Sequence[str]) -> list[asyncpg.Record]:
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            try:
                return list(await self._connection.fetch(query, names))
            except BaseException as error:
                self._connection.terminate()  # what was taken is unknown: give all of it back
                if isinstance(error, OSError | asyncpg.PostgresError | asyncpg.InterfaceError):
                    raise DatabaseUnavailable(
                        "The claims' connection was lost.", reason=type(error).__name__
                    ) from error
                raise
