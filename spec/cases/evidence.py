"""Cases about evidence: two stories under one key, two versions of one number, and what is neither."""

import json
from datetime import timedelta
from typing import Any

from federation.did import webvh
from federation.encoding import canonical
from federation.identity import create
from federation.log import entry, evidence
from federation.log.entry import EpochStart
from federation.log.evidence import Side
from federation.log.note import Checkpoint, Signer, sign_checkpoint
from federation.log.service import LogKey, LogService, StatedHead, log_service
from spec.cases import naive
from spec.cases.keys import AT, ORIGIN, Cases, private_key, public_key, refused, seed, valid
from spec.cases.proofs import CREATED, DID_LEAVES, DID_ORIGIN, STRANGER

_OTHER = [*DID_LEAVES[:3], *(naive.leaf(f"other {number}".encode()) for number in range(4))]
_NOW = entry.instant(AT + timedelta(days=30))
_RETIRED = StatedHead(4, naive.root(DID_LEAVES[:4]))
_FROM = EpochStart(3, naive.root(DID_LEAVES[:3]), DID_LEAVES[0])


def _line(before: list[bytes], number: int, *keys: LogKey, epoch: int = 0, next_: str = "") -> bytes:
    state = webvh.verify(before, now=AT + timedelta(days=20))
    service = LogService("https://vectors.gotong.test", "test", epoch, keys, _FROM if epoch else None)
    return create.update(
        state,
        update_key=seed(f"update {number}"),
        next_public_key=create.public_key(seed(f"update {number + 1}{next_}")),
        now=AT + timedelta(days=number),
        service=service if keys else log_service(state),
    )


_FIRST = [CREATED.line]
_ROTATED = [
    *_FIRST,
    _line(_FIRST, 1, LogKey("#log-0-0", public_key("log"), _RETIRED), LogKey("#log-0-1", public_key("old log"))),
]
_RECOVERED = [*_FIRST, _line(_FIRST, 1, LogKey("#log-1-0", public_key("old log")), epoch=1)]


def _side(leaves: list[bytes], total: int, size: int, key: str = "log") -> Side:
    checkpoint = Checkpoint(DID_ORIGIN, total, naive.root(leaves[:total]))
    note = sign_checkpoint(checkpoint, Signer(DID_ORIGIN, private_key(key)))
    return Side(note, naive.root(leaves[:size]), tuple(naive.consistency(size, leaves[:total])))


def _fork(left: int = 5, right: int = 6, size: int = 4, lines: list[bytes] | None = None) -> bytes:
    return evidence.build_fork(lines or _FIRST, None, size, [_side(DID_LEAVES, left, size), _side(_OTHER, right, size)])


def _given(data: bytes, known: list[bytes] | None = None) -> dict[str, Any]:
    lines = None if known is None else [line.decode() for line in known]
    return {"evidence": data.decode(), "now": _NOW, "known": lines}


def _with(data: bytes, **changes: Any) -> bytes:
    return canonical.encode({**json.loads(data), **changes})


def cases() -> Cases:
    """Yield the cases of evidence.py."""
    name = "verify_evidence"
    good = _fork()
    yield valid(name, "fork", "the trees part after three entries", **_given(good, _FIRST))
    yield valid(name, "one-size", "two roots of one size", **_given(_fork(5, 5, 5), _FIRST))
    yield valid(name, "shorter-note", "one note is of the very size they differ at", **_given(_fork(7, 4, 4), _FIRST))
    yield valid(name, "nothing-known", "judged by what it brings along", **_given(good))
    version = evidence.build_identity(_ROTATED, None, _RECOVERED[1])
    yield valid(name, "identity", "two second versions", **_given(version, _FIRST))
    for error, case, about, data, known in (*_nothing(good), *_outdated(good), *_malformed(good)):
        yield refused(name, error, case, about, **_given(data, known))
    large = {"repeat": " ", "times": evidence.EVIDENCE_BYTES_MAX + 1}
    yield refused(name, "EVIDENCE_TOO_LARGE", "too-large", "11 MiB at most", evidence=large, now=_NOW, known=None)


_Broken = list[tuple[str, str, str, bytes, list[bytes] | None]]


def _nothing(good: bytes) -> _Broken:
    sides = json.loads(good)["sides"]
    same = evidence.build_fork(_FIRST, None, 4, [_side(DID_LEAVES, 5, 4), _side(DID_LEAVES, 6, 4)])
    common = evidence.build_fork(_FIRST, None, 3, [_side(DID_LEAVES, 5, 3), _side(_OTHER, 6, 3)])
    thief = evidence.build_fork(_FIRST, None, 4, [_side(DID_LEAVES, 5, 4), _side(_OTHER, 6, 4, "thief")])
    invented = [sides[0], {**sides[1], "root": bytes(32).hex()}]
    spelled = json.dumps(json.loads(CREATED.line)).encode()
    stranger = evidence.build_identity(_FIRST, None, STRANGER.line)
    nothing, proof = "EVIDENCE_PROVES_NOTHING", "CONSISTENCY_PROOF_INVALID"
    return [
        (nothing, "one-story", "two notes of one tree", same, _FIRST),
        (nothing, "common-prefix", "the trees agree at that size", common, _FIRST),
        (nothing, "other-participant", "the first line of somebody else", stranger, None),
        (nothing, "one-version", "one version in two spellings", evidence.build_identity(_FIRST, None, spelled), None),
        (proof, "root-invented", "a root that no note leads to", _with(good, sides=invented), _FIRST),
        (
            proof,
            "proof-missing",
            "a failed proof proves nothing",
            _with(good, sides=[_cut(sides[0]), sides[1]]),
            _FIRST,
        ),
        (proof, "size-beyond", "beyond the smaller note", _with(good, size=6), _FIRST),
        ("CHECKPOINT_SIGNATURE_INVALID", "not-the-log", "a key the log does not have", thief, _FIRST),
    ]


def _cut(side: dict[str, Any]) -> dict[str, Any]:
    return {**side, "proof": side["proof"][:-1]}


def _outdated(good: bytes) -> _Broken:
    elsewhere = good.replace(f"{DID_ORIGIN}\\n".encode(), f"{ORIGIN}\\n".encode())
    return [
        ("CHECKPOINT_SIGNATURE_INVALID", "key-retired", "who stole it signs what it likes", good, _ROTATED),
        ("EVIDENCE_PAST_EPOCH", "epoch-over", "the owner has begun another epoch", good, _RECOVERED),
        ("EVIDENCE_PAST_EPOCH", "other-log", "the notes are somebody else's", elsewhere, _FIRST),
        ("EVIDENCE_OTHER_IDENTITY", "other-identity", "known otherwise", _fork(lines=_RECOVERED), _ROTATED),
    ]


def _malformed(good: bytes) -> _Broken:
    malformed = "EVIDENCE_MALFORMED"
    return [
        (malformed, "not-json", "text", b"gotong", None),
        (malformed, "pretty", "canonical bytes only", json.dumps(json.loads(good), indent=1).encode(), None),
        (malformed, "size-0", "all trees agree at 0", _with(good, size=0), None),
        (malformed, "one-side", "it takes two", _with(good, sides=json.loads(good)["sides"][:1]), None),
        (malformed, "member-unknown", "exactly these members", _with(good, guilty=True), None),
        (malformed, "kind-unknown", "fork or identity", _with(good, kind="rumour"), None),
        (
            "DID_VERSION_OUT_OF_ORDER",
            "did-log-cut",
            "the DID log is whole",
            _with(good, didLog=[_ROTATED[1].decode()]),
            None,
        ),
    ]
