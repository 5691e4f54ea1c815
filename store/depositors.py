"""Nodes that joined by an invitation and may deposit logs here, as rows: invitations, their names, what they spend."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store.database import Connection


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation: `used_at` and `peer_id` say who used it."""

    id: int
    slug: str | None
    trust: str
    expires_at: datetime
    used_at: datetime | None
    peer_id: int | None


@dataclass(frozen=True, slots=True)
class DepositorRow:
    """A peer that may deposit here."""

    peer_id: int
    operator_scid: str
    url: str | None
    trust: str
    slug: str | None
    participants: int


async def lock_names(connection: Connection) -> None:
    """Have names given away one after the other: nobody else gives one until the transaction ends."""
    await connection.execute("lock table mirror_invitation in share row exclusive mode")


async def invite(
    connection: Connection, *, code_hash: bytes, slug: str | None, trust: str, made_at: datetime, expires_at: datetime
) -> None:
    """Keep an invitation."""
    await connection.execute(
        "insert into mirror_invitation (code_hash, slug, trust, made_at, expires_at) values ($1, $2, $3, $4, $5)",
        code_hash,
        slug,
        trust,
        made_at,
        expires_at,
    )


async def lock_invitation(connection: Connection, code_hash: bytes) -> InvitationRow | None:
    """Return the invitation with this code, locked until the transaction ends, or None."""
    record = await connection.fetchrow(
        """
        select id, slug, trust, expires_at, used_at, peer_id from mirror_invitation where code_hash = $1 for update
        """,
        code_hash,
    )
    return None if record is None else InvitationRow(**dict(record))


async def use_invitation(connection: Connection, invitation_id: int, peer_id: int, at: datetime) -> None:
    """Remember who used an invitation."""
    await connection.execute(
        "update mirror_invitation set used_at = $3, peer_id = $2 where id = $1", invitation_id, peer_id, at
    )


async def name_is_taken(connection: Connection, slug: str, now: datetime) -> bool:
    """Return whether a name, or one that begins with it, is hosted here or lies within one that was given away.

    Whoever was invited as `desa-a` may call its participants `desa-a-...` without asking.
    """
    taken: bool = await connection.fetchval(
        """
        select exists (select from participant where hosted and (slug = $1 or starts_with(slug, $1 || '-')))
            or exists (
                select from mirror_invitation
                where (used_at is not null or expires_at > $2)
                  and (slug = $1 or starts_with(slug, $1 || '-') or starts_with($1, slug || '-'))
            )
        """,
        slug,
        now,
    )
    return taken


async def name_is_given_away(connection: Connection, slug: str, now: datetime) -> bool:
    """Return whether a name lies within one that somebody was invited under."""
    taken: bool = await connection.fetchval(
        """
        select exists (
            select from mirror_invitation
            where (used_at is not null or expires_at > $2) and (slug = $1 or starts_with($1, slug || '-'))
        )
        """,
        slug,
        now,
    )
    return taken


async def admit(connection: Connection, operator_scid: str, trust: str) -> int:
    """Return the peer of this operator, added without an address if there is none; it may deposit from now on."""
    number: int | None = await connection.fetchval(
        """
        update peer set deposits_here = true
        where id = (select id from peer where operator_scid = $1 order by deposits_here desc, id limit 1)
        returning id
        """,
        operator_scid,
    )
    if number is None:
        number = await connection.fetchval(
            """
            insert into peer (operator_scid, trust, deposits_here, next_pull_at) values ($1, $2, true, 'infinity')
            returning id
            """,
            operator_scid,
            trust,
        )
    assert number is not None
    return number


async def every(connection: Connection) -> list[DepositorRow]:
    """Return the peers that may deposit here, in the order in which they joined."""
    records = await connection.fetch(
        """
        select peer.id as peer_id, operator_scid, url, trust,
               (
                   select slug from mirror_invitation
                   where peer_id = peer.id and slug is not null order by used_at limit 1
               ) as slug,
               (select count(*) from participant where home_peer_id = peer.id) as participants
        from peer where deposits_here order by id
        """
    )
    return [DepositorRow(**dict(record)) for record in records]


async def find(connection: Connection, operator_scid: str) -> int | None:
    """Return the peer of this operator that may deposit here, or None."""
    number: int | None = await connection.fetchval(
        "select id from peer where operator_scid = $1 and deposits_here", operator_scid
    )
    return number


async def count_deposited(connection: Connection, peer_id: int) -> int:
    """Return how many participants this depositor was the first to bring."""
    count: int = await connection.fetchval("select count(*) from participant where deposited_by = $1", peer_id)
    return count


async def mark_deposited(connection: Connection, peer_id: int, scids: list[str]) -> None:
    """Remember who brought these participants first."""
    await connection.execute(
        "update participant set deposited_by = $1 where scid = any($2) and deposited_by is null and not hosted",
        peer_id,
        scids,
    )


async def spend(connection: Connection, peer_id: int, hour: datetime, size_bytes: int) -> int:
    """Add to what a depositor has sent in this hour and return the sum."""
    spent: int = await connection.fetchval(
        """
        insert into deposit_spent (peer_id, hour, size_bytes) values ($1, $2, $3)
        on conflict (peer_id) do update
        set size_bytes = case when deposit_spent.hour = excluded.hour then deposit_spent.size_bytes else 0 end
                         + excluded.size_bytes,
            hour = excluded.hour
        returning size_bytes
        """,
        peer_id,
        hour,
        size_bytes,
    )
    return spent


async def mirrored_did(connection: Connection, slug: str) -> str | None:
    """Return whose identity lives under this name of this node's host although its log is deposited here, or None.

    The name must be one that its home was invited under.
    """
    scid: str | None = await connection.fetchval(
        """
        select participant.scid
        from participant
        join mirror_invitation invitation on invitation.peer_id = participant.home_peer_id
        join participant operator on operator.id = (select operator_id from node_state)
        where participant.slug = $1 and participant.host = operator.host and not participant.hosted
          and (invitation.slug = $1 or starts_with($1, invitation.slug || '-'))
        order by participant.first_seen limit 1
        """,
        slug,
    )
    return scid


async def add_mirror(connection: Connection, peer_id: int) -> None:
    """Have this node deposit its logs with a peer from now on."""
    await connection.execute("update peer set mirrors_us = true where id = $1", peer_id)


async def is_mirror(connection: Connection, peer_id: int) -> bool:
    """Return whether this node deposits its logs with that peer."""
    found: bool = await connection.fetchval("select mirrors_us from peer where id = $1", peer_id)
    return found


async def homes_at_mirror(connection: Connection, peer_id: int, origins: Sequence[str]) -> list[str]:
    """Return those of these logs whose home is that peer, if this node deposits with it."""
    records = await connection.fetch(
        """
        select log.origin from log join participant on participant.id = log.participant_id
        join peer on peer.id = participant.home_peer_id
        where peer.id = $1 and peer.mirrors_us and log.origin = any($2) and log.epoch = participant.epoch
        order by log.origin
        """,
        peer_id,
        list(origins),
    )
    return [record["origin"] for record in records]


async def mirrors(connection: Connection) -> list[str]:
    """Return the addresses of the peers that this node deposits with."""
    records = await connection.fetch(
        "select url from peer where mirrors_us and trust <> 'blocked' and url is not null order by id"
    )
    return [record["url"] for record in records]
