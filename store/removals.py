"""What people without an account ask an operator to have removed, as rows. Bounded."""

from dataclasses import dataclass
from datetime import datetime

from store.database import Connection

OPEN_MAX = 1_000
PER_HOUR_MAX = 60
_LOCK = 0x676F746F6E670009  # "gotong" 9


@dataclass(frozen=True, slots=True)
class Removal:
    """A request that nobody has settled."""

    id: int
    at: datetime
    uri: str
    reason: str
    contact: str | None


async def insert(connection: Connection, uri: str, reason: str, contact: str | None) -> bool:
    """Keep a request and return True, or False beyond OPEN_MAX and PER_HOUR_MAX. Call inside a transaction."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    added = await connection.fetchval(
        """
        insert into removal_request (uri, reason, contact)
        select $1, $2, $3
        where (select count(*) from removal_request where settled_at is null) < $4
          and (select count(*) from removal_request where at > now() - interval '1 hour') < $5
        returning true
        """,
        uri,
        reason,
        contact,
        OPEN_MAX,
        PER_HOUR_MAX,
    )
    return added is True


async def waiting(connection: Connection) -> list[Removal]:
    """Return the requests nobody has settled, the oldest first."""
    records = await connection.fetch(
        "select id, at, uri, reason, contact from removal_request where settled_at is null order by id"
    )
    return [Removal(**dict(record)) for record in records]


async def settle(connection: Connection, number: int, outcome: str) -> bool:
    """Take a request off the list and forget who asked; return False when it is not on it."""
    settled = await connection.fetchval(
        """
        update removal_request set settled_at = now(), outcome = $2, reason = '', contact = null
        where id = $1 and settled_at is null returning true
        """,
        number,
        outcome,
    )
    return settled is True
