"""Decide whether hashes belong to one append-only Merkle tree (RFC 6962, RFC 9162 section 2.1).

Pure. It knows leaves and nodes only: not what an entry means, not who signed a
root, not where hashes are stored. Hashes are 32 raw bytes, sizes and indexes
count leaves.

Rules, with the error that answers each:
- M1.1 a leaf is SHA-256(0x00 || data), a node SHA-256(0x01 || left || right).
- M1.2 the right edge of a tree of n leaves is one hash per bit set in n: EDGE_MALFORMED.
- M2.1 an inclusion proof has exactly the length and root RFC 9162 2.1.3.2 gives: INCLUSION_PROOF_INVALID.
- M2.2 a consistency proof likewise by 2.1.4.2; it is empty for m = 0 and for m = n, where at m = 0 the old root
  is the empty one and at m = n both roots are equal: CONSISTENCY_PROOF_INVALID.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, Self

from domain.errors import GotongError

HASH_BYTES = 32
TREE_SIZE_MAX = 2**53 - 1
"""Leaves in a log at most: sizes and indexes travel as JSON integers."""

EMPTY_ROOT = sha256(b"").digest()


class EdgeMalformed(GotongError):
    """A stored right edge does not hold one 32-byte hash for each bit set in the tree's size."""

    code: ClassVar[str] = "EDGE_MALFORMED"


class InclusionProofInvalid(GotongError):
    """The proof does not show that the leaf stands at that index of the tree with that root."""

    code: ClassVar[str] = "INCLUSION_PROOF_INVALID"


class ConsistencyProofInvalid(GotongError):
    """The proof does not show that the smaller tree is a prefix of the larger one."""

    code: ClassVar[str] = "CONSISTENCY_PROOF_INVALID"


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class NodeRun:
    """Consecutive perfect subtrees of 2**height leaves: `hashes[i]` is number `first + i` of its height."""

    height: int
    first: int
    hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: the roots of its maximal perfect subtrees, largest first.

    It is all a log needs to grow and to state its root, in O(log n) space.
    """

    size: int
    hashes: tuple[bytes, ...]

    EMPTY: ClassVar["Edge"]

    def root(self) -> bytes:
        """Return the root of the tree (RFC 9162, 2.1.1)."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in self.hashes[-2::-1]:
            root = node_hash(left, root)
        return root

    def appended(self, leaf_hashes: Iterable[bytes]) -> "Edge":
        """Return the edge after these leaves; about one hash a leaf."""
        return self.grown(leaf_hashes)[0]

    def grown(self, leaf_hashes: Iterable[bytes]) -> tuple["Edge", list[NodeRun]]:
        """Return the edge after these leaves, and every perfect subtree they completed, lowest height first.

        Works height by height instead of leaf by leaf: a batch costs one hash a
        leaf and no bookkeeping per leaf. The new leaves themselves are the run of height 0.
        """
        level = list(leaf_hashes)
        size = self.size + len(level)
        waiting = list(self.hashes)  # the smallest subtree is last
        edge_upwards: list[bytes] = []
        runs: list[NodeRun] = []
        height = 0
        while level or waiting:
            old = self.size >> height
            if level:
                runs.append(NodeRun(height, old, level))
            if old & 1:
                level = [waiting.pop(), *level]
            if len(level) & 1:
                edge_upwards.append(level[-1])
            pairs = iter(level)
            level = [
                sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)
            ]  # inlined node_hash: a call a leaf is a third of the time
            height += 1
        return Edge(size, tuple(reversed(edge_upwards))), runs

    def to_bytes(self) -> bytes:
        """Return the hashes joined, largest subtree first; the size is kept beside them."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        """Return the edge kept as `to_bytes`, or raise EdgeMalformed (rule M1.2)."""
        if not 0 <= size <= TREE_SIZE_MAX:
            raise EdgeMalformed("a tree has 0 to 2**53 - 1 leaves", size=size)
        if len(data) != HASH_BYTES * size.bit_count():
            raise EdgeMalformed("an edge holds one hash for each bit set in its size", size=size, bytes=len(data))
        return cls(size, tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)))


Edge.EMPTY = Edge(0, ())


def inclusion_root(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` leads to, or raise InclusionProofInvalid for one that cannot fit (rule M2.1).

    The algorithm of RFC 9162, 2.1.3.2, up to its last comparison.
    """
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise InclusionProofInvalid("the index lies outside the tree", index=index, size=size)
    _check_hashes(InclusionProofInvalid, leaf, *proof)
    fn, sn = index, size - 1
    root = leaf
    for sibling in proof:
        if sn == 0:
            raise InclusionProofInvalid("the proof is too long", index=index, size=size, length=len(proof))
        if fn & 1 or fn == sn:
            root = node_hash(sibling, root)
            while fn and not fn & 1:
                fn >>= 1
                sn >>= 1
        else:
            root = node_hash(root, sibling)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise InclusionProofInvalid("the proof is too short", index=index, size=size, length=len(proof))
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if the leaf hash stands at `index` of the tree (size, root), else raise InclusionProofInvalid (M2.1)."""
    if inclusion_root(leaf, index, size, proof) != root:
        raise InclusionProofInvalid("the proof leads to another root", index=index, size=size)


def verify_consistency(m: int, root_m: bytes, n: int, root_n: bytes, proof: Sequence[bytes]) -> None:
    """Return if the tree (m, root_m) is a prefix of (n, root_n), else raise ConsistencyProofInvalid (rule M2.2).

    RFC 9162, 2.1.4.2. Every tree extends the empty one: m = 0 needs no proof
    and proves nothing about n, so the caller must have verified `root_n` some other way.
    """
    if not 0 <= m <= n <= TREE_SIZE_MAX:
        raise ConsistencyProofInvalid("a prefix is not longer than the whole", old=m, new=n)
    _check_hashes(ConsistencyProofInvalid, root_m, root_n, *proof)
    if m in (0, n):
        _check_trivial_consistency(m, root_m, n, root_n, proof)
        return
    rest = list(proof)
    if m & (m - 1) == 0:  # the old tree is one subtree of the new: its root is the proof's first hash
        rest.insert(0, root_m)
    if not rest:
        raise ConsistencyProofInvalid("the proof is empty", old=m, new=n)
    fn, sn = m - 1, n - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old = new = rest[0]
    for sibling in rest[1:]:
        if sn == 0:
            raise ConsistencyProofInvalid("the proof is too long", old=m, new=n, length=len(proof))
        if fn & 1 or fn == sn:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while fn and not fn & 1:
                fn >>= 1
                sn >>= 1
        else:
            new = node_hash(new, sibling)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise ConsistencyProofInvalid("the proof is too short", old=m, new=n, length=len(proof))
    if old != root_m:
        raise ConsistencyProofInvalid("the proof does not lead to the smaller root", old=m, new=n)
    if new != root_n:
        raise ConsistencyProofInvalid("the proof does not lead to the larger root", old=m, new=n)


def _check_trivial_consistency(m: int, root_m: bytes, n: int, root_n: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ConsistencyProofInvalid("nothing is to be proven, yet there is a proof", old=m, new=n)
    if m == 0 and root_m != EMPTY_ROOT:
        raise ConsistencyProofInvalid("the empty tree has the empty root", old=m, new=n)
    if m == n and root_m != root_n:
        raise ConsistencyProofInvalid("one size, two roots", old=m, new=n)


def _check_hashes(error: type[GotongError], *hashes: bytes) -> None:
    if any(len(each) != HASH_BYTES for each in hashes):
        raise error("a hash has 32 bytes")
