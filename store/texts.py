"""The text index: brought up to date after the commit, in the order of events, a few changes before a great many.

Indexing words is most of what a record costs, so it is done beside the commits, by one process at a time (an advisory
lock). It needs no queue: a cursor over the numbered events says up to where all is indexed. Whoever publishes a record
while a long log is being copied does not wait for that log: of events beyond the cursor those of publishers with few
of them are indexed at once, and once more when the cursor comes by, which changes nothing. A crash loses no more than
this shortcut. The commit does not wait for the disk: cursor and index are lost together or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from domain.records.registry import RECORDS
from store import outbox
from store.database import Connection

TEXT_LOCK = 0x676F746F6E67000A  # "gotong" 10
BATCH_EVENTS_MAX = 1_000
AHEAD_EVENTS_MAX = 20_000
"""Events beyond the cursor that are looked through at a time for what need not wait."""
FEW_EVENTS_MAX = 64
"""Of so many events a publisher, among those looked through, none waits."""

_WITH_TEXT = (outbox.PUBLISHED, outbox.REVISED)
_SAME_TEXT = (outbox.STATE,)
_EVENTS = "select kind, type, publisher_id, record_id from event where seq > $1 and seq <= $2"
_FEW = f"""
    select kind, type, publisher_id, record_id
    from (select *, count(*) over (partition by publisher_id) as together from ({_EVENTS}) looked) counted
    where together <= $3
"""

Key = tuple[int, UUID]


@dataclass(frozen=True, slots=True)
class Progress:
    """`events`: how far the cursor went, 0 when there was nothing to do here; `looked`: up to which event all that
    need not wait is indexed."""

    events: int
    looked: int


async def index(connection: Connection, looked: int = 0) -> Progress:
    """Index the text of up to BATCH_EVENTS_MAX events, and what need not wait beyond event `looked`; return how far.

    Goes nowhere at once when another process is doing it.
    """
    async with connection.transaction():
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", TEXT_LOCK):
            return Progress(0, looked)
        await connection.execute("set local synchronous_commit = off")
        cursor: int = await connection.fetchval("select indexed_seq from text_progress")
        latest = await outbox.latest_seq(connection)
        if cursor >= latest:
            return Progress(0, looked)
        end = min(cursor + BATCH_EVENTS_MAX, latest)
        ahead = max(looked, end)
        looked = min(ahead + AHEAD_EVENTS_MAX, latest)
        found = await connection.fetch(_EVENTS, cursor, end)
        if looked > ahead:
            found += await connection.fetch(_FEW, ahead, looked, FEW_EVENTS_MAX)
        await _index(connection, found)
        await connection.execute("update text_progress set indexed_seq = $1", end)
    return Progress(end - cursor, looked)


async def unindexed(connection: Connection, count_max: int) -> int:
    """Return how many changes are not indexed yet for all that the cursor knows; those not numbered count up to
    `count_max`."""
    found: int = await connection.fetchval(
        """
        select greatest((select coalesce(max(seq), 0) from event) - indexed_seq, 0)
            + (select count(*) from (select from outbox limit $1) unnumbered)
        from text_progress
        """,
        count_max,
    )
    return found


async def oldest_s(connection: Connection) -> float:
    """Return for how many seconds the oldest of the numbered changes that are not indexed yet has waited, or 0."""
    found: float | None = await connection.fetchval(
        """
        select extract(epoch from clock_timestamp() - at)::float8 from event
        where seq > (select indexed_seq from text_progress) order by seq limit 1
        """
    )
    return found or 0.0


async def write(connection: Connection, table: str, keys: Sequence[Key]) -> None:
    """Index the words of the rows of `table` with these (publisher_id, record_id); those without a row are passed
    over."""
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


async def _index(connection: Connection, events: Sequence[asyncpg.Record]) -> None:
    for record_type in RECORDS:
        if not record_type.searched:
            continue
        mine = [each for each in events if each["type"] == record_type.name]
        gone = {_key(each) for each in mine if each["kind"] not in _WITH_TEXT}
        if gone:
            await _forget_gone(connection, record_type.table, list(gone))
        changed = {_key(each) for each in mine if each["kind"] not in _SAME_TEXT}
        if changed:
            await write(connection, record_type.table, list(changed))


def _key(event: asyncpg.Record) -> Key:
    return event["publisher_id"], event["record_id"]


async def _forget_gone(connection: Connection, table: str, keys: Sequence[Key]) -> None:
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
