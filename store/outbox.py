"""Events: committed anywhere, numbered by one.

A transaction that changes what can be seen writes to `outbox`. Commits happen
in any order, so a number drawn inside them would leave gaps that fill later
and a cursor would skip them. Here one sequencer at a time (advisory lock)
moves committed outbox rows to `event` and numbers them: the numbers are
visible in order. Text search is indexed in the same step, off the publisher's
commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from msgspec import Struct

from domain.records.registry import RECORDS
from store.database import Connection

SEQUENCE_BATCH_ROWS_MAX = 2_000
SEQUENCER_LOCK = 0x676F746F6E670001  # "gotong" 1

OUTBOX_CHANNEL = "gotong_outbox"
EVENT_CHANNEL = "gotong_event"
HEAD_CHANNEL = "gotong_head"

PUBLISHED = "PUBLISHED"
REVISED = "REVISED"
STATE = "STATE"
ERASED = "ERASED"
WITHDRAWN = "WITHDRAWN"
SUPPRESSED = "SUPPRESSED"


class Change(Struct, frozen=True, gc=False):
    """What one transaction did to one record."""

    kind: str
    type: str
    publisher_id: int
    record_id: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """A numbered change."""

    seq: int
    kind: str
    type: str
    publisher_id: int
    record_id: UUID
    revision: int
    at: datetime


async def record(connection: Connection, changes: Iterable[Change]) -> None:
    """Write changes into the outbox, inside the transaction that made them."""
    rows = [(c.kind, c.type, c.publisher_id, c.record_id, c.revision) for c in changes]
    if rows:
        await connection.copy_records_to_table(
            "outbox", columns=["kind", "type", "publisher_id", "record_id", "revision"], records=rows
        )


async def announce(connection: Connection, *channels: str) -> None:
    """Wake the listeners when this transaction commits; PostgreSQL folds equal notifications into one."""
    await connection.execute("select " + ", ".join(f"pg_notify('{channel}', '')" for channel in channels))


async def sequence(connection: Connection) -> int:
    """Number up to SEQUENCE_BATCH_ROWS_MAX committed changes and index their text; return how many.

    Returns 0 at once when another process is doing it.
    """
    async with connection.transaction():
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", SEQUENCER_LOCK):
            return 0
        moved = await connection.fetch(
            """
            with taken as (
                delete from outbox where id in (select id from outbox order by id limit $1)
                returning id, kind, type, publisher_id, record_id, revision
            ), base as (select coalesce(max(seq), 0) as seq from event)
            insert into event (seq, kind, type, publisher_id, record_id, revision)
            select base.seq + row_number() over (order by taken.id), kind, type, publisher_id, record_id, revision
            from taken, base
            returning type, publisher_id, record_id
            """,
            SEQUENCE_BATCH_ROWS_MAX,
        )
        if moved:
            await _index_text(connection, moved)
            await announce(connection, EVENT_CHANNEL)
        return len(moved)


async def _index_text(connection: Connection, moved: Sequence[asyncpg.Record]) -> None:
    for record_type in RECORDS:
        keys = [(row["publisher_id"], row["record_id"]) for row in moved if row["type"] == record_type.name]
        if keys and record_type.searched:
            await index_text(connection, record_type.table, keys)


async def index_text(connection: Connection, table: str, keys: Sequence[tuple[int, UUID]]) -> None:
    """Bring the search side table of `table` up to date for these (publisher_id, record_id)."""
    await connection.execute(
        f"""
        delete from {table}_search search
        where (publisher_id, record_id) in (select * from unnest($1::integer[], $2::uuid[])) and not exists (
            select from {table} shown
            where shown.publisher_id = search.publisher_id and shown.record_id = search.record_id
        )
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    await connection.execute(
        f"""
        insert into {table}_search (publisher_id, record_id, region_path, document)
        select publisher_id, record_id, region_path,
               to_tsvector('gotong_indonesian', search_text) || to_tsvector('gotong_english', search_text)
        from {table}
        where (publisher_id, record_id) in (select distinct * from unnest($1::integer[], $2::uuid[]))
        on conflict (publisher_id, record_id)
        do update set region_path = excluded.region_path, document = excluded.document
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )


async def stream_id(connection: Connection) -> UUID:
    """Return the identity of this database's numbering; a restored database has another."""
    value: UUID = await connection.fetchval("select stream_id from node_state")
    return value


async def latest_seq(connection: Connection) -> int:
    """Return the highest number given so far, 0 at the beginning."""
    value: int = await connection.fetchval("select coalesce(max(seq), 0) from event")
    return value


async def events_after(
    connection: Connection, seq: int, limit: int, *, record_type: str | None = None
) -> list[EventRow]:
    """Return up to `limit` events numbered above `seq`, in order, of one record type or of all."""
    columns = "seq, kind, type, publisher_id, record_id, revision, at"
    if record_type is None:
        records = await connection.fetch(
            f"select {columns} from event where seq > $1 order by seq limit $2", seq, limit
        )
    else:
        query = f"select {columns} from event where type = $3 and seq > $1 order by seq limit $2"
        records = await connection.fetch(query, seq, limit, record_type)
    return [EventRow(**dict(row)) for row in records]
