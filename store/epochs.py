"""Logs of several epochs of one participant: copying one into the next, and having the next one's rows take over.

SQL only. Everything here runs in one transaction that holds both logs' heads.
"""

from dataclasses import dataclass
from uuid import UUID

from store.database import Connection


@dataclass(frozen=True, slots=True)
class EarlierLog:
    """A log of an earlier epoch that is held here."""

    log_id: int
    epoch: int
    size: int


@dataclass(frozen=True, slots=True)
class RowChange:
    """A record whose row is not what it was: `was`, `now` say in which of the two states it has one."""

    record_id: UUID
    revision: int
    was: bool
    now: bool


async def earlier(connection: Connection, participant_id: int, epoch: int) -> list[EarlierLog]:
    """Return the participant's logs of earlier epochs that are held, newest first, locked."""
    records = await connection.fetch(
        """
        select id as log_id, epoch, size from log
        where participant_id = $1 and epoch < $2 and size > 0 order by epoch desc for update
        """,
        participant_id,
        epoch,
    )
    return [EarlierLog(**dict(record)) for record in records]


async def copy_entries(connection: Connection, from_id: int, to_id: int, size: int) -> None:
    """Copy entries 1 to `size` - 1 with their payloads, and when they came, from one log into another."""
    await connection.execute(
        """
        insert into entry (log_id, index, leaf_hash, data, received_at)
        select $2, index, leaf_hash, data, received_at from entry where log_id = $1 and index between 1 and $3 - 1
        """,
        from_id,
        to_id,
        size,
    )
    await connection.execute(
        """
        insert into payload (log_id, index, part, salt, data, key_number)
        select $2, index, part, salt, data, key_number from payload where log_id = $1 and index between 1 and $3 - 1
        """,
        from_id,
        to_id,
        size,
    )


async def show_only(connection: Connection, participant_id: int, log_id: int) -> None:
    """Have the participant's rows come from this log alone; the entries of its other logs wait for nothing."""
    await connection.execute(
        "update log set is_projected = false where participant_id = $1 and id <> $2 and is_projected",
        participant_id,
        log_id,
    )
    await connection.execute("update log set is_projected = true where id = $1", log_id)
    await connection.execute(
        "delete from unprojected using log where log.id = unprojected.log_id and log.participant_id = $1",
        participant_id,
    )


async def set_aside(connection: Connection, table: str, participant_id: int) -> None:
    """Take the participant's rows out of `table` and remember which revision of what they showed."""
    await connection.execute(
        f"""
        create temporary table {_aside(table)} on commit drop as
        select record_id, revision, index, received_at from {table} where publisher_id = {participant_id:d}
        """
    )
    await connection.execute(f"delete from {table} where publisher_id = $1", participant_id)


async def changed_rows(connection: Connection, table: str, participant_id: int, shared_size: int) -> list[RowChange]:
    """Return what became of the rows set aside, and give those that are there again the time they first came.

    A row that shows the same entry below `shared_size` is as it was. Call once, after the rows were made again.
    """
    await connection.execute(
        f"""
        update {table} set received_at = aside.received_at from {_aside(table)} aside
        where {table}.publisher_id = $1 and {table}.record_id = aside.record_id
        """,
        participant_id,
    )
    records = await connection.fetch(
        f"""
        with now as (select record_id, revision, index from {table} where publisher_id = $1)
        select coalesce(now.record_id, was.record_id) as record_id, coalesce(now.revision, was.revision) as revision,
               was.record_id is not null as was, now.record_id is not null as now
        from now full join {_aside(table)} was on was.record_id = now.record_id
        where was.index is distinct from now.index or was.index >= $2
        order by coalesce(now.index, was.index)
        """,
        participant_id,
        shared_size,
    )
    await connection.execute(f"drop table {_aside(table)}")
    return [RowChange(**dict(record)) for record in records]


async def forget_text(connection: Connection, table: str, participant_id: int) -> None:
    """Forget the text of records that have no row any more."""
    await connection.execute(
        f"""
        delete from {table}_search where publisher_id = $1
          and not exists (select from {table} where {table}.publisher_id = $1
                                              and {table}.record_id = {table}_search.record_id)
        """,
        participant_id,
    )


async def forget_answers(connection: Connection, participant_id: int, size: int) -> None:
    """Forget what was answered to writers whose entries stand at `size` or beyond: they are not published any more."""
    await connection.execute(
        """
        delete from idempotency where participant_id = $1
          and exists (select from jsonb_array_elements(answer) one where (one ->> 'index')::bigint >= $2)
        """,
        participant_id,
        size,
    )


def _aside(table: str) -> str:
    return f"aside_{table}"
