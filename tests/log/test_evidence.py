"""Evidence proves that two stories were signed, and nobody who lacks the keys can make any up."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import GotongError
from federation.did import webvh
from federation.did.state import DidState
from federation.did.witness import WITNESS_FILE_BYTES_MAX
from federation.encoding import base64text, canonical
from federation.identity import create
from federation.log import evidence, note
from federation.log.entry import EpochStart
from federation.log.evidence import Side
from federation.log.note import Checkpoint, Note, Signature, Signer
from federation.log.service import LogKey, LogService, StatedHead, log_service
from spec.cases import naive
from spec.cases.keys import private_key, seed

AT = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
NOW = AT + timedelta(days=30)
SIZES = 9
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


class Owner:
    """A participant: its log keys and its identity in three versions: one key, that key retired, another epoch."""

    def __init__(self, name: str) -> None:
        self.keys = [private_key(f"{name} log {number}") for number in range(3)]
        first = create.create(
            create.Place("vectors.gotong.test", None, name), base_url="https://vectors.gotong.test",
            network="test", log_public_key=self._public(0), update_key=self._update(0),
            next_public_key=self._next(1), now=AT,
        )  # fmt: skip
        self.scid = first.scid
        self.leaves = [naive.leaf(f"{name} {number}".encode()) for number in range(SIZES)]
        self.lines = [first.line]
        retired = StatedHead(4, naive.root(self.leaves[:4]))
        old = LogKey("#log-0-0", self._public(0), retired)
        self._next_version(1, LogKey("#log-0-1", self._public(1)), old, epoch=0)

    def _next_version(self, number: int, *keys: LogKey, epoch: int, from_: EpochStart | None = None) -> None:
        service = LogService("https://vectors.gotong.test", "test", epoch, tuple(keys), from_)
        line = create.update(
            self.state(number), update_key=self._update(number), next_public_key=self._next(number + 1),
            now=AT + timedelta(days=number), service=service,
        )  # fmt: skip
        self.lines.append(line)

    def begin_epoch(self) -> None:
        """Recover from a theft: everything signed in epoch 0 is over."""
        from_ = EpochStart(6, naive.root(self.leaves[:6]), self.leaves[0])
        self._next_version(2, LogKey("#log-1-0", self._public(2)), epoch=1, from_=from_)

    def state(self, versions: int | None = None) -> DidState:
        return webvh.verify(self.lines[:versions], now=NOW)

    def origin(self, epoch: int = 0) -> str:
        return f"gotong/{self.scid}/{epoch}"

    def signed(self, size: int, root: bytes, key: Ed25519PrivateKey | None = None, epoch: int = 0) -> bytes:
        signer = Signer(self.origin(epoch), key or self.keys[1])
        return note.sign_checkpoint(Checkpoint(self.origin(epoch), size, root), signer)

    def true(self, size: int, key: int = 1) -> bytes:
        return self.signed(size, naive.root(self.leaves[:size]), self.keys[key])

    def _public(self, number: int) -> bytes:
        return self.keys[number].public_key().public_bytes_raw()

    def _update(self, number: int) -> bytes:
        return seed(f"update {number}")

    def _next(self, number: int) -> bytes:
        return create.public_key(self._update(number))


@cache
def owner() -> Owner:
    return Owner("jujur")


@cache
def recovered() -> Owner:
    made = Owner("pulih")
    made.begin_epoch()
    return made


def forked(left: list[bytes], right: list[bytes], size: int, *, who: Owner | None = None) -> bytes:
    """Return evidence from two trees that the owner signed."""
    someone = who or owner()
    sides = [
        Side(someone.signed(len(each), naive.root(each)), naive.root(each[:size]), tuple(naive.consistency(size, each)))
        for each in (left, right)
    ]
    return evidence.build_fork(someone.lines, None, size, sides)


def code(data: bytes, known: DidState | None = None) -> str:
    with pytest.raises(GotongError) as refused:
        evidence.verify(data, NOW, known)
    return refused.value.code


OTHER = [naive.leaf(f"lain {number}".encode()) for number in range(SIZES)]


@pytest.mark.parametrize(("left", "right", "size"), [(5, 5, 5), (5, 5, 4), (5, 8, 4), (8, 5, 5), (9, 4, 4), (7, 7, 5)])
def test_two_signed_trees_that_differ_at_a_size_are_a_fork(left: int, right: int, size: int) -> None:
    common = owner().leaves[:3]
    one, other = owner().leaves[:left], [*common, *OTHER][:right]
    found = evidence.verify(forked(one, other, size), NOW, owner().state())
    assert (found.kind, found.scid, found.size, found.judged_by) == ("fork", owner().scid, size, 2)


def test_the_two_notes_may_come_in_any_order_and_with_cosignatures() -> None:
    other = [*owner().leaves[:3], *OTHER]
    data = forked(owner().leaves[:5], other[:6], 4)
    assert forked(other[:6], owner().leaves[:5], 4) == data


def test_trees_that_agree_prove_nothing() -> None:
    assert code(forked(owner().leaves[:5], owner().leaves[:8], 5)) == "EVIDENCE_PROVES_NOTHING"
    assert code(forked(owner().leaves[:5], [*owner().leaves[:3], *OTHER][:6], 3)) == "EVIDENCE_PROVES_NOTHING"


def test_a_proof_that_fails_is_no_evidence() -> None:
    true = owner().leaves
    five = Side(owner().true(5), naive.root(true[:5]), ())
    for root, proof in ((bytes(32), naive.consistency(5, true)), (bytes(32), []), (naive.root(true[:5]), [bytes(32)])):
        data = evidence.build_fork(owner().lines, None, 5, [five, Side(owner().true(9), root, tuple(proof))])
        assert code(data) == "CONSISTENCY_PROOF_INVALID"


def test_size_nothing_and_sizes_beyond_a_note_are_refused() -> None:
    data = forked(owner().leaves[:5], [*owner().leaves[:3], *OTHER][:6], 4)
    for size, expected in ((0, "EVIDENCE_MALFORMED"), (7, "CONSISTENCY_PROOF_INVALID")):
        assert code(canonical.encode({**json.loads(data), "size": size})) == expected


def test_a_key_that_was_retired_accuses_nobody_who_says_so() -> None:
    """Whoever stole it can sign any tree; the older identity, in which it still counted, does not help."""
    thief = owner().keys[0]
    sides = [Side(owner().signed(3, each, thief), each, ()) for each in (bytes(32), naive.root(owner().leaves[:3]))]
    for lines in (owner().lines, owner().lines[:1]):
        data = evidence.build_fork(lines, None, 3, sides)
        assert code(data, owner().state()) == "CHECKPOINT_SIGNATURE_INVALID"


def test_an_epoch_that_is_over_accuses_nobody() -> None:
    """The thief of a log key can fork the log it stole for ever; the owner has begun another one."""
    who = recovered()
    data = forked(who.leaves[:5], [*who.leaves[:3], *OTHER][:6], 4, who=who)
    assert code(data) == "EVIDENCE_PAST_EPOCH"
    early = canonical.encode({**json.loads(data), "didLog": [line.decode() for line in who.lines[:2]]})
    assert evidence.verify(early, NOW).judged_by == 2  # all that this reader knows
    assert code(early, who.state()) == "EVIDENCE_PAST_EPOCH"


def test_two_versions_of_one_number_are_a_fork_of_the_identity() -> None:
    who = owner()
    service = log_service(who.state(1))
    other = create.update(
        who.state(1), update_key=who._update(1), next_public_key=who._next(7), now=AT + timedelta(days=1),
        service=service,
    )  # fmt: skip
    data = evidence.build_identity(who.lines, None, other)
    found = evidence.verify(data, NOW, who.state())
    assert (found.kind, found.size, found.scid) == ("identity", 2, who.scid)
    assert evidence.accused(data) == who.scid
    assert code(forked_by(who, [who.lines[0], other]), who.state()) == "EVIDENCE_OTHER_IDENTITY"


def forked_by(who: Owner, lines: list[bytes]) -> bytes:
    sides = [Side(who.signed(3, each, who.keys[0]), each, ()) for each in (bytes(32), bytes(31) + b"1")]
    return evidence.build_fork(lines, None, 3, sides)


def test_one_version_in_two_spellings_is_no_fork() -> None:
    pretty = json.dumps(json.loads(owner().lines[1]), separators=(", ", ": ")).encode()
    assert code(evidence.build_identity(owner().lines, None, pretty)) == "EVIDENCE_PROVES_NOTHING"
    assert code(evidence.build_identity(owner().lines, None, owner().lines[1])) == "EVIDENCE_PROVES_NOTHING"


def test_the_lines_before_have_to_be_there() -> None:
    for lines, other in ((owner().lines[1:], owner().lines[0]), (owner().lines, recovered().lines[1])):
        with pytest.raises(GotongError):
            evidence.verify(evidence.build_identity(lines, None, other), NOW)


# ---- an adversary ----------------------------------------------------------------------------------------------------


@cache
def pool() -> dict[str, list[Any]]:
    """Return what an adversary can lay hands on: all the honest owner ever said, all others said, keys it retired."""
    honest, thief, stranger = owner(), owner().keys[0], Owner("jahat")
    roots = [naive.root(honest.leaves[:size]) for size in range(SIZES + 1)]
    roots += [naive.root([*honest.leaves[:3], *OTHER][:size]) for size in range(4, SIZES)] + [bytes(32)]
    notes = [honest.true(size) for size in range(1, SIZES + 1)]
    notes += [honest.true(size, key=0) for size in range(1, 5)]
    notes += [honest.signed(size, root, thief) for size in (2, 4, 6) for root in roots[-4:]]
    notes += [stranger.signed(size, root) for size in (4, 6) for root in roots[-3:]]
    notes += [honest.signed(size, root, stranger.keys[1]) for size in (4, 6) for root in roots[-3:]]
    notes += [honest.signed(6, roots[-2], thief, epoch=1)]
    notes += [merged(honest.true(6), each) for each in notes[9:]]
    notes += [malleated(honest.true(size)) for size in (4, 6)]
    notes += [relabelled(honest.true(6), 5), relabelled(honest.true(5), 6)]
    trees = [honest.leaves, [*honest.leaves[:3], *OTHER]]
    proofs = [naive.consistency(m, leaves[:n]) for leaves in trees for n in (4, 6, 8, 9) for m in range(1, n)]
    proofs += [each[:-1] for each in proofs if each] + [[*each, bytes(32)] for each in proofs] + [[]]
    lines = [honest.lines, honest.lines[:1], stranger.lines, [honest.lines[0], stranger.lines[1]]]
    others = [*honest.lines, *stranger.lines, resigned(honest.lines[1]), resigned(honest.lines[0])]
    return {"notes": notes, "roots": roots, "proofs": proofs, "lines": lines, "others": others}


def merged(one: bytes, other: bytes) -> bytes:
    """Return the first note with the signatures of the second one too."""
    return note.with_signatures(one, note.parse_note(other).signatures)


def malleated(data: bytes) -> bytes:
    """Return the note with its signature's other spelling, s + L: not what the key ever made."""
    parsed = note.parse_note(data)
    [signature] = parsed.signatures
    s = int.from_bytes(signature.data[32:], "little") + ED25519_ORDER
    other = Signature(signature.name, signature.key_id, signature.data[:32] + s.to_bytes(32, "little"))
    return Note(parsed.text, (other,)).to_bytes()


def relabelled(data: bytes, size: int) -> bytes:
    """Return the note with another size in its text."""
    parsed = note.parse_note(data)
    first, _, rest = parsed.text.split("\n", 2)
    return Note(f"{first}\n{size}\n{rest}", parsed.signatures).to_bytes()


def resigned(line: bytes) -> bytes:
    """Return a DID line with its own proof twice: another line, the same version."""
    entry = json.loads(line)
    entry["proof"] *= 2
    return json.dumps(entry).encode()


picks = st.integers(0, 10_000)


def picked(kind: str, number: int) -> Any:
    found = pool()[kind]
    return found[number % len(found)]


@given(
    lines=picks, notes=st.tuples(picks, picks), roots=st.tuples(picks, picks), proofs=st.tuples(picks, picks),
    size=st.integers(1, SIZES + 1), fit=st.booleans(),
)  # fmt: skip
@example(lines=0, notes=(3, 20), roots=(4, 12), proofs=(0, 0), size=4, fit=True)
@settings(max_examples=1_500)
def test_no_false_accusation_can_be_composed(
    lines: int, notes: tuple[int, int], roots: tuple[int, int], proofs: tuple[int, int], size: int, fit: bool
) -> None:
    """`fit` gives each note the root and proof that belong to it, so that all but the accusation itself is right."""
    sides: list[Any] = []
    for at in (0, 1):
        chosen = picked("notes", notes[at])
        root, proof = picked("roots", roots[at]), picked("proofs", proofs[at])
        if fit:
            stated = note.parse_checkpoint(note.parse_note(chosen).text)
            root, proof = stated.root, []
            size = min(size, stated.size) if at == 0 else stated.size
            if stated.root == naive.root(owner().leaves[: stated.size]) and size <= stated.size:
                root = naive.root(owner().leaves[:size])
                proof = naive.consistency(size, owner().leaves[: stated.size])
        sides.append(
            {"note": chosen.decode(), "root": root.hex(), "proof": [base64text.encode(each) for each in proof]}
        )
    log = [line.decode() for line in picked("lines", lines)]
    data = canonical.encode({"v": 1, "kind": "fork", "didLog": log, "sides": sides, "size": size})
    with pytest.raises(GotongError):
        evidence.verify(data, NOW, owner().state())


@given(lines=picks, other=picks)
def test_no_false_accusation_of_an_identity_can_be_composed(lines: int, other: int) -> None:
    data = evidence.build_identity(picked("lines", lines), None, picked("others", other))
    with pytest.raises(GotongError):
        evidence.verify(data, NOW, owner().state())


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(GotongError):
        evidence.verify(data, NOW)
    with pytest.raises(GotongError):
        evidence.accused(data)


@given(st.data())
@settings(max_examples=200)
def test_evidence_with_anything_changed_is_refused_or_says_the_same(data: Any) -> None:
    genuine = forked(owner().leaves[:5], [*owner().leaves[:3], *OTHER][:6], 4)
    at = data.draw(st.integers(0, len(genuine) - 1))
    changed = genuine[:at] + bytes([genuine[at] ^ data.draw(st.integers(1, 255))]) + genuine[at + 1 :]
    try:
        found = evidence.verify(changed, NOW, owner().state())
    except GotongError:
        return
    assert (found.scid, found.size) == (owner().scid, 4)


def test_the_largest_identity_can_be_accused() -> None:
    lines = [b'"' * webvh.LINE_BYTES_MAX] * (webvh.LOG_BYTES_MAX // webvh.LINE_BYTES_MAX)
    witness = b'"' * WITNESS_FILE_BYTES_MAX
    origin = f"gotong/{Owner('besar').scid}/0"
    side = Side(
        note.sign_checkpoint(Checkpoint(origin, 1, bytes(32)), Signer(origin, private_key("besar log 0"))),
        bytes(32),
        (bytes(32),) * evidence.PROOF_HASHES_MAX,
    )
    fork = evidence.build_fork(lines, witness, 1, [side, side])
    identity = evidence.build_identity(lines, witness, lines[-1])
    assert max(len(fork), len(identity)) <= evidence.EVIDENCE_BYTES_MAX


@pytest.mark.parametrize("scid", ["Qm\0", "", 7, None, {"a": "b"}])
def test_evidence_about_what_is_no_name_is_about_nobody(scid: object) -> None:
    line = json.dumps({"parameters": {"scid": scid}})
    data = canonical.encode({"didLog": [line], "kind": "identity", "other": "", "v": 1})
    with pytest.raises(evidence.EvidenceMalformed):
        evidence.accused(data)
