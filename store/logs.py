"""Logs as rows: heads, entries, payloads and tile hashes.

A log's row in `log` is its head and its lock: whoever extends a log holds that
row FOR UPDATE until commit, so one log has one writer at a time across all
processes. This module stores bytes it is given; it verifies nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg
from msgspec import Struct

from store.database import Connection

BODY = 1
RESTRICTED = 2


@dataclass(frozen=True, slots=True)
class LogRow:
    """A log's head as this database holds it."""

    id: int
    participant_id: int
    scid: str
    epoch: int
    origin: str
    hosted: bool
    trust: str
    size: int
    edge: bytes
    checkpoint: bytes | None
    checkpoint_size: int
    target: bytes | None
    target_size: int | None
    target_proof: bytes | None
    frozen_size: int | None
    key_number: int
    is_projected: bool
    has_ended: bool


class Sealed(NamedTuple):
    """A restricted part as kept: salt and canonical bytes in one, encrypted; see federation/sealing/vault.py."""

    key_number: int
    nonce: bytes
    data: bytes


class StoredEntry(Struct, frozen=True, gc=False):
    """One entry as it came, with the payload parts that are here; `body` is (salt, canonical bytes)."""

    index: int
    leaf_hash: bytes
    data: bytes
    body: tuple[bytes, bytes] | None = None
    restricted: Sealed | None = None


_HEAD = """
    log.id, log.participant_id, participant.scid, log.epoch, log.origin, participant.hosted, participant.trust,
    log.size, log.edge, log.checkpoint, log.checkpoint_size, log.target, log.target_size, log.target_proof,
    log.frozen_size, log.key_number, log.is_projected, participant.ended as has_ended
"""
_HEADS = f"select {_HEAD} from log join participant on participant.id = log.participant_id"


def _row(record: asyncpg.Record) -> LogRow:
    return LogRow(**dict(record))


async def head(connection: Connection, origin: str) -> LogRow | None:
    """Return the head of the log named `origin`, unlocked, or None."""
    record = await connection.fetchrow(f"{_HEADS} where log.origin = $1", origin)
    return None if record is None else _row(record)


async def heads(connection: Connection, *, trust: Sequence[str] = ("allowed", "quarantined")) -> list[LogRow]:
    """Return the heads of all logs whose participant has one of these trusts, by origin."""
    records = await connection.fetch(f"{_HEADS} where participant.trust = any($1) order by log.origin", list(trust))
    return [_row(record) for record in records]


async def lock_head(connection: Connection, origin: str) -> LogRow | None:
    """Return the head locked until the transaction ends, with its participant's trust held still, or None.

    The participant is locked FOR SHARE so that a change of trust sees either
    all records of this transaction or none of them.
    """
    record = await connection.fetchrow(
        f"{_HEADS} where log.origin = $1 for update of log for share of participant", origin
    )
    return None if record is None else _row(record)


async def newest_log(connection: Connection, scid: str) -> LogRow | None:
    """Return the head of the participant's newest epoch, or None."""
    record = await connection.fetchrow(
        f"{_HEADS} where participant.scid = $1 order by log.epoch desc limit 1",
        scid,
    )
    return None if record is None else _row(record)


async def create(connection: Connection, participant_id: int, epoch: int, origin: str) -> int:
    """Create an empty log and return its number; an existing one keeps its number.

    A log that copies an earlier epoch shows nothing until the copy is complete.
    """
    number: int = await connection.fetchval(
        """
        insert into log (participant_id, epoch, origin, is_projected) values ($1, $2, $3, $2 = 0)
        on conflict (origin) do update set origin = excluded.origin returning id
        """,
        participant_id,
        epoch,
        origin,
    )
    return number


async def insert_entries(
    connection: Connection, log_id: int, entries: Sequence[StoredEntry], received_at: datetime
) -> None:
    """Write entries and the payload parts they come with."""
    await connection.copy_records_to_table(
        "entry",
        columns=["log_id", "index", "leaf_hash", "data", "received_at"],
        records=[(log_id, entry.index, entry.leaf_hash, entry.data, received_at) for entry in entries],
    )
    payloads: list[tuple[object, ...]] = [
        (log_id, entry.index, BODY, *entry.body, None) for entry in entries if entry.body is not None
    ]
    payloads += [
        (log_id, entry.index, RESTRICTED, entry.restricted.nonce, entry.restricted.data, entry.restricted.key_number)
        for entry in entries
        if entry.restricted is not None
    ]
    if payloads:
        await connection.copy_records_to_table(
            "payload", columns=["log_id", "index", "part", "salt", "data", "key_number"], records=payloads
        )


async def insert_tile_hashes(connection: Connection, log_id: int, hashes: Iterable[tuple[int, int, bytes]]) -> None:
    """Write completed (level, index, hash) rows, levels from 1."""
    rows = [(log_id, *row) for row in hashes]
    if rows:
        await connection.copy_records_to_table("tile_hash", columns=["log_id", "level", "index", "hash"], records=rows)


async def set_head(
    connection: Connection, log_id: int, *, size: int, edge: bytes, checkpoint: bytes, verified_at: datetime
) -> None:
    """Advance the head to a size that its own signed checkpoint states."""
    await connection.execute(
        """
        update log set size = $2, edge = $3, checkpoint = $4, checkpoint_size = $2, verified_at = $5,
                       target = case when target_size > $2 then target end,
                       target_size = case when target_size > $2 then target_size end,
                       target_proof = null
        where id = $1
        """,
        log_id,
        size,
        edge,
        checkpoint,
        verified_at,
    )


async def add_quarantined_bytes(connection: Connection, log_id: int, count: int) -> None:
    """Remember how much was taken of a log whose publisher is in quarantine."""
    await connection.execute("update log set quarantined_bytes = quarantined_bytes + $2 where id = $1", log_id, count)


async def set_key_number(connection: Connection, log_id: int, number: int) -> None:
    """Have the log signed with another key from now on."""
    await connection.execute("update log set key_number = $2 where id = $1", log_id, number)


async def set_partial_head(
    connection: Connection,
    log_id: int,
    *,
    size: int,
    edge: bytes,
    target: bytes,
    target_size: int,
    target_proof: bytes,
    verified_at: datetime,
) -> None:
    """Advance the head to a prefix of a checkpoint: the batch ended before what the log's owner signed.

    Of two such checkpoints the longer one is kept.
    """
    await connection.execute(
        """
        update log set size = $2, edge = $3, verified_at = $7,
                       target = case when target_size > $5 then target else $4 end,
                       target_size = greatest(target_size, $5),
                       target_proof = case when target_size > $5 then null else $6::bytea end
        where id = $1
        """,
        log_id,
        size,
        edge,
        target,
        target_size,
        target_proof,
        verified_at,
    )


async def remember_longer(connection: Connection, log_id: int, note: bytes, size: int) -> bool:
    """Return whether a verified note of a log hosted here states more than all before, and keep it.

    Until all that it states is here, nothing is added to the log.
    """
    is_kept = await connection.fetchval(
        """
        update log set target = $2, target_size = $3, target_proof = null
        where id = $1 and size < $3 and coalesce(target_size < $3, true) returning true
        """,
        log_id,
        note,
        size,
    )
    return bool(is_kept)


async def forget_longer(connection: Connection, log_id: int) -> None:
    """Forget such a note: its key was retired at the size that the log has here."""
    await connection.execute(
        "update log set target = null, target_size = null, target_proof = null where id = $1", log_id
    )


async def entry_data(connection: Connection, log_id: int, indexes: Sequence[int]) -> dict[int, bytes]:
    """Return the stored bytes of these entries by index; absent ones are left out."""
    records = await connection.fetch(
        "select index, data from entry where log_id = $1 and index = any($2)", log_id, list(indexes)
    )
    return {record["index"]: record["data"] for record in records}


async def entries(
    connection: Connection, log_id: int, start: int, count: int, *, restricted: bool = False
) -> list[StoredEntry]:
    """Return up to `count` entries from index `start` on, in order, with their public payloads.

    `restricted` adds the restricted parts, sealed: only the home of a log has any.
    """
    records = await connection.fetch(
        """
        select entry.index, entry.leaf_hash, entry.data, body.salt as body_salt, body.data as body_data,
               hidden.key_number, hidden.salt as nonce, hidden.data as sealed
        from entry
        left join payload body on body.log_id = entry.log_id and body.index = entry.index and body.part = 1
        left join payload hidden
            on $4 and hidden.log_id = entry.log_id and hidden.index = entry.index and hidden.part = 2
        where entry.log_id = $1 and entry.index >= $2 and entry.index < $2 + $3
        order by entry.index
        """,
        log_id,
        start,
        count,
        restricted,
    )
    return [
        StoredEntry(
            record["index"],
            record["leaf_hash"],
            record["data"],
            None if record["body_salt"] is None else (record["body_salt"], record["body_data"]),
            None if record["sealed"] is None else Sealed(record["key_number"], record["nonce"], record["sealed"]),
        )
        for record in records
    ]


async def entries_at(connection: Connection, log_id: int, indexes: Sequence[int]) -> list[StoredEntry]:
    """Return these entries, all of them held, in the order given, with their public payloads."""
    records = await connection.fetch(
        """
        select entry.index, entry.leaf_hash, entry.data, body.salt as body_salt, body.data as body_data
        from unnest($2::bigint[]) with ordinality as wanted (index, place)
        join entry on entry.log_id = $1 and entry.index = wanted.index
        left join payload body on body.log_id = $1 and body.index = wanted.index and body.part = 1
        order by place
        """,
        log_id,
        list(indexes),
    )
    return [_entry(record) for record in records]


def _entry(record: asyncpg.Record) -> StoredEntry:
    body = None if record["body_salt"] is None else (record["body_salt"], record["body_data"])
    return StoredEntry(record["index"], record["leaf_hash"], record["data"], body)


async def tile_hashes(connection: Connection, log_id: int, level: int, start: int, count: int) -> list[bytes]:
    """Return the hashes start..start+count of tile level `level` that are held, in order (level 0 = leaf hashes)."""
    if level == 0:
        query = "select leaf_hash from entry where log_id = $1 and index >= $2 and index < $3 order by index"
        records = await connection.fetch(query, log_id, start, start + count)
        return [record["leaf_hash"] for record in records]
    query = """
        select hash from tile_hash where log_id = $1 and level = $2 and index >= $3 and index < $4 order by index
    """
    records = await connection.fetch(query, log_id, level, start, start + count)
    return [record["hash"] for record in records]
