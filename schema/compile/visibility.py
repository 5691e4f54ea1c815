"""What may be seen: the one predicate, in every FROM there is.

A record is visible when this node's operator allows its publisher, and the
publisher has said who it is (its organization record is here). Drills are
shown only to who asks for them. Nothing else in the compiler names `trust`.
"""

from schema.compile.read import Source

HIDDEN_COUNT_MAX = 10_000
ALLOWED = "participant.trust = 'allowed'"


def visible(source: Source, n: int) -> str:
    """Return the FROM of `source` with aliases t<n>, p<n>, o<n>: its visible rows."""
    base = f"{source.table} t{n} join participant p{n} on p{n}.id = t{n}.publisher_id and p{n}.trust = 'allowed'"
    if source.table == "organization":
        return base
    return f"{base} join organization o{n} on o{n}.publisher_id = t{n}.publisher_id"


def hidden(source: Source, n: int) -> str:
    """Return the FROM of `source` with aliases t<n>, p<n>: the rows trust hides."""
    return f"{source.table} t{n} join participant p{n} on p{n}.id = t{n}.publisher_id and p{n}.trust <> 'allowed'"


def drills(source: Source, n: int, *, asked: bool) -> str:
    """Return the condition that keeps drills apart from what is real."""
    return f"t{n}.exercise" if asked else f"not t{n}.exercise"
