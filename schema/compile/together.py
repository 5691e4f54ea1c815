"""Read records by their ids with one statement for all that are asked for at one moment.

A request that comes alone waits for nobody; those that come while a statement runs are answered by the next, so that
the busier a node is, the more share one. Only statements that take nothing but ids are shared and that read one row a
record: a longer one would gain nothing from company, and keep one process of PostgreSQL busy instead of several.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg

from domain.ids import UriParts
from schema.compile.build import Asking
from schema.compile.gathering import Gathering, Rows
from schema.compile.query import Query, text

TOGETHER_MAX = 64


class Together(Gathering[UriParts, asyncpg.Record | None]):
    """One statement of a plan: its last parameters are columns of SCIDs, record ids and places; see `by_ids_sql`.

    A record is asked for by its name, and its row (place, JSON) is given, None when there is none to be seen.
    """

    AFTER_EACH_OTHER = True

    def __init__(self, query: Query, *, is_short: bool) -> None:
        super().__init__()
        self.query = query
        self._is_shared = is_short and not query.binders

    async def json(self, uri: UriParts, asking: Asking) -> str | None:
        """Return the JSON of the record, None when there is none to be seen."""
        if self._is_shared:
            row = await self.answer(asking.services.database, uri)
        else:
            rows = await self.query.rows(asking, *_columns([uri]))
            row = rows[0] if rows else None
        return None if row is None else text(row[1])

    def at_once(self, waiting: int) -> int:
        """Return all, up to a bound."""
        return min(waiting, TOGETHER_MAX)

    def statement(self, asked: Sequence[UriParts]) -> tuple[str, Sequence[Any]]:
        """Return the statement with these columns."""
        return self.query.sql, _columns(asked)

    def answers(self, rows: Rows, count: int) -> Iterable[asyncpg.Record | None]:
        """Return each record's row."""
        found = {row[0]: row for row in rows}
        return map(found.get, range(count))


def _columns(uris: Sequence[UriParts]) -> Sequence[Sequence[Any]]:
    return [scid for scid, _, _ in uris], [id_ for _, _, id_ in uris], range(len(uris))
