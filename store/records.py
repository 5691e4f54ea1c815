"""Projections as rows: one table a record type, all with the same first columns.

What a row says is decided in `domain`; this module only reads which revision
is shown and replaces rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

BASE_COLUMNS = (
    "publisher_id",
    "record_id",
    "revision",
    "log_id",
    "index",
    "published_at",
    "revised_at",
    "received_at",
    "next_due_at",
    "exercise",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """Which revision of a record its row shows."""

    record_id: UUID
    revision: int
    index: int
    published_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Unprojected:
    """A verified entry without a row, and why."""

    index: int
    reason: str
    type: str
    v: int
    record_id: UUID
    revision: int
    due_at: datetime | None = None


async def shown(
    connection: asyncpg.Connection, table: str, publisher_id: int, record_ids: Sequence[UUID]
) -> dict[UUID, Shown]:
    """Return what is shown of each of these records; absent ones are left out."""
    records = await connection.fetch(
        f"""
        select record_id, revision, index, published_at, received_at from {table}
        where publisher_id = $1 and record_id = any($2)
        """,
        publisher_id,
        list(record_ids),
    )
    return {record["record_id"]: Shown(**dict(record)) for record in records}


async def any_record(connection: asyncpg.Connection, table: str, publisher_id: int) -> UUID | None:
    """Return the id of a record this publisher has in `table`, or None."""
    found: UUID | None = await connection.fetchval(
        f"select record_id from {table} where publisher_id = $1 limit 1", publisher_id
    )
    return found


async def replace(
    connection: asyncpg.Connection, table: str, rows: Sequence[Mapping[str, Any]], *, existing: Sequence[UUID]
) -> None:
    """Write rows, all of one publisher, instead of those of `existing`."""
    if existing:
        await connection.execute(
            f"delete from {table} where publisher_id = $1 and record_id = any($2)",
            rows[0]["publisher_id"],
            list(existing),
        )
    columns = list(rows[0])
    await connection.copy_records_to_table(
        table, columns=columns, records=[tuple(row[column] for column in columns) for row in rows]
    )


async def insert_unprojected(connection: asyncpg.Connection, log_id: int, rows: Sequence[Unprojected]) -> None:
    """Remember entries that have no row."""
    await connection.copy_records_to_table(
        "unprojected",
        columns=["log_id", "index", "reason", "type", "v", "record_id", "revision", "due_at"],
        records=[
            (log_id, row.index, row.reason, row.type, row.v, row.record_id, row.revision, row.due_at) for row in rows
        ],
    )


async def unprojected_heads(
    connection: asyncpg.Connection, log_id: int, record_ids: Sequence[UUID], reasons: Sequence[str]
) -> dict[UUID, Unprojected]:
    """Return, of each record, the newest revision that waits for one of `reasons`."""
    records = await connection.fetch(
        """
        select distinct on (record_id) index, reason, type, v, record_id, revision, due_at from unprojected
        where log_id = $1 and record_id = any($2) and reason = any($3) order by record_id, revision desc
        """,
        log_id,
        list(record_ids),
        list(reasons),
    )
    return {record["record_id"]: Unprojected(**dict(record)) for record in records}
