"""Get deleted bytes out of the files of the database, and say so only when that is proven. SQL only; outside of
transactions.

PostgreSQL leaves what is deleted in its pages, its statistics and its write-ahead log until something is written over
it. So an erasure leaves the files in three steps. Each is remembered, and a later run goes on where one stopped:

1. *forgotten*: the statistics of the tables that held it are made anew. From here on no live row has the bytes.
2. *rewritten*: these tables, and the one of all statistics, are written anew (VACUUM FULL; TOAST and indexes as well);
   what a killed server left behind of such tables is emptied before (`orphans`). A rewrite keeps dead rows that some
   transaction may still see. It takes for such a one whatever still writes in any database of the server, because its
   own snapshot has to step around it. So this waits for all that was under way at step 1. What the rewrite really did
   is looked at afterwards: it leaves its horizon in `pg_class.relfrozenxid`, and no row deleted before that is in the
   file.
3. *swept*: the directory of the write-ahead log has no segment any more in which the bytes may be. Where the server may
   have reused an old segment under a later name, that one is written over.

Nobody can read or write a table while it is rewritten. What is out of reach: copies that the server's operator makes of
its files (backups, archived segments, replicas, snapshots), and blocks that the file system has freed.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import asyncpg

from domain.records.registry import RECORDS
from store import orphans
from store.database import Connection
from store.logs import BODY
from store.texts import TEXT_LOCK

LOCK_TIMEOUT_MS = 5_000
"""How long a rewrite waits for a table, and others behind it."""
HORIZON_WAIT_S = 5.0
"""How long a run waits for transactions that are under way; after that a later run looks again."""
HORIZON_POLL_S = 0.05
LARGE_BYTES = 64 * 1024 * 1024
"""A table with its indexes that takes longer than a moment to write anew: about a second, one of 2 GB 41 s."""
LARGE_WAIT = timedelta(hours=24)
"""How long an erasure waits for a quiet hour where there are such tables."""
SWEEP_LOCK = 0x676F746F6E670008  # "gotong" 8
ALWAYS = ("payload", "unprojected", "refusal", "idempotency", "waiting")
STATISTICS = "pg_statistic"


class Hold(Enum):
    """What keeps erased bytes in the files."""

    TRANSACTION = "TRANSACTION"
    TABLE = "TABLE"
    STATISTICS = "STATISTICS"
    WRITE_AHEAD_LOG = "WRITE_AHEAD_LOG"
    DISK = "DISK"
    QUIET_HOUR = "QUIET_HOUR"


@dataclass(frozen=True, slots=True)
class Swept:
    """What one run did: how many erasures are out of the files now, which tables were rewritten, what the others wait
    for, and who that is if it is known."""

    erasures: int
    tables: tuple[str, ...]
    hold: Hold | None
    held_by: str | None


async def pending(connection: Connection) -> int:
    """Return how many erasures are executed and still in the files."""
    count: int = await connection.fetchval("select count(*) from erasure where swept_at is null")
    return count


async def sweep(connection: Connection, now: datetime, *, is_quiet: bool = True) -> Swept | None:
    """Return what was done and what keeps the rest; None when there is nothing to do, or another process does it.

    Unless it is quiet, large tables are left alone for as long as nothing has waited for them longer than LARGE_WAIT.
    Raises the database's errors; nothing is said to be swept that is not.
    """
    if not await connection.fetchval("select pg_try_advisory_lock($1)", SWEEP_LOCK):
        return None
    try:
        if not await pending(connection):
            return None
        await connection.execute(f"set lock_timeout = {LOCK_TIMEOUT_MS}")
        await connection.execute(_DISOWN)
        tables: list[str] = []
        try:
            hold = await _forget(connection) or await _rewrite(
                connection, tables, None if is_quiet else now - LARGE_WAIT
            )
        except asyncpg.LockNotAvailableError:
            hold = Hold.TABLE
        except asyncpg.DiskFullError:
            hold = Hold.DISK
        erasures = await _finish(connection, now)
        in_log = await connection.fetchval(_KEEP_WAITING, None if hold is None else hold.value)
        hold = hold or (Hold.WRITE_AHEAD_LOG if in_log else None)
        held_by = await connection.fetchval(_OLDEST) if hold is Hold.TRANSACTION else None
        return Swept(erasures, tuple(tables), hold, held_by)
    finally:
        await connection.execute("reset lock_timeout")
        await connection.execute("select pg_advisory_unlock($1)", SWEEP_LOCK)


_DISOWN = """
    update erasure set forgotten_by = null, rewritten_to = null, reused_to = null
    where swept_at is null and (
        forgotten_by >= pg_snapshot_xmax(pg_current_snapshot()) or rewritten_to > pg_current_wal_insert_lsn()
    )
"""
"""Numbers of another server, from which this database was restored, mean nothing here."""
_KEEP_WAITING = """
    with kept as (
        update erasure set waits_for = case when rewritten_to is null then $1::text else 'WRITE_AHEAD_LOG' end
        where swept_at is null returning rewritten_to is not null as in_log
    )
    select coalesce(bool_or(in_log), false) from kept
"""


# ---- 1 forgotten -----------------------------------------------------------------------------------------------------


async def _forget(connection: Connection) -> Hold | None:
    """Have statistics made without what was erased; return what keeps them."""
    erased = await connection.fetch(
        "select log_id, index, type, parts from erasure where swept_at is null and forgotten_by is null"
    )
    if not erased:
        return None
    await _forget_texts(connection)
    tables = tables_of(_shown(erased))
    for table in tables:
        async with connection.transaction():  # nobody plans without statistics
            await _clear_statistics(connection, table)
            await connection.execute(f"analyze {table}")
    for table in tables:
        # Of a table without rows ANALYZE leaves what was known of it.
        stale = f"""
            select exists (select from pg_stats where schemaname = 'public' and tablename = $1)
               and not exists (select from {table})
        """
        if await connection.fetchval(stale, table):
            return Hold.STATISTICS
    await connection.execute(
        """
        update erasure set forgotten_by = pg_current_xact_id()
        from unnest($1::integer[], $2::bigint[]) as erased (log_id, index)
        where erasure.log_id = erased.log_id and erasure.index = erased.index
        """,
        *_keys(erased),
    )
    return None


async def _forget_texts(connection: Connection) -> None:
    """Delete what an indexer may have written that had read a row just before it was erased; later ones read none."""
    for record_type in RECORDS:
        if record_type.searched:
            async with connection.transaction():
                await connection.execute("select pg_advisory_xact_lock($1)", TEXT_LOCK)
                await connection.execute(
                    f"""
                    delete from {record_type.table}_search search using erasure join log on log.id = erasure.log_id
                    where erasure.swept_at is null and erasure.type = $1 and search.record_id = erasure.record_id
                      and search.publisher_id = log.participant_id and not exists (
                          select from {record_type.table} shown
                          where shown.publisher_id = search.publisher_id and shown.record_id = search.record_id
                      )
                    """,
                    record_type.name,
                )


async def _clear_statistics(connection: Connection, table: str) -> None:
    """Throw away what is known of a table and of expressions in its indexes, where this server allows it."""
    of_table = """
        pg_class join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
        where pg_class.oid = $1::regclass
           or pg_class.oid in (select indexrelid from pg_index where indrelid = $1::regclass)
    """
    if await connection.fetchval("select to_regproc('pg_clear_attribute_stats') is not null"):  # PostgreSQL 18
        await connection.execute(
            f"""
            select pg_clear_attribute_stats(relnamespace::regnamespace::text, relname::text, attname::text, false)
            from {of_table}
            """,
            table,
        )
    elif await connection.fetchval("select has_table_privilege('pg_statistic', 'delete')"):  # a superuser
        await connection.execute(
            f"delete from pg_statistic where (starelid, staattnum) in (select attrelid, attnum from {of_table})", table
        )


# ---- 2 rewritten -----------------------------------------------------------------------------------------------------


async def _rewrite(connection: Connection, rewritten: list[str], waits_since: datetime | None) -> Hold | None:
    """Write the tables anew of every erasure that nobody may see any more; return what keeps others.

    Large ones are left alone where nothing was erased before `waits_since`.
    """
    if not await connection.fetchval(f"select exists (select from ({_FORGOTTEN}) forgotten)"):
        return None
    ready = await _unseen(connection)
    if not ready or await orphans.empty(connection) is None:
        return Hold.TRANSACTION
    tables = (*tables_of(_shown(ready)), STATISTICS)
    can_wait = waits_since is not None and all(each["executed_at"] >= waits_since for each in ready)
    if can_wait and await connection.fetchval(_LARGEST_BYTES, list(tables)) > LARGE_BYTES:
        return Hold.QUIET_HOUR
    for table in tables:
        await connection.execute(f"vacuum (full) {table}")
        rewritten.append(table)
    await connection.execute(_REMEMBER_REWRITTEN, *_keys(ready), list(tables))
    is_left = await connection.fetchval(f"select exists (select from ({_FORGOTTEN}) forgotten)")
    return Hold.TRANSACTION if is_left else None


async def _unseen(connection: Connection) -> list[asyncpg.Record]:
    """Return the erasures that no transaction may see any more; wait a moment for those of which one may."""
    deadline_s = asyncio.get_running_loop().time() + HORIZON_WAIT_S
    while True:
        seen = await connection.fetchval(f"select count(*) from ({_FORGOTTEN}) forgotten where {_IS_SEEN}")
        if not seen or asyncio.get_running_loop().time() > deadline_s:
            return list(await connection.fetch(f"select * from ({_FORGOTTEN}) forgotten where not {_IS_SEEN}"))
        await asyncio.sleep(HORIZON_POLL_S)


_FORGOTTEN = """
    select log_id, index, type, parts, forgotten_by, executed_at from erasure
    where swept_at is null and forgotten_by is not null and rewritten_to is null
"""
_IS_SEEN = """
    (forgotten_by >= pg_snapshot_xmin(pg_current_snapshot()) or exists (
        select from (
            select backend_xmin as oldest from pg_stat_activity
            where pid <> pg_backend_pid() and (datname is null or datname = current_database())
            union all select xmin from pg_replication_slots
            union all select catalog_xmin from pg_replication_slots
        ) seeing
        where age(seeing.oldest) >= age(forgotten_by::xid)
    ))
"""
"""Somebody writes anywhere, or reads here, since before. Of sessions that this user may not look at it does not know;
the horizon of the rewrite does."""
_OLDEST = """
    select name from (
        select greatest(age(backend_xid), age(backend_xmin)) as age,
               format('%s, process %s, in database %s, since %s', coalesce(nullif(application_name, ''), backend_type),
                      pid, coalesce(datname, '-'), to_char(xact_start, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) as name
        from pg_stat_activity
        where pid <> pg_backend_pid()
          and (backend_xid is not null or datname is null or datname = current_database())
        union all select age(transaction), format('prepared transaction %s', gid) from pg_prepared_xacts
        union all select greatest(age(xmin), age(catalog_xmin)), format('replication slot %s', slot_name)
        from pg_replication_slots
    ) seeing where age is not null order by age desc limit 1
"""
_LARGEST_BYTES = "select max(pg_total_relation_size(name::regclass)) from unnest($1::text[]) as given (name)"
_REMEMBER_REWRITTEN = """
    update erasure set rewritten_to = pg_current_wal_insert_lsn()
    from unnest($1::integer[], $2::bigint[]) as ready (log_id, index)
    where erasure.log_id = ready.log_id and erasure.index = ready.index and age(forgotten_by::xid) > (
        select max(age(relfrozenxid)) from pg_class
        where oid = any($3::regclass[]) or oid in (select reltoastrelid from pg_class where oid = any($3::regclass[]))
    )
"""


# ---- 3 swept ---------------------------------------------------------------------------------------------------------


async def _finish(connection: Connection, now: datetime) -> int:
    """Have the write-ahead log begin anew, and return how many erasures are out of it and so of all files."""
    if not await connection.fetchval(
        "select exists (select from erasure where swept_at is null and rewritten_to is not null)"
    ):
        return 0
    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
        await connection.execute("select pg_switch_wal()")
    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
        await connection.execute("checkpoint")
    try:
        await connection.execute(_GONE)
    except asyncpg.InsufficientPrivilegeError:  # then nobody here can know
        return 0
    done = await connection.execute(_WRITTEN_OVER, now)
    return int(done.removeprefix("UPDATE "))


# A segment's name is its timeline and its number. The built-in server never reuses one: its file of settings says so.
_GONE = """
    with segment as (
        select substr(name, 9, 16) as number from pg_ls_waldir() where name ~ '^[0-9A-F]{24}(\\.partial)?$'
    )
    update erasure set reused_to = case
        when (select sourcefile like '%/gotong.conf' and setting = 'off' from pg_settings where name = 'wal_recycle')
        then '' else (select max(number) from segment) end
    where swept_at is null and rewritten_to is not null and reused_to is null
      and not exists (select from segment where number <= substr(pg_walfile_name(rewritten_to), 9))
"""
_WRITTEN_OVER = """
    update erasure set swept_at = $1, waits_for = null
    where swept_at is null and reused_to < substr(pg_walfile_name(pg_current_wal_insert_lsn()), 9)
"""


def tables_of(types: set[str]) -> tuple[str, ...]:
    """Return the tables that may hold something of erased records, their bodies being of these types."""
    known = [record_type for record_type in RECORDS if record_type.name in types]
    searched = [f"{record_type.table}_search" for record_type in known if record_type.searched]
    return (*ALWAYS, *(record_type.table for record_type in known), *searched)


def _shown(erased: list[asyncpg.Record]) -> set[str]:
    """Return the types of which bodies were erased: restricted parts are in no row that is shown or searched."""
    return {record["type"] for record in erased if BODY in record["parts"]}


def _keys(erased: list[asyncpg.Record]) -> tuple[list[int], list[int]]:
    return [record["log_id"] for record in erased], [record["index"] for record in erased]
