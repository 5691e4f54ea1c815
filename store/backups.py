"""Backups as rows: what this node deposited where, and what it keeps for its peers. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store.database import Connection

# ---- what this node deposits -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """The newest backup of a participant that a peer has in full, made of its log at `size`."""

    version: int
    fingerprint: str
    sent_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Access:
    """What a participant's backups are sealed to, and the hash of what fetches them; None before it has such cards."""

    key: bytes | None
    reader_hash: str | None


async def set_access(connection: Connection, participant_id: int, key: bytes, reader_hash: str) -> None:
    """Have the participant's backups sealed to other cards from now on."""
    await connection.execute(
        "update participant set backup_key = $2, backup_reader_hash = $3 where id = $1",
        participant_id,
        key,
        reader_hash,
    )


async def access(connection: Connection, participant_id: int) -> Access:
    """Return what the participant's backups are sealed to."""
    record = await connection.fetchrow(
        "select backup_key, backup_reader_hash from participant where id = $1", participant_id
    )
    assert record is not None
    return Access(*record)


async def add_target(connection: Connection, peer_id: int) -> None:
    """Have this node deposit its backups with that peer from now on."""
    await connection.execute("insert into backup_target (peer_id) values ($1) on conflict do nothing", peer_id)


async def remove_target(connection: Connection, peer_id: int) -> bool:
    """Have it deposit none there any more; return whether it did."""
    removed = await connection.fetchval("delete from backup_target where peer_id = $1 returning true", peer_id)
    return bool(removed)


async def targets(connection: Connection) -> list[int]:
    """Return the peers with which this node deposits backups."""
    return [record["peer_id"] for record in await connection.fetch("select peer_id from backup_target order by 1")]


async def due(connection: Connection) -> list[int]:
    """Return the peers to which new backups go: these, and those that were one and keep what was erased since."""
    records = await connection.fetch(
        """
        select peer_id from backup_target
        union
        select sent.peer_id from backup_sent sent join log on log.participant_id = sent.participant_id
        join erasure on erasure.log_id = log.id and erasure.index >= sent.size and 2 = any(erasure.parts)
        order by 1
        """
    )
    return [record["peer_id"] for record in records]


async def erased(connection: Connection, log_id: int) -> int:
    """Return one more than the index of the newest entry that erased restricted parts in a log, 0 if there is none."""
    found: int = await connection.fetchval(
        "select coalesce(max(index) + 1, 0) from erasure where log_id = $1 and 2 = any(parts)", log_id
    )
    return found


async def sent(connection: Connection, peer_id: int, participant_id: int) -> Sent | None:
    """Return the newest backup of this participant that the peer has in full, as far as is known here."""
    record = await connection.fetchrow(
        "select version, fingerprint, sent_at, size from backup_sent where peer_id = $1 and participant_id = $2",
        peer_id,
        participant_id,
    )
    return None if record is None else Sent(**dict(record))


async def set_sent(connection: Connection, peer_id: int, participant_id: int, sent: Sent) -> None:
    """Remember that the peer has this backup in full."""
    await connection.execute(
        """
        insert into backup_sent (peer_id, participant_id, version, fingerprint, sent_at, size)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (peer_id, participant_id)
        do update set version = excluded.version, fingerprint = excluded.fingerprint, sent_at = excluded.sent_at,
                      size = excluded.size
        """,
        peer_id,
        participant_id,
        sent.version,
        sent.fingerprint,
        sent.sent_at,
        sent.size,
    )


async def fingerprint(connection: Connection, participant_id: int, log_id: int, *, with_node: bool) -> str:
    """Return what is another text whenever there is something else to back up for this participant."""
    found: str = await connection.fetchval(
        """
        select concat_ws(' ',
            (select count(*) || ':' || coalesce(max(index), -1) from payload where log_id = $2 and part = 2),
            (select count(*) || ':' || coalesce(max(granted_at)::text, '') from restricted_grant
             where participant_id = $1),
            (select coalesce(max(id), 0) from restricted_release where participant_id = $1),
            (select coalesce(max(id), 0) from audit where $3),
            (select backup_reader_hash from participant where id = $1), $2,
            (select max(index) from erasure where log_id = $2 and 2 = any(parts)))
        """,
        participant_id,
        log_id,
        with_node,
    )
    return found


# ---- what it keeps for its peers -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A peer's backup, in full or not yet."""

    id: int
    version: int
    manifest: bytes
    bytes: int
    is_complete: bool


async def set_allowance(connection: Connection, peer_id: int, bytes_max: int) -> None:
    """Let a peer leave backups of so many bytes here, 0 for none."""
    await connection.execute("update peer set backup_bytes_max = $2 where id = $1", peer_id, bytes_max)


async def allowance(connection: Connection, peer_id: int) -> int:
    """Return how many bytes of backups the peer may leave here; its row is locked until the transaction ends."""
    found: int = await connection.fetchval("select backup_bytes_max from peer where id = $1 for update", peer_id)
    return found


async def used_bytes(connection: Connection, peer_id: int) -> int:
    """Return how many bytes the peer's backups take or will take."""
    found: int = await connection.fetchval(
        "select coalesce(sum(bytes), 0)::bigint from backup where peer_id = $1", peer_id
    )
    return found


async def kept(connection: Connection, peer_id: int, scid: str) -> list[Kept]:
    """Return the peer's backups of one participant, newest first."""
    records = await connection.fetch(
        """
        select id, version, manifest, bytes, is_complete from backup
        where peer_id = $1 and scid = $2 order by version desc
        """,
        peer_id,
        scid,
    )
    return [Kept(**dict(record)) for record in records]


async def add(
    connection: Connection, peer_id: int, *, scid: str, version: int, manifest: bytes, reader_hash: str, bytes_: int
) -> int:
    """Store a manifest and return the backup's number."""
    number: int = await connection.fetchval(
        """
        insert into backup (peer_id, scid, version, manifest, reader_hash, bytes) values ($1, $2, $3, $4, $5, $6)
        returning id
        """,
        peer_id,
        scid,
        version,
        manifest,
        reader_hash,
        bytes_,
    )
    return number


async def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Drop backups with their chunks."""
    await connection.execute("delete from backup where id = any($1)", list(ids))


async def add_chunk(connection: Connection, backup_id: int, number: int, data: bytes) -> None:
    """Store a chunk; one that is there stays."""
    await connection.execute(
        "insert into backup_chunk (backup_id, number, data) values ($1, $2, $3) on conflict do nothing",
        backup_id,
        number,
        data,
    )


async def chunk_bytes(connection: Connection, backup_id: int, number: int) -> int:
    """Return how many bytes the chunks of a backup take that are here, but for one."""
    found: int = await connection.fetchval(
        "select coalesce(sum(length(data)), 0)::bigint from backup_chunk where backup_id = $1 and number <> $2",
        backup_id,
        number,
    )
    return found


async def chunk_numbers(connection: Connection, backup_id: int) -> set[int]:
    """Return which chunks of a backup are here."""
    records = await connection.fetch("select number from backup_chunk where backup_id = $1", backup_id)
    return {record["number"] for record in records}


async def complete(connection: Connection, backup_id: int) -> None:
    """Say that all chunks of a backup are here."""
    await connection.execute("update backup set is_complete = true where id = $1", backup_id)


async def readable(connection: Connection, reader_hash: str, limit: int) -> list[bytes]:
    """Return the manifests of the complete backups that this reader fetches, newest first."""
    records = await connection.fetch(
        "select manifest from backup where reader_hash = $1 and is_complete order by version desc, id desc limit $2",
        reader_hash,
        limit,
    )
    return [record["manifest"] for record in records]


async def chunk(connection: Connection, reader_hash: str, scid: str, version: int, number: int) -> bytes | None:
    """Return a chunk of a complete backup that this reader fetches, or None."""
    data: bytes | None = await connection.fetchval(
        """
        select data from backup_chunk join backup on backup.id = backup_id
        where reader_hash = $1 and is_complete and scid = $2 and version = $3 and number = $4 limit 1
        """,
        reader_hash,
        scid,
        version,
        number,
    )
    return data
