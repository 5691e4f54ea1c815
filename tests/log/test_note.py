"""Signed notes, checkpoints and cosignatures: what the specification's own examples say, and what tampering does."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from federation.log import note
from federation.log.merkle import EMPTY_ROOT
from federation.log.note import (
    Checkpoint,
    CheckpointMalformed,
    CheckpointSignatureInvalid,
    CheckpointWrongOrigin,
    CosignatureInvalid,
    KeyType,
    NoteMalformed,
    NoteSignatureInvalid,
    Signature,
    Signer,
    Verifier,
    VkeyMalformed,
)

NAME = "gotong/log"
SIGNER = Signer(NAME, Ed25519PrivateKey.from_private_bytes(b"1" * 32))
COSIGNER = Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"2" * 32), KeyType.COSIGNATURE_V1)
PUBLIC = SIGNER.verifier().public
CHECKPOINT = Checkpoint(NAME, 5, b"r" * 32)
SIGNED = note.sign_checkpoint(CHECKPOINT, SIGNER)

SPECIFICATION_NOTE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_the_specifications_example_is_taken_apart_and_put_together() -> None:
    parsed = note.parse_note(SPECIFICATION_NOTE.encode())
    assert parsed.to_bytes().decode() == SPECIFICATION_NOTE
    assert note.parse_checkpoint(parsed.text).size == 20852163
    assert [each.name for each in parsed.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(parsed.signatures[1].data[:8], "big") == 1679315147  # the time of its cosigned text


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=60), st.booleans())
def test_any_text_signed_is_opened_again(text: str, empty_line: bool) -> None:
    whole = text + ("\n\n" if empty_line else "\n")
    opened = note.verify(note.sign(whole, SIGNER), [SIGNER.verifier()])
    assert opened.text == whole
    assert opened.signed_by == (SIGNER.verifier(),)


@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(at: int, bit: int) -> None:
    tampered = bytes([*SIGNED[:at], SIGNED[at] ^ 1 << bit, *SIGNED[at + 1 :]])
    refusals = (NoteMalformed, CheckpointMalformed, CheckpointSignatureInvalid, CheckpointWrongOrigin)
    with pytest.raises(refusals):
        note.verify_checkpoint(tampered, NAME, [PUBLIC])


@given(st.binary(max_size=200))
def test_garbage_is_no_note(data: bytes) -> None:
    with pytest.raises((NoteMalformed, NoteSignatureInvalid)):
        note.verify(data, [SIGNER.verifier()])


@pytest.mark.parametrize("text", ["no newline", "", "a\tb\n", "a\x00\n"])
def test_a_text_that_is_no_notes_is_not_signed(text: str) -> None:
    with pytest.raises(NoteMalformed):
        note.sign(text, SIGNER)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\u0085b", "a\nb", "a\x01b"])
def test_a_key_is_not_named_so(name: str) -> None:
    with pytest.raises(VkeyMalformed):
        Verifier(name, PUBLIC)


def test_a_vkey_and_its_key_stand_for_each_other() -> None:
    for verifier in (SIGNER.verifier(), COSIGNER.verifier()):
        assert note.parse_vkey(verifier.vkey()) == verifier


def test_the_same_key_under_another_type_or_name_has_another_id() -> None:
    ids = {Verifier(name, PUBLIC, key_type).key_id for name in ("a.example", "b.example") for key_type in KeyType}
    assert len(ids) == 4


def test_a_signature_twice_is_one_signer() -> None:
    [line] = note.parse_note(SIGNED).signatures
    doubled = note.Note(note.parse_note(SIGNED).text, (line, line)).to_bytes()
    assert note.verify(doubled, [SIGNER.verifier()]).signed_by == (SIGNER.verifier(),)
    assert note.with_signatures(SIGNED, [line]) == SIGNED


def test_a_note_with_64_signatures_is_opened_and_with_65_not() -> None:
    others = [Signature(f"w{n}", b"abcd", bytes(64)) for n in range(63)]
    full = note.with_signatures(SIGNED, others)
    assert note.verify_checkpoint(full, NAME, [PUBLIC]) == CHECKPOINT
    with pytest.raises(NoteMalformed):
        note.with_signatures(full, [Signature("one-more", b"abcd", bytes(64))])
    with pytest.raises(NoteMalformed):
        note.parse_note(full + Signature("one-more", b"abcd", bytes(64)).line().encode())


def test_a_note_as_large_as_allowed_is_opened() -> None:
    room = note.NOTE_BYTES_MAX - len(note.sign("\n", SIGNER))
    data = note.sign("a" * room + "\n", SIGNER)
    assert len(data) == note.NOTE_BYTES_MAX
    assert note.verify(data, [SIGNER.verifier()]).text == "a" * room + "\n"


def test_a_log_signs_only_under_its_own_name() -> None:
    with pytest.raises(CheckpointWrongOrigin):
        note.sign_checkpoint(CHECKPOINT, Signer("gotong/other", SIGNER.private))


@pytest.mark.parametrize(
    "checkpoint",
    [Checkpoint(NAME, -1, b"r" * 32), Checkpoint(NAME, 2**53, b"r" * 32), Checkpoint(NAME, 1, b"r" * 31)],
)
def test_what_is_no_checkpoint_is_not_signed(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointMalformed):
        note.sign_checkpoint(checkpoint, SIGNER)


@given(st.integers(1, 2**53 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_and_its_text_stand_for_each_other(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(NAME, size, root)
    assert note.parse_checkpoint(note.checkpoint_text(checkpoint)) == checkpoint
    assert note.verify_checkpoint(note.sign_checkpoint(checkpoint, SIGNER), NAME, [PUBLIC]) == checkpoint


def test_the_empty_log_has_a_checkpoint() -> None:
    empty = Checkpoint(NAME, 0, EMPTY_ROOT)
    assert note.verify_checkpoint(note.sign_checkpoint(empty, SIGNER), NAME, [PUBLIC]) == empty


def test_the_keys_that_signed_are_told() -> None:
    other = Signer(NAME, COSIGNER.private)
    [line] = note.parse_note(note.sign_checkpoint(CHECKPOINT, other)).signatures
    both = note.with_signatures(SIGNED, [line])
    keys = [other.verifier().public, bytes(range(32)), PUBLIC]
    assert note.checkpoint_and_keys(both, NAME, keys) == (CHECKPOINT, [PUBLIC, other.verifier().public])


def test_a_cosignature_is_made_and_verified() -> None:
    text = note.checkpoint_text(CHECKPOINT)
    cosigned = note.with_signatures(SIGNED, [note.cosign(text, COSIGNER, 1679315147)])
    assert note.verify_cosignature(cosigned, COSIGNER.name, COSIGNER.verifier().public) == 1679315147
    assert note.verify_checkpoint(cosigned, NAME, [PUBLIC]) == CHECKPOINT


def test_a_cosignature_does_not_move_to_another_checkpoint() -> None:
    cosignature = note.cosign(note.checkpoint_text(CHECKPOINT), COSIGNER, 1679315147)
    other = note.with_signatures(note.sign_checkpoint(Checkpoint(NAME, 6, b"r" * 32), SIGNER), [cosignature])
    with pytest.raises(CosignatureInvalid):
        note.verify_cosignature(other, COSIGNER.name, COSIGNER.verifier().public)


@pytest.mark.parametrize("at_s", [-1, 2**63])
def test_a_cosignature_has_a_time(at_s: int) -> None:
    with pytest.raises(CosignatureInvalid):
        note.cosign(note.checkpoint_text(CHECKPOINT), COSIGNER, at_s)
