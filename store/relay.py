"""What other nodes may read of the logs here: heads, pages of entries, DID lines and tiles. SQL only.

Only checkpoints held in full are given, and only logs whose participant this
node's operator allows (its own participants are allowed from the start): a
relay spreads nothing that its operator has not looked at.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from store.cosignatures import WITH_COSIGNATURES
from store.database import Connection

_RELAYED = "participant.trust = 'allowed' and log.checkpoint is not null"
_PRESENT = "log.epoch = participant.epoch"  # logs of past epochs are static: nobody has to hear of them


@dataclass(frozen=True, slots=True)
class RelayRow:
    """A log as others may have it: `size` entries under the signed note `checkpoint`, cosignatures included.

    `has_left` says that it was written here once; `keeps_mail`, that a depositor writes it, for whom requests are kept.
    Of a frozen log fewer entries are given than the note is about.
    """

    log_id: int
    participant_id: int
    origin: str
    hosted: bool
    has_left: bool
    size: int
    checkpoint: bytes
    did_version: int
    checkpoint_size: int
    did_hash: str
    keeps_mail: bool


@dataclass(frozen=True, slots=True)
class Range:
    """Entries start..stop of one log."""

    log_id: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class RelayEntry:
    """One entry with its public payload; `number` is the place of its range in the request."""

    number: int
    index: int
    data: bytes
    salt: bytes | None
    body: bytes | None


_COLUMNS = f"""
    log.id as log_id, participant.id as participant_id, log.origin, participant.hosted,
    participant.left_at is not null as has_left, least(log.checkpoint_size, log.frozen_size) as size,
    {WITH_COSIGNATURES} as checkpoint, participant.did_version, log.checkpoint_size,
    participant.did_hash, participant.mirrored_for is not null and not participant.hosted as keeps_mail
"""
_LOGS = "log join participant on participant.id = log.participant_id"


@dataclass(frozen=True, slots=True)
class Position:
    """A point in this database's history: `stream` says which database, `transaction` how far."""

    stream: str
    transaction: int


async def position(connection: Connection) -> Position:
    """Return a point such that everything committed before it is visible now.

    It is the oldest transaction still running: what that one commits later lies after the point.
    """
    record = await connection.fetchrow(
        "select stream_id::text as stream, pg_snapshot_xmin(pg_current_snapshot())::text::bigint as transaction"
        " from node_state"
    )
    return Position("", 0) if record is None else Position(**dict(record))


async def heads(connection: Connection) -> list[RelayRow]:
    """Return every relayed log of a present epoch, by origin."""
    records = await connection.fetch(
        f"select {_COLUMNS} from {_LOGS} where {_RELAYED} and {_PRESENT} order by log.origin"
    )
    return [RelayRow(**dict(record)) for record in records]


async def heads_changed(connection: Connection, after: Position) -> list[RelayRow] | None:
    """Return the relayed logs that may have changed after a point, or None when the point says nothing here.

    A log changed if the transaction that wrote what heads say of it is at or after the point. Too many is possible, too
    few is not. Only what changed is looked at: planned once for any point, one statement would read all logs.
    """
    record = await connection.fetchrow(
        "select stream_id::text as stream, pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next"
        " from node_state"
    )
    if record is None or record["stream"] != after.stream:
        return None
    if after.transaction > record["next"]:  # of a future that was lost
        return None
    changed = await connection.fetch(
        """
        select true as is_log, id from log where changed_by >= $1::text::xid8
        union all select false, id from participant where changed_by >= $1::text::xid8
        """,
        str(after.transaction),
    )
    if not changed:
        return []
    records = await connection.fetch(
        f"""
        select {_COLUMNS} from {_LOGS}
        where {_RELAYED} and {_PRESENT} and log.id in (
            select unnest($1::integer[]) union select id from log where participant_id = any($2)
        )
        order by log.origin
        """,
        [row["id"] for row in changed if row["is_log"]],
        [row["id"] for row in changed if not row["is_log"]],
    )
    return [RelayRow(**dict(record)) for record in records]


async def relayed(connection: Connection, origins: Sequence[str]) -> dict[str, RelayRow]:
    """Return those of these logs that are relayed, by origin."""
    records = await connection.fetch(
        f"select {_COLUMNS} from {_LOGS} where log.origin = any($1) and {_RELAYED}", list(origins)
    )
    return {record["origin"]: RelayRow(**dict(record)) for record in records}


async def did_lines_after(
    connection: Connection, wanted: Collection[tuple[int, int]], bytes_max: int
) -> dict[tuple[int, int], list[bytes]]:
    """Return by (participant id, version) that participant's DID lines after that version, in order.

    What comes is cut where `bytes_max` is reached, at least one line comes. Two logs of one participant may be asked
    for at once, an epoch that is past and the present one: each pair counts once, or every line would come as often as
    there are logs.
    """
    distinct = list(dict.fromkeys(wanted))
    records = await connection.fetch(
        """
        select participant_id, version, line from (
            select wanted.number, wanted.participant_id, wanted.version, did_line.version as its_version, did_line.line,
                   sum(length(did_line.line))
                       over (order by wanted.number, did_line.version rows unbounded preceding) as total,
                   row_number() over (order by wanted.number, did_line.version) as place
            from unnest($1::integer[], $2::integer[]) with ordinality as wanted (participant_id, version, number)
            join did_line on did_line.participant_id = wanted.participant_id and did_line.version > wanted.version
        ) page
        where total <= $3 or place = 1
        order by number, its_version
        """,
        [participant_id for participant_id, _ in distinct],
        [version for _, version in distinct],
        bytes_max,
    )
    found: dict[tuple[int, int], list[bytes]] = {}
    for record in records:
        found.setdefault((record["participant_id"], record["version"]), []).append(record["line"])
    return found


async def witnessed(connection: Connection, participant_ids: Sequence[int]) -> set[int]:
    """Return the participants among these with whose DID log witness proofs go."""
    records = await connection.fetch(
        "select participant_id from did_witness where participant_id = any($1)", list(participant_ids)
    )
    return {record["participant_id"] for record in records}


async def entries(connection: Connection, ranges: Sequence[Range], bytes_max: int) -> list[RelayEntry]:
    """Return the entries of these ranges with their public payloads, in order, cut where `bytes_max` is reached.

    At least the first one comes. One statement, however many logs there are.
    """
    records = await connection.fetch(
        """
        select number, index, data, salt, body from (
            select wanted.number, entry.index, entry.data, payload.salt, payload.data as body,
                   sum(length(entry.data) + coalesce(length(payload.data), 0))
                       over (order by wanted.number, entry.index rows unbounded preceding) as total,
                   row_number() over (order by wanted.number, entry.index) as place
            from unnest($1::integer[], $2::bigint[], $3::bigint[]) with ordinality
                 as wanted (log_id, start, stop, number)
            join entry on entry.log_id = wanted.log_id and entry.index >= wanted.start and entry.index < wanted.stop
            left join payload on payload.log_id = entry.log_id and payload.index = entry.index and payload.part = 1
        ) page
        where total <= $4 or place = 1
        order by number, index
        """,
        [each.log_id for each in ranges],
        [each.start for each in ranges],
        [each.stop for each in ranges],
        bytes_max,
    )
    return [RelayEntry(*record.values()) for record in records]


async def hashes(connection: Connection, log_id: int, wanted: Sequence[tuple[int, int, int]]) -> list[list[bytes]]:
    """Return the hashes of each (tile level, first index, count), level 0 being the leaves, without absent ones."""
    records = await connection.fetch(
        """
        select wanted.number, entry.leaf_hash as hash, entry.index
        from unnest($2::integer[], $3::bigint[], $4::bigint[]) with ordinality as wanted (level, start, count, number)
        join entry on entry.log_id = $1 and entry.index >= wanted.start and entry.index < wanted.start + wanted.count
        where wanted.level = 0
        union all
        select wanted.number, tile_hash.hash, tile_hash.index
        from unnest($2::integer[], $3::bigint[], $4::bigint[]) with ordinality as wanted (level, start, count, number)
        join tile_hash on tile_hash.log_id = $1 and tile_hash.level = wanted.level
                      and tile_hash.index >= wanted.start and tile_hash.index < wanted.start + wanted.count
        order by number, index
        """,
        log_id,
        [level for level, _, _ in wanted],
        [start for _, start, _ in wanted],
        [count for _, _, count in wanted],
    )
    found: list[list[bytes]] = [[] for _ in wanted]
    for record in records:
        found[record["number"] - 1].append(record["hash"])
    return found


async def entry_data(connection: Connection, wanted: Range) -> list[bytes]:
    """Return the bytes of the entries in a range, in order."""
    records = await connection.fetch(
        "select data from entry where log_id = $1 and index >= $2 and index < $3 order by index",
        wanted.log_id,
        wanted.start,
        wanted.stop,
    )
    return [record["data"] for record in records]
