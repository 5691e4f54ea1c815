"""Projections as rows: one table a record type, all with the same first columns.

What a row says is decided in `domain`; this module only reads which revision
is shown and replaces rows.

`log_id` is the log that a row was made from. When a later epoch's log took
over since, that is a log of an earlier epoch, which says the same at `index`;
the log that is shown is the participant's one with `is_projected`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

import asyncpg

from store.database import Connection

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
    waits_for: str | None = None


async def external_ids(connection: Connection, table: str, scid: str) -> frozenset[str]:
    """Return the external ids of all rows of a publisher."""
    rows = await connection.fetch(
        f"""
        select distinct unnest(external_ids) as id from {table} shown
        join participant on participant.id = shown.publisher_id where participant.scid = $1
        """,
        scid,
    )
    return frozenset(row["id"] for row in rows)


async def shown(connection: Connection, table: str, publisher_id: int, record_ids: Sequence[UUID]) -> dict[UUID, Shown]:
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


async def any_record(connection: Connection, table: str, publisher_id: int) -> UUID | None:
    """Return the id of a record this publisher has in `table`, or None."""
    found: UUID | None = await connection.fetchval(
        f"select record_id from {table} where publisher_id = $1 limit 1", publisher_id
    )
    return found


async def doc_of_any(connection: Connection, table: str, publisher_id: int) -> dict[str, Any] | None:
    """Return the public content of a record this publisher has in `table`, or None."""
    found: dict[str, Any] | None = await connection.fetchval(
        f"select doc from {table} where publisher_id = $1 limit 1", publisher_id
    )
    return found


async def replace(
    connection: Connection, table: str, rows: Sequence[Mapping[str, Any]], *, existing: Sequence[UUID]
) -> None:
    """Write rows, all of one publisher, instead of those of `existing`."""
    if existing:
        await connection.execute(
            f"delete from {table} where publisher_id = $1 and record_id = any($2)",
            rows[0]["publisher_id"],
            list(existing),
        )
    columns = list(rows[0])
    in_order = itemgetter(*columns)
    await connection.copy_records_to_table(table, columns=columns, records=[in_order(row) for row in rows])


async def insert_unprojected(connection: Connection, log_id: int, rows: Sequence[Unprojected]) -> None:
    """Remember entries that have no row."""
    columns = ("index", "reason", "type", "v", "record_id", "revision", "due_at", "waits_for")
    await connection.copy_records_to_table(
        "unprojected",
        columns=["log_id", *columns],
        records=[(log_id, *(getattr(row, column) for column in columns)) for row in rows],
    )


async def unprojected_tips(
    connection: Connection, log_id: int, record_ids: Sequence[UUID], broken: Sequence[str]
) -> list[Unprojected]:
    """Return, of each record, the newest revision without a row that is not there for a reason in `broken`."""
    records = await connection.fetch(
        """
        select distinct on (record_id, type) index, reason, type, v, record_id, revision, due_at, waits_for
        from unprojected where log_id = $1 and record_id = any($2) and reason <> all($3)
        order by record_id, type, revision desc
        """,
        log_id,
        list(record_ids),
        list(broken),
    )
    return [Unprojected(**dict(record)) for record in records]


async def first_revision(
    connection: Connection, log_id: int, tip: Unprojected, broken: Sequence[str]
) -> tuple[bytes, datetime]:
    """Return revision 0 of the record whose newest revision is `tip`, and when this node received it.

    By one statement, from the earliest of its revisions without a row on back: chains are as long as authors like.
    """
    record = await connection.fetchrow(
        """
        with recursive chain as (
            select index, data, received_at from entry where log_id = $1 and index = (
                select least($2, min(index)) from unprojected
                where log_id = $1 and type = $3 and record_id = $4 and reason <> all($5)
            )
            union all
            select earlier.index, earlier.data, earlier.received_at
            from chain join entry earlier on earlier.log_id = $1
                and earlier.index = (convert_from(chain.data, 'UTF8')::jsonb ->> 'prev')::bigint
        )
        select data, received_at from chain order by index limit 1
        """,
        log_id,
        tip.index,
        tip.type,
        tip.record_id,
        list(broken),
    )
    assert record is not None
    return record["data"], record["received_at"]


async def wake_waiting(connection: Connection, uris: Sequence[str], as_of: datetime) -> None:
    """Make entries due that wait for these records."""
    await connection.execute("update unprojected set due_at = $2 where waits_for = any($1)", list(uris), as_of)


async def due_logs(connection: Connection, as_of: datetime) -> list[str]:
    """Return the origins of logs with entries whose time to be tried again has come."""
    records = await connection.fetch(
        """
        select distinct log.origin from unprojected join log on log.id = unprojected.log_id where due_at <= $1
        """,
        as_of,
    )
    return [record["origin"] for record in records]


async def is_anybody_writing(connection: Connection, for_s: float) -> bool:
    """Return whether another transaction that has written something is under way for longer than that."""
    return bool(
        await connection.fetchval(
            """
            select exists (
                select from pg_stat_activity
                where datname = current_database() and backend_xid is not null and pid <> pg_backend_pid()
                  and xact_start < clock_timestamp() - make_interval(secs => $1)
            )
            """,
            for_s,
        )
    )


async def take_due(connection: Connection, log_id: int, as_of: datetime, limit: int) -> list[int]:
    """Return the indexes of due entries, in order, and forget that they had no row; the caller projects them now."""
    records = await connection.fetch(
        """
        with due as (select index from unprojected where log_id = $1 and due_at <= $2 order by index limit $3)
        delete from unprojected where log_id = $1 and index in (select index from due) returning index
        """,
        log_id,
        as_of,
        limit,
    )
    return sorted(record["index"] for record in records)


async def make_due(
    connection: Connection, reasons: Sequence[str], known: Sequence[tuple[str, int]], as_of: datetime
) -> None:
    """Make entries due that were kept for one of `reasons` and whose (type, version) is known by now."""
    await connection.execute(
        """
        update unprojected set due_at = $4
        where reason = any($1) and exists (
            select from unnest($2::text[], $3::integer[]) as known (type, version)
            where known.type = unprojected.type and unprojected.v <= known.version
        )
        """,
        list(reasons),
        [name for name, _ in known],
        [version for _, version in known],
        as_of,
    )


async def existing(
    connection: Connection, table: str, keys: Sequence[tuple[str, UUID]], *, staying: bool
) -> set[tuple[str, UUID]]:
    """Return which of these (scid, record_id) have a row in `table`.

    `staying`: only those that nobody is just taking away or replacing, nor does until this transaction ends.
    """
    records = await connection.fetch(
        f"""
        select participant.scid, record_id from {table} join participant on participant.id = publisher_id
        where (participant.scid, record_id) in (select * from unnest($1::text[], $2::uuid[]))
        {_kept(table, staying)}
        """,
        [scid for scid, _ in keys],
        [record_id for _, record_id in keys],
    )
    return {(record["scid"], record["record_id"]) for record in records}


async def existing_publishers(connection: Connection, table: str, scids: Sequence[str], *, staying: bool) -> set[str]:
    """Return which of these participants have a row in `table`; `staying` as with `existing`."""
    records = await connection.fetch(
        f"""
        select participant.scid from {table} join participant on participant.id = publisher_id
        where participant.scid = any($1)
        {_kept(table, staying)}
        """,
        list(scids),
    )
    return {record["scid"] for record in records}


def _kept(table: str, staying: bool) -> str:
    return f"for key share of {table} skip locked" if staying else ""


async def due_rows(connection: Connection, table: str, as_of: datetime, limit: int) -> list[asyncpg.Record]:
    """Return up to `limit` rows whose state the clock changes, locked; rows another process has are passed over."""
    return list(
        await connection.fetch(
            f"""
            select publisher_id, record_id, revision, revised_at, next_due_at, doc from {table}
            where next_due_at <= $1 order by next_due_at limit $2 for update skip locked
            """,
            as_of,
            limit,
        )
    )


async def set_state(
    connection: Connection, table: str, publisher_id: int, record_id: UUID, state: str, next_due_at: datetime | None
) -> None:
    """Store a state that the clock brought about and when the next one comes."""
    await connection.execute(
        f"update {table} set state = $3, next_due_at = $4 where publisher_id = $1 and record_id = $2",
        publisher_id,
        record_id,
        state,
        next_due_at,
    )


async def remove(
    connection: Connection, table: str, publisher_id: int, record_id: UUID, *, below_revision: int
) -> int | None:
    """Delete a record's row if it shows a revision below that one; return which it showed, or None."""
    revision: int | None = await connection.fetchval(
        f"delete from {table} where publisher_id = $1 and record_id = $2 and revision < $3 returning revision",
        publisher_id,
        record_id,
        below_revision,
    )
    return revision


async def forget_text(connection: Connection, table: str, publisher_id: int, record_id: UUID) -> None:
    """Delete a record from the search side table of `table`."""
    await connection.execute(
        f"delete from {table}_search where publisher_id = $1 and record_id = $2", publisher_id, record_id
    )


async def recheck_dependents(
    connection: Connection, table: str, column: str, record_type: tuple[str, int], uris: Sequence[str], as_of: datetime
) -> None:
    """Make rows due whose `column` names one of these records, which have no row any more: their logs decide again.

    `record_type` is the name and version of the rows' type.
    """
    await connection.execute(
        f"""
        insert into unprojected (log_id, index, reason, type, v, record_id, revision, due_at, waits_for)
        select log.id, index, 'TARGET_MISSING', $2, $3, record_id, revision, $4, {column}
        from {table} join log on log.participant_id = publisher_id and log.is_projected where {column} = any($1)
        on conflict (log_id, index) do update set due_at = excluded.due_at
        """,
        list(uris),
        *record_type,
        as_of,
    )


async def forget_earlier(
    connection: Connection, log_id: int, below: Sequence[tuple[str, UUID, int]], *, reasons: Sequence[str]
) -> None:
    """Forget for which of `reasons` entries have no row, of each (type, record) in `below` those under an index."""
    await connection.execute(
        """
        delete from unprojected using unnest($2::text[], $3::uuid[], $4::bigint[]) as later (type, record_id, index)
        where unprojected.log_id = $1 and unprojected.reason = any($5) and unprojected.index < later.index
          and (unprojected.type, unprojected.record_id) = (later.type, later.record_id)
        """,
        log_id,
        [record_type for record_type, _, _ in below],
        [record_id for _, record_id, _ in below],
        [index for _, _, index in below],
        list(reasons),
    )


async def forget_unprojected(
    connection: Connection, log_id: int, record_type: str, record_id: UUID, outside: Sequence[str]
) -> None:
    """Forget why revisions of a record have no row, but for those outside its chain."""
    await connection.execute(
        "delete from unprojected where log_id = $1 and type = $2 and record_id = $3 and reason <> all($4)",
        log_id,
        record_type,
        record_id,
        list(outside),
    )
