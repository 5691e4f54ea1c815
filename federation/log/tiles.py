"""Name, cut and read the static files of a log: exactly C2SP tlog-tiles. Pure.

A tile of level L holds up to 256 hashes of perfect subtrees of 256**L leaves,
so any inner node of the tree is the root of a piece of one tile, and every
proof can be made from a handful of them. This module fetches and stores
nothing and never checks a tile against a root: whoever builds a proof from
foreign tiles verifies it with `merkle` afterwards.

Rules, with the error that answers each:
- T1.1 a path is `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]` in its one canonical spelling:
  TILE_PATH_MALFORMED.
- T1.2 a tile is exactly `width` hashes: TILE_MALFORMED.
- T1.3 an entry bundle is `width` entries, each after its big-endian u16 length, nothing else: ENTRY_BUNDLE_MALFORMED.
- T2.1 a proof out of tiles needs every tile that `inclusion_tiles` or `consistency_tiles` names: TILE_MISSING.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from domain.errors import GotongError
from federation.log.merkle import HASH_BYTES, TREE_SIZE_MAX, Edge, node_hash

TILE_WIDTH = 256
TILE_HEIGHT = 8
LEVEL_MAX = 63
ENTRIES: Final = -1
"""The `level` of an entry bundle's id."""
BUNDLE_ENTRY_BYTES_MAX = 2**16 - 1
TILE_INDEX_MAX = TREE_SIZE_MAX // TILE_WIDTH

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)"
    r"/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class TilePathMalformed(GotongError):
    """A path is not the one spelling of a tile's or entry bundle's name."""

    code: ClassVar[str] = "TILE_PATH_MALFORMED"


class TileMalformed(GotongError):
    """A tile does not hold the number of hashes its name says."""

    code: ClassVar[str] = "TILE_MALFORMED"


class EntryBundleMalformed(GotongError):
    """An entry bundle does not hold the number of length-prefixed entries its name says."""

    code: ClassVar[str] = "ENTRY_BUNDLE_MALFORMED"


class TileMissing(GotongError):
    """A proof was asked for without a tile it is made of, or beyond the end of the tree."""

    code: ClassVar[str] = "TILE_MISSING"


class TileId(NamedTuple):
    """Which tile: level (or ENTRIES), number within the level, and its width of 1 to 256."""

    level: int
    n: int
    width: int = TILE_WIDTH


class TileHash(NamedTuple):
    """The root of the full subtree number `n` of 256**level leaves."""

    level: int
    n: int
    hash: bytes


def tile_path(tile: TileId) -> str:
    """Return the path of a tile below a log's prefix (tlog-tiles, "Merkle Tree")."""
    level = "entries" if tile.level == ENTRIES else str(tile.level)
    elements = [f"{tile.n % 1000:03d}"]
    rest = tile.n // 1000
    while rest:
        elements.insert(0, f"x{rest % 1000:03d}")
        rest //= 1000
    partial = "" if tile.width == TILE_WIDTH else f".p/{tile.width}"
    return f"tile/{level}/{'/'.join(elements)}{partial}"


def parse_tile_path(path: str) -> TileId:
    """Return the tile a path names, or raise TilePathMalformed (rule T1.1)."""
    found = _PATH.fullmatch(path) if path.isascii() and len(path) <= 64 else None
    if found is None:
        raise TilePathMalformed("not the path of a tile")
    level = ENTRIES if found["level"] == "entries" else int(found["level"])
    n = int(found["n"].replace("x", "").replace("/", ""))
    width = TILE_WIDTH if found["width"] is None else int(found["width"])
    tile = TileId(level, n, width)
    if level > LEVEL_MAX or n > TILE_INDEX_MAX or tile_path(tile) != path:
        raise TilePathMalformed("not the canonical path of a tile")
    return tile


def tile_at(level: int, n: int, size: int) -> TileId | None:
    """Return the name of tile `n` of `level` in a tree of `size` leaves, or None when it would be empty."""
    width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * max(level, 0))) - n * TILE_WIDTH)
    return TileId(level, n, width) if width > 0 else None


def tiles_of(size: int) -> Iterator[TileId]:
    """Yield every Merkle tile of a tree of `size` leaves, lowest level first."""
    level = 0
    while size >> (TILE_HEIGHT * level):
        for n in range(((size >> (TILE_HEIGHT * level)) + TILE_WIDTH - 1) // TILE_WIDTH):
            tile = tile_at(level, n, size)
            if tile is not None:
                yield tile
        level += 1


def split_tile(tile: TileId, data: bytes) -> list[bytes]:
    """Return the hashes of a tile, or raise TileMalformed (rule T1.2)."""
    _check_width(tile, data)
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _check_width(tile: TileId, data: bytes) -> None:
    if len(data) != tile.width * HASH_BYTES:
        raise TileMalformed("a tile is exactly its width in hashes", tile=tile_path(tile), bytes=len(data))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle, or raise EntryBundleMalformed for what no bundle can hold (rule T1.3)."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise EntryBundleMalformed("a bundle holds 1 to 256 entries", entries=len(entries))
    if any(len(entry) > BUNDLE_ENTRY_BYTES_MAX for entry in entries):
        raise EntryBundleMalformed("an entry of a bundle has at most 65535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(tile: TileId, data: bytes) -> list[bytes]:
    """Return the entries of a bundle, or raise EntryBundleMalformed (rule T1.3)."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end and len(entries) < tile.width:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > end:  # also when the length itself is cut
            raise EntryBundleMalformed("the bundle ends inside an entry", tile=tile_path(tile), bytes=end)
        entries.append(data[start:at])
    if at != end or len(entries) != tile.width:
        raise EntryBundleMalformed("a bundle is exactly its width in entries", tile=tile_path(tile), bytes=end)
    return entries


# ---- while appending ------------------------------------------------------------------------------------------------


def completed_nodes(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """Return the (level >= 1, index) of every tile hash that becomes complete between two sizes, lowest level first."""
    found: list[tuple[int, int]] = []
    level = 1
    while new_size >> (TILE_HEIGHT * level):
        shift = TILE_HEIGHT * level
        found += [(level, index) for index in range(old_size >> shift, new_size >> shift)]
        level += 1
    return found


def append(edge: Edge, leaf_hashes: Iterable[bytes]) -> tuple[Edge, list[TileHash]]:
    """Return the edge after these leaves and the tile hashes of level >= 1 they completed: the rows to store.

    The hashes fall out of growing the edge, so they cost nothing; their names are `completed_nodes` of the two sizes.
    """
    grown, runs = edge.grown(leaf_hashes)
    return grown, [
        TileHash(run.height // TILE_HEIGHT, run.first + i, each)
        for run in runs
        if run.height and run.height % TILE_HEIGHT == 0
        for i, each in enumerate(run.hashes)
    ]


# ---- proofs out of tiles --------------------------------------------------------------------------------------------


class _Node(NamedTuple):
    """A perfect subtree: number `n` of those of 2**height leaves."""

    height: int
    n: int


_Subtree = Sequence[_Node]
"""A proof's hash is the root of a subtree that may be ragged: its perfect parts, largest first."""


def inclusion_tiles(index: int, size: int) -> list[TileId]:
    """Return the tiles that `prove_inclusion` needs, without repetition; raises TileMissing beyond the tree (T2.1)."""
    return _tiles_for(_inclusion(index, size), size)


def prove_inclusion(index: int, size: int, tiles: Mapping[TileId, bytes]) -> list[bytes]:
    """Return the inclusion proof (RFC 9162, 2.1.3.1), or raise TileMissing, TileMalformed (rules T2.1, T1.2)."""
    return _prove(_inclusion(index, size), size, tiles)


def consistency_tiles(m: int, n: int) -> list[TileId]:
    """Return the tiles that `prove_consistency` needs, without repetition; raises TileMissing if m > n (T2.1)."""
    return _tiles_for(_consistency(m, n), n)


def prove_consistency(m: int, n: int, tiles: Mapping[TileId, bytes]) -> list[bytes]:
    """Return the consistency proof (RFC 9162, 2.1.4.1; empty for m = 0), or raise TileMissing, TileMalformed."""
    return _prove(_consistency(m, n), n, tiles)


def root_tiles(size: int) -> list[TileId]:
    """Return the tiles that `edge_from_tiles` needs for a tree of `size` leaves."""
    return _tiles_for([_perfect_parts(0, size)], size)


def edge_from_tiles(size: int, tiles: Mapping[TileId, bytes]) -> Edge:
    """Return the right edge of a tree of `size` leaves, or raise TileMissing, TileMalformed; check its root."""
    return Edge(size, tuple(_node_root(node, size, tiles) for node in _perfect_parts(0, size)))


def _inclusion(index: int, size: int) -> list[_Subtree]:
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise TileMissing("the index lies outside the tree", index=index, size=size)
    path: list[_Subtree] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_perfect_parts(middle, high))
            high = middle
        else:
            path.append(_perfect_parts(low, middle))
            low = middle
    return path[::-1]


def _consistency(m: int, n: int) -> list[_Subtree]:
    if not 0 <= m <= n <= TREE_SIZE_MAX:
        raise TileMissing("a prefix is not longer than the whole", old=m, new=n)
    if m in (0, n):
        return []
    path: list[_Subtree] = []
    low, high = 0, n
    while m != high:
        middle = low + _split(high - low)
        if m <= middle:
            path.append(_perfect_parts(middle, high))
            high = middle
        else:
            path.append(_perfect_parts(low, middle))
            low = middle
    if low:  # else the old tree itself is a subtree and its root is known
        path.append(_perfect_parts(low, high))
    return path[::-1]


def _split(size: int) -> int:
    """Return the largest power of two below `size` (RFC 9162: k)."""
    return 1 << ((size - 1).bit_length() - 1)


def _perfect_parts(low: int, high: int) -> list[_Node]:
    """Return the perfect subtrees of leaves [low, high), largest first; `low` is aligned, as every split leaves it."""
    parts: list[_Node] = []
    while low < high:
        height = (high - low).bit_length() - 1
        parts.append(_Node(height, low >> height))
        low += 1 << height
    return parts


def _tile_of(node: _Node, size: int) -> TileId:
    level, rise = divmod(node.height, TILE_HEIGHT)
    tile = tile_at(level, (node.n << rise) // TILE_WIDTH, size)
    if tile is None:
        raise TileMissing("the node lies outside the tree", height=node.height, n=node.n, size=size)
    return tile


def _tiles_for(subtrees: Iterable[_Subtree], size: int) -> list[TileId]:
    return list(dict.fromkeys(_tile_of(node, size) for subtree in subtrees for node in subtree))


def _prove(subtrees: Iterable[_Subtree], size: int, tiles: Mapping[TileId, bytes]) -> list[bytes]:
    return [_subtree_root(subtree, size, tiles) for subtree in subtrees]


def _subtree_root(parts: _Subtree, size: int, tiles: Mapping[TileId, bytes]) -> bytes:
    *larger, smallest = parts
    root = _node_root(smallest, size, tiles)
    for node in reversed(larger):
        root = node_hash(_node_root(node, size, tiles), root)
    return root


def _node_root(node: _Node, size: int, tiles: Mapping[TileId, bytes]) -> bytes:
    tile = _tile_of(node, size)
    data = tiles.get(tile)
    if data is None:
        raise TileMissing("the proof needs a tile that is not there", tile=tile_path(tile))
    rise = node.height % TILE_HEIGHT
    first = (node.n << rise) % TILE_WIDTH
    _check_width(tile, data)
    level = [data[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(first, first + (1 << rise))]
    while len(level) > 1:
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]
