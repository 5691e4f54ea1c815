"""The proof of one record: it holds as built, and no part of it may be touched."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import GotongError
from federation.did.webvh import verify as verify_did
from federation.identity import create
from federation.log import entry, proof
from federation.log.note import Checkpoint, Signer, sign_checkpoint
from federation.log.service import LogKey, LogService, StatedHead
from spec.cases import naive
from spec.cases.batches import PAYLOAD, small_log
from spec.cases.keys import AT, private_key, public_key, salt, seed
from spec.cases.proofs import CREATED, DID_ENTRIES, DID_LEAVES, DID_ORIGIN, proof_bundle
from spec.did.case import parameter, rule
from spec.did.writer import NOW, Writer
from spec.did.writer import seed as did_seed

SIZE = 7
INDEX = 4
LINE = CREATED.line
GOOD = proof_bundle(INDEX)
BRIDGED = proof_bundle(INDEX, bridge=5)
NOT_SAID = [proof.NOTHING_NEWER, proof.NOTHING_DERIVED, proof.NOT_TRUE]


def test_a_bundle_proves_the_record_and_says_what_it_does_not() -> None:
    found = proof.check(GOOD, AT)
    assert found.uri == f"gotong:{CREATED.scid}/need/{found.entry.id}"
    assert (found.did, found.network, found.index) == (CREATED.did, "test", INDEX)
    assert (found.leaf, found.checkpoint) == (DID_LEAVES[INDEX], Checkpoint(DID_ORIGIN, SIZE, naive.root(DID_LEAVES)))
    assert found.body is not None
    assert len(found.proven) == 2
    assert list(found.not_proven) == NOT_SAID


def test_a_bundle_without_its_body_says_so() -> None:
    found = proof.check(proof_bundle(INDEX, payload=None), AT)
    assert found.body is None
    assert list(found.not_proven) == [*NOT_SAID, proof.NOT_THE_BODY]


def test_every_entry_is_proven_from_every_tree_it_is_in() -> None:
    for size in range(1, SIZE + 1):
        for index in range(size):
            payload = None if index == 0 else PAYLOAD
            assert proof.check(proof_bundle(index, size=size, payload=payload), AT).index == index
            for bridge in range(index + 1, size):
                bridged = proof_bundle(index, size=size, bridge=bridge, payload=payload)
                assert proof.check(bridged, AT).checkpoint.size == size


@settings(max_examples=300)
@given(st.sampled_from([GOOD, BRIDGED]), st.data())
def test_no_changed_character_is_accepted_unless_it_means_the_same(bundle: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(bundle) - 1))
    changed = bundle[:at] + data.draw(st.sampled_from('0aZ +-."{[\n')) + bundle[at + 1 :]
    try:
        found = proof.check(changed, AT)
    except GotongError:
        return
    assert found == proof.check(bundle, AT)


@pytest.mark.parametrize("bundle", [GOOD, BRIDGED])
def test_every_part_is_needed(bundle: str) -> None:
    members = json.loads(bundle)
    for name in members:
        with pytest.raises(GotongError):
            proof.check(_text({each: value for each, value in members.items() if each != name}), AT)
        for wrong in (None, 7, [], {}, "", ["x"], {"x": 1}):
            if wrong != members[name]:
                with pytest.raises(GotongError):
                    proof.check(_text({**members, name: wrong}), AT)


def _text(members: Any) -> str:
    return json.dumps(members, ensure_ascii=False)


def test_a_record_of_another_participant_is_not_proven_by_this_ones_log() -> None:
    thief = Signer(DID_ORIGIN, private_key("thief"))
    forged = sign_checkpoint(Checkpoint(DID_ORIGIN, SIZE, naive.root(DID_LEAVES)), thief)
    bundle = proof.build(
        index=INDEX,
        header=DID_ENTRIES[INDEX],
        inclusion=naive.inclusion(INDEX, DID_LEAVES),
        checkpoint=forged,
        did_log=[LINE],
    )
    with pytest.raises(GotongError) as refusal:
        proof.check(bundle, AT)
    assert refusal.value.code == "CHECKPOINT_SIGNATURE_INVALID"


def test_a_retired_key_proves_only_the_tree_it_was_retired_at() -> None:
    root = naive.root(DID_LEAVES)
    later = AT + timedelta(days=1)
    retired = LogKey("#log-0-0", public_key("log"), StatedHead(SIZE, root))
    keys = (retired, LogKey("#log-0-1", public_key("new log")))
    line = create.update(
        verify_did([LINE], now=AT),
        update_key=seed("update 1"),
        next_public_key=create.public_key(seed("update 2")),
        now=later,
        service=LogService("https://vectors.gotong.test", "test", 0, keys),
    )
    newer = [LINE.decode(), line.decode()]
    assert proof.check(_text({**json.loads(GOOD), "didLog": newer}), later).index == INDEX
    smaller = _text({**json.loads(proof_bundle(INDEX, size=6)), "didLog": newer})
    with pytest.raises(GotongError) as refusal:
        proof.check(smaller, later)
    assert refusal.value.code == "CHECKPOINT_KEY_RETIRED"


def test_a_witnessed_did_needs_its_witness_file() -> None:
    writer = Writer().first(parameter("witness", rule(1, 20)))
    origin = entry.origin(writer.scid, 0)
    log = small_log(writer.scid, SIZE)
    leaves = [naive.leaf(each) for each in log]
    signer = Signer(origin, Ed25519PrivateKey.from_private_bytes(did_seed(10)))
    bundle = proof.build(
        index=INDEX,
        header=log[INDEX],
        inclusion=naive.inclusion(INDEX, leaves),
        checkpoint=sign_checkpoint(Checkpoint(origin, SIZE, naive.root(leaves)), signer),
        did_log=writer.lines,
        did_witness=writer.witnessed((1, 20)).encode(),
    )
    now = entry.parse_instant(NOW)
    assert proof.check(bundle, now).scid == writer.scid
    alone = {name: value for name, value in json.loads(bundle).items() if name != "didWitness"}
    with pytest.raises(GotongError) as refusal:
        proof.check(_text(alone), now)
    assert refusal.value.code.startswith("DID_WITNESS")


def test_a_did_that_is_no_gotong_participants_proves_nothing() -> None:
    writer = Writer().first(parameter("portable", False))
    assert verify_did(writer.lines, now=entry.parse_instant(NOW)).scid == writer.scid
    log = small_log(writer.scid, 1)
    origin = entry.origin(writer.scid, 0)
    signer = Signer(origin, Ed25519PrivateKey.from_private_bytes(did_seed(10)))
    signed = sign_checkpoint(Checkpoint(origin, 1, naive.leaf(log[0])), signer)
    bundle = proof.build(index=0, header=log[0], inclusion=[], checkpoint=signed, did_log=writer.lines)
    with pytest.raises(GotongError) as refusal:
        proof.check(bundle, entry.parse_instant(NOW))
    assert refusal.value.code == "DID_NOT_PORTABLE"


def test_a_did_log_dated_after_the_readers_clock_is_refused() -> None:
    with pytest.raises(GotongError) as refusal:
        proof.check(GOOD, AT - timedelta(days=1))
    assert refusal.value.code == "DID_TIME_IN_FUTURE"


def test_the_bundle_is_compact_json_with_the_named_members() -> None:
    members = json.loads(BRIDGED)
    assert list(members) == ["v", "tlogProof", "header", "core", "salt", "payload", "didLog", "bridge"]
    assert members["tlogProof"].startswith("c2sp.org/tlog-proof@v1\nindex 4\n")
    assert members["salt"] == salt("4").hex()
    assert len(GOOD) < 6000
