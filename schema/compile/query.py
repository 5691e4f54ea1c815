"""One SQL statement of a plan: its parameters, its rows, and what is missing when they are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from domain.errors import GotongError
from schema.compile.build import Asking, Binder, Hole


class RowUnreadable(Exception):
    """A row lacks what the contract says every row has: a bug here, or a damaged projection."""


class Partly(Exception):
    """A list that has an answer, and members that were refused: null in `json`, told at their place in `errors`."""

    def __init__(self, json: bytes, errors: Mapping[int, GotongError]) -> None:
        super().__init__(len(errors))
        self.json = json
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with its parameters and what follows it."""

    sql: str
    binders: Sequence[Binder]
    holes: Sequence[Hole]
    uneven: bool = False  # a plan made for other values may be a hundred times slower: it is made anew each time

    async def rows(self, asking: Asking, *more: Any) -> list[asyncpg.Record]:
        """Return the statement's rows for this request's values; `more` are the parameters after those."""
        parameters = [bind(asking) for bind in self.binders]
        async with asking.services.database.acquire() as database:
            if self.uneven:
                return await (await database.prepare(self.sql, name="")).fetch(*parameters, *more)
            return await database.fetch(self.sql, *parameters, *more)


def text(json: str | None) -> str:
    """Return a row's JSON; raises RowUnreadable where SQL found null in what is never null."""
    if json is None:
        raise RowUnreadable
    return json
