"""What operators signed about erasures, as rows: the newest statement of each, as the bytes they signed. SQL only.

Of two about as many entries the later one is the newest: an operator that has other keys says it again with these.
"""

from dataclasses import dataclass
from datetime import datetime

from store.database import Connection


@dataclass(frozen=True, slots=True)
class Log:
    """A log with erasures: who wrote it, up to where it is signed, and below which index they are executed here."""

    id: int
    origin: str
    hosted: bool
    checkpoint: bytes
    checkpoint_size: int
    newest: int


async def with_erasures(connection: Connection, limit: int) -> list[Log]:
    """Return up to `limit` logs whose erasures are executed in database and files, those last erased in first."""
    records = await connection.fetch(
        """
        select log.id, origin, participant.hosted, checkpoint, checkpoint_size, max(erasure.index) as newest
        from erasure join log on log.id = log_id join participant on participant.id = log.participant_id
        where checkpoint is not null and participant.trust <> 'blocked'
        group by log.id, participant.hosted having bool_and(swept_at is not null)
        order by max(executed_at) desc, log.id limit $1
        """,
        limit,
    )
    return [Log(**dict(record)) for record in records]


async def keep(
    connection: Connection, log_id: int, operator_scid: str, *, size: int, at: datetime, note: bytes, now: datetime
) -> bool:
    """Keep what an operator said if it says more than what is kept of the same one; return whether it does."""
    kept = await connection.fetchval(
        """
        insert into erasure_acknowledgement as kept (log_id, operator_scid, size, at, note, received_at)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (log_id, operator_scid) do update
            set size = excluded.size, at = excluded.at, note = excluded.note, received_at = excluded.received_at
            where (kept.size, kept.at) < (excluded.size, excluded.at)
        returning true
        """,
        log_id,
        operator_scid,
        size,
        at,
        note,
        now,
    )
    return kept is True


async def of_operator(connection: Connection, log_id: int, operator_scid: str) -> bytes | None:
    """Return what an operator said of a log's erasures, if it is kept."""
    note: bytes | None = await connection.fetchval(
        "select note from erasure_acknowledgement where log_id = $1 and operator_scid = $2", log_id, operator_scid
    )
    return note


async def newest(connection: Connection, log_id: int, limit: int) -> dict[str, tuple[int, bytes]]:
    """Return (size, note) by operator of up to `limit` acknowledgements of a log, newest first."""
    records = await connection.fetch(
        """
        select operator_scid, size, note from erasure_acknowledgement where log_id = $1
        order by received_at desc, operator_scid limit $2
        """,
        log_id,
        limit,
    )
    return {record["operator_scid"]: (record["size"], record["note"]) for record in records}
