"""Evidence as rows, and what a freeze does to the rows of a log. SQL only; verifies nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from store.database import Connection

LISTED_MAX = 256


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One piece of evidence; `number` is this database's own, `url` the peer that passed it on, None if found here."""

    number: int
    id: bytes
    kind: str
    scid: str
    origin: str
    size: int
    found_at: datetime
    url: str | None


async def add(
    connection: Connection,
    *,
    id_: bytes,
    kind: str,
    scid: str,
    origin: str,
    size: int,
    data: bytes,
    found_at: datetime,
    peer_id: int | None,
) -> bool:
    """Keep evidence that was verified, unless what is here already shows as much; return whether it was kept."""
    return bool(
        await connection.fetchval(
            """
            insert into evidence (id, kind, scid, origin, size, data, found_at, peer_id)
            select $1, $2, $3, $4, $5, $6, $7, (select id from peer where id = $8)
            where not exists (select from evidence where kind = $2 and origin = $4 and size <= $5)
            on conflict (id) do nothing returning true
            """,
            id_,
            kind,
            scid,
            origin,
            size,
            data,
            found_at,
            peer_id,
        )
    )


async def newest_number(connection: Connection) -> int:
    """Return the number of the newest evidence here, 0 for none."""
    number: int = await connection.fetchval("select coalesce(max(number), 0) from evidence")
    return number


async def listed(connection: Connection, after: int, limit: int = LISTED_MAX) -> list[EvidenceRow]:
    """Return evidence with greater numbers, in order."""
    records = await connection.fetch(
        """
        select number, evidence.id, kind, scid, origin, size, found_at, peer.url
        from evidence left join peer on peer.id = peer_id where number > $1 order by number limit $2
        """,
        after,
        limit,
    )
    return [EvidenceRow(**dict(record)) for record in records]


async def data(connection: Connection, id_: bytes) -> bytes | None:
    """Return one piece of evidence, or None."""
    found: bytes | None = await connection.fetchval("select data from evidence where id = $1", id_)
    return found


async def newest_about(connection: Connection, scids: Sequence[str], limit: int) -> list[bytes]:
    """Return the ids of the newest evidence about these participants, newest first."""
    records = await connection.fetch(
        "select id from evidence where scid = any($1) order by number desc limit $2", list(scids), limit
    )
    return [record["id"] for record in records]


async def unknown(connection: Connection, offered: Sequence[tuple[bytes, str]]) -> list[bytes]:
    """Return those of these (id, scid) that are not here and are about somebody who is, in the order given."""
    records = await connection.fetch(
        """
        select given.id from unnest($1::bytea[], $2::text[]) with ordinality as given (id, scid, place)
        join participant on participant.scid = given.scid
        where not exists (select from evidence where evidence.id = given.id) order by place
        """,
        [id_ for id_, _ in offered],
        [scid for _, scid in offered],
    )
    return [record["id"] for record in records]


async def seen_of_peer(connection: Connection, peer_id: int) -> int:
    """Return how much of a peer's evidence was looked at."""
    number: int | None = await connection.fetchval("select evidence_number from peer where id = $1", peer_id)
    return number or 0


async def set_seen_of_peer(connection: Connection, peer_id: int, number: int) -> None:
    """Remember how much of a peer's evidence was looked at."""
    await connection.execute("update peer set evidence_number = $2 where id = $1", peer_id, number)


# ---- freezing -------------------------------------------------------------------------------------------------------


async def freeze(connection: Connection, log_id: int, size: int) -> bool:
    """Freeze a locked log at `size`, or where it was frozen if that is less; return whether that changed anything."""
    return bool(
        await connection.fetchval(
            """
            update log set frozen_size = $2 where id = $1 and (frozen_size is null or frozen_size > $2) returning true
            """,
            log_id,
            size,
        )
    )


async def drop_rows(connection: Connection, table: str, log_id: int, size: int) -> list[tuple[UUID, int, int]]:
    """Delete the rows that show entries from index `size` on; return (record, publisher, revision) of each."""
    records = await connection.fetch(
        f"""
        delete from {table} where publisher_id = (select participant_id from log where id = $1 and is_projected)
          and index >= $2
        returning record_id, publisher_id, revision
        """,
        log_id,
        size,
    )
    return [(record["record_id"], record["publisher_id"], record["revision"]) for record in records]


async def drop_search(connection: Connection, table: str, publisher_id: int, record_ids: Sequence[UUID]) -> None:
    """Forget the words of records whose rows are gone."""
    await connection.execute(
        f"delete from {table}_search where publisher_id = $1 and record_id = any($2)", publisher_id, list(record_ids)
    )


async def drop_unprojected(connection: Connection, log_id: int, size: int, record_ids: Sequence[UUID]) -> None:
    """Forget entries without a row from index `size` on, and those of records that are projected anew."""
    await connection.execute(
        "delete from unprojected where log_id = $1 and (index >= $2 or record_id = any($3))",
        log_id,
        size,
        list(record_ids),
    )


async def indexes_of(connection: Connection, log_id: int, size: int, record_ids: Sequence[UUID]) -> list[int]:
    """Return the indexes below `size` of all entries of these records, in order. Reads the log: freezes are rare."""
    records = await connection.fetch(
        """
        select index from entry where log_id = $1 and index < $2
          and (convert_from(data, 'UTF8')::jsonb ->> 'id')::uuid = any($3)
        order by index
        """,
        log_id,
        size,
        list(record_ids),
    )
    return [record["index"] for record in records]
