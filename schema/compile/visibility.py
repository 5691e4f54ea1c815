"""What may be seen: the one predicate, in every FROM there is.

A record is visible when this node's operator allows its publisher and has
not suppressed this one record, and the publisher has said who it is (its
organization record is here): triggers keep `organization.visible` in step
with the participant's trust and `suppresses` with `suppression`, so that one
look-up a row answers all three where nothing is suppressed. Drills are shown
only to who asks for them. Nothing else in the compiler names any of these.
"""

from schema.compile.read import Source
from schema.compile.text import fill
from store.suppressions import kept_sql

HIDDEN_COUNT_MAX = 10_000
ALLOWED = "participant.trust = 'allowed'"


def names(source: Source, n: int) -> dict[str, str]:
    """Return the aliases of the row and of its publisher in `visible(source, n)`: an organization is its own.

    In `hidden(source, n)` they are the same, but of the publisher there is nothing but `scid`.
    """
    return {"t": f"t{n}", "p": f"t{n}" if source.table == "organization" else f"p{n}"}


UNVERIFIED = "not {p}.visible"
"""Whether a row is shown although nobody has looked at its publisher; only `unverified` lists have such rows."""
WAITING = "(select from participant where id = {publisher} and trust = 'quarantined')"


def unindexed(count_max: int) -> str:
    """Return the SQL of how many changes of those who are allowed here have no number or no words yet, at most so
    many."""
    return f"""(
        select count(*) from (
            select from (
                select publisher_id from outbox
                union all select publisher_id from event where seq > (select indexed_seq from text_progress)
            ) late join participant on participant.id = publisher_id and {ALLOWED} limit {count_max}
        ) waiting
    )"""


def visible(source: Source, n: int, *, unverified: bool = False) -> str:
    """Return the FROM of `source` with the aliases of `names`: its visible rows.

    `unverified` adds the critical ones whose publishers nobody has decided on.
    """
    if unverified and source.critical:
        seen = f"(p{n}.visible or {_waits(source, n, f'p{n}.publisher_id')})"
        return f"{_with_publisher(source, n)} and {seen} and {_kept(source, n)}"
    if source.table == "organization":
        return f"(select * from organization where visible) t{n}"
    return f"{_with_publisher(source, n)} and p{n}.visible and {_kept(source, n)}"


def _with_publisher(source: Source, n: int) -> str:
    return f"{source.table} t{n} join organization p{n} on p{n}.publisher_id = t{n}.publisher_id"


def _kept(source: Source, n: int) -> str:
    return kept_sql(source.type, f"t{n}", f"p{n}")


def hidden(source: Source, n: int, *, unverified: bool = False) -> str:
    """Return the FROM of `source` with the aliases of `names`: the rows trust hides, so the rest of `visible`."""
    rows = f"{source.table} t{n} join participant p{n} on p{n}.id = t{n}.publisher_id and p{n}.trust <> 'allowed'"
    if unverified and source.critical:
        rows += f" and not {_would_show(source, n)}"
    return rows


def suppressed(source: Source, n: int, *, unverified: bool = False) -> str:
    """Return the FROM of `source` with the aliases of `hidden`: the rows that nothing but a suppression hides.

    They are the rest of `visible` and `hidden`.
    """
    trusted = f"p{n}.trust = 'allowed'"
    if unverified and source.critical:
        trusted = f"({trusted} or {_would_show(source, n)})"
    return (
        f"suppression s{n} join {source.table} t{n} "
        f"on (s{n}.publisher_id, s{n}.type, s{n}.record_id) = (t{n}.publisher_id, '{source.type}', t{n}.record_id) "
        f"join participant p{n} on p{n}.id = t{n}.publisher_id and {trusted}"
    )


def _would_show(source: Source, n: int) -> str:
    introduced = f"exists (select from organization where publisher_id = p{n}.id)"
    return f"({_waits(source, n, f'p{n}.id')} and {introduced})"


def _waits(source: Source, n: int, publisher: str) -> str:
    assert source.critical is not None
    critical = fill(source.critical, {"t": f"t{n}"})
    return f"({critical} and exists {fill(WAITING, {'publisher': publisher})})"


def gone(source: Source, n: int) -> str:
    """Return the FROM of events, `ev<n>`, whose record has no row that may be seen: aliases as in `visible`, all null.

    The publisher is `g<n>`, a participant that this node's operator allows.
    """
    row = visible(source, n) if source.table == "organization" else f"({visible(source, n)})"
    return (
        f"participant g{n} join event ev{n} on ev{n}.publisher_id = g{n}.id and g{n}.trust = 'allowed' "
        f"left join {row} on t{n}.publisher_id = ev{n}.publisher_id and t{n}.record_id = ev{n}.record_id"
    )


def drills(source: Source, n: int, *, asked: bool) -> str:
    """Return the condition that keeps drills apart from what is real."""
    return f"t{n}.exercise" if asked else f"not t{n}.exercise"
