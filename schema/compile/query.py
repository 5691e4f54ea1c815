"""One SQL statement of a plan: its parameters, its rows, and what is missing when they are read."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from domain.errors import GotongError
from schema.compile.build import Asking, Binder, Hole
from schema.compile.turn import Turn


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
    variants: "Variants | None" = None
    turn: Turn | None = None  # with which it is asked beside others, if that holds nobody up

    async def rows(self, asking: Asking, *more: Any) -> list[asyncpg.Record]:
        """Return the statement's rows for this request's values; `more` are the parameters after those."""
        query = self if self.variants is None else self.variants.of(asking)
        parameters = [bind(asking) for bind in query.binders]
        if query.turn is not None:
            return await query.turn.answer(asking.services.database, parameters)
        async with asking.services.database.acquire() as database:
            if not query.uneven:
                return await database.fetch(query.sql, *parameters, *more)
            async with database.transaction(readonly=True):
                await database.execute("set local plan_cache_mode = force_custom_plan")
                return await database.fetch(query.sql, *parameters, *more)


class Variants:
    """The same question as several statements, one for each combination of kinds of values; made when first asked."""

    def __init__(self, choices: Sequence[Callable[[Asking], Hashable]], make: Callable[[Asking], Query]) -> None:
        self._choices = choices
        self._make = make
        self._made: dict[tuple[Hashable, ...], Query] = {}

    def of(self, asking: Asking) -> Query:
        """Return the statement for this request's values."""
        kinds = tuple([kind(asking) for kind in self._choices])
        query = self._made.get(kinds)
        if query is None:
            query = self._made[kinds] = self._make(asking)
        return query


def text(json: str | None) -> str:
    """Return a row's JSON; raises RowUnreadable where SQL found null in what is never null."""
    if json is None:
        raise RowUnreadable
    return json
