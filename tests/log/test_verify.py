"""The gate: batches of any cut are accepted, nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import GotongError
from federation.log import entry, tiles, verify
from federation.log.merkle import Edge, leaf_hash
from federation.log.note import Checkpoint
from federation.log.verify import Batch, BatchTooLarge, BeyondCheckpoint, Head, NotAPrefix, Received
from spec.cases import naive
from spec.cases.keys import AT, GENESIS_ID, ORIGIN, SCID, record_id

SALT = b"s" * 16
PAYLOAD = b'{"title":"Beras"}'
SIZE = 300
LOG = [
    Received(entry.genesis(SCID, 0, "test", AT, GENESIS_ID)),
    *(
        Received(
            entry.build(type="need", id=record_id(n), at=AT, core={"n": n}, body=entry.commit(SALT, PAYLOAD)),
            SALT,
            PAYLOAD,
        )
        for n in range(1, SIZE)
    ),
]
LEAVES = [leaf_hash(each.data) for each in LOG]


def _head(size: int) -> Head:
    return Head(ORIGIN, Edge.EMPTY.appended(LEAVES[:size]))


def _target(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, naive.root(LEAVES[:size]))


def _batch(old: int, new: int, target: int) -> Batch:
    return Batch(LOG[old:new], _target(target), naive.consistency(new, LEAVES[:target]))


@given(st.lists(st.integers(0, SIZE), min_size=3, max_size=3).map(sorted))
def test_a_batch_may_begin_and_end_anywhere_under_its_checkpoint(cuts: list[int]) -> None:
    old, new, target = cuts
    accepted = verify.check_batch(_head(old), "test", _batch(old, new, target))
    assert accepted.head == _head(new)
    assert [each.index for each in accepted.entries] == list(range(old, new))
    assert [each.leaf for each in accepted.entries] == LEAVES[old:new]
    assert [(each.level, each.n) for each in accepted.tile_hashes] == tiles.completed_nodes(old, new)
    batch = _batch(old, new, target)
    assert verify.extend(_head(old), [each.data for each in LOG[old:new]], batch.target, batch.proof) == _head(new)


@given(st.integers(1, 60), st.integers(0, 59), st.integers(0, 500))
def test_a_changed_byte_in_any_entry_refuses_the_batch(size: int, which: int, at: int) -> None:
    received = list(LOG[:size])
    data = received[which % size].data
    place = at % len(data)
    received[which % size] = Received(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(NotAPrefix):
        verify.check_batch(_head(0), "test", Batch(received, _target(size)))


def test_a_log_is_pulled_in_batches_to_the_same_head() -> None:
    head = _head(0)
    for end in (1, 17, 17, 256, 299, SIZE):
        head = verify.check_batch(head, "test", _batch(head.edge.size, end, SIZE)).head
    assert head.edge.root() == _target(SIZE).root


def test_a_fork_is_no_prefix_at_any_size() -> None:
    fork = [*LEAVES[:40], *(leaf_hash(b"%d" % n) for n in range(40, SIZE))]
    for end in range(41, 60):
        forked = Checkpoint(ORIGIN, SIZE, naive.root(fork))
        for proof in (naive.consistency(end, LEAVES), naive.consistency(end, fork)):
            with pytest.raises(NotAPrefix):
                verify.check_batch(_head(30), "test", Batch(LOG[30:end], forked, proof))


def test_a_batch_after_its_checkpoint_is_refused() -> None:
    with pytest.raises(BeyondCheckpoint):
        verify.check_batch(_head(3), "test", Batch(LOG[3:6], _target(5)))


def test_a_batch_as_large_as_allowed_is_looked_at_and_a_larger_one_is_not() -> None:
    most = [Received(b"")] * verify.ENTRIES_PER_BATCH_MAX
    with pytest.raises(BeyondCheckpoint):
        verify.check_batch(_head(0), "test", Batch(most, _target(5)))
    with pytest.raises(BatchTooLarge):
        verify.check_batch(_head(0), "test", Batch([*most, Received(b"")], _target(5)))
    body = [Received(b"", SALT, bytes(verify.BATCH_BYTES_MAX // 2))] * 2
    with pytest.raises(BeyondCheckpoint):
        verify.check_batch(_head(0), "test", Batch(body, _target(1)))
    with pytest.raises(BatchTooLarge):
        verify.check_batch(_head(0), "test", Batch([*body, Received(b"x")], _target(1)))


def test_the_refusal_says_which_entry() -> None:
    received = [*LOG[:3], Received(LOG[3].data, SALT, PAYLOAD + b" ")]
    with pytest.raises(GotongError) as refusal:
        verify.check_entries(ORIGIN, "test", 0, received)
    assert refusal.value.code == "PAYLOAD_COMMITMENT_MISMATCH"
    assert refusal.value.details["index"] == 3


def test_bodies_are_parsed_once_and_missing_ones_are_none() -> None:
    verified = verify.check_entries(ORIGIN, "test", 3, [LOG[3], Received(LOG[4].data)])
    assert [each.body for each in verified] == [{"title": "Beras"}, None]


def test_an_entry_of_a_newer_version_passes_the_gate() -> None:
    data = LOG[3].data.replace(b'"op":"put"', b'"op":"merge"').replace(b'"v":1', b'"v":7,"w":1')
    [verified] = verify.check_entries(ORIGIN, "test", 3, [Received(data)])
    assert verified.entry.unknown


def test_an_entry_dated_far_ahead_passes_the_gate() -> None:
    data = entry.build(type="need", id=record_id(1), at=AT.replace(year=2099))
    assert verify.check_entries(ORIGIN, "test", 9, [Received(data)])
