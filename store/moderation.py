"""What operators decide about, in pages: peers, participants, and the decisions themselves. SQL only."""

from collections.abc import Sequence
from typing import Any

from store.database import Connection

Rows = Sequence[Any]

_PEERS = """
    select peer.id as number, url, operator_scid, peer.trust, added_at, last_ok_at, next_pull_at, failures,
           last_error_code, skew_ms,
           (select count(*) from participant where home_peer_id = peer.id) as participants
    from peer
"""
_PARTICIPANTS = """
    select participant.id as number, participant.scid, did, participant.host, participant.slug, trust, trust_set_by,
           first_seen, (select url from peer where peer.id = home_peer_id) as home_url,
           organization.name_text -> 0 ->> 'text' as name,
           (select coalesce(sum(size), 0) from log where log.participant_id = participant.id)::bigint as entries,
           (select count(*) from need
            where need.publisher_id = participant.id and urgency = $3 and state = 'OPEN' and not need.exercise
           ) as critical_needs
    from participant left join organization on publisher_id = participant.id
"""


async def peers(connection: Connection, *, before: int | None, count: int) -> Rows:
    """Return peers, those added last first, from those numbered below `before` on."""
    return await connection.fetch(
        f"{_PEERS} where $1::integer is null or peer.id < $1 order by peer.id desc limit $2", before, count
    )


async def peer(connection: Connection, url: str) -> Any:
    """Return the peer under an address."""
    return await connection.fetchrow(f"{_PEERS} where url = $1", url)


async def participants(
    connection: Connection, *, trust: str | None, before: int | None, count: int, critical: int
) -> Rows:
    """Return participants of other nodes, those met last first; `critical` is the rank of the most urgent needs."""
    return await connection.fetch(
        f"""
            {_PARTICIPANTS} where not hosted and ($1::integer is null or participant.id < $1)
                              and ($4::text is null or trust = $4)
            order by participant.id desc limit $2
            """,
        before,
        count,
        critical,
        trust,
    )


async def participant(connection: Connection, scid: str, *, critical: int) -> Any:
    """Return one participant."""
    return await connection.fetchrow(
        f"{_PARTICIPANTS} where participant.scid = $1 and $2::integer is null", scid, None, critical
    )


async def decisions(connection: Connection, *, before: int | None, count: int) -> Rows:
    """Return what was decided, newest first."""
    return await connection.fetch(
        """
            select id as number, at, actor, action, subject, details ->> 'reason' as reason, details::text as details
            from audit where $1::bigint is null or id < $1 order by id desc limit $2
            """,
        before,
        count,
    )
