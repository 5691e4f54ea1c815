"""Cases about the self-contained proof of one record: whole, and with every part broken."""

import json
from typing import Any

from federation.identity import create
from federation.log import entry, proof
from federation.log.note import Checkpoint, Signer, sign_checkpoint
from spec.cases import naive
from spec.cases.batches import PAYLOAD, small_log
from spec.cases.keys import AT, ORIGIN, Cases, private_key, public_key, refused, salt, seed, valid

CREATED = create.create(
    create.Place("vectors.gotong.test", None, "dapur"),
    base_url="https://vectors.gotong.test",
    network="test",
    log_public_key=public_key("log"),
    update_key=seed("update 0"),
    next_public_key=create.public_key(seed("update 1")),
    now=AT,
)
STRANGER = create.create(
    create.Place("vectors.gotong.test", None, "orang-lain"),
    base_url="https://vectors.gotong.test",
    network="test",
    log_public_key=public_key("other"),
    update_key=seed("update 0"),
    next_public_key=create.public_key(seed("update 1")),
    now=AT,
)
DID_ORIGIN = entry.origin(CREATED.scid, 0)
DID_ENTRIES = small_log(CREATED.scid, 7)
DID_LEAVES = [naive.leaf(each) for each in DID_ENTRIES]
_NOW = entry.instant(AT)


def proof_bundle(index: int = 4, *, size: int = 7, bridge: int | None = None, payload: bytes | None = PAYLOAD) -> str:
    """Return the proof of one entry of the small log, in a tree of `size`, by way of one of `bridge`."""
    root = naive.root(DID_LEAVES[:size])
    way = None if bridge is None else proof.Bridge(bridge, tuple(naive.consistency(bridge, DID_LEAVES[:size])))
    return proof.build(
        index=index,
        header=DID_ENTRIES[index],
        inclusion=naive.inclusion(index, DID_LEAVES[: bridge or size]),
        checkpoint=sign_checkpoint(Checkpoint(DID_ORIGIN, size, root), Signer(DID_ORIGIN, private_key("log"))),
        did_log=[CREATED.line],
        salt=None if payload is None else salt(f"{index}"),
        payload=payload,
        bridge=way,
    )


def cases() -> Cases:
    """Yield the cases of proof.py."""
    name = "check_proof"
    good, bridged = proof_bundle(), proof_bundle(bridge=5)
    yield valid(name, "record", "an entry of seven with its body", bundle=good, now=_NOW)
    yield valid(name, "bridge", "by way of a tree of five", bundle=bridged, now=_NOW)
    yield valid(name, "erased", "without its body", bundle=proof_bundle(payload=None), now=_NOW)
    floating = good.replace('"core":{"n":4}', '"core":{"n":4.0}')
    yield valid(name, "core-float", "4.0 is 4 in canonical form", bundle=floating, now=_NOW)
    yield valid(name, "genesis", "the first entry", bundle=proof_bundle(0, payload=None), now=_NOW)
    pretty = json.dumps(json.loads(good), indent=2)
    yield valid(name, "pretty-printed", "layout does not matter", bundle=pretty, now=_NOW)
    for error, case, about, bundle in (*_broken_bundles(good), *_broken_bridges(bridged), *_broken_parts(good)):
        yield refused(name, error, case, about, bundle=bundle, now=_NOW)
    large = {"repeat": " ", "times": 4 * 1024 * 1024 + 1}
    yield refused(name, "PROOF_TOO_LARGE", "too-large", "4 MiB at most", bundle=large, now=_NOW)


Broken = list[tuple[str, str, str, str]]


def _with(text: str, **members: Any) -> str:
    return json.dumps({**json.loads(text), **members}, ensure_ascii=False, separators=(",", ":"))


def _broken_bundles(good: str) -> Broken:
    error = "PROOF_MALFORMED"
    without = {name: value for name, value in json.loads(good).items() if name != "salt"}
    return [
        (error, "not-json", "cut", good[:-1]),
        (error, "not-an-object", "a list", "[]"),
        (error, "version-2", "a newer version", _with(good, v=2)),
        (error, "member-missing", "null is said, not left out", json.dumps(without)),
        (error, "member-more", "nothing else", _with(good, note="trust me")),
        (error, "repeated-key", "which one counts?", good.replace('"v":1', '"v":1,"v":1')),
        (error, "no-did-log", "who is it?", _with(good, didLog=[])),
        (error, "core-changed", "core repeats the entry's", _with(good, core={"n": 5})),
        (error, "core-decimal", "4.5 is not 4", _with(good, core={"n": 4.5})),
        (error, "core-missing", "core repeats the entry's", _with(good, core={})),
        (error, "salt-capitals", "lowercase hex", _with(good, salt=salt("4").hex().upper())),
        (error, "salt-short", "16 bytes", _with(good, salt="00")),
        (error, "surrogate", "not text", _with(good, header="\ud800").replace("\ud800", "\\ud800")),
    ]


def _broken_bridges(bridged: str) -> Broken:
    bridge = json.loads(bridged)["bridge"]
    hashes = bridge["consistency"]
    return [
        ("PROOF_MALFORMED", "bridge-not-smaller", "no way to go", _with(bridged, bridge={**bridge, "size": 7})),
        (
            "INCLUSION_PROOF_INVALID",
            "bridge-size-changed",
            "another size",
            _with(bridged, bridge={**bridge, "size": 6}),
        ),
        ("CONSISTENCY_PROOF_INVALID", "bridge-cut", "too short", _with(bridged, bridge={**bridge, "consistency": []})),
        (
            "CONSISTENCY_PROOF_INVALID",
            "bridge-not-base64",
            "a hash is broken",
            _with(bridged, bridge={**bridge, "consistency": ["?", *hashes[1:]]}),
        ),
        (
            "CONSISTENCY_PROOF_INVALID",
            "bridge-entry-changed",
            "it leads to another root",
            _with(bridged, header=json.loads(bridged)["header"].replace("019ced20", "019ced21"), core={"n": 4}),
        ),
    ]


def _broken_parts(good: str) -> Broken:
    parts = json.loads(good)
    text, header, payload = parts["tlogProof"], parts["header"], parts["payload"]
    [line] = parts["didLog"]
    other_log = _with(good, tlogProof=text.replace(DID_ORIGIN, ORIGIN))
    return [
        (
            "INCLUSION_PROOF_INVALID",
            "header-changed",
            "another id",
            _with(good, header=header.replace("20-", "21-", 1)),
        ),
        (
            "INCLUSION_PROOF_INVALID",
            "index-changed",
            "elsewhere",
            _with(good, tlogProof=text.replace("index 4", "index 5")),
        ),
        ("TLOG_PROOF_MALFORMED", "proof-version", "a newer version", _with(good, tlogProof=text.replace("@v1", "@v2"))),
        (
            "CHECKPOINT_SIGNATURE_INVALID",
            "size-changed",
            "signed for 7",
            _with(good, tlogProof=text.replace("\n7\n", "\n8\n")),
        ),
        ("CHECKPOINT_WRONG_ORIGIN", "other-log", "another participant's", other_log),
        ("PAYLOAD_COMMITMENT_MISMATCH", "payload-changed", "a letter", _with(good, payload=payload.replace("B", "b"))),
        ("PAYLOAD_COMMITMENT_MISMATCH", "salt-changed", "another salt", _with(good, salt="00" * 16)),
        ("PAYLOAD_UNEXPECTED", "salt-alone", "they come together", _with(good, payload=None)),
        ("DID_SCID_MISMATCH", "did-log-changed", "another key", _with(good, didLog=[line.replace("dapur", "gapur")])),
    ]
