"""Cases about hashes: trees, edges, proofs, tiles. Roots and proofs come from `naive`, not from the code under test."""

from typing import Any

from spec.cases import naive
from spec.cases.keys import Case, Cases, refused, valid

_TEXTS = [f"leaf {index}" for index in range(21)]
_LEAVES = [naive.leaf(text.encode()) for text in _TEXTS]
_OTHER = naive.leaf(b"another leaf").hex()


def cases() -> Cases:
    """Yield the cases of merkle.py and tiles.py."""
    yield from _trees()
    yield from _inclusion()
    yield from _consistency()
    yield from _tile_paths()
    yield from _tile_data()
    yield from _tile_proofs()


def _hex(hashes: list[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


def _edge(size: int) -> str:
    parts, low = "", 0
    for height in range(size.bit_length() - 1, -1, -1):
        if size >> height & 1:
            parts += naive.root(_LEAVES[low : low + (1 << height)]).hex()
            low += 1 << height
    return parts


def _trees() -> Cases:
    for size in (0, 1, 2, 3, 7, 8, 21):
        yield valid("tree", f"size-{size}", f"the tree of {size} leaves", leaves=_TEXTS[:size])
        yield valid("edge_from_bytes", f"size-{size}", f"the edge of {size} leaves", size=size, edge=_edge(size))
    error = "EDGE_MALFORMED"
    yield refused("edge_from_bytes", error, "hash-missing", "7 leaves need three hashes", size=7, edge=_edge(3))
    yield refused("edge_from_bytes", error, "hash-too-many", "8 leaves need one hash", size=8, edge=_edge(7))
    yield refused("edge_from_bytes", error, "hash-cut", "the last hash is cut", size=3, edge=_edge(3)[:-2])
    yield refused("edge_from_bytes", error, "size-negative", "no tree is that small", size=-1, edge=_edge(1))
    yield refused("edge_from_bytes", error, "size-too-large", "a size is below 2**53", size=2**53, edge=_edge(1))


def _inclusion() -> Cases:
    name, error = "verify_inclusion", "INCLUSION_PROOF_INVALID"
    for index, size in ((0, 1), (0, 2), (6, 7), (3, 8), (16, 21), (20, 21)):
        yield valid(name, f"{index}-of-{size}", f"leaf {index} of {size}", **_included(index, size))
    good = _included(5, 21)
    proof = good["proof"]
    for case, about, change in (
        ("wrong-leaf", "another leaf", {"leaf": _OTHER}),
        ("wrong-index", "the leaf stands elsewhere", {"index": 4}),
        ("wrong-root", "another tree", {"root": _OTHER}),
        ("index-is-size", "the index lies outside the tree", {"index": 21}),
        ("index-negative", "the index lies outside the tree", {"index": -1}),
        ("size-zero", "nothing is in the empty tree", {"index": 0, "size": 0, "proof": []}),
        ("too-short", "the last hash is missing", {"proof": proof[:-1]}),
        ("too-long", "one hash too many", {"proof": [*proof, _OTHER]}),
        ("empty", "no proof at all", {"proof": []}),
        ("swapped", "two hashes change places", {"proof": [proof[1], proof[0], *proof[2:]]}),
        ("hash-cut", "a hash of 31 bytes", {"proof": [proof[0][:-2], *proof[1:]]}),
        ("node-as-leaf", "an inner node is given as a leaf", _node_as_leaf()),
    ):
        yield refused(name, error, case, about, **{**good, **change})
    leaf, other, cut = _LEAVES[0], _LEAVES[1], _LEAVES[1][:-1]
    for case, about, size, proof, root in (
        ("too-long-root-fits", "the root is made for a longer proof", 1, [other], naive.node(other, leaf)),
        ("too-short-root-fits", "the root is made for a shorter proof", 3, [other], naive.node(leaf, other)),
        ("hash-cut-root-fits", "the root is made with a hash of 31 bytes", 2, [cut], naive.node(leaf, cut)),
    ):
        made = {"leaf": leaf.hex(), "index": 0, "size": size, "proof": _hex(proof), "root": root.hex()}
        yield refused(name, error, case, about, **made)


def _included(index: int, size: int) -> dict[str, Any]:
    leaves = _LEAVES[:size]
    proof = _hex(naive.inclusion(index, leaves))
    return {"leaf": leaves[index].hex(), "index": index, "size": size, "proof": proof, "root": naive.root(leaves).hex()}


def _node_as_leaf() -> dict[str, Any]:
    return {"leaf": naive.root(_LEAVES[:2]).hex(), "index": 0, "size": 21, "proof": _included(0, 21)["proof"][1:]}


def _consistency() -> Cases:
    name, error = "verify_consistency", "CONSISTENCY_PROOF_INVALID"
    for m, n in ((0, 0), (0, 5), (1, 1), (1, 2), (3, 7), (4, 8), (6, 8), (8, 21), (20, 21), (21, 21)):
        yield valid(name, f"{m}-to-{n}", f"{m} leaves are a prefix of {n}", **_consistent(m, n))
    good = _consistent(6, 21)
    proof = good["proof"]
    for case, about, change in (
        ("wrong-old-root", "another smaller tree", {"old_root": _OTHER}),
        ("wrong-new-root", "another larger tree", {"new_root": _OTHER}),
        ("shrinking", "the old tree is larger", {"old_size": 22}),
        ("negative", "no tree is that small", {"old_size": -1}),
        ("too-short", "the last hash is missing", {"proof": proof[:-1]}),
        ("too-long", "one hash too many", {"proof": [*proof, _OTHER]}),
        ("empty", "no proof at all", {"proof": []}),
        ("hash-cut", "a hash of 31 bytes", {"proof": [proof[0][:-2], *proof[1:]]}),
        ("equal-sizes-two-roots", "one size has one root", {**_consistent(6, 6), "new_root": _OTHER}),
        ("equal-sizes-with-proof", "nothing is to be proven", {**_consistent(6, 6), "proof": [_OTHER]}),
        ("from-empty-with-proof", "nothing is to be proven", {**_consistent(0, 6), "proof": [_OTHER]}),
        ("from-empty-wrong-root", "the empty tree has one root", {**_consistent(0, 6), "old_root": _OTHER}),
        ("power-of-two-repeats-root", "at m = 8 the old root is not sent", _with_old_root()),
    ):
        yield refused(name, error, case, about, **{**good, **change})
    c, d, ab, y, cut = _LEAVES[2], _LEAVES[3], naive.root(_LEAVES[:2]), _LEAVES[9], _LEAVES[1][:-1]
    cd = naive.node(c, d)
    for case, about, m, n, roots, hashes in (
        ("too-long-roots-fit", "made for a longer proof", 3, 4, (_over(y, ab, c), _over(y, ab, cd)), [c, d, ab, y]),
        ("too-short-roots-fit", "made for a shorter proof", 3, 4, (c, cd), [c, d]),
        ("hash-cut-roots-fit", "made with 31 bytes", 1, 2, (_LEAVES[0], naive.node(_LEAVES[0], cut)), [cut]),
    ):
        made = {"old_size": m, "old_root": roots[0].hex(), "new_size": n, "new_root": roots[1].hex()}
        yield refused(name, error, case, about, **made, proof=_hex(hashes))


def _over(top: bytes, left: bytes, right: bytes) -> bytes:
    return naive.node(top, naive.node(left, right))


def _consistent(m: int, n: int) -> dict[str, Any]:
    old, new = naive.root(_LEAVES[:m]).hex(), naive.root(_LEAVES[:n]).hex()
    proof = _hex(naive.consistency(m, _LEAVES[:n]))
    return {"old_size": m, "old_root": old, "new_size": n, "new_root": new, "proof": proof}


def _with_old_root() -> dict[str, Any]:
    good = _consistent(8, 21)
    return {**good, "proof": [good["old_root"], *good["proof"]]}


def _tile_paths() -> Cases:
    for case, path in (
        ("first", "tile/0/000"),
        ("partial", "tile/0/000.p/5"),
        ("deep", "tile/2/x001/x234/067"),
        ("entries", "tile/entries/x001/067.p/255"),
        ("level-63", "tile/63/000.p/1"),
    ):
        yield valid("parse_tile_path", case, f"the path {path}", path=path)
    for case, path in (
        ("empty", ""),
        ("leading-slash", "/tile/0/000"),
        ("trailing-slash", "tile/0/000/"),
        ("climbs-out", "tile/0/../../etc/passwd"),
        ("level-leading-zero", "tile/00/000"),
        ("level-64", "tile/64/000"),
        ("level-negative", "tile/-1/000"),
        ("index-short", "tile/0/67"),
        ("index-without-x", "tile/0/001/067"),
        ("index-last-with-x", "tile/0/x001/x067"),
        ("index-leading-zeros", "tile/0/x000/067"),
        ("index-too-large", "tile/0/x999/x999/x999/x999/x999/x999/999"),
        ("width-zero", "tile/0/000.p/0"),
        ("width-256", "tile/0/000.p/256"),
        ("width-leading-zero", "tile/0/000.p/05"),
        ("other-digits", "tile/0/00\N{ARABIC-INDIC DIGIT ONE}"),
        ("newline", "tile/0/000\n"),
    ):
        yield refused("parse_tile_path", "TILE_PATH_MALFORMED", case, "not the one spelling of a path", path=path)


def _tile_data() -> Cases:
    tile = _edge(3)
    yield valid("split_tile", "two-hashes", "a partial tile", path="tile/0/000.p/2", tile=tile)
    yield refused("split_tile", "TILE_MALFORMED", "short", "a hash is missing", path="tile/0/000.p/3", tile=tile)
    yield refused("split_tile", "TILE_MALFORMED", "long", "a hash too many", path="tile/0/000.p/1", tile=tile)
    yield refused("split_tile", "TILE_MALFORMED", "full-is-256", "a full tile has 256", path="tile/0/000", tile=tile)
    path, error = "tile/entries/000.p/2", "ENTRY_BUNDLE_MALFORMED"
    yield valid("parse_bundle", "two-entries", "entries of 3 and 0 bytes", path=path, bundle="000361626300" + "00")
    for case, about, bundle in (
        ("empty", "entries are missing", ""),
        ("entry-missing", "an entry is missing", "0003616263"),
        ("entry-too-many", "an entry too many", "0000" * 3),
        ("cut-in-entry", "the last entry is cut", "0000" + "00036162"),
        ("cut-in-length", "the last length is cut", "0000" + "00"),
        ("trailing-byte", "a byte follows", "0000" * 2 + "00"),
    ):
        yield refused("parse_bundle", error, case, about, path=path, bundle=bundle)


def _tile_proofs() -> Cases:
    tiles = {"tile/0/000.p/21": b"".join(_LEAVES).hex()}
    for index, size in ((0, 21), (13, 21), (20, 21)):
        yield _tile_proof("prove_inclusion", f"{index}-of-{size}", tiles, index=index, size=size)
    for m, n in ((0, 21), (6, 21), (16, 21), (21, 21)):
        yield _tile_proof("prove_consistency", f"{m}-to-{n}", tiles, old_size=m, new_size=n)
    missing = "TILE_MISSING"
    yield refused("prove_inclusion", missing, "no-tile", "the tile is not there", index=0, size=21, tiles={})
    yield refused("prove_inclusion", missing, "outside", "no such leaf", index=21, size=21, tiles=tiles)
    yield refused("prove_consistency", missing, "no-tile", "it is not there", old_size=6, new_size=21, tiles={})
    yield refused("prove_consistency", missing, "shrinking", "no such prefix", old_size=22, new_size=21, tiles=tiles)
    short = {"tile/0/000.p/21": b"".join(_LEAVES[:20]).hex()}
    yield refused("prove_inclusion", "TILE_MALFORMED", "short", "a hash is missing", index=0, size=21, tiles=short)


def _tile_proof(function: str, name: str, tiles: dict[str, str], **given: int) -> Case:
    return valid(function, name, f"the proof {name}, out of one tile", **given, tiles=tiles)
