"""Read pages of one plan that are asked for at one moment with one round trip to PostgreSQL.

Pages are asked for a few at a time: each with its own values, in a statement that is theirs one after the other. Nobody
waits for a turn to fill, and a request that comes alone is asked alone.

Only pages that are short to read as a rule are (`roots`), since one waits for those that it was asked with; and only
where four of them are still a small statement, for each connection keeps its plan.
"""

from collections.abc import Sequence
from re import compile as regex
from typing import Any

from schema.compile.gathering import Gathering, Rows

AT_ONCE = (4, 2)
"""Pages of one round trip; those that are left over go alone."""
CHARS_MAX = 16_384
"""Of a statement for several pages. Its plan takes some 100 bytes a character in each connection to PostgreSQL; were it
longer than `STATEMENT_CACHED_CHARS_MAX`, none would keep it, and planning costs more than a round trip."""
_PARAMETER = regex(r"\$(\d+)")


class Turn(Gathering[Sequence[Any], Rows]):
    """One statement of a plan, with so many parameters: a page is asked for by its values, and its rows are given."""

    def __init__(self, sql: str, parameters: int) -> None:
        super().__init__()
        self._parameters = parameters
        self._sql = {1: sql}

    def at_once(self, waiting: int) -> int:
        """Return 4, 2 or 1."""
        return next((count for count in AT_ONCE if count <= waiting), 1)

    def statement(self, asked: Sequence[Sequence[Any]]) -> tuple[str, Sequence[Any]]:
        """Return the statement so many times; it is written when so many first come together."""
        count = len(asked)
        if count not in self._sql:
            self._sql[count] = several(self._sql[1], self._parameters, count)
        return self._sql[count], [value for values in asked for value in values]

    def answers(self, rows: Rows, count: int) -> Sequence[Rows]:
        """Return each page's rows."""
        if count == 1:
            return [rows]
        found: list[Rows] = [[] for _ in range(count)]
        for row in rows:
            found[row["asked"]].append(row)
        return found


def is_small(sql: str, parameters: int) -> bool:
    """Return whether the statement that asks `sql` as often as a round trip may is within bounds."""
    most = AT_ONCE[0]
    return len(sql) * most <= CHARS_MAX and len(several(sql, parameters, most)) <= CHARS_MAX


def several(sql: str, parameters: int, count: int) -> str:
    """Return a statement that asks `sql` so many times, each time with the next parameters; `asked` is the place."""

    def asked(place: int) -> str:
        own = _PARAMETER.sub(lambda found: f"${int(found[1]) + place * parameters}", sql)
        return f"(select {place} as asked, a{place}.* from ({own}) a{place})"

    return " union all ".join(asked(place) for place in range(count))
