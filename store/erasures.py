"""Erased parts as rows: what was erased, and the destruction of every copy in this database. SQL only.

What an erase entry asks for is decided in `federation`. Everything here runs in the transaction that stores or projects
the entry, under the lock of its log's head; a second run changes nothing. The bytes leave the files later: `sweep`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from store.database import Connection

CHAIN_SQL = """
    chain as (
        select index, data from entry where log_id = $1 and index = $2
        union all
        select earlier.index, earlier.data
        from chain join entry earlier
             on earlier.log_id = $1 and earlier.index = (convert_from(chain.data, 'UTF8')::jsonb ->> 'prev')::bigint
    )
"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erase entry that counts: where it stands, which record it names, and its parts as in `payload.part`."""

    log_id: int
    index: int
    type: str
    record_id: UUID
    parts: tuple[int, ...]
    at: datetime


async def insert(connection: Connection, erasure: Erasure, *, now: datetime) -> None:
    """Remember an erasure; one that is known already stays as it is."""
    await connection.execute(
        """
        insert into erasure (log_id, index, type, record_id, parts, at, executed_at) values ($1, $2, $3, $4, $5, $6, $7)
        on conflict do nothing
        """,
        erasure.log_id,
        erasure.index,
        erasure.type,
        erasure.record_id,
        list(erasure.parts),
        erasure.at,
        now,
    )


async def destroy(connection: Connection, erasure: Erasure) -> None:
    """Delete what the erasure names of every entry of its record below it, in all logs of its author, and what was made
    of it: the digests of requests, what peers were reported with."""
    for log_id, indexes in await _entries(connection, erasure):
        await connection.execute(
            "delete from payload where log_id = $1 and index = any($2) and part = any($3)",
            log_id,
            indexes,
            list(erasure.parts),
        )
    # A digest without salt can be guessed; without it, the same request again is refused instead of published.
    await connection.execute(
        """
        update idempotency set digest = '', blinded = true from log
        where log.id = $1 and idempotency.participant_id = log.participant_id and digest <> '' and exists (
            select from jsonb_array_elements(answer) one
            where one ->> 'record_id' = $2 and one ->> 'type' = $3 and (one ->> 'index')::bigint < $4
        )
        """,
        erasure.log_id,
        str(erasure.record_id),
        erasure.type,
        erasure.index,
    )
    await connection.execute(
        """
        update refusal set evidence = null from log
        where log.id = $1 and refusal.origin = log.origin and position($2::bytea in refusal.evidence) > 0
        """,
        erasure.log_id,
        str(erasure.record_id).encode(),
    )


async def _entries(connection: Connection, erasure: Erasure) -> list[tuple[int, list[int]]]:
    """Return (log, indexes) of the record's entries that are erased: its chain, and what claimed to belong to it."""
    chain = await connection.fetch(
        f"""
        with recursive {CHAIN_SQL}
        select index from chain where index < $2
        union
        select index from unprojected where log_id = $1 and record_id = $3 and type = $4 and index < $2
        """,
        erasure.log_id,
        erasure.index,
        erasure.record_id,
        erasure.type,
    )
    found = [(erasure.log_id, [record["index"] for record in chain])]
    # Other epochs hold copies of the entries they agree on, and older ones what was never agreed on.
    others = await connection.fetch(
        """
        select entry.log_id, array_agg(entry.index) as indexes
        from log mine
        join log other on other.participant_id = mine.participant_id and other.id <> mine.id
        join entry on entry.log_id = other.id and position($2::bytea in entry.data) > 0
        where mine.id = $1 and convert_from(entry.data, 'UTF8')::jsonb @> $3 and (
            other.epoch < mine.epoch or entry.index < $4 and exists (
                select from entry same
                where same.log_id = mine.id and same.index = entry.index and same.leaf_hash = entry.leaf_hash
            )
        )
        group by entry.log_id
        """,
        erasure.log_id,
        str(erasure.record_id).encode(),
        {"id": str(erasure.record_id), "type": erasure.type},
        erasure.index,
    )
    return found + [(record["log_id"], record["indexes"]) for record in others]


async def chain(connection: Connection, log_id: int, index: int) -> list[int]:
    """Return the indexes of the entry at `index` and of all revisions before it, in order."""
    records = await connection.fetch(
        f"with recursive {CHAIN_SQL} select index from chain order by index", log_id, index
    )
    return [record["index"] for record in records]


async def parts_here(connection: Connection, log_id: int, index: int) -> set[int]:
    """Return which payload parts any revision has here, of the record whose newest revision stands at `index`."""
    records = await connection.fetch(
        f"""
        with recursive {CHAIN_SQL}
        select distinct part from payload where log_id = $1 and index in (select index from chain)
        """,
        log_id,
        index,
    )
    return {record["part"] for record in records}


async def erased_below(connection: Connection, log_id: int, part: int) -> dict[tuple[str, UUID], int]:
    """Return below which index a part is erased, of each (type, record id) of a log that has erasures."""
    records = await connection.fetch(
        """
        select type, record_id, max(index) as below from erasure where log_id = $1 and $2 = any(parts)
        group by type, record_id
        """,
        log_id,
        part,
    )
    return {(record["type"], record["record_id"]): record["below"] for record in records}


async def forget_waiting(connection: Connection, erasure: Erasure, *, reason: str, kept_reasons: Sequence[str]) -> None:
    """Let earlier entries of the record without a row wait for nothing any more, but for those of `kept_reasons`."""
    await connection.execute(
        """
        update unprojected set reason = $5, due_at = null, waits_for = null
        where log_id = $1 and record_id = $2 and type = $3 and index < $4 and reason <> all($6)
        """,
        erasure.log_id,
        erasure.record_id,
        erasure.type,
        erasure.index,
        reason,
        list(kept_reasons),
    )


async def withheld(connection: Connection, log_id: int, indexes: Sequence[int]) -> dict[int, bytes]:
    """Return the bytes of those of these entries whose body is missing without having been erased."""
    records = await connection.fetch(
        """
        select entry.index, entry.data from unprojected
        join entry on entry.log_id = unprojected.log_id and entry.index = unprojected.index
        where unprojected.log_id = $1 and unprojected.index = any($2) and unprojected.reason = 'WITHHELD'
        """,
        log_id,
        list(indexes),
    )
    return {record["index"]: record["data"] for record in records}


async def give_bodies(connection: Connection, log_id: int, bodies: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Write (index, salt, body) of withheld entries, which count no longer as withheld; the caller projects them."""
    await connection.executemany(
        "insert into payload (log_id, index, part, salt, data) values ($1, $2, 1, $3, $4) on conflict do nothing",
        [(log_id, *each) for each in bodies],
    )
    await connection.execute(
        "delete from unprojected where log_id = $1 and index = any($2) and reason = 'WITHHELD'",
        log_id,
        [index for index, _, _ in bodies],
    )
