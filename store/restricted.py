"""Restricted parts as rows: the sealed bytes, who may have them, and who was given them. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from store.database import Connection
from store.logs import RESTRICTED, Sealed
from store.suppressions import kept_sql


@dataclass(frozen=True, slots=True)
class Part:
    """A restricted part in its place; `sealed` is None for one that an earlier version stored in plain."""

    index: int
    sealed: Sealed | None
    plain: tuple[bytes, bytes] | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A participant that an owner allows to have its restricted parts; `id` is its number in this database."""

    asker_scid: str
    granted_at: datetime
    granted_by: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """One answer to a request: who asked through which node for what, whether it was given, and by which rule."""

    id: int
    at: datetime
    asker_scid: str
    node_scid: str
    uri: str
    index: int
    is_released: bool
    rule: str


async def outdated_logs(connection: Connection, key_number: int) -> list[str]:
    """Return the origins of logs with parts in plain or sealed by another key than that number's."""
    records = await connection.fetch(
        """
        select origin from log where exists (
            select from payload
            where payload.log_id = log.id and part = $1 and key_number is distinct from $2
        ) order by origin
        """,
        RESTRICTED,
        key_number,
    )
    return [record["origin"] for record in records]


async def outdated(connection: Connection, log_id: int, key_number: int, limit: int) -> list[Part]:
    """Return up to `limit` parts of a log that are in plain or sealed by another key than that number's."""
    records = await connection.fetch(
        """
        select index, key_number, salt, data from payload
        where log_id = $1 and part = $2 and key_number is distinct from $3 order by index limit $4
        """,
        log_id,
        RESTRICTED,
        key_number,
        limit,
    )
    return [_part(*record) for record in records]


async def every(connection: Connection, log_id: int, start: int, limit: int) -> list[Part]:
    """Return up to `limit` parts of a log from index `start` on, in order."""
    records = await connection.fetch(
        """
        select index, key_number, salt, data from payload
        where log_id = $1 and part = $2 and index >= $3 order by index limit $4
        """,
        log_id,
        RESTRICTED,
        start,
        limit,
    )
    return [_part(*record) for record in records]


def _part(index: int, key_number: int | None, salt: bytes, data: bytes) -> Part:
    if key_number is None:
        return Part(index, None, (salt, data))
    return Part(index, Sealed(key_number, salt, data), None)


async def replace(connection: Connection, log_id: int, rows: Sequence[tuple[int, Sealed]]) -> None:
    """Store sealed parts in place of what is there; the caller holds the log's head."""
    await connection.executemany(
        "update payload set key_number = $3, salt = $4, data = $5 where log_id = $1 and index = $2 and part = $6",
        [(log_id, index, *sealed, RESTRICTED) for index, sealed in rows],
    )


async def insert(connection: Connection, log_id: int, rows: Sequence[tuple[int, Sealed]]) -> None:
    """Store sealed parts that are not here yet; the caller holds the log's head."""
    await connection.executemany(
        """
        insert into payload (log_id, index, part, key_number, salt, data) values ($1, $2, $6, $3, $4, $5)
        on conflict do nothing
        """,
        [(log_id, index, *sealed, RESTRICTED) for index, sealed in rows],
    )


# ---- who may have them -----------------------------------------------------------------------------------------------


async def grant(connection: Connection, participant_id: int, asker_scid: str, granted_by: str) -> bool:
    """Allow a participant the owner's restricted parts; return whether it was not allowed before."""
    added: bool | None = await connection.fetchval(
        """
        insert into restricted_grant (participant_id, asker_scid, granted_by) values ($1, $2, $3)
        on conflict do nothing returning true
        """,
        participant_id,
        asker_scid,
        granted_by,
    )
    return bool(added)


async def revoke(connection: Connection, participant_id: int, asker_scid: str) -> bool:
    """Take back what was allowed; return whether it had been."""
    removed: bool | None = await connection.fetchval(
        "delete from restricted_grant where participant_id = $1 and asker_scid = $2 returning true",
        participant_id,
        asker_scid,
    )
    return bool(removed)


async def is_granted(connection: Connection, participant_id: int, asker_scid: str) -> bool:
    """Return whether the owner allows this participant its restricted parts."""
    found: bool = await connection.fetchval(
        "select exists (select from restricted_grant where participant_id = $1 and asker_scid = $2)",
        participant_id,
        asker_scid,
    )
    return found


async def grants_of(connection: Connection, scid: str, *, limit: int) -> list[Grant]:
    """Return whom this owner allowed last, newest first."""
    participant_id = await connection.fetchval("select id from participant where scid = $1", scid)
    return await grants(connection, participant_id, limit=limit)


async def grants(
    connection: Connection, participant_id: int, *, before: int | None = None, limit: int | None = None
) -> list[Grant]:
    """Return whom the owner allows, of those numbered below `before`, newest first."""
    records = await connection.fetch(
        """
        select asker_scid, granted_at, granted_by, number as id from restricted_grant
        where participant_id = $1 and ($2::bigint is null or number < $2) order by number desc limit $3
        """,
        participant_id,
        before,
        limit,
    )
    return [Grant(**dict(record)) for record in records]


# ---- who was given them ----------------------------------------------------------------------------------------------


async def record_release(
    connection: Connection,
    participant_id: int,
    *,
    asker_scid: str,
    node_scid: str,
    uri: str,
    index: int,
    is_released: bool,
    rule: str,
    request_hash: bytes | None,
) -> None:
    """Write down one answer, in the transaction that makes it; the same one to the same request once."""
    await connection.execute(
        """
        insert into restricted_release
            (participant_id, asker_scid, node_scid, uri, index, is_released, rule, request_hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (request_hash, rule) where request_hash is not null do nothing
        """,
        participant_id,
        asker_scid,
        node_scid,
        uri,
        index,
        is_released,
        rule,
        request_hash,
    )


async def releases(connection: Connection, participant_id: int, *, before: int | None, limit: int) -> list[Release]:
    """Return the owner's newest answers with a number below `before`, newest first."""
    records = await connection.fetch(
        """
        select id, at, asker_scid, node_scid, uri, index, is_released, rule from restricted_release
        where participant_id = $1 and ($2::bigint is null or id < $2) order by id desc limit $3
        """,
        participant_id,
        before,
        limit,
    )
    return [Release(**dict(record)) for record in records]


# ---- where a record's part is ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Placed:
    """The revision of a record that is shown, and where its publisher is at home."""

    participant_id: int
    hosted: bool
    log_id: int
    index: int
    leaf_hash: bytes
    entry: bytes
    home_peer_id: int | None


async def placed(
    connection: Connection, record_type: str, table: str, scid: str, record_id: UUID | None
) -> Placed | None:
    """Return where the revision is that is shown of a record, None where none is; what hides a record hides its parts.

    Without an id it is the one record this publisher has in `table`.
    """
    record = await connection.fetchrow(
        f"""
        select participant.id as participant_id, participant.hosted, log.id as log_id, shown.index,
               entry.leaf_hash, entry.data as entry, participant.home_peer_id
        from {table} shown join participant on participant.id = shown.publisher_id
        join organization publisher on publisher.publisher_id = shown.publisher_id
            and publisher.visible and {kept_sql(record_type, "shown", "publisher")}
        join log on log.participant_id = participant.id and log.is_projected
        join entry on entry.log_id = log.id and entry.index = shown.index
        where participant.scid = $1 and ($2::uuid is null or shown.record_id = $2)
        """,
        scid,
        record_id,
    )
    return None if record is None else Placed(**dict(record))


async def part(connection: Connection, log_id: int, index: int) -> Sealed | None:
    """Return the restricted part of one entry, or None when it is not here."""
    record = await connection.fetchrow(
        "select key_number, salt, data from payload where log_id = $1 and index = $2 and part = $3",
        log_id,
        index,
        RESTRICTED,
    )
    return None if record is None else Sealed(*record)


# ---- put back from a backup ------------------------------------------------------------------------------------------

_STATED = f"""
    stated as (
        select entry.index, entry.data, record.type, record.id, record.rev, record.op,
               record.restricted and not exists (
                   select from erasure
                   where erasure.log_id = entry.log_id and erasure.record_id = record.id and erasure.type = record.type
                     and erasure.index > entry.index and {RESTRICTED} = any(erasure.parts)
               ) as is_there
        from entry cross join lateral (
            select json ->> 'type' as type, (json ->> 'id')::uuid as id, (json ->> 'rev')::bigint as rev,
                   json ->> 'op' as op, json ? 'restricted' as restricted
            from (select convert_from(entry.data, 'UTF8')::jsonb) decoded (json)
        ) record
        where entry.log_id = $1
    )
"""


async def stated(connection: Connection, log_id: int) -> dict[int, bytes]:
    """Return the entries of a log that commit to a restricted part which was not erased."""
    records = await connection.fetch(f"with {_STATED} select index, data from stated where is_there", log_id)
    return {record["index"]: record["data"] for record in records}


async def newest_stated(connection: Connection, log_id: int) -> set[int]:
    """Return which of these are their records' newest revisions."""
    records = await connection.fetch(
        f"""
        with {_STATED}
        select index from (
            select distinct on (type, id) index, is_there from stated where op = 'put'
            order by type, id, rev desc, index
        ) newest where is_there
        """,
        log_id,
    )
    return {record["index"] for record in records}


async def put_back_grant(connection: Connection, participant_id: int, grant: Grant) -> None:
    """Allow again whom the owner allowed."""
    await connection.execute(
        """
        insert into restricted_grant (participant_id, asker_scid, granted_at, granted_by) values ($1, $2, $3, $4)
        on conflict do nothing
        """,
        participant_id,
        grant.asker_scid,
        grant.granted_at,
        grant.granted_by,
    )


async def put_back_release(connection: Connection, participant_id: int, release: Release) -> None:
    """Write down again what was written down."""
    await connection.execute(
        """
        insert into restricted_release (at, participant_id, asker_scid, node_scid, uri, index, is_released, rule)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        release.at,
        participant_id,
        release.asker_scid,
        release.node_scid,
        release.uri,
        release.index,
        release.is_released,
        release.rule,
    )
