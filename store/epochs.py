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


async def take_time(connection: Connection) -> None:
    """Have the statements of this transaction run as long as they need: they are about all that somebody published."""
    await connection.execute("set local statement_timeout = 0")


async def shown_log(connection: Connection, participant_id: int, epoch: int) -> EarlierLog | None:
    """Return the log of an earlier epoch that the participant's rows come from, as far as they do, or None."""
    record = await connection.fetchrow(
        """
        select id as log_id, epoch, least(size, frozen_size) as size from log
        where participant_id = $1 and epoch < $2 and is_projected and size > 0
        """,
        participant_id,
        epoch,
    )
    return None if record is None else EarlierLog(**dict(record))


async def choose(connection: Connection, old_id: int, new_id: int, shared_size: int) -> None:
    """Choose the records to be decided again: those of which an entry has no row, and those of which either log has an
    entry beyond what both share. Reads no more of the logs than that."""
    await connection.execute("create temporary table chosen (record_id uuid primary key) on commit drop")
    await connection.execute("insert into chosen select distinct record_id from unprojected where log_id = $1", old_id)
    await connection.execute(
        """
        insert into chosen select distinct (convert_from(data, 'UTF8')::jsonb ->> 'id')::uuid
        from entry where log_id = any($1) and index >= $2 and index > 0 on conflict do nothing
        """,
        [old_id, new_id],
        shared_size,
    )
    await connection.execute("analyze chosen")


async def chosen_indexes(connection: Connection, log_id: int, start: int, stop: int) -> list[int]:
    """Return the indexes start..stop of the chosen records' entries, in order."""
    records = await connection.fetch(
        """
        select index from entry where log_id = $1 and index >= $2 and index < $3
          and exists (select from chosen)
          and (convert_from(data, 'UTF8')::jsonb ->> 'id')::uuid in (select record_id from chosen)
        order by index
        """,
        log_id,
        start,
        stop,
    )
    return [record["index"] for record in records]


async def complete_bodies(connection: Connection, from_id: int, to_id: int, size: int) -> None:
    """Copy the bodies of entries below `size` that one of two logs has and the other lacks."""
    await connection.execute(
        """
        insert into payload (log_id, index, part, salt, data)
        select $2, index, part, salt, data from payload held
        where log_id = $1 and part = 1 and index between 1 and $3 - 1
          and not exists (select from payload here where here.log_id = $2 and here.part = 1 and here.index = held.index)
        """,
        from_id,
        to_id,
        size,
    )


async def show_only(connection: Connection, participant_id: int, log_id: int) -> None:
    """Have the participant show this log alone; the entries of its other logs wait for nothing.

    Its rows stay as they are: what they were made from says the same in this log (see `records`).
    """
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
    """Take the rows of chosen records out of `table` and remember which revision of what they showed."""
    await connection.execute(
        f"""
        create temporary table {_aside(table)} on commit drop as
        select record_id, revision, index, received_at from {table}
        where publisher_id = {participant_id:d} and record_id in (select record_id from chosen)
        """
    )
    await connection.execute(f"analyze {_aside(table)}")  # else it is presumed to be long, and all rows are read
    await connection.execute(
        f"delete from {table} where publisher_id = $1 and record_id in (select record_id from chosen)", participant_id
    )


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
        with now as (
            select record_id, revision, index from {table}
            where publisher_id = $1 and record_id in (select record_id from chosen)
        )
        select coalesce(now.record_id, was.record_id) as record_id, coalesce(now.revision, was.revision) as revision,
               was.record_id is not null as was, now.record_id is not null as now
        from now full join {_aside(table)} was on was.record_id = now.record_id
        where was.index is distinct from now.index or was.index >= $2
        order by coalesce(now.index, was.index)
        """,
        participant_id,
        shared_size,
    )
    return [RowChange(**dict(record)) for record in records]


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
