"""Files of this database that belong to nothing: left by a server that was killed while it wrote a table anew.

SQL only; outside of transactions.

PostgreSQL never looks at them again. They hold a copy of every row that was there, so what is erased later stays in
them. Those of the built-in server are emptied. The files of an operator's own server are not ours to write to.

A file belongs to nothing for sure when no committed relation has it although every transaction has ended that could
have made it: one that was under way when the file was seen to have content. A transaction that drops its file empties
it first.
"""

import asyncio

from store.database import Connection

WAIT_S = 5.0
POLL_S = 0.05


async def empty(connection: Connection) -> int | None:
    """Return how many files were emptied; None when transactions are under way that may have made one of them."""
    if not await connection.fetchval(_IS_BUILT_IN):
        return 0
    seen = await _unowned(connection)
    if not seen:
        return 0
    horizon = await connection.fetchval("select pg_current_xact_id()::text")  # of all that have one, the newest
    deadline_s = asyncio.get_running_loop().time() + WAIT_S
    while not await connection.fetchval("select pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8", horizon):
        if asyncio.get_running_loop().time() > deadline_s:
            return None
        await asyncio.sleep(POLL_S)
    paths = seen & await _unowned(connection)
    for path in sorted(paths):
        # Nothing else in SQL writes to a file by its name.
        await connection.execute(await connection.fetchval(_EMPTY, path))
    return len(paths)


_IS_BUILT_IN = """
    select (select rolsuper from pg_roles where rolname = current_user)
       and exists (select from pg_settings where name = 'wal_recycle' and sourcefile like '%/gotong.conf')
"""


async def _unowned(connection: Connection) -> set[str]:
    return {record["path"] for record in await connection.fetch(_UNOWNED)}


# The files of a relation: 16390, 16390.1, 16390_fsm. Those of temporary ones begin with t.
_UNOWNED = """
    with directory as (
        select regexp_replace(pg_relation_filepath(oid), '/[^/]*$', '') as path from pg_class
        where oid = 'erasure'::regclass and reltablespace = 0  -- the default one, as 0 is below
    )
    select path || '/' || name as path
    from directory, pg_ls_dir(path) name, pg_stat_file(path || '/' || name, true) file
    where name ~ '^[0-9]+([._]|$)' and file.size > 0
      and pg_filenode_relation(0, substring(name from '^[0-9]+')::oid) is null
"""
_EMPTY = "select format('copy (select 1 where false) to %L', current_setting('data_directory') || '/' || $1::text)"
