"""Read pages of one plan that are asked for at one moment with one round trip to PostgreSQL.

To wake a database process and to be woken by it costs as much as a short page itself. So pages whose requests came in
the same turn of the event loop are asked for together, a few at a time: each with its own values, in a statement that
is theirs one after the other. Nobody waits for a turn to fill, and a request that comes alone is asked alone.

Only pages that are short to read are (`roots`): at worst one waits for those that it was asked with. What fails
together is asked once more, each alone, so that nobody's answer depends on who else asked.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from re import compile as regex
from typing import Any

import asyncpg
import msgspec

from store.database import Database, DatabaseBusy, DatabaseUnavailable

AT_ONCE = (4, 2)
"""Pages of one round trip; those that are left over go alone."""
_PARAMETER = regex(r"\$(\d+)")

Rows = list[asyncpg.Record]


class _Wish(msgspec.Struct, frozen=True):
    """One request's values, and its rows."""

    database: Database
    values: Sequence[Any]
    rows: "asyncio.Future[Rows]"


class Turn:
    """One statement of a plan, with so many parameters."""

    def __init__(self, sql: str, parameters: int) -> None:
        self._sql = {count: several(sql, parameters, count) for count in AT_ONCE} | {1: sql}
        self._wishes: list[_Wish] = []

    async def rows(self, database: Database, values: Sequence[Any]) -> Rows:
        """Return the statement's rows for these values; raises the database's errors."""
        loop = asyncio.get_running_loop()
        wish = _Wish(database, values, loop.create_future())
        self._wishes.append(wish)
        if len(self._wishes) == 1:
            loop.call_soon(self._begin)  # what else this turn of the event loop brings comes along
        return await wish.rows

    def _begin(self) -> None:
        wishes, self._wishes = [wish for wish in self._wishes if not wish.rows.done()], []
        while wishes:
            count = next((count for count in AT_ONCE if count <= len(wishes)), 1)
            together, wishes = wishes[:count], wishes[count:]
            task = asyncio.get_running_loop().create_task(self._fulfil(together))
            for wish in together:
                wish.rows.add_done_callback(partial(_stop_if_unwanted, task, together))

    async def _fulfil(self, wishes: Sequence[_Wish]) -> None:
        try:
            async with wishes[0].database.acquire() as connection:
                values = [value for wish in wishes for value in wish.values]
                rows = await connection.fetch(self._sql[len(wishes)], *values)
        except Exception as error:
            if len(wishes) == 1 or isinstance(error, DatabaseUnavailable | DatabaseBusy):
                for wish in wishes:
                    _tell(wish, error)
                return
            await asyncio.gather(*(self._fulfil([wish]) for wish in wishes if not wish.rows.done()))
            return
        if len(wishes) == 1:
            _tell(wishes[0], rows)
            return
        found: list[Rows] = [[] for _ in wishes]
        for row in rows:
            found[row["asked"]].append(row)
        for wish, its_own in zip(wishes, found, strict=True):
            _tell(wish, its_own)


def several(sql: str, parameters: int, count: int) -> str:
    """Return a statement that asks `sql` so many times, each time with the next parameters; `asked` is the place."""

    def asked(place: int) -> str:
        own = _PARAMETER.sub(lambda found: f"${int(found[1]) + place * parameters}", sql)
        return f"(select {place} as asked, a{place}.* from ({own}) a{place})"

    return " union all ".join(asked(place) for place in range(count))


def _tell(wish: _Wish, outcome: Rows | Exception) -> None:
    if wish.rows.done():
        return
    if isinstance(outcome, Exception):
        wish.rows.set_exception(outcome)
    else:
        wish.rows.set_result(outcome)


def _stop_if_unwanted(task: "asyncio.Task[None]", wishes: Sequence[_Wish], _: "asyncio.Future[Rows]") -> None:
    """Stop a statement when everybody who asked has left."""
    if not task.done() and all(wish.rows.cancelled() for wish in wishes):
        task.cancel()
