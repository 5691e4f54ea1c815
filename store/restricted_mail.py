"""Requests for restricted parts under way, as rows: what waits at this mirror, what this node asked for. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from store.database import Connection
from store.mail_places import AT_HOME
from store.outbox import MAIL_CHANNEL, announce

KEPT_BACK_MAX = timedelta(minutes=10)
"""How long a request that was given to its home and not answered is kept back at most."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A request that waits here, or its answer."""

    id: int
    answer: bytes | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A request to be kept for its home."""

    request_hash: bytes
    request: bytes
    owner_id: int
    asker_scid: str
    node_scid: str
    uri: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """How much waits here: requests of one asker, of one node, to one home, and the bytes of the last."""

    of_asker: int
    of_node: int
    of_home: int
    bytes_of_home: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What this node asked for and waits for."""

    leaf: bytes
    seed: bytes
    request: bytes
    asked_at: datetime
    until: datetime


# ---- at a mirror -----------------------------------------------------------------------------------------------------


async def find(connection: Connection, request_hash: bytes) -> Mail | None:
    """Return the request of this hash that is kept here, or None."""
    record = await connection.fetchrow("select id, answer from restricted_mail where request_hash = $1", request_hash)
    return None if record is None else Mail(**dict(record))


async def kept(connection: Connection, letter: Letter, peer_id: int) -> Kept:
    """Return how much is kept already beside this; others that ask the same home wait until the transaction ends."""
    await connection.execute("select from peer where id = $1 for update", peer_id)
    record = await connection.fetchrow(
        """
        select count(*) filter (where asker_scid = $2) as of_asker, count(*) filter (where node_scid = $3) as of_node,
               count(*) filter (where home.mirrored_for = $1) as of_home,
               coalesce(sum(octet_length(request) + coalesce(octet_length(answer), 0))
                        filter (where home.mirrored_for = $1), 0) as bytes_of_home
        from restricted_mail join participant home on home.id = owner_id
        """,
        peer_id,
        letter.asker_scid,
        letter.node_scid,
    )
    assert record is not None
    return Kept(*(int(value) for value in record.values()))


async def keep(connection: Connection, letter: Letter, now: datetime) -> None:
    """Keep a request until its home fetches it; one that is here stays as it is."""
    await connection.execute(
        """
        insert into restricted_mail (request_hash, request, owner_id, asker_scid, node_scid, uri, until, arrived_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing
        """,
        letter.request_hash,
        letter.request,
        letter.owner_id,
        letter.asker_scid,
        letter.node_scid,
        letter.uri,
        letter.until,
        now,
    )
    await announce(connection, MAIL_CHANNEL)


async def collect(connection: Connection, mail_id: int, now: datetime) -> None:
    """Remember that the answer was handed out."""
    await connection.execute(
        "update restricted_mail set collected_at = $2 where id = $1 and collected_at is null", mail_id, now
    )


async def due(connection: Connection, peer_id: int, now: datetime) -> int:
    """Return how many requests are to be given to this depositor now."""
    count: int = await connection.fetchval(f"select count(*) from ({_DUE}) due", [peer_id], now, KEPT_BACK_MAX)
    return count


async def give(connection: Connection, peer_id: int, now: datetime, limit: int) -> list[bytes]:
    """Return requests that are to be given to this depositor: new ones first, then what it was given longest ago."""
    records = await connection.fetch(
        f"""
        with given as ({_DUE} order by fetched_at nulls first, mail.id limit $4)
        update restricted_mail set fetched_at = $2 from given where restricted_mail.id = given.id
        returning restricted_mail.request
        """,
        [peer_id],
        now,
        KEPT_BACK_MAX,
        limit,
    )
    return [record["request"] for record in records]


_WAITING = f"""
    select mail.id, peer.id as peer_id from restricted_mail mail
    join participant home on home.id = mail.owner_id join peer on peer.id = home.mirrored_for
    where peer.id = any($1) and mail.answer is null and mail.until > $2 and {AT_HOME}
"""
_DUE = f"""
    {_WAITING} and (fetched_at is null or fetched_at > $2
                    or fetched_at + least(fetched_at - arrived_at, $3::interval) <= $2)
"""
"""What was given and not answered is given again when it has waited twice as long, after KEPT_BACK_MAX at the latest:
what its home cannot answer must neither travel with every exchange nor be given up. An instant ahead is none."""


async def newest_waiting(connection: Connection, peer_ids: Sequence[int], now: datetime) -> dict[int, int]:
    """Return by depositor the number of the newest request that waits for it, where there is one."""
    records = await connection.fetch(
        f"select peer_id, max(id) as newest from ({_WAITING}) waiting group by peer_id", list(peer_ids), now
    )
    return {record["peer_id"]: record["newest"] for record in records}


async def asked_of(connection: Connection, request_hash: bytes, peer_id: int) -> str | None:
    """Return the SCID of the owner of what a request that waits for this depositor is about, or None."""
    scid: str | None = await connection.fetchval(
        f"""
        select home.scid from restricted_mail
        join participant home on home.id = owner_id join peer on peer.id = home.mirrored_for
        where request_hash = $1 and peer.id = $2 and answer is null and {AT_HOME}
        """,
        request_hash,
        peer_id,
    )
    return scid


async def answer(connection: Connection, request_hash: bytes, answer: bytes) -> None:
    """Keep the answer to a request; the first one stays."""
    await connection.execute(
        "update restricted_mail set answer = $2 where request_hash = $1 and answer is null", request_hash, answer
    )


# ---- at the node that asks -------------------------------------------------------------------------------------------


async def pending(connection: Connection, participant_id: int, uri: str) -> Pending | None:
    """Return what was asked for this participant and is not answered yet, or None."""
    record = await connection.fetchrow(
        "select leaf, seed, request, asked_at, until from restricted_asked where participant_id = $1 and uri = $2",
        participant_id,
        uri,
    )
    return None if record is None else Pending(**dict(record))


async def ask(connection: Connection, participant_id: int, uri: str, pending: Pending) -> None:
    """Remember what is asked, in place of what was asked of the same before."""
    await connection.execute(
        """
        insert into restricted_asked (participant_id, uri, leaf, seed, request, asked_at, until)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (participant_id, uri) do update
        set leaf = excluded.leaf, seed = excluded.seed, request = excluded.request, asked_at = excluded.asked_at,
            until = excluded.until
        """,
        participant_id,
        uri,
        pending.leaf,
        pending.seed,
        pending.request,
        pending.asked_at,
        pending.until,
    )


async def forget_asked(connection: Connection, participant_id: int, uri: str, request: bytes) -> None:
    """Forget a request that was answered; what opens its answer is gone with it."""
    await connection.execute(
        "delete from restricted_asked where participant_id = $1 and uri = $2 and request = $3",
        participant_id,
        uri,
        request,
    )


# ---- what is over ----------------------------------------------------------------------------------------------------


async def forget(connection: Connection, now: datetime, collected_before: datetime) -> None:
    """Delete what is over: requests out of time here and elsewhere, and answers handed out before that instant."""
    await connection.execute(
        "delete from restricted_mail where until <= $1 or collected_at <= $2", now, collected_before
    )
    await connection.execute("delete from restricted_asked where until <= $1", now)


async def forget_about(connection: Connection, uri: str) -> None:
    """Delete every request and answer about a record: its restricted part is erased."""
    await connection.execute("delete from restricted_mail where uri = $1", uri)
    await connection.execute("delete from restricted_asked where uri = $1", uri)
