"""Cosignatures beside the logs, and a witness's memory of what it cosigned itself. SQL only; verifies nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store.database import Connection

SERVED_MAX = 32
"""Cosignatures given out with one note; whoever reads notes reads no more either."""

WITH_COSIGNATURES = f"""
    log.checkpoint || coalesce((
        select string_agg(line, ''::bytea order by at_s desc) from (
            select line, at_s from cosignature where cosignature.log_id = log.id and size = log.checkpoint_size
            order by at_s desc limit {SERVED_MAX}
        ) served
    ), ''::bytea)
"""
"""The SQL of a log's note with what others say of exactly that tree."""


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A log hosted here that a cosigner has not cosigned at its present size, or not lately; `before`: where it has."""

    log_id: int
    origin: str
    size: int
    note: bytes
    before: int


async def keep(connection: Connection, log_id: int, size: int, rows: Sequence[tuple[str, int, bytes]]) -> None:
    """Keep (cosigner's SCID, POSIX second, signature line) rows on a tree of that size; cosigners not known are left.

    Of a cosigner stay the newest one, and the one of the size that the log's own note has.
    """
    await connection.execute(
        """
        with given as (
            select participant.id as cosigner_id, at_s, line
            from unnest($3::text[], $4::bigint[], $5::bytea[]) as given (scid, at_s, line) join participant using (scid)
        ), kept as (
            insert into cosignature (log_id, cosigner_id, size, at_s, line)
            select $1, cosigner_id, $2, at_s, line from given
            on conflict (log_id, cosigner_id, size) do update set at_s = excluded.at_s, line = excluded.line
                where cosignature.at_s < excluded.at_s
            returning cosigner_id, at_s
        )
        delete from cosignature using kept
        where cosignature.log_id = $1 and cosignature.cosigner_id = kept.cosigner_id
          and cosignature.size <> $2 and cosignature.at_s <= kept.at_s
          and cosignature.size <> (select checkpoint_size from log where id = $1)
        """,
        log_id,
        size,
        [scid for scid, _, _ in rows],
        [at_s for _, at_s, _ in rows],
        [line for _, _, line in rows],
    )


async def lines(connection: Connection, log_ids: Sequence[int]) -> set[bytes]:
    """Return the signature lines kept of these logs: what need not be verified again."""
    records = await connection.fetch("select line from cosignature where log_id = any($1)", list(log_ids))
    return {record["line"] for record in records}


async def newest_on_hosted(connection: Connection) -> int | None:
    """Return the newest second at which another host cosigned a log hosted here, or None."""
    at_s: int | None = await connection.fetchval(
        """
        select max(at_s) from cosignature
        join log on log.id = log_id join participant on participant.id = participant_id
        join participant cosigner on cosigner.id = cosigner_id
        where participant.hosted and not cosigner.hosted
        """
    )
    return at_s


async def unsaid(connection: Connection, cosigner_id: int, older_than: datetime, limit: int) -> list[Unsaid]:
    """Return logs hosted here to be shown to that cosigner, newest epochs only, frozen ones left out."""
    records = await connection.fetch(
        """
        select log.id as log_id, log.origin, log.checkpoint_size as size, log.checkpoint as note,
               coalesce((select max(size) from cosignature
                         where log_id = log.id and cosigner_id = $1 and size <= log.checkpoint_size), 0) as before
        from log join participant on participant.id = log.participant_id
        where participant.hosted and log.checkpoint is not null and log.frozen_size is null
          and not exists (select from log later where later.participant_id = participant.id and later.epoch > log.epoch)
          and not exists (select from cosignature where log_id = log.id and cosigner_id = $1
                            and size = log.checkpoint_size and at_s > extract(epoch from $2::timestamptz))
        order by log.id limit $3
        """,
        cosigner_id,
        older_than,
        limit,
    )
    return [Unsaid(**dict(record)) for record in records]


@dataclass(frozen=True, slots=True)
class Uncosigned:
    """A log of another node that this node's operator has not cosigned at its present size, or not lately."""

    log_id: int
    origin: str
    size: int


async def uncosigned(connection: Connection, peer_id: int, older_than: datetime, limit: int) -> list[Uncosigned]:
    """Return allowed logs at home at this peer, or copied through it as a mirror, that this operator should cosign.

    Only those held in full up to their note, newest epochs, not frozen.
    """
    records = await connection.fetch(
        """
        select log.id as log_id, log.origin, log.checkpoint_size as size
        from log join participant on participant.id = log.participant_id
        join peer on peer.id = $1
        left join peer home on home.id = participant.home_peer_id and home.url is not null
        where not participant.hosted and participant.trust = 'allowed' and log.frozen_size is null
          and log.checkpoint_size > 0 and log.epoch = participant.epoch
          and (home.id = peer.id or home.id is null and peer.mirrors_us)
          and not exists (
              select from cosignature where log_id = log.id and size = log.checkpoint_size
                and cosigner_id = (select operator_id from node_state)
                and at_s > extract(epoch from $2::timestamptz))
        order by log.id limit $3
        """,
        peer_id,
        older_than,
        limit,
    )
    return [Uncosigned(**dict(record)) for record in records]


@dataclass(frozen=True, slots=True)
class Noted:
    """The newest note of a log that is served here."""

    log_id: int
    origin: str
    size: int
    note: bytes


async def notes(connection: Connection, origins: Sequence[str]) -> dict[str, Noted]:
    """Return the notes of those of these logs whose participant is allowed here and that are not frozen."""
    records = await connection.fetch(
        """
        select log.id as log_id, log.origin, checkpoint_size as size, checkpoint as note
        from log join participant on participant.id = participant_id
        where origin = any($1) and trust = 'allowed' and checkpoint is not null and frozen_size is null
        """,
        list(origins),
    )
    return {record["origin"]: Noted(**dict(record)) for record in records}


# ---- a witness's memory ---------------------------------------------------------------------------------------------


async def lock_witnessed(connection: Connection, log_id: int) -> tuple[bytes | None, int | None]:
    """Return the note this node cosigned last, or None, and where the log is frozen; both held until commit."""
    await connection.execute(
        "insert into witnessed (log_id, size, note) values ($1, 0, '') on conflict do nothing", log_id
    )
    note: bytes = await connection.fetchval("select note from witnessed where log_id = $1 for update", log_id)
    frozen_size: int | None = await connection.fetchval("select frozen_size from log where id = $1 for share", log_id)
    return note or None, frozen_size


async def set_witnessed(connection: Connection, log_id: int, size: int, note: bytes) -> None:
    """Remember what this node cosigns, before the cosignature leaves."""
    await connection.execute("update witnessed set size = $2, note = $3 where log_id = $1", log_id, size, note)


async def witnessed_note(connection: Connection, origin_hash: bytes) -> bytes | None:
    """Return the note this node cosigned last of the log whose origin has this SHA-256, or None."""
    note: bytes | None = await connection.fetchval(
        """
        select note from witnessed join log on log.id = log_id
        where sha256(origin::bytea) = $1 and note <> ''
        """,
        origin_hash,
    )
    return note


async def make_home_due(connection: Connection, participant_id: int) -> None:
    """Have the participant's home asked soon, if it is a peer that answers: somebody says that its log grew."""
    await connection.execute(
        """
        update peer set next_pull_at = 'epoch'
        where failures = 0 and id = (select home_peer_id from participant where id = $1)
        """,
        participant_id,
    )
