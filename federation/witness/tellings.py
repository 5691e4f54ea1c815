"""Compare two tellings of one log, and write evidence where both cannot be. Shell; reads tiles, decides nothing.

A telling is a signed note and, as far as they are at hand, the hashes of its tree: of a log held here, of a peer's
static reads, or of a section that came in a file. Whether the evidence holds is for `freeze.accept` to say: what is
written here of somebody's garbage is refused there.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.errors import GotongError
from federation.did.state import DidState
from federation.log import evidence, service, tiles
from federation.log.cosigners import same_text
from federation.log.evidence import Side
from federation.log.merkle import leaf_hash
from federation.log.names import parse_origin
from federation.log.note import Checkpoint, checkpoint_and_keys, parse_checkpoint, parse_note
from federation.log.service import log_service
from federation.log.static import read_tiles
from federation.log.tiles import TILE_HEIGHT, TILE_WIDTH, TileId, TileMissing
from federation.sync.client import PeerClient
from federation.sync.sections import Opened, Pulled
from store import held as held_
from store.database import Database
from store.held import Held

LEAVES_MAX = 262_144
"""Leaf hashes kept of one section that may tell another story; of a longer one only its note is compared."""


@dataclass(slots=True)
class Telling(ABC):
    """One telling of a log: a signed note, and what it leads to."""

    note: bytes
    checkpoint: Checkpoint

    async def root(self, size: int) -> bytes:
        """Return the root of the first `size` leaves; raises TileMissing, TileMalformed or a peer's errors."""
        if size == self.checkpoint.size:
            return self.checkpoint.root
        return tiles.edge_from_tiles(size, await self.tiles(tiles.root_tiles(size))).root()

    async def side(self, size: int) -> Side:
        """Return this telling of the first `size` leaves, proven by its note; raises like `root`."""
        total = self.checkpoint.size
        if size == total:
            return Side(self.note, self.checkpoint.root, ())
        found = await self.tiles(tiles.consistency_tiles(size, total))
        return Side(self.note, await self.root(size), tuple(tiles.prove_consistency(size, total, found)))

    @abstractmethod
    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return the tiles that are at hand."""


@dataclass(slots=True)
class HeldTelling(Telling):
    """What this node holds."""

    database: Database
    log_id: int

    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return the tiles that are held."""
        async with self.database.acquire() as connection:
            return await read_tiles(connection, self.log_id, wanted)


@dataclass(slots=True)
class PeerTelling(Telling):
    """What a peer serves as static reads."""

    peer: PeerClient

    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return what the peer answers; raises its errors."""
        name = parse_origin(self.checkpoint.origin)
        return {each: await self.peer.tile(name.scid, name.epoch, each) for each in wanted}


@dataclass(slots=True)
class SectionTelling(Telling):
    """What a section says: its entries, after the first ones of the log held here, which it leaves out."""

    held: HeldTelling
    _start: int = 0
    _leaves: list[bytes] = field(default_factory=list)
    _is_usable: bool = True
    _hashes: dict[tuple[int, int], bytes] = field(default_factory=dict)  # of tile levels from 1 on
    _is_read: bool = False

    def add(self, event: Pulled) -> None:
        """Remember the leaves of a batch as it came; of a section with gaps, or too long a one, none is kept."""
        start = event.size - len(event.entries)
        if not self._leaves:
            self._start = start
        follows = start == self._start + len(self._leaves)
        is_anchored = 0 <= self._start <= self.held.checkpoint.size
        if not follows or not is_anchored or len(self._leaves) + len(event.entries) > LEAVES_MAX:
            self._is_usable = False
            self._leaves.clear()
        if self._is_usable:
            self._leaves += [leaf_hash(each.data) for each in event.entries]

    async def tiles(self, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
        """Return tiles of the section's tree; raises TileMissing if its entries do not lead to its note."""
        await self._read()
        kept = {each: TileId(each.level, each.n, width) for each in wanted if (width := self._held_width(each))}
        ours = await self.held.tiles(list(kept.values()))
        if len(ours) < len(set(kept.values())):
            raise TileMissing("what the section leaves out is not held here")
        return {each: (ours[kept[each]] if each in kept else b"") + self._own(each) for each in wanted}

    def _held_width(self, tile: TileId) -> int:
        return max(0, min(tile.width, (self._start >> (TILE_HEIGHT * tile.level)) - tile.n * TILE_WIDTH))

    def _own(self, tile: TileId) -> bytes:
        first = tile.n * TILE_WIDTH
        places = range(first + self._held_width(tile), first + tile.width)
        if tile.level == 0:
            return b"".join(self._leaves[place - self._start] for place in places)
        return b"".join(self._hashes[tile.level, place] for place in places)

    async def _read(self) -> None:
        if not self._is_read:
            self._is_read = True
            before = tiles.edge_from_tiles(self._start, await self.held.tiles(tiles.root_tiles(self._start)))
            edge, completed = tiles.append(before, self._leaves)
            self._hashes = {(each.level, each.n): each.hash for each in completed}
            self._is_usable &= (edge.size, edge.root()) == (self.checkpoint.size, self.checkpoint.root)
        if not self._is_usable:
            raise TileMissing("the section's entries do not lead to its note")


def section_telling(database: Database, held: Held, state: DidState, event: Opened) -> SectionTelling | None:
    """Return what a section tells of a log held here; None where it says the same, or no key that counts says it.

    Raises what `note.checkpoint_and_keys` raises for what is no signed checkpoint of that log.
    """
    if held.checkpoint is None or held.log_id is None or held.frozen_size is not None:
        return None
    if service.origin(state) != event.origin or same_text(event.note, held.checkpoint):
        return None
    keys = [key.public_key for key in log_service(state).keys if key.retired is None]
    theirs, _ = checkpoint_and_keys(event.note, event.origin, keys)
    if theirs.size == 0:
        return None
    ours = parse_checkpoint(parse_note(held.checkpoint).text)
    return SectionTelling(event.note, theirs, HeldTelling(held.checkpoint, ours, database, held.log_id))


async def contradicts(theirs: SectionTelling) -> bool:
    """Return whether the section's tree is another than ours where the shorter one ends; raises what `root` raises."""
    size = min(theirs.checkpoint.size, theirs.held.checkpoint.size)
    return await theirs.held.root(size) != await theirs.root(size)


async def smallest_differing(ours: Telling, theirs: Telling) -> int:
    """Return the smallest size at which both trees differ, by their hashes; a larger one if theirs are not there.

    Both are known to differ where the shorter one ends. Raises what `root` raises when theirs is the longer one.
    """
    high = min(ours.checkpoint.size, theirs.checkpoint.size)
    try:
        low = 0
        while high - low > 1:
            middle = (low + high) // 2
            same = await ours.root(middle) == await theirs.root(middle)
            low, high = (middle, high) if same else (low, middle)
        await theirs.side(high)
    except GotongError:
        if theirs.checkpoint.size > ours.checkpoint.size:
            raise
        return theirs.checkpoint.size  # its own note says what it has there; no proof of its is needed
    return high


async def fork_evidence(database: Database, scid: str, ours: Telling, theirs: Telling) -> bytes:
    """Return evidence of both, with the identity as it is held; verifies nothing, raises what `root` raises."""
    size = await smallest_differing(ours, theirs)
    sides = [await ours.side(size), await theirs.side(size)]
    async with database.acquire() as connection:
        held = await held_.did_log(connection, scid)
    assert held is not None
    lines, witness = held
    return evidence.build_fork(lines, witness, size, sides)
