"""Logs of a peer that an exchange left undone, and when each is asked for again. SQL only."""

from collections.abc import Collection
from datetime import datetime

from store.database import Connection

RETRY_S = 1.0
RETRY_FACTOR = 4
RETRY_S_MAX = 3_600.0
LEFT_MAX = 1_000
"""Kept of one peer; with more of them its hint stands still instead."""


async def due(connection: Connection, peer_id: int, at: datetime) -> list[str]:
    """Return the logs whose pause is over."""
    records = await connection.fetch(
        "select origin from left_log where peer_id = $1 and due_at <= $2 order by due_at", peer_id, at
    )
    return [record["origin"] for record in records]


async def keep(
    connection: Connection, peer_id: int, *, left: Collection[str], done: Collection[str], at: datetime
) -> datetime | None:
    """Remember the logs left undone, forget those done, and return when the first of all is due.

    Each waits RETRY_FACTOR times as long as the time before. In a transaction.
    """
    await connection.execute("delete from left_log where peer_id = $1 and origin = any($2)", peer_id, list(done))
    await connection.execute(
        """
        insert into left_log (peer_id, origin, due_at)
        select $1, origin, $3::timestamptz + make_interval(secs => $4) from unnest($2::text[]) as given (origin)
        on conflict (peer_id, origin) do update set
            tries = least(left_log.tries + 1, 100),
            due_at = $3 + make_interval(secs => least($5, $4 * $6 ^ least(left_log.tries, 100)))
        """,
        peer_id,
        list(left),
        at,
        RETRY_S,
        RETRY_S_MAX,
        float(RETRY_FACTOR),
    )
    first: datetime | None = await connection.fetchval("select min(due_at) from left_log where peer_id = $1", peer_id)
    return first
