"""Temporary tables in front of the real ones, and the comparison of both."""

from collections.abc import Sequence

from store.database import Connection

NOT_COMPARED = ("received_at", "scid", "visible", "suppresses", "log_id")
"""What depends on when this node heard of a record and on what its operator decided, not on what a log says; and the
log, which may be that of an earlier epoch (`strayed`)."""
WRITTEN_WHILE_PROJECTING = ("unprojected", "outbox")


async def hide(connection: Connection, tables: Sequence[str]) -> None:
    """Put an empty temporary table before each record table and before what projecting writes; they end with the
    transaction."""
    for table in (*tables, *WRITTEN_WHILE_PROJECTING):
        await connection.execute(f"create temporary table {table} (like public.{table} including all) on commit drop")
    await connection.execute("discard plans")  # those made on this connection before would read the real tables


async def differences(connection: Connection, table: str) -> list[tuple[str, str, str, bool, bool]]:
    """Return (table, scid, record id, is stored, is rebuilt) of each record whose two rows are not the same."""
    columns = await connection.fetch(
        """
        select column_name from information_schema.columns
        where table_schema = 'public' and table_name = $1 and column_name <> all($2) order by ordinal_position
        """,
        table,
        list(NOT_COMPARED),
    )
    names = ", ".join(column["column_name"] for column in columns)
    rows = await connection.fetch(
        f"""
        with stored as (select {names} from public.{table}), rebuilt as (select {names} from pg_temp.{table}),
             odd as ((table stored except table rebuilt) union all (table rebuilt except table stored))
        select distinct participant.scid, odd.record_id::text as record_id,
               stored.record_id is not null as stored, rebuilt.record_id is not null as rebuilt
        from odd join participant on participant.id = odd.publisher_id
        left join stored on (stored.publisher_id, stored.record_id) = (odd.publisher_id, odd.record_id)
        left join rebuilt on (rebuilt.publisher_id, rebuilt.record_id) = (odd.publisher_id, odd.record_id)
        order by participant.scid, record_id
        """
    )
    return [(table, row["scid"], row["record_id"], row["stored"], row["rebuilt"]) for row in rows]


async def odd_reasons(connection: Connection) -> list[tuple[str, str, str, bool, bool]]:
    """Return, as `differences` does, the records of which entries have no row for another reason than rebuilt."""
    rows = await connection.fetch(
        """
        with stored as (select log_id, index, type, record_id, reason from public.unprojected),
             rebuilt as (select log_id, index, type, record_id, reason from pg_temp.unprojected),
             odd as (
                 select *, true as is_stored from (table stored except table rebuilt) gone
                 union all select *, false from (table rebuilt except table stored) new
             )
        select participant.scid, odd.record_id::text as record_id, bool_or(is_stored) as stored,
               not bool_and(is_stored) as rebuilt
        from odd join log on log.id = log_id join participant on participant.id = log.participant_id
        where log.is_projected group by participant.scid, odd.record_id order by participant.scid, odd.record_id
        """
    )
    return [("unprojected", row["scid"], row["record_id"], row["stored"], row["rebuilt"]) for row in rows]


async def out_of_step(connection: Connection) -> list[tuple[str, str, str, bool, bool]]:
    """Return, as `differences` does, the organizations whose row says otherwise than their participant's trust
    and what is suppressed of it."""
    rows = await connection.fetch(
        """
        select participant.scid, record_id::text from public.organization
        join participant on participant.id = publisher_id
        where (organization.scid, visible, suppresses) is distinct from (
            participant.scid, participant.trust = 'allowed',
            exists (select from suppression where suppression.publisher_id = participant.id)
        )
        order by participant.scid
        """
    )
    return [("organization", scid, record_id, True, True) for scid, record_id in rows]


async def strayed(connection: Connection, table: str) -> list[tuple[str, str, str, bool, bool]]:
    """Return, as `differences` does, the records made from an entry that the log shown of their publisher lacks."""
    rows = await connection.fetch(
        f"""
        select participant.scid, record_id::text
        from public.{table} made join participant on participant.id = publisher_id
        left join log shown on shown.participant_id = publisher_id and shown.is_projected
        where made.log_id is distinct from shown.id and not exists (
            select from entry ours join entry theirs on theirs.index = ours.index and theirs.leaf_hash = ours.leaf_hash
            join log earlier on earlier.id = theirs.log_id and earlier.participant_id = publisher_id
            where ours.log_id = shown.id and ours.index = made.index and theirs.log_id = made.log_id
        )
        order by participant.scid, record_id
        """
    )
    return [(table, scid, record_id, True, True) for scid, record_id in rows]
