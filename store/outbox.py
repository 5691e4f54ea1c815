"""Events: committed anywhere, numbered by one.

A transaction that changes what can be seen writes to `outbox`. Commits happen
in any order, so a number drawn inside them would leave gaps that fill later
and a cursor would skip them. Here one sequencer at a time (advisory lock)
moves committed outbox rows to `event` and numbers them: the numbers are
visible in order. Their text is indexed after that (`texts`): who follows is
told at once, however much there is to index.
"""

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from store.database import Connection

SEQUENCE_BATCH_ROWS_MAX = 2_000
SEQUENCER_LOCK = 0x676F746F6E670001  # "gotong" 1

OUTBOX_CHANNEL = "gotong_outbox"
EVENT_CHANNEL = "gotong_event"
HEAD_CHANNEL = "gotong_head"
MAIL_CHANNEL = "gotong_mail"

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
    """Number up to SEQUENCE_BATCH_ROWS_MAX committed changes and return how many.

    Returns 0 at once when another process is doing it.
    """
    async with connection.transaction():
        if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", SEQUENCER_LOCK):
            return 0
        done: str = await connection.execute(
            """
            with taken as (
                delete from outbox where id in (select id from outbox order by id limit $1)
                returning id, kind, type, publisher_id, record_id, revision
            ), base as (select coalesce(max(seq), 0) as seq from event)
            insert into event (seq, kind, type, publisher_id, record_id, revision)
            select base.seq + row_number() over (order by taken.id), kind, type, publisher_id, record_id, revision
            from taken, base
            """,
            SEQUENCE_BATCH_ROWS_MAX,
        )
        numbered = int(done.rpartition(" ")[2])
        if numbered:
            await announce(connection, EVENT_CHANNEL)
        return numbered


async def stream_id(connection: Connection) -> UUID:
    """Return the identity of this database's numbering; a restored database has another."""
    value: UUID = await connection.fetchval("select stream_id from node_state")
    return value


async def latest_seq(connection: Connection) -> int:
    """Return the highest number given so far, 0 at the beginning."""
    value: int = await connection.fetchval("select coalesce(max(seq), 0) from event")
    return value
