"""What people without an account ask an operator to have removed, as rows. Bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store.database import Connection
from store.mail_places import AT_HOME
from store.outbox import MAIL_CHANNEL, announce
from store.peers import PEER_NAME_SQL

OPEN_MAX = 1_000
PER_HOUR_MAX = 60
_LOCK = 0x676F746F6E670009  # "gotong" 9


@dataclass(frozen=True, slots=True)
class Removal:
    """A request that nobody has settled.

    `told_by` is the node where it was made, or that passed it on; `is_passed_on` says that the record's home has it.
    """

    id: int
    at: datetime
    uri: str
    reason: str
    contact: str | None
    told_by: str | None = None
    is_passed_on: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request on its way to the record's home."""

    letter: str
    uri: str
    reason: str


async def insert(connection: Connection, uri: str, scid: str, reason: str, contact: str | None) -> bool:
    """Keep a request and return True, or False beyond OPEN_MAX and PER_HOUR_MAX. Call inside a transaction."""
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    added = await connection.fetchval(
        """
        insert into removal_request (uri, owner_id, reason, contact)
        select $1, (select id from participant where scid = $6), $2, $3
        where (select count(*) from removal_request where settled_at is null and told_by is null) < $4
          and (select count(*) from removal_request where at > now() - interval '1 hour' and told_by is null) < $5
        returning true
        """,
        uri,
        reason,
        contact,
        OPEN_MAX,
        PER_HOUR_MAX,
        scid,
    )
    await announce(connection, MAIL_CHANNEL)
    return added is True


async def waiting(connection: Connection) -> list[Removal]:
    """Return the requests nobody has settled, the oldest first."""
    records = await connection.fetch(
        f"""
        select removal_request.id, at, uri, reason, contact,
               case when told_by is not null then {PEER_NAME_SQL} end as told_by, fetched_at is not null as is_passed_on
        from removal_request left join peer on peer.id = told_by where settled_at is null order by removal_request.id
        """
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


# ---- on the way to a record's home -----------------------------------------------------------------------------------

_WAITING = f"""
    select request.id, peer.id as peer_id from removal_request request
    join participant home on home.id = request.owner_id and not home.hosted
    join peer on peer.id = any($1) and peer.trust = 'allowed' and (
        {AT_HOME}
        or home.home_peer_id = peer.id and not exists (select from peer where {AT_HOME})
    )
    where request.fetched_at is null and request.settled_at is null and request.at > now() - interval '30 days'
      and request.told_by is distinct from peer.id
"""
"""Whose log is deposited here is at home at who deposits it, whoever else answers for it."""


async def count_waiting(connection: Connection, peer_id: int) -> int:
    """Return how many requests wait for this peer."""
    count: int = await connection.fetchval(f"select count(*) from ({_WAITING}) waiting", [peer_id])
    return count


async def newest_waiting(connection: Connection, peer_ids: Sequence[int]) -> dict[int, int]:
    """Return by peer the number of the newest request that waits for it, where there is one."""
    records = await connection.fetch(
        f"select peer_id, max(id) as newest from ({_WAITING}) waiting group by peer_id", list(peer_ids)
    )
    return {record["peer_id"]: record["newest"] for record in records}


async def give(connection: Connection, peer_id: int, limit: int) -> list[Waiting]:
    """Return requests that wait for this peer, those first that it was given longest ago."""
    records = await connection.fetch(
        f"""
        with given as (
            select waiting.id from ({_WAITING}) waiting join removal_request request on request.id = waiting.id
            order by given_at nulls first, waiting.id limit $2
        )
        update removal_request set given_at = now() from given where removal_request.id = given.id
        returning letter, uri, reason
        """,
        [peer_id],
        limit,
    )
    return [Waiting(record["letter"].hex, record["uri"], record["reason"]) for record in records]


async def note_taken(connection: Connection, peer_id: int, letters: Sequence[str]) -> None:
    """Remember that this peer has these of the requests that waited for it."""
    await connection.execute(
        f"""
        update removal_request set fetched_at = now()
        where letter = any($2::text[]::uuid[]) and id in (select id from ({_WAITING}) waiting)
        """,
        [peer_id],
        list(letters),
    )


async def take(
    connection: Connection, letter: str, uri: str, scid: str, reason: str, peer_id: int, open_max: int
) -> bool | None:
    """Keep a request that a peer passed on; return whether it is new, None if it cannot be kept.

    Kept is what is about a participant at home here, or whose log is deposited here, up to `open_max` open ones a peer.
    """
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    if await connection.fetchval("select true from removal_request where letter = $1::text::uuid", letter):
        return False
    added = await connection.fetchval(
        """
        insert into removal_request (letter, uri, owner_id, reason, told_by)
        select $1::text::uuid, $2, id, $4, $5 from participant
        where scid = $3 and (hosted or mirrored_for is not null)
          and (select count(*) from removal_request where settled_at is null and told_by = $5) < $6
        returning true
        """,
        letter,
        uri,
        scid,
        reason,
        peer_id,
        open_max,
    )
    if added is None:
        return None
    await announce(connection, MAIL_CHANNEL)
    return True
