"""Count what fits a question and is not shown: hidden by trust, or suppressed.

Conditions that look into what a record says (`shown_only`) are left out by whoever asks for such a count, or it would
tell that of hidden ones.
"""

from collections.abc import Iterable

from schema.compile.read import Source
from schema.compile.text import fill
from schema.compile.visibility import HIDDEN_COUNT_MAX, hidden, suppressed

HIDDEN = "hidden_by_trust"
"""The name, in a statement, of the one row of these counts."""


def rows(source: Source, n: int, where: str, *, unverified: bool = False) -> list[str]:
    """Return SELECTs of a row for each hidden record: what trust hides, and what is suppressed."""
    is_critical = fill(source.critical, {"t": f"t{n}"}) if source.critical else "false"
    froms = (hidden(source, n, unverified=unverified), suppressed(source, n, unverified=unverified))
    return [f"select {is_critical} as is_critical from {from_} where {where}" for from_ in froms]


def counted(selects: Iterable[str]) -> str:
    """Return the SELECT of one row (count, critical)."""
    return (
        "select count(*) as count, count(*) filter (where is_critical) as critical from "
        f"({' union all '.join(selects)} limit {HIDDEN_COUNT_MAX}) counted"
    )
