"""What tells a process whether the database is still the one it left: identity, marker, what peers were seen to hold.

SQL only. Order is kept by a sequence, not by clocks: the clock is one of the things in doubt.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from store.database import Connection

TURN_LOCK = 0x676F746F6E670002  # "gotong" 2: one process at a time decides
LIVE_LOCK = 0x676F746F6E670003  # "gotong" 3: held, shared, by processes that know that nothing was lost


async def identity(connection: Connection) -> str:
    """Return what a restored, promoted or other database has otherwise: cluster, timeline and database."""
    oid = await connection.fetchval("select oid from pg_database where datname = current_database()")
    try:
        cluster = await connection.fetchval(
            "select system_identifier || '/' || timeline_id from pg_control_system(), pg_control_checkpoint()"
        )
    except asyncpg.InsufficientPrivilegeError:
        cluster = "?"
    return f"{cluster}/{oid}"


async def next_transaction(connection: Connection) -> int:
    """Return the number that the next transaction gets: where the database was put back, it is lower than it was."""
    number: int = await connection.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    return number


async def next_run(connection: Connection) -> int:
    """Return a number greater than all given before: when a process began, or a peer answered."""
    number: int = await connection.fetchval("select nextval('guard_run')")
    return number


# ---- the session that says that a process is alive and nothing was lost ---------------------------------------------


async def take_turn(session: Connection) -> None:
    """Wait until no other process is deciding."""
    await session.execute("select pg_advisory_lock($1)", TURN_LOCK)


async def end_turn(session: Connection) -> None:
    """Let others decide."""
    await session.execute("select pg_advisory_unlock($1)", TURN_LOCK)


async def is_anyone_live(session: Connection) -> bool:
    """Return whether a process that knows that nothing was lost works on this database now."""
    return bool(
        await session.fetchval(
            """
            select exists (
                select from pg_locks where locktype = 'advisory' and granted and pid <> pg_backend_pid()
                  and database = (select oid from pg_database where datname = current_database())
                  and (classid::bigint << 32) + objid::bigint = $1 and objsubid = 1
            )
            """,
            LIVE_LOCK,
        )
    )


async def go_live(session: Connection) -> None:
    """Say, as long as this session lasts, that nothing was lost."""
    await session.execute("select pg_advisory_lock_shared($1)", LIVE_LOCK)


async def stop_living(session: Connection) -> None:
    """Take that back."""
    await session.execute("select pg_advisory_unlock_shared($1)", LIVE_LOCK)


# ---- the marker of a clean stop -------------------------------------------------------------------------------------


async def set_clean_stop(connection: Connection, marker: dict[str, Any]) -> None:
    """Keep what the last process to stop left."""
    await connection.execute("update node_state set clean_stop = $1", marker)


async def take_clean_stop(connection: Connection) -> dict[str, Any] | None:
    """Return and forget what the last process to stop left, durably."""
    record = await connection.fetchrow(
        """
        update node_state set clean_stop = null
        from (select clean_stop from node_state for update) old returning old.clean_stop
        """
    )
    return None if record is None else record["clean_stop"]


async def renew_stream(connection: Connection) -> None:
    """Give the database another identity for its events and heads, so that followers notice and catch up."""
    await connection.execute("update node_state set stream_id = gen_random_uuid()")


# ---- who has seen what ----------------------------------------------------------------------------------------------


async def mark_seen(connection: Connection) -> None:
    """Remember that somebody else read a log of this node."""
    await connection.execute("update node_state set seen = true where not seen")


async def was_seen(connection: Connection) -> bool:
    """Return whether anybody else may hold a log of this node."""
    return bool(
        await connection.fetchval(
            "select seen or exists (select from peer) or exists (select from cosignature) from node_state"
        )
    )


async def note_asked(connection: Connection, peer_id: int, *, reached: bool) -> int:
    """Remember that a peer answered, or failed to, and return when."""
    run = await next_run(connection)
    await connection.execute(
        """
        insert into peer_asked (peer_id, run, reached) select id, $2, $3 from peer where id = $1
        on conflict (peer_id) do update set run = $2, reached = $3
        """,
        peer_id,
        run,
        reached,
    )
    return run


async def note_sighting(
    connection: Connection, log_id: int, peer_id: int, *, size: int, agrees: bool, run: int
) -> None:
    """Remember what a peer holds of a log hosted here."""
    await connection.execute(
        """
        insert into sighting (log_id, peer_id, size, agrees, run) select $1, id, $3, $4, $5 from peer where id = $2
        on conflict (log_id, peer_id) do update set size = $3, agrees = $4, run = $5
        """,
        log_id,
        peer_id,
        size,
        agrees,
        run,
    )


async def contradiction(connection: Connection, log_id: int) -> int | None:
    """Return the size of a telling of the log that is not held here, or None: a peer's, or that of a note kept here."""
    size: int | None = await connection.fetchval(
        """
        select max(size) from (
            select size from sighting where log_id = $1 and not agrees
            union all select target_size from log where id = $1 and target_size > size
        ) found
        """,
        log_id,
    )
    return size


async def unconfirmed(
    connection: Connection, since: int, log_ids: Sequence[int] | None = None, *, contradicted_too: bool = False
) -> list[str]:
    """Return the origins of hosted logs (of these, or of all) that peers have not confirmed since a run.

    A log is confirmed when every peer that ever showed it has answered or failed since then, none contradicts, and one
    that answered holds it, or none ever did and all that have an address were asked. What a peer does not name because
    nothing changed is as it was seen last. Who contradicts has answered as well, which is enough `contradicted_too`.
    """
    records = await connection.fetch(
        """
        select log.origin from log join participant on participant.id = log.participant_id
        where participant.hosted and ($2::integer[] is null or log.id = any($2)) and not (
            ($3 or not exists (select from sighting where sighting.log_id = log.id and not agrees))
            and not exists (
                select from sighting join peer on peer.id = sighting.peer_id and peer.trust <> 'blocked'
                left join peer_asked on peer_asked.peer_id = sighting.peer_id and peer_asked.run >= $1
                where sighting.log_id = log.id and peer_asked.peer_id is null
            )
            and case when exists (select from sighting where sighting.log_id = log.id)
                then exists (
                    select from sighting join peer_asked using (peer_id)
                    where sighting.log_id = log.id and peer_asked.run >= $1 and peer_asked.reached
                )
                else exists (select from peer_asked where run >= $1 and reached)
                     and not exists (
                         select from peer left join peer_asked on peer_asked.peer_id = peer.id and peer_asked.run >= $1
                         where peer.trust <> 'blocked' and peer.url is not null and peer_asked.peer_id is null
                     )
                end
        )
        order by log.origin
        """,
        since,
        None if log_ids is None else list(log_ids),
        contradicted_too,
    )
    return [record["origin"] for record in records]
