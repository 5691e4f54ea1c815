"""Tiles: a log that another implementation wrote, and proofs out of tiles against the definition."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from federation.log import tiles
from federation.log.merkle import Edge, leaf_hash, verify_consistency, verify_inclusion
from federation.log.note import parse_vkey, verify_checkpoint
from federation.log.tiles import ENTRIES, EntryBundleMalformed, TileHash, TileId, TileMissing, TilePathMalformed
from spec.cases import naive

TESSERA = Path(__file__).parent.parent / "vectors" / "tlog-tiles" / "log"
TESSERA_KEY = parse_vkey("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")

LEAVES = [leaf_hash(b"%d" % index) for index in range(2**17 + 700)]
LARGE = Edge.EMPTY.grown(LEAVES)
STORED = {(run.height, run.first + at): each for run in LARGE[1] for at, each in enumerate(run.hashes)}
SIZES = st.integers(1, len(LEAVES)) | st.sampled_from([1, 255, 256, 257, 511, 512, 65535, 65536, 65537, 131072])


def _cut(wanted: list[TileId]) -> dict[TileId, bytes]:
    """Return tiles as a node would cut them: hashes of levels 0, 1, 2 by their number."""
    return {tile: b"".join(STORED[tile.level * 8, tile.n * 256 + at] for at in range(tile.width)) for tile in wanted}


@pytest.mark.parametrize("size", range(16))
def test_a_checkpoint_of_tessera_has_the_root_of_its_tiles_and_entries(size: int) -> None:
    note = (TESSERA / f"checkpoint.{size}").read_bytes()
    checkpoint = verify_checkpoint(note, TESSERA_KEY.name, [TESSERA_KEY.public])
    assert checkpoint.size == size
    read = {tile: (TESSERA / tiles.tile_path(tile)).read_bytes() for tile in tiles.root_tiles(size)}
    edge = tiles.edge_from_tiles(size, read)
    assert edge.root() == checkpoint.root
    bundle = tiles.tile_at(ENTRIES, 0, size)
    if bundle is not None:
        entries = tiles.parse_bundle(bundle, (TESSERA / tiles.tile_path(bundle)).read_bytes())
        assert Edge.EMPTY.appended(leaf_hash(each) for each in entries) == edge
        assert tiles.encode_bundle(entries) == (TESSERA / tiles.tile_path(bundle)).read_bytes()


def test_proofs_out_of_tesseras_tiles_lead_to_its_checkpoints() -> None:
    roots = [
        verify_checkpoint((TESSERA / f"checkpoint.{n}").read_bytes(), TESSERA_KEY.name, [TESSERA_KEY.public]).root
        for n in range(16)
    ]
    for n in range(1, 16):
        [tile] = tiles.root_tiles(n)
        read = {tile: (TESSERA / tiles.tile_path(tile)).read_bytes()}
        for m in range(n):
            verify_consistency(m, roots[m], n, roots[n], tiles.prove_consistency(m, n, read))
            leaf = tiles.split_tile(tile, read[tile])[m]
            verify_inclusion(leaf, m, n, tiles.prove_inclusion(m, n, read), roots[n])


@settings(max_examples=60)
@given(SIZES, st.data())
def test_inclusion_proofs_out_of_tiles_are_valid_and_need_just_the_named_tiles(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    wanted = tiles.inclusion_tiles(index, size)
    proof = tiles.prove_inclusion(index, size, _cut(wanted))
    verify_inclusion(LEAVES[index], index, size, proof, Edge.EMPTY.appended(LEAVES[:size]).root())
    for left_out in wanted:
        with pytest.raises(TileMissing):
            tiles.prove_inclusion(index, size, _cut([tile for tile in wanted if tile != left_out]))


@settings(max_examples=60)
@given(SIZES, st.data())
def test_consistency_proofs_out_of_tiles_are_valid_and_need_just_the_named_tiles(n: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(0, n))
    wanted = tiles.consistency_tiles(m, n)
    proof = tiles.prove_consistency(m, n, _cut(wanted))
    old, new = (Edge.EMPTY.appended(LEAVES[:size]).root() for size in (m, n))
    verify_consistency(m, old, n, new, proof)
    for left_out in wanted:
        with pytest.raises(TileMissing):
            tiles.prove_consistency(m, n, _cut([tile for tile in wanted if tile != left_out]))


def test_proofs_out_of_tiles_are_those_of_the_definition() -> None:
    for n in (1, 2, 3, 7, 64, 255, 256, 257, 300, 513):
        wanted = _cut(list(tiles.tiles_of(n)))
        for m in {0, 1, n // 3, n // 2, n - 1, n}:
            assert tiles.prove_consistency(m, n, wanted) == naive.consistency(m, LEAVES[:n])
            if m < n:
                assert tiles.prove_inclusion(m, n, wanted) == naive.inclusion(m, LEAVES[:n])


@settings(max_examples=60)
@given(SIZES)
@example(70_000)
def test_the_edge_comes_back_out_of_tiles(size: int) -> None:
    assert tiles.edge_from_tiles(size, _cut(tiles.root_tiles(size))) == Edge.EMPTY.appended(LEAVES[:size])


def test_a_tree_of_70000_has_the_tiles_of_the_specifications_example() -> None:
    found = list(tiles.tiles_of(70_000))
    assert [len([tile for tile in found if tile.level == level]) for level in range(4)] == [274, 2, 1, 0]
    assert [tile for tile in found if tile.width < 256] == [TileId(0, 273, 112), TileId(1, 1, 17), TileId(2, 0, 1)]
    assert list(tiles.tiles_of(256)) == [TileId(0, 0, 256), TileId(1, 0, 1)]


@settings(max_examples=60)
@given(st.integers(0, len(LEAVES)), st.integers(0, 70_000))
@example(0, 65536)
@example(65535, 1)
def test_appending_yields_just_the_tile_hashes_it_completes(old: int, more: int) -> None:
    new = min(old + more, len(LEAVES))
    before = Edge.EMPTY.appended(LEAVES[:old])
    edge, completed = tiles.append(before, LEAVES[old:new])
    assert edge == Edge.EMPTY.appended(LEAVES[:new])
    assert [(each.level, each.n) for each in completed] == tiles.completed_nodes(old, new)
    assert completed == [TileHash(level, n, STORED[level * 8, n]) for level, n in tiles.completed_nodes(old, new)]


@given(st.integers(-1, 63), st.integers(0, 2**45 - 1), st.integers(1, 256))
def test_a_path_and_its_tile_stand_for_each_other(level: int, n: int, width: int) -> None:
    tile = TileId(level, n, width)
    assert tiles.parse_tile_path(tiles.tile_path(tile)) == tile


@given(
    st.text(max_size=40) | st.from_regex(r"tile/(entries|[0-9]{1,3})/[x/0-9]{1,12}(\.p/[0-9]{1,4})?", fullmatch=True)
)
def test_whatever_path_is_accepted_is_the_canonical_one(path: str) -> None:
    try:
        tile = tiles.parse_tile_path(path)
    except TilePathMalformed:
        return
    assert tiles.tile_path(tile) == path


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_and_its_entries_stand_for_each_other(entries: list[bytes]) -> None:
    data = tiles.encode_bundle(entries)
    assert tiles.parse_bundle(TileId(ENTRIES, 0, len(entries)), data) == entries
    for wrong in (data[:-1], data + b"\0", data + b"\0\0"):
        with pytest.raises(EntryBundleMalformed):
            tiles.parse_bundle(TileId(ENTRIES, 0, len(entries)), wrong)


@pytest.mark.parametrize("entries", [[], [b""] * 257, [b"x" * 65536]])
def test_what_fits_no_bundle_is_refused(entries: list[bytes]) -> None:
    with pytest.raises(EntryBundleMalformed):
        tiles.encode_bundle(entries)
