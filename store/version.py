"""Tell whether the database is as it was, without looking at what is in it."""

from store.database import Connection


async def version(connection: Connection) -> str:
    """Return a text that is equal only while the same transactions can be seen.

    PostgreSQL numbers every transaction that writes; a snapshot names those that are over. Two equal snapshots show
    the same rows. A standby has snapshots too. When the server was started tells a restored one, which numbers again.
    """
    value: str = await connection.fetchval("select pg_current_snapshot() || ' ' || pg_postmaster_start_time()")
    return value
