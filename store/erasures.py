"""Erased parts as rows: what was erased, and the destruction of every copy in this database. SQL only.

What an erase entry asks for is decided in `federation`. Everything here runs in the transaction that stores or projects
the entry, under the lock of its log's head; a second run changes nothing. The bytes leave the files later: `sweep`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.records.registry import RECORDS
from store import logs, restricted_mail
from store.database import Connection

DEADLINE = timedelta(hours=72)
"""3 x 24 hours: UU 27/2022 (UU PDP)."""
NAMES_MAX = 100
"""Peers named with one erasure: of those that have acknowledged it, and of those that have not."""
SAID_SQL = """
    from peer left join erasure_acknowledgement said
        on said.log_id = log.id and said.operator_scid = peer.operator_scid
    where peer.trust <> 'blocked'
"""
"""The peers, each with what it `said` about the erasures of a `log` written here."""
OLD_BACKUPS_SQL = """
    from backup_sent sent join peer on peer.id = sent.peer_id where sent.participant_id = log.participant_id
"""
"""The peers that keep a backup of a `log`'s participant, each with the size the log had then."""
CHAIN_SQL = """
    chain as (
        select index, data from entry where log_id = $1 and index = $2
        union all
        select earlier.index, earlier.data
        from chain join entry earlier
             on earlier.log_id = $1 and earlier.index = (convert_from(chain.data, 'UTF8')::jsonb ->> 'prev')::bigint
    )
"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erase entry that counts: where it stands, which record it names, and its parts as in `payload.part`."""

    log_id: int
    index: int
    type: str
    record_id: UUID
    parts: tuple[int, ...]
    at: datetime


async def insert(connection: Connection, erasure: Erasure, *, now: datetime) -> None:
    """Remember an erasure; one that is known already stays as it is."""
    await connection.execute(
        """
        insert into erasure (log_id, index, type, record_id, parts, at, executed_at) values ($1, $2, $3, $4, $5, $6, $7)
        on conflict do nothing
        """,
        erasure.log_id,
        erasure.index,
        erasure.type,
        erasure.record_id,
        list(erasure.parts),
        erasure.at,
        now,
    )


async def destroy(connection: Connection, erasure: Erasure) -> int:
    """Delete what the erasure names of every entry of its record below it, in all logs of its author, and what was made
    of it: digests of requests, bytes that peers were reported with, revisions that wait. Return how many payloads."""
    payloads = 0
    for log_id, indexes in await _entries(connection, erasure):
        await _forget_evidence(connection, log_id, indexes, erasure.record_id)
        deleted = await connection.execute(
            "delete from payload where log_id = $1 and index = any($2) and part = any($3)",
            log_id,
            indexes,
            list(erasure.parts),
        )
        payloads += int(deleted.removeprefix("DELETE "))
    # A digest without salt can be guessed; without it, the same request again is refused instead of published.
    await connection.execute(
        """
        update idempotency set digest = '', blinded = true from log
        where log.id = $1 and idempotency.participant_id = log.participant_id and digest <> '' and exists (
            select from jsonb_array_elements(answer) one
            where one ->> 'record_id' = $2 and one ->> 'type' = $3 and (one ->> 'index')::bigint < $4
        )
        """,
        erasure.log_id,
        str(erasure.record_id),
        erasure.type,
        erasure.index,
    )
    await connection.execute(
        """
        delete from waiting using log
        where log.id = $1 and waiting.participant_id = log.participant_id and waiting.type = $2
          and (waiting.record_id = $3 or waiting.record_id is null and $4)
        """,
        erasure.log_id,
        erasure.type,
        erasure.record_id,
        any(known.one_per_log for known in RECORDS if known.name == erasure.type),
    )
    if logs.RESTRICTED in erasure.parts:
        await _forget_mail(connection, erasure)
    return payloads


async def _forget_evidence(connection: Connection, log_id: int, indexes: Sequence[int], record_id: UUID) -> None:
    await connection.execute(
        """
        update refusal set evidence = null, details = '{}' from log
        where log.id = $1 and refusal.origin = log.origin and evidence is not null and (
            position($3::bytea in evidence) > 0 or exists (
                select from payload
                where log_id = $1 and index = any($2) and part = 1
                  and (position(salt in evidence) > 0 or position(payload.data in evidence) > 0)
            )
        )
        """,
        log_id,
        list(indexes),
        str(record_id).encode(),
    )


async def _forget_mail(connection: Connection, erasure: Erasure) -> None:
    """Delete requests for the record's restricted part, and sealed answers that nobody has fetched yet."""
    uri: str | None = await connection.fetchval(
        """
        select 'gotong:' || scid || case when $2 = 'organization' then '' else '/' || $2 || '/' || $3 end
        from participant join log on log.participant_id = participant.id where log.id = $1
        """,
        erasure.log_id,
        erasure.type,
        str(erasure.record_id),
    )
    if uri is not None:
        await restricted_mail.forget_about(connection, uri)


async def origins(connection: Connection) -> list[str]:
    """Return the logs that have erasures."""
    records = await connection.fetch(
        "select origin from log where exists (select from erasure where log_id = log.id) order by origin"
    )
    return [record["origin"] for record in records]


async def of_log(connection: Connection, log_id: int) -> list[Erasure]:
    """Return the erasures of one log, in order."""
    records = await connection.fetch(
        "select log_id, index, type, record_id, parts, at from erasure where log_id = $1 order by index", log_id
    )
    return [Erasure(**{**dict(record), "parts": tuple(record["parts"])}) for record in records]


async def make_unswept(connection: Connection, erasure: Erasure, *, now: datetime) -> None:
    """Have the files swept again for an erasure that was executed only now."""
    await connection.execute(
        """
        update erasure set executed_at = $3, forgotten_by = null, rewritten_to = null,
                           reused_to = null, swept_at = null, waits_for = null
        where log_id = $1 and index = $2
        """,
        erasure.log_id,
        erasure.index,
        now,
    )


async def _entries(connection: Connection, erasure: Erasure) -> list[tuple[int, list[int]]]:
    """Return (log, indexes) of the record's entries that are erased: its chain, and what claimed to belong to it."""
    chain = await connection.fetch(
        f"""
        with recursive {CHAIN_SQL}
        select index from chain where index < $2
        union
        select index from unprojected where log_id = $1 and record_id = $3 and type = $4 and index < $2
        """,
        erasure.log_id,
        erasure.index,
        erasure.record_id,
        erasure.type,
    )
    found = [(erasure.log_id, [record["index"] for record in chain])]
    # Other epochs hold copies of the entries they agree on, and older ones what was never agreed on.
    others = await connection.fetch(
        """
        select entry.log_id, array_agg(entry.index) as indexes
        from log mine
        join log other on other.participant_id = mine.participant_id and other.id <> mine.id
        join entry on entry.log_id = other.id and position($2::bytea in entry.data) > 0
        where mine.id = $1 and convert_from(entry.data, 'UTF8')::jsonb @> $3 and (
            other.epoch < mine.epoch or entry.index < $4 and exists (
                select from entry same
                where same.log_id = mine.id and same.index = entry.index and same.leaf_hash = entry.leaf_hash
            )
        )
        group by entry.log_id
        """,
        erasure.log_id,
        str(erasure.record_id).encode(),
        {"id": str(erasure.record_id), "type": erasure.type},
        erasure.index,
    )
    return found + [(record["log_id"], record["indexes"]) for record in others]


async def chain(connection: Connection, log_id: int, index: int) -> list[int]:
    """Return the indexes of the entry at `index` and of all revisions before it, in order."""
    records = await connection.fetch(
        f"with recursive {CHAIN_SQL} select index from chain order by index", log_id, index
    )
    return [record["index"] for record in records]


async def parts_here(connection: Connection, log_id: int, index: int) -> set[int]:
    """Return which payload parts any revision has here, of the record whose newest revision stands at `index`."""
    records = await connection.fetch(
        f"""
        with recursive {CHAIN_SQL}
        select distinct part from payload where log_id = $1 and index in (select index from chain)
        """,
        log_id,
        index,
    )
    return {record["part"] for record in records}


async def erased_below(connection: Connection, log_id: int, part: int) -> dict[tuple[str, UUID], int]:
    """Return below which index a part is erased, of each (type, record id) of a log that has erasures."""
    records = await connection.fetch(
        """
        select type, record_id, max(index) as below from erasure where log_id = $1 and $2 = any(parts)
        group by type, record_id
        """,
        log_id,
        part,
    )
    return {(record["type"], record["record_id"]): record["below"] for record in records}


async def withheld(connection: Connection, log_id: int, indexes: Sequence[int]) -> dict[int, bytes]:
    """Return the bytes of those of these entries whose body is missing without having been erased."""
    records = await connection.fetch(
        """
        select entry.index, entry.data from unprojected
        join entry on entry.log_id = unprojected.log_id and entry.index = unprojected.index
        where unprojected.log_id = $1 and unprojected.index = any($2) and unprojected.reason = 'WITHHELD'
        """,
        log_id,
        list(indexes),
    )
    return {record["index"]: record["data"] for record in records}


async def give_bodies(connection: Connection, log_id: int, bodies: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Write (index, salt, body) of withheld entries, which count no longer as withheld; the caller projects them."""
    await connection.executemany(
        "insert into payload (log_id, index, part, salt, data) values ($1, $2, 1, $3, $4) on conflict do nothing",
        [(log_id, *each) for each in bodies],
    )
    await connection.execute(
        "delete from unprojected where log_id = $1 and index = any($2) and reason = 'WITHHELD'",
        log_id,
        [index for index, _, _ in bodies],
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """An erasure with who has acknowledged it and which peers have not. The newest has the highest number."""

    number: int
    scid: str
    type: str
    record_id: UUID
    parts: tuple[int, ...]
    hosted: bool
    at: datetime
    executed_at: datetime
    swept_at: datetime | None
    waits_for: str | None
    acknowledged: list[str]
    missing: list[str]
    backups_at: list[str]
    missing_count: int


async def listed(
    connection: Connection, limit: int, *, before: int | None = None, scid: str | None = None
) -> list[Listed]:
    """Return the newest erasures, of all or of one author, from those numbered below `before` on.

    `missing` are the peers not blocked, of those written here alone; `backups_at` those that keep a backup from before.
    At most NAMES_MAX are named of each.
    """
    records = await connection.fetch(
        f"""
        select erasure.number, participant.scid, erasure.type, erasure.record_id, erasure.parts, participant.hosted,
               erasure.at, erasure.executed_at, erasure.swept_at, erasure.waits_for,
               array(
                   select operator_scid from erasure_acknowledgement said
                   where said.log_id = log.id and said.size > erasure.index order by operator_scid limit {NAMES_MAX}
               ) as acknowledged,
               array(
                   select coalesce(peer.operator_scid, peer.url) {OLD_BACKUPS_SQL}
                       and sent.size <= erasure.index and 2 = any(erasure.parts)
                   order by peer.url limit {NAMES_MAX}
               ) as backups_at,
               late.names[:{NAMES_MAX}] as missing, cardinality(late.names) as missing_count
        from (
            select * from erasure
            where ($2::bigint is null or number < $2) and ($3::text is null or log_id in (
                select log.id from log join participant on participant.id = log.participant_id where scid = $3
            ))
            order by number desc limit $1
        ) erasure
        join log on log.id = erasure.log_id join participant on participant.id = log.participant_id
        cross join lateral (
            select case when participant.hosted then array(
                select coalesce(peer.operator_scid, peer.url) {SAID_SQL} and coalesce(said.size, 0) <= erasure.index
                order by peer.url
            ) else '{{}}' end
            offset 0  -- computed once, not once a column
        ) late (names)
        order by erasure.number desc
        """,
        limit,
        before,
        scid,
    )
    return [Listed(**{**dict(record), "parts": tuple(record["parts"])}) for record in records]


@dataclass(frozen=True, slots=True)
class Withheld:
    """The first withheld bodies of a log, within one request for payloads."""

    origin: str
    first: int
    count: int


async def withheld_logs(
    connection: Connection, logs_max: int, entries_max: int, in_vain: Mapping[str, int]
) -> list[Withheld]:
    """Return of up to `logs_max` logs where withheld bodies begin and how many entries on they end, if not too far.

    Those of allowed participants only: the others' have a quota. Of a log in `in_vain`, from that index on.
    """
    records = await connection.fetch(
        """
        select origin, first, last.index - first + 1 as count
        from (
            select log_id, log.origin, min(index) as first from unprojected
            join log on log.id = log_id join participant on participant.id = log.participant_id
            left join unnest($3::text[], $4::bigint[]) as in_vain (origin, up_to) on in_vain.origin = log.origin
            where reason = 'WITHHELD' and trust = 'allowed' and index >= coalesce(up_to, 0)
            group by log_id, log.origin order by log_id limit $1
        ) found
        cross join lateral (
            select max(index) as index from unprojected
            where unprojected.log_id = found.log_id and reason = 'WITHHELD' and index < first + $2
        ) last
        order by origin
        """,
        logs_max,
        entries_max,
        list(in_vain.keys()),
        list(in_vain.values()),
    )
    return [Withheld(**dict(record)) for record in records]
