"""Read records by their ids with one statement for all that are asked for at one moment.

A round trip to PostgreSQL costs several times what a row costs. A request that comes alone waits for nobody; those
that come while a statement runs are answered by the next, so that the busier a node is, the more share one. Only
statements that take nothing but ids are shared, so nobody's answer can depend on who else asked.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from domain.ids import UriParts
from schema.compile.build import Asking
from schema.compile.query import Query, text

TOGETHER_MAX = 64
WAITED_S_MAX = 0.02  # for the statement before: a connection that hangs holds nobody else up


class _Wish(msgspec.Struct, frozen=True):
    """One request's record."""

    uri: UriParts
    asking: Asking
    row: "asyncio.Future[tuple[str | None] | None]"  # None: no row; a row's JSON is checked by who asked for it


@dataclass(slots=True)
class _Batch:
    """What one statement answers."""

    wishes: list[_Wish] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None


class Together:
    """One statement of a plan: its last parameters are columns of SCIDs, record ids and places; see `by_ids_sql`."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self._gathering = _Batch()
        self._running: set[asyncio.Task[None]] = set()

    async def json(self, uri: UriParts, asking: Asking) -> str | None:
        """Return the JSON of the record, None when there is none to be seen."""
        if self.query.binders:
            found = await self._found([uri], asking)
            return text(found[0]) if found else None
        loop = asyncio.get_running_loop()
        batch, wish = self._gathering, _Wish(uri, asking, loop.create_future())
        batch.wishes.append(wish)
        if len(batch.wishes) >= TOGETHER_MAX:
            self._begin(batch)
        elif len(batch.wishes) == 1 and self._running:
            loop.call_later(WAITED_S_MAX, self._begin, batch)
        elif len(batch.wishes) == 1:
            loop.call_soon(self._begin, batch)  # what else this turn of the event loop brings comes along
        try:
            row = await wish.row
        except asyncio.CancelledError:
            if batch.task is not None and all(each.row.cancelled() for each in batch.wishes):
                batch.task.cancel()
            raise
        return None if row is None else text(row[0])

    def _begin(self, batch: _Batch) -> None:
        if self._gathering is not batch:
            return  # it has begun: it was full, or what it waited for ended
        self._gathering = _Batch()
        batch.wishes = [wish for wish in batch.wishes if not wish.row.done()]
        if batch.wishes:
            batch.task = asyncio.get_running_loop().create_task(self._fulfil(batch.wishes))
            self._running.add(batch.task)
            batch.task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not self._running:
            self._begin(self._gathering)

    async def _fulfil(self, wishes: Sequence[_Wish]) -> None:
        try:
            found = await self._found([wish.uri for wish in wishes], wishes[0].asking)
        except Exception as error:
            for wish in wishes:
                if not wish.row.done():
                    wish.row.set_exception(error)
            return
        for place, wish in enumerate(wishes):
            if not wish.row.done():
                wish.row.set_result((found[place],) if place in found else None)

    async def _found(self, uris: Sequence[UriParts], asking: Asking) -> dict[int, str | None]:
        columns = [scid for scid, _, _ in uris], [id_ for _, _, id_ in uris], range(len(uris))
        return {place: json for place, json in await self.query.rows(asking, *columns)}  # noqa: C416 -- typed
