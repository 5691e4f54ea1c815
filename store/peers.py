"""Peers as rows: where to pull from, when next, and what they sent that broke a rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.errors import GotongError
from store.database import Connection

EVIDENCE_BYTES_MAX = 65_536
REFUSALS_PER_PEER_MAX = 500
PEER_NAME_SQL = "coalesce(peer.url, 'gotong:' || peer.operator_scid)"
"""What people know a peer by: its address, or its operator where nobody can connect to it."""


@dataclass(frozen=True, slots=True)
class PeerRow:
    """A peer an operator added."""

    id: int
    url: str
    trust: str
    operator_scid: str | None
    since: str | None
    next_pull_at: datetime
    failures: int
    last_ok_at: datetime | None
    last_error_code: str | None
    skew_ms: int | None
    private: bool
    asked_all_at: datetime | None


@dataclass(frozen=True, slots=True)
class CallerRow:
    """A peer as the sender of a request, by its operator."""

    peer_id: int
    trust: str
    did_version: int


_COLUMNS = """
    id, url, trust, operator_scid, since, next_pull_at, failures, last_ok_at, last_error_code, skew_ms, private,
    asked_all_at
"""


async def add(connection: Connection, url: str, *, trust: str = "quarantined", private: bool = False) -> PeerRow:
    """Add a peer, or return the one already there under this URL; `private` can be granted but not taken back here."""
    record = await connection.fetchrow(
        f"""
        insert into peer (url, trust, private) values ($1, $2, $3)
        on conflict (url) do update set private = peer.private or excluded.private returning {_COLUMNS}
        """,
        url,
        trust,
        private,
    )
    assert record is not None
    return PeerRow(**dict(record))


async def every(connection: Connection) -> list[PeerRow]:
    """Return all peers that can be connected to, by URL."""
    records = await connection.fetch(f"select {_COLUMNS} from peer where url is not null order by url")
    return [PeerRow(**dict(record)) for record in records]


async def find(connection: Connection, url: str) -> PeerRow | None:
    """Return the peer under this URL, or None."""
    record = await connection.fetchrow(f"select {_COLUMNS} from peer where url = $1", url)
    return None if record is None else PeerRow(**dict(record))


async def caller(connection: Connection, scid: str) -> CallerRow | None:
    """Return the peer whose operator this participant is and how much of its DID log is held; None if either is not.

    A blocked peer or participant is nobody's caller.
    """
    record = await connection.fetchrow(
        """
        select peer.id as peer_id, peer.trust, participant.did_version
        from peer join participant on participant.scid = peer.operator_scid
        where peer.operator_scid = $1 and participant.did_version > 0
          and peer.trust <> 'blocked' and participant.trust <> 'blocked'
        order by peer.trust = 'allowed' desc, peer.id limit 1
        """,
        scid,
    )
    return None if record is None else CallerRow(**dict(record))


async def allowed_caller(connection: Connection, scid: str) -> CallerRow | None:
    """Return a participant that is allowed here as a caller that is no peer, and how much of its DID log is held."""
    record = await connection.fetchrow(
        """
        select 0 as peer_id, trust, did_version from participant
        where scid = $1 and trust = 'allowed' and did_version > 0
          and not exists (select from peer where operator_scid = $1 and peer.trust = 'blocked')
        """,
        scid,
    )
    return None if record is None else CallerRow(**dict(record))


async def get(connection: Connection, peer_id: int) -> PeerRow | None:
    """Return the peer of this number if it has an address, or None."""
    record = await connection.fetchrow(f"select {_COLUMNS} from peer where id = $1 and url is not null", peer_id)
    return None if record is None else PeerRow(**dict(record))


async def trust_of(connection: Connection, peer_id: int) -> str:
    """Return a peer's trust."""
    trust: str = await connection.fetchval("select trust from peer where id = $1", peer_id)
    return trust


async def set_trust(connection: Connection, peer_id: int, trust: str) -> None:
    """Set a peer's trust; its participants' follows in participants.set_trust."""
    await connection.execute("update peer set trust = $2 where id = $1", peer_id, trust)


async def hosted_by(connection: Connection, peer_id: int) -> list[int]:
    """Return the participants whose home this peer is known to be."""
    records = await connection.fetch("select id from participant where home_peer_id = $1 order by id", peer_id)
    return [record["id"] for record in records]


async def succeeded(
    connection: Connection,
    peer_id: int,
    *,
    operator_scid: str | None,
    since: str | None,
    skew_ms: int,
    at: datetime,
    next_pull_at: datetime,
    asked_all: bool,
) -> None:
    """Remember a complete exchange; without an operator, the one that was known stays."""
    await connection.execute(
        """
        update peer set operator_scid = coalesce($2, operator_scid), since = $3, skew_ms = $4,
                        last_ok_at = $5, next_pull_at = $6,
                        failures = 0, last_error_code = null,
                        asked_all_at = case when $7 then $5 else asked_all_at end
        where id = $1
        """,
        peer_id,
        operator_scid,
        since,
        skew_ms,
        at,
        next_pull_at,
        asked_all,
    )


async def failed(
    connection: Connection, peer_id: int, *, code: str, next_pull_at: datetime, skew_ms: int | None
) -> None:
    """Remember a failed exchange, when to try again, and how far apart the clocks are if that was learned."""
    await connection.execute(
        """
        update peer set failures = failures + 1, last_error_code = $2, next_pull_at = $3,
                        skew_ms = coalesce($4, skew_ms)
        where id = $1
        """,
        peer_id,
        code,
        next_pull_at,
        skew_ms,
    )


async def make_due(connection: Connection, peer_ids: Sequence[int] | None) -> None:
    """Have these peers (None: all) asked again at once, and for everything, not only for what changed."""
    await connection.execute(
        "update peer set next_pull_at = 'epoch', since = null where $1::integer[] is null or id = any($1)",
        None if peer_ids is None else list(peer_ids),
    )


def _storable(told: Any) -> Any:
    """Return what can be kept of texts in which somebody may have put a NUL."""
    if isinstance(told, dict):
        return {_storable(name): _storable(each) for name, each in told.items()}
    if isinstance(told, list):
        return [_storable(each) for each in told]
    return told.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(told, str) else told


async def report(
    connection: Connection, error: GotongError, *, peer_id: int | None, origin: str | None, evidence: bytes | None
) -> None:
    """Keep which rule was broken, with bytes cut to EVIDENCE_BYTES_MAX, once a day if it is the same; in a transaction.

    Bytes that name an erased record are not kept. Of one peer the newest REFUSALS_PER_PEER_MAX are kept.
    """
    kept = None if evidence is None else evidence[:EVIDENCE_BYTES_MAX]
    added = await connection.fetchval(
        """
        insert into refusal (peer_id, origin, code, message, details, evidence)
        select $1, $2, $3, $4, $5, case when not exists (
            select from erasure join log on log.id = log_id
            where origin = $2 and position(convert_to(record_id::text, 'UTF8') in $6) > 0
        ) then $6::bytea end
        where not exists (
            select from refusal where peer_id is not distinct from $1 and origin is not distinct from $2 and code = $3
                                  and evidence is not distinct from $6 and at > now() - interval '1 day'
        )
        returning id
        """,
        peer_id,
        _storable(origin),
        error.code,
        _storable(error.message),
        _storable(error.details),
        kept,
    )
    if added is not None and peer_id is not None:
        await connection.execute(
            """
            delete from refusal where id in (
                select id from refusal where peer_id = $1 order by id desc offset $2
            )
            """,
            peer_id,
            REFUSALS_PER_PEER_MAX,
        )


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """Something a peer sent that broke a rule."""

    id: int
    at: datetime
    peer: str | None
    origin: str | None
    code: str
    message: str
    details: dict[str, Any]
    evidence: bytes | None


async def refusals(connection: Connection, limit: int) -> list[RefusalRow]:
    """Return the newest refusals, newest first."""
    records = await connection.fetch(
        f"""
        select refusal.id, at, {PEER_NAME_SQL} as peer, origin, code, message, details, evidence
        from refusal left join peer on peer.id = refusal.peer_id order by refusal.id desc limit $1
        """,
        limit,
    )
    return [RefusalRow(**dict(record)) for record in records]


async def allowed_skew_ms(connection: Connection, *, since: datetime, until: datetime) -> int | None:
    """Return the median of how far our clock was ahead of allowed peers heard in that time; None without any."""
    value: int | None = await connection.fetchval(
        """
        select percentile_disc(0.5) within group (order by skew_ms) from peer
        where trust = 'allowed' and skew_ms is not null and last_ok_at between $1 and $2
        """,
        since,
        until,
    )
    return value
