"""Check a stored log from its first byte: tree, signature, tiles, payloads. Shell; reads only.

What `gotong verify` runs, and what tests ask after every crash.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from domain.errors import GotongError
from federation.identity import identities
from federation.log import epochs, service, tiles, verify
from federation.log.merkle import Edge
from federation.log.tiles import TileHash
from federation.log.verify import Received
from store import erasures, logs
from store.database import Connection
from store.logs import LogRow, StoredEntry

PAGE_ENTRIES = 1_024


class StoredLogBroken(GotongError):
    """What this database holds of a log is not what its checkpoint says."""

    code: ClassVar[str] = "STORED_LOG_BROKEN"


@dataclass(frozen=True, slots=True)
class Checked:
    """A log that holds: `signed_size` of `size` entries are under its newest checkpoint. Of the bodies they commit to,
    `erased` were destroyed because their author says so, `withheld` are missing without such a reason."""

    origin: str
    size: int
    signed_size: int
    withheld: int
    erased: int


async def check_log(connection: Connection, log: LogRow, *, network: str) -> Checked:
    """Return what was checked, or raise the error of the first rule that the stored log breaks.

    Call inside a REPEATABLE READ transaction, so that a growing log holds still.
    """
    state = await identities.load(connection, log.participant_id, log.scid)
    stated = service.epochs(state)[log.epoch]
    edge = Edge.EMPTY
    tile_hashes: list[TileHash] = []
    missing: dict[bool, int] = {True: 0, False: 0}
    erased_below = await erasures.erased_below(connection, log.id, logs.BODY)
    root_at_checkpoint = edge.root()
    while page := await _page(connection, log, edge.size):
        received = [_received(stored) for stored in page]
        verified = verify.check_entries(log.origin, network, edge.size, received)
        if edge.size == 0:
            epochs.require_stated(verified[0].entry, stated.from_)
        for each in verified:
            is_erased = each.index < erased_below.get((each.entry.type, each.entry.id), 0)
            _require(not is_erased or each.body is None, log, "an erased payload is still here")
            if each.entry.body is not None and each.body is None:
                missing[is_erased] += 1
        edge, completed = tiles.append(edge, [each.leaf for each in verified])
        tile_hashes += completed
        if edge.size == log.checkpoint_size:
            root_at_checkpoint = edge.root()
    _require(edge.size == log.size and edge.to_bytes() == log.edge, log, "the entries do not make the stored tree")
    if log.checkpoint is not None:
        keys = [replace(key, retired=None) for key in stated.keys]  # where a key ends was checked when the note came
        checkpoint = verify.check_checkpoint(log.checkpoint, log.origin, keys)
        _require(checkpoint.size == log.checkpoint_size, log, "the checkpoint is of another size")
        _require(checkpoint.root == root_at_checkpoint, log, "the checkpoint signs another tree")
    await _check_tiles(connection, log, tile_hashes)
    return Checked(log.origin, log.size, log.checkpoint_size, withheld=missing[False], erased=missing[True])


async def _page(connection: Connection, log: LogRow, start: int) -> list[StoredEntry]:
    """Return the next entries; a page ends at the checkpoint's size, where the root is compared."""
    end = log.checkpoint_size if start < log.checkpoint_size else log.size
    return await logs.entries(connection, log.id, start, min(PAGE_ENTRIES, end - start))


def _received(stored: StoredEntry) -> Received:
    return Received(stored.data) if stored.body is None else Received(stored.data, *stored.body)


async def _check_tiles(connection: Connection, log: LogRow, expected: list[TileHash]) -> None:
    stored: dict[tuple[int, int], bytes] = {}
    for level in {each.level for each in expected}:
        hashes = await logs.tile_hashes(connection, log.id, level, 0, log.size)
        stored |= {(level, index): each for index, each in enumerate(hashes)}
    _require({(each.level, each.n): each.hash for each in expected} == stored, log, "the stored tiles differ")


def _require(holds: bool, log: LogRow, message: str) -> None:
    if not holds:
        raise StoredLogBroken(message, origin=log.origin, size=log.size)
