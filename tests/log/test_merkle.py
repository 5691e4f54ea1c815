"""The Merkle tree against its definition, and proofs against every way to get them wrong."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.log.merkle import (
    EMPTY_ROOT,
    ConsistencyProofInvalid,
    Edge,
    EdgeMalformed,
    InclusionProofInvalid,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from spec.cases import naive

LEAVES = [leaf_hash(b"%d" % index) for index in range(600)]
SMALL = 70
ROOTS = [naive.root(LEAVES[:size]) for size in range(SMALL + 1)]


def test_hashes_are_those_of_the_naive_tree() -> None:
    assert leaf_hash(b"gotong") == naive.leaf(b"gotong")
    assert node_hash(LEAVES[0], LEAVES[1]) == naive.root(LEAVES[:2])
    assert Edge.EMPTY.root() == EMPTY_ROOT == naive.root([])


@given(st.lists(st.integers(0, 90), max_size=8))
def test_an_edge_grown_in_any_batches_has_the_naive_root(batches: list[int]) -> None:
    edge = Edge.EMPTY
    for count in batches:
        edge = edge.appended((LEAVES * 2)[edge.size : edge.size + count])
    assert edge.size == sum(batches)
    assert edge.root() == naive.root((LEAVES * 2)[: edge.size])
    assert edge == Edge.EMPTY.appended((LEAVES * 2)[: edge.size])
    assert Edge.from_bytes(edge.size, edge.to_bytes()) == edge


@given(st.integers(0, 300), st.integers(0, 300))
def test_growing_reports_every_perfect_subtree_it_completed(old: int, more: int) -> None:
    runs = Edge.EMPTY.appended(LEAVES[:old]).grown(LEAVES[old : old + more])[1]
    reported = {(run.height, run.first + at): each for run in runs for at, each in enumerate(run.hashes)}
    expected = {
        (height, index): naive.root(LEAVES[index << height : (index + 1) << height])
        for height in range(10)
        for index in range(old >> height, (old + more) >> height)
    }
    assert reported == expected


@pytest.mark.parametrize(("size", "data"), [(1, b""), (2, b"x" * 64), (3, b"x" * 65), (-1, b""), (2**53, b"x" * 32)])
def test_a_damaged_edge_is_refused(size: int, data: bytes) -> None:
    with pytest.raises(EdgeMalformed):
        Edge.from_bytes(size, data)


def test_every_inclusion_proof_of_small_trees_holds_and_no_other_index_or_size_does() -> None:
    for size in range(1, SMALL + 1):
        for index in range(size):
            proof = naive.inclusion(index, LEAVES[:size])
            verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            for other in {index - 1, index + 1, size, 0} - {index}:
                with pytest.raises(InclusionProofInvalid):
                    verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size])


def test_every_consistency_proof_of_small_trees_holds_and_no_mutation_does() -> None:
    pick = random.Random(20260314)
    for n in range(SMALL + 1):
        for m in range(n + 1):
            proof = naive.consistency(m, LEAVES[:n])
            verify_consistency(m, ROOTS[m], n, ROOTS[n], proof)
            for wrong in _mutations(pick, proof):
                with pytest.raises(ConsistencyProofInvalid):
                    verify_consistency(m, ROOTS[m], n, ROOTS[n], wrong)
            if m and m < n:
                with pytest.raises(ConsistencyProofInvalid):
                    verify_consistency(m, ROOTS[m - 1], n, ROOTS[n], proof)
                with pytest.raises(ConsistencyProofInvalid):
                    verify_consistency(m, ROOTS[m], n, ROOTS[n - 1], proof)


def _mutations(pick: random.Random, proof: list[bytes]) -> list[list[bytes]]:
    longer = [[*proof, LEAVES[0]], [LEAVES[0], *proof]]
    if not proof:
        return longer
    at = pick.randrange(len(proof))
    flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
    changed = [[*proof[:at], each, *proof[at + 1 :]] for each in (flipped, proof[at][:-1], b"")]
    return [*longer, *changed, proof[:-1], proof[1:]]


@given(st.integers(1, 600), st.data())
def test_a_mutated_inclusion_proof_never_holds(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = naive.inclusion(index, LEAVES[:size])
    root = naive.root(LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, proof, root)
    for wrong in _mutations(random.Random(index), proof):
        with pytest.raises(InclusionProofInvalid):
            verify_inclusion(LEAVES[index], index, size, wrong, root)


@given(st.integers(2, 600), st.data())
def test_consistency_of_larger_trees(n: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(1, n))
    proof = naive.consistency(m, LEAVES[:n])
    verify_consistency(m, naive.root(LEAVES[:m]), n, naive.root(LEAVES[:n]), proof)
    fork = [*LEAVES[: m - 1], leaf_hash(b"fork")]
    with pytest.raises(ConsistencyProofInvalid):
        verify_consistency(m, naive.root(fork), n, naive.root(LEAVES[:n]), proof)


@given(
    st.integers(-3, 2**53 + 3), st.integers(-3, 2**53 + 3), st.lists(st.binary(min_size=32, max_size=32), max_size=70)
)
def test_garbage_is_refused_and_never_crashes(a: int, b: int, proof: list[bytes]) -> None:
    with pytest.raises(InclusionProofInvalid):
        verify_inclusion(LEAVES[0], a, b, proof, bytes(32))
    with pytest.raises(ConsistencyProofInvalid):
        verify_consistency(a, bytes(32), b, b"\x01" * 32, proof)
