"""Read records by their ids with one statement for all that are asked for at one moment.

A round trip to PostgreSQL costs several times what a row costs. Requests that one turn of the event loop brought
are answered by one statement; a request that comes alone waits for nobody. Only statements that take nothing
but ids are shared, so nobody's answer can depend on who else asked.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from domain.ids import RecordUri
from schema.compile.build import Asking
from schema.compile.query import Query, text

TOGETHER_MAX = 64


@dataclass(frozen=True, slots=True)
class _Wish:
    """One request's record."""

    uri: RecordUri
    asking: Asking
    row: "asyncio.Future[tuple[str | None] | None]"  # None: no row; a row's JSON is checked by who asked for it


class Together:
    """One statement of a plan: its last parameters are the columns of the ids, its rows are (place from 1, JSON)."""

    def __init__(self, query: Query, *, by_record: bool) -> None:
        """`by_record`: ids are (SCID, record id), else SCIDs alone."""
        self.query = query
        self._by_record = by_record
        self._wishes: list[_Wish] = []
        self._running: set[asyncio.Task[None]] = set()

    async def json(self, uri: RecordUri, asking: Asking) -> str | None:
        """Return the JSON of the record, None when there is none to be seen."""
        if self.query.binders:
            found = await self._found([uri], asking)
            return text(found[1]) if found else None
        loop = asyncio.get_running_loop()
        wish = _Wish(uri, asking, loop.create_future())
        self._wishes.append(wish)
        if len(self._wishes) == 1:
            loop.call_soon(self._begin)
        elif len(self._wishes) >= TOGETHER_MAX:
            self._begin()
        row = await wish.row
        return None if row is None else text(row[0])

    def _begin(self) -> None:
        wishes, self._wishes = [wish for wish in self._wishes if not wish.row.done()], []
        if not wishes:
            return
        task = asyncio.get_running_loop().create_task(self._fulfil(wishes))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

        def given_up(_: "asyncio.Future[tuple[str | None] | None]") -> None:
            if all(wish.row.cancelled() for wish in wishes):
                task.cancel()

        for wish in wishes:
            wish.row.add_done_callback(given_up)

    async def _fulfil(self, wishes: Sequence[_Wish]) -> None:
        try:
            found = await self._found([wish.uri for wish in wishes], wishes[0].asking)
        except Exception as error:
            for wish in wishes:
                if not wish.row.done():
                    wish.row.set_exception(error)
            return
        for place, wish in enumerate(wishes, 1):
            if not wish.row.done():
                wish.row.set_result((found[place],) if place in found else None)

    async def _found(self, uris: Sequence[RecordUri], asking: Asking) -> dict[int, str | None]:
        columns: list[list[object]] = [[uri.scid for uri in uris]]
        if self._by_record:
            columns.append([uri.id for uri in uris])
        return {place: json for place, json in await self.query.rows(asking, *columns)}  # noqa: C416 -- typed
