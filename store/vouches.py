"""Who vouches for which successor, and which successions are claimed: rows. Signatures are checked in `federation`."""

from dataclasses import dataclass
from datetime import datetime

from store.database import Connection


@dataclass(frozen=True, slots=True)
class VouchRow:
    """What an operator signed about a claim; `name` is what its organization is called, or its short name."""

    predecessor_id: int
    operator_id: int
    operator_scid: str
    name: str
    host: str
    is_own: bool
    at: datetime
    note: bytes


async def keep(
    connection: Connection, ids: tuple[int, int, int], *, note: bytes, at: datetime, received_at: datetime
) -> None:
    """Keep what an operator says in place of what it said before; `ids` are successor, predecessor and operator."""
    await connection.execute(
        """
        insert into vouch (successor_id, predecessor_id, operator_id, note, at, received_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (successor_id, predecessor_id, operator_id) do update
            set note = excluded.note, at = excluded.at, received_at = excluded.received_at
        """,
        *ids,
        note,
        at,
        received_at,
    )


async def kept(connection: Connection, ids: tuple[int, int, int]) -> bytes | None:
    """Return what is kept of one operator, or None; `ids` are successor, predecessor and operator."""
    note: bytes | None = await connection.fetchval(
        "select note from vouch where successor_id = $1 and predecessor_id = $2 and operator_id = $3", *ids
    )
    return note


async def of_allowed(connection: Connection, successor_id: int, limit: int) -> list[VouchRow]:
    """Return up to `limit` statements by operators whom this node's people allowed themselves: the node's own, those of
    allowed peers, and those allowed by name. Who is allowed only because its home is does not count."""
    records = await connection.fetch(
        """
        select vouch.predecessor_id, vouch.operator_id, who.scid as operator_scid,
               coalesce(organization.name_text -> 0 ->> 'text', who.slug) as name, who.host,
               who.id = (select operator_id from node_state) as is_own, vouch.at, vouch.note
        from vouch join participant who on who.id = vouch.operator_id
        left join organization on organization.publisher_id = who.id
        where vouch.successor_id = $1 and who.trust = 'allowed' and not who.ended and (
            who.id = (select operator_id from node_state) or who.trust_set_by = 'operator'
            or exists (select from peer where peer.operator_scid = who.scid and peer.trust = 'allowed')
        )
        order by vouch.received_at, vouch.operator_id limit $2
        """,
        successor_id,
        limit,
    )
    return [VouchRow(**dict(record)) for record in records]


async def claimed(connection: Connection, limit: int) -> list[tuple[str, datetime | None]]:
    """Return the SCIDs of up to `limit` participants whose own record names a known predecessor, each with when the
    newest statement about it came here: allowed ones first, then the newest."""
    records = await connection.fetch(
        """
        select heir.scid, (select max(vouch.received_at) from vouch where successor_id = heir.id) as newest
        from organization
        join participant heir on heir.id = organization.publisher_id
        join participant old on old.scid = substr(organization.doc ->> 'succeeds', length('gotong:') + 1)
        where organization.doc ->> 'succeeds' is not null and heir.trust <> 'blocked'
        order by heir.trust = 'allowed' desc, organization.received_at desc limit $1
        """,
        limit,
    )
    return [(record["scid"], record["newest"]) for record in records]
