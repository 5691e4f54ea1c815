"""Records that this node's operator does not show, one by one. SQL only.

A suppression names a record, not a row: it outlives revisions, erasure, new epochs and everything that writes rows
anew. Triggers keep `organization.suppresses` in step, which is what questions ask first.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.ids import RecordUri
from store.database import Connection

_SUPPRESSIONS = """
    select number, scid, type, record_id, at, actor, reason
    from suppression join participant on participant.id = publisher_id
"""


def kept_sql(record_type: str, row: str, publisher: str) -> str:
    """Return the condition that a record is not suppressed, by the aliases of its row and its publisher's organization.

    It asks nothing more of publishers without such records.
    """
    return f"(not {publisher}.suppresses or not is_suppressed({row}.publisher_id, '{record_type}', {row}.record_id))"


async def insert(
    connection: Connection,
    publisher_id: int,
    record_type: str,
    record_id: UUID,
    *,
    actor: str,
    reason: str | None,
    now: datetime,
) -> bool:
    """Return whether the record was shown so far; of one that was suppressed already, the newer reason is kept."""
    is_new: bool = await connection.fetchval(
        """
        insert into suppression as kept (publisher_id, type, record_id, at, actor, reason)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (publisher_id, type, record_id)
        do update set actor = excluded.actor, reason = coalesce(excluded.reason, kept.reason)
        returning xmax = 0
        """,
        publisher_id,
        record_type,
        record_id,
        now,
        actor,
        reason,
    )
    return is_new


async def delete(connection: Connection, publisher_id: int, record_type: str, record_id: UUID) -> bool:
    """Return whether the record was suppressed until now."""
    deleted = await connection.execute(
        "delete from suppression where publisher_id = $1 and type = $2 and record_id = $3",
        publisher_id,
        record_type,
        record_id,
    )
    return deleted != "DELETE 0"


async def one(connection: Connection, uri: RecordUri) -> Any:
    """Return the suppression of a record, or None."""
    return await connection.fetchrow(f"{_SUPPRESSIONS} where scid = $1 and type = $2 and record_id = $3", *uri)


async def page(connection: Connection, *, before: int | None, count: int) -> Sequence[Any]:
    """Return suppressions, newest first, from those numbered below `before` on."""
    return await connection.fetch(
        f"{_SUPPRESSIONS} where $1::bigint is null or number < $1 order by number desc limit $2", before, count
    )
