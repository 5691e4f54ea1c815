"""Get deleted bytes out of the files of the database. SQL only; outside of transactions.

PostgreSQL leaves what is deleted in its pages, its statistics and its write-ahead log until something is written over
it. So the tables that held erased parts are written anew (VACUUM FULL, which builds their indexes anew too), the
statistics about them are made and written anew, and the write-ahead log before that is thrown away. Nobody can read or
write a table while it is rewritten.

It waits for transactions that may still see what was deleted. What it cannot reach, and says so: the write-ahead log
of a server where this user may not make a checkpoint, or that recycles, archives or replicates it; backups; blocks that
the file system has freed.
"""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from domain.records.registry import RECORDS
from store.database import Connection

LOCK_TIMEOUT_MS = 5_000
"""How long a rewrite waits for a table, and others behind it."""
SWEEP_LOCK = 0x676F746F6E670008  # "gotong" 8
ALWAYS = ("payload", "unprojected", "refusal")


@dataclass(frozen=True, slots=True)
class Swept:
    """What one run did: how many erasures are out of the files, which tables were rewritten, and whether the
    write-ahead log is clean as well."""

    erasures: int
    tables: tuple[str, ...]
    is_wal_clean: bool


async def pending(connection: Connection) -> int:
    """Return how many erasures are executed and still in the files."""
    count: int = await connection.fetchval("select count(*) from erasure where swept_at is null")
    return count


async def sweep(connection: Connection, now: datetime) -> Swept | None:
    """Return what was done; None when there is nothing to do, another process does it, or somebody may still see it.

    Raises asyncpg's LockNotAvailableError when a table is in use for too long; run it again.
    """
    if not await connection.fetchval("select pg_try_advisory_lock($1)", SWEEP_LOCK):
        return None
    try:
        ready = await connection.fetch(_READY)
        if not ready:
            return None
        tables = _tables({record["type"] for record in ready})
        await connection.execute(f"set lock_timeout = {LOCK_TIMEOUT_MS}")
        for table in tables:
            await connection.execute(f"vacuum (full, analyze) {table}")
            await _clear_statistics(connection, table)
        await connection.execute("vacuum full pg_statistic")
        is_wal_clean = await _forget_wal(connection)
        await connection.execute(
            """
            update erasure set swept_at = $3 from unnest($1::integer[], $2::bigint[]) as ready (log_id, index)
            where erasure.log_id = ready.log_id and erasure.index = ready.index
            """,
            [record["log_id"] for record in ready],
            [record["index"] for record in ready],
            now,
        )
        return Swept(len(ready), tables, is_wal_clean)
    finally:
        await connection.execute("reset lock_timeout")
        await connection.execute("select pg_advisory_unlock($1)", SWEEP_LOCK)


# A row deleted by a transaction can be seen by those whose snapshot is as old, and a rewrite would keep it for them.
_READY = """
    select log_id, index, type from erasure
    where swept_at is null and not exists (
        select from (
            select backend_xmin as oldest from pg_stat_activity
            where backend_xmin is not null and pid <> pg_backend_pid() and datname = current_database()
            union all select xmin from pg_replication_slots where xmin is not null
            union all select transaction from pg_prepared_xacts where database = current_database()
        ) seeing
        where age(seeing.oldest) >= age(erasure.executed_by::xid)
    )
"""


def _tables(types: set[str]) -> tuple[str, ...]:
    known = [record_type for record_type in RECORDS if record_type.name in types]
    searched = [f"{record_type.table}_search" for record_type in known if record_type.searched]
    return (*ALWAYS, *(record_type.table for record_type in known), *searched)


async def _clear_statistics(connection: Connection, table: str) -> None:
    """Throw away what is known about a table without rows, which ANALYZE leaves as it was.

    Before PostgreSQL 18 nobody but a superuser could: there it stays until the table has rows again.
    """
    if await connection.fetchval("select to_regproc('pg_clear_attribute_stats') is null"):
        return
    if not await connection.fetchval(f"select exists (select from {table})"):
        await connection.execute(
            """
            select pg_clear_attribute_stats(relnamespace::regnamespace::text, relname::text, attname::text, false)
            from pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
            where pg_class.oid = $1::regclass
               or pg_class.oid in (select indexrelid from pg_index where indrelid = $1::regclass)
            """,
            table,
        )


async def _forget_wal(connection: Connection) -> bool:
    """Begin a new segment, make a checkpoint, and return whether the segments before it are gone."""
    try:
        await connection.execute("select pg_switch_wal()")
        await connection.execute("checkpoint")
    except asyncpg.InsufficientPrivilegeError:
        return False
    is_kept: bool = await connection.fetchval(
        """
        select current_setting('wal_recycle')::boolean or current_setting('wal_keep_size') <> '0'
            or current_setting('archive_mode') <> 'off' or exists (select from pg_replication_slots)
        """
    )
    return not is_kept
