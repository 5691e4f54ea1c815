"""Begin a new epoch after a theft: whoever has the log key can sign anything, so the log goes on without it. Shell.

The cards say where the theft begins: up to that size the old log counts, and the new one copies it. The thief's
signatures stay what they are, on a log that nobody projects. The old log stays here and is served as history.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.errors import GotongError
from federation.identity.keys import KeyRing, log_key_name
from federation.identity.writing import writable_head
from federation.lifecycle import custody
from federation.lifecycle.custody import Change, Changed
from federation.log import entry, merkle, note, tiles
from federation.log.entry import EpochStart
from federation.log.names import origin as origin_of
from federation.log.static import read_tiles
from federation.projection.adopt import LEAVES_PER_PAGE, adopt
from store import epochs, logs
from store.database import Connection, Database
from store.logs import LogRow, StoredEntry

ENTRIES_SHOWN_MAX = 1_000


class EpochSizeOutOfRange(GotongError):
    """A new epoch starts inside the log: from its first entry on, and not beyond what is held here and agreed on."""

    code: ClassVar[str] = "EPOCH_SIZE_OUT_OF_RANGE"


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An entry that a new epoch would leave behind."""

    index: int
    type: str
    record_id: str
    revision: int
    at: datetime


async def left_behind(database: Database, scid: str, size: int, keep: int | None = None) -> list[Doubtful]:
    """Return the entries that `recover` would leave behind, at most ENTRIES_SHOWN_MAX; raises what it would."""
    kept = size if keep is None else keep
    async with database.acquire() as connection:
        log = await writable_head(connection, scid, lock=False, frozen_too=True)
        _require_inside(log, size, kept)
        found = await logs.entries(connection, log.id, kept, ENTRIES_SHOWN_MAX)
    parsed = [(stored.index, entry.parse(stored.data)) for stored in found]
    return [Doubtful(index, each.type, str(each.id), each.rev, each.at) for index, each in parsed]


async def recover(
    database: Database, keys: KeyRing, scid: str, seed: bytes, *, size: int, now: datetime, keep: int | None = None
) -> Changed:
    """Return the identity in its next epoch, which starts from the first `size` entries, all online keys new.

    `keep` goes on with this node's own entries up to there: others may hold different ones from `size` on, signed by
    the thief. Raises EpochSizeOutOfRange and what `custody.rotate` does.
    """
    async with database.transaction() as connection:
        change = await custody.begin(connection, keys, scid, seed, frozen_too=True)
        old, kept = change.log, size if keep is None else keep
        _require_inside(old, size, kept)
        start = await _start(connection, old, size)
        change.begin_epoch(start)
        change.replace_operator_keys()
        change.log = await _copied(connection, change, start, kept, now)
        changed = await change.commit(now)
        await epochs.forget_answers(connection, old.participant_id, kept)
        await adopt(connection, change.log, kept, as_of=now)
    return changed


def _require_inside(log: LogRow, size: int, kept: int) -> None:
    if not 1 <= size <= kept <= log.size:
        raise EpochSizeOutOfRange(
            "a new log begins with entries that this one has, one at least", size=size, keep=kept, held=log.size
        )
    if log.frozen_size is not None and size > log.frozen_size:
        raise EpochSizeOutOfRange("others hold other entries from there on", size=size, agreed=log.frozen_size)


async def _start(connection: Connection, log: LogRow, size: int) -> EpochStart:
    edge = tiles.edge_from_tiles(size, await read_tiles(connection, log.id, tiles.root_tiles(size)))
    (genesis,) = await logs.tile_hashes(connection, log.id, 0, 0, 1)
    return EpochStart(size, edge.root(), genesis)


async def _copied(connection: Connection, change: Change, start: EpochStart, size: int, now: datetime) -> LogRow:
    """Return the head of the new epoch's log: a new genesis, copies of the entries up to `size`, and a checkpoint."""
    old, service = change.log, change.service
    origin = origin_of(old.scid, service.epoch)
    first = entry.parse((await logs.entry_data(connection, old.id, [0]))[0])
    data = entry.genesis(old.scid, service.epoch, service.network, now, first.id, start=start)
    leaf = merkle.leaf_hash(data)
    log_id = await logs.create(connection, old.participant_id, service.epoch, origin)
    await logs.insert_entries(connection, log_id, [StoredEntry(0, leaf, data)], now)
    await epochs.take_time(connection)
    await epochs.copy_entries(connection, old.id, log_id, size)
    edge, completed = tiles.append(merkle.Edge.EMPTY, [leaf])
    while edge.size < size:
        leaves = await logs.tile_hashes(connection, log_id, 0, edge.size, min(LEAVES_PER_PAGE, size - edge.size))
        edge, more = tiles.append(edge, leaves)
        completed += more
    await logs.insert_tile_hashes(connection, log_id, completed)
    signer = note.Signer(origin, change.keys.get(log_key_name(old.scid, service.epoch, 0)))
    signed = note.sign_checkpoint(note.Checkpoint(origin, edge.size, edge.root()), signer)
    await logs.set_head(connection, log_id, size=edge.size, edge=edge.to_bytes(), checkpoint=signed, verified_at=now)
    head = await logs.head(connection, origin)
    assert head is not None
    return head
