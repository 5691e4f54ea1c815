"""Cases about many entries: batches that extend a log, and the text that says where one stands."""

from typing import Any

from federation.log import entry, tlog_proof
from federation.log.note import Checkpoint, Signer, sign_checkpoint
from spec.cases import naive
from spec.cases.keys import (
    AT,
    GENESIS_ID,
    ORIGIN,
    SCID,
    Cases,
    private_key,
    record_id,
    refused,
    salt,
    valid,
)

PAYLOAD = b'{"title":[{"lang":"id","text":"Beras untuk dapur umum"}]}'
_OTHER = naive.leaf(b"another leaf").hex()


def cases() -> Cases:
    """Yield the cases of verify.py and tlog_proof.py."""
    yield from _extensions()
    yield from _batches()
    yield from _tlog_proofs()


def small_log(scid: str, size: int) -> list[bytes]:
    """Return the entries of a small log: the genesis, then needs with a body each."""
    needs = [
        entry.build(type="need", id=record_id(n), at=AT, core={"n": n}, body=entry.commit(salt(f"{n}"), PAYLOAD))
        for n in range(1, size)
    ]
    return [entry.genesis(scid, 0, "test", AT, GENESIS_ID), *needs]


_ENTRIES = small_log(SCID, 7)
_TEXTS = [each.decode() for each in _ENTRIES]
_LEAVES = [naive.leaf(each) for each in _ENTRIES]


def _step(old: int, new: int, target: int) -> dict[str, Any]:
    """Return the input of `extend` from `old` to `new` entries under a checkpoint of `target`."""
    parts, low = "", 0
    for height in range(old.bit_length() - 1, -1, -1):
        if old >> height & 1:
            parts += naive.root(_LEAVES[low : low + (1 << height)]).hex()
            low += 1 << height
    return {
        "origin": ORIGIN,
        "size": old,
        "edge": parts,
        "entries": _TEXTS[old:new],
        "target": {"origin": ORIGIN, "size": target, "root": naive.root(_LEAVES[:target]).hex()},
        "proof": [each.hex() for each in naive.consistency(new, _LEAVES[:target])],
    }


def _extensions() -> Cases:
    name = "extend"
    for old, new, target in ((0, 7, 7), (0, 4, 7), (3, 5, 7), (3, 7, 7), (5, 5, 7), (7, 7, 7)):
        about = f"from {old} to {new} entries under a checkpoint of {target}"
        yield valid(name, f"{old}-to-{new}-of-{target}", about, **_step(old, new, target))
    good = _step(3, 5, 7)
    other = {**good["target"], "origin": f"gotong/{SCID}/1"}
    for error, case, about, change in (
        (
            "NOT_A_PREFIX",
            "entry-changed",
            "a digit is changed",
            {"entries": [_TEXTS[3], _TEXTS[4].replace("4", "5", 1)]},
        ),
        ("NOT_A_PREFIX", "entry-missing", "one left out", {"entries": _TEXTS[4:5]}),
        ("NOT_A_PREFIX", "entries-swapped", "order is the index", {"entries": [_TEXTS[4], _TEXTS[3]]}),
        ("NOT_A_PREFIX", "no-proof", "the proof is missing", {"proof": []}),
        ("NOT_A_PREFIX", "proof-changed", "another hash", {"proof": [_OTHER, *good["proof"][1:]]}),
        ("NOT_A_PREFIX", "other-root", "a fork", {"target": {**good["target"], "root": _OTHER}}),
        ("NOT_A_PREFIX", "equal-size-other-root", "one size, two roots", _fork()),
        ("NOT_A_PREFIX", "equal-size-with-proof", "nothing is to be proven", {**_step(3, 7, 7), "proof": [_OTHER]}),
        ("BEYOND_CHECKPOINT", "one-more", "an entry the checkpoint does not cover", _beyond()),
        ("BEYOND_CHECKPOINT", "stale-checkpoint", "the head is further already", {**_step(5, 5, 5), **_target(4)}),
        ("CHECKPOINT_WRONG_ORIGIN", "next-epoch", "another log's checkpoint", {"target": other}),
        ("EDGE_MALFORMED", "edge-cut", "the head is damaged", {"edge": good["edge"][:-64]}),
    ):
        yield refused(name, error, case, about, **{**good, **change})
    too_many = {"list_of": "{}", "times": 4097}
    yield refused(name, "BATCH_TOO_LARGE", "4097-entries", "4096 at most", **{**good, "entries": too_many})
    large = {"list_of": {"repeat": "a", "times": 65536}, "times": 257}
    yield refused(name, "BATCH_TOO_LARGE", "too-many-bytes", "16 MiB at most", **{**good, "entries": large})


def _fork() -> dict[str, Any]:
    step = _step(3, 7, 7)
    return {**step, "target": {**step["target"], "root": _OTHER}}


def _target(size: int) -> dict[str, Any]:
    return {"target": _step(0, 0, size)["target"]}


def _beyond() -> dict[str, Any]:
    return {**_step(3, 6, 6), **_target(5)}


def _batches() -> Cases:
    name = "check_entries"
    received = [{"entry": text} if n == 0 else _with_payload(n) for n, text in enumerate(_TEXTS[:3])]
    base: dict[str, Any] = {"origin": ORIGIN, "network": "test", "start_index": 0, "received": received}
    yield valid(name, "from-genesis", "the first three entries", **base)
    middle = {**base, "start_index": 3}
    yield valid(name, "withheld", "a missing payload is no error", **{**middle, "received": [{"entry": _TEXTS[3]}]})
    bodiless = entry.build(type="need", id=record_id(3), at=AT).decode()
    revision = entry.build(type="need", id=record_id(1), at=AT, rev=1, prev=3).decode()
    other_salt = {**_with_payload(3), "salt": salt("4").hex()}
    spaced = _committed(b'{"a": 1}')
    for error, case, about, start, one in (
        ("GENESIS_MALFORMED", "no-genesis", "a log begins with its genesis", 0, _with_payload(1)),
        ("GENESIS_MALFORMED", "second-genesis", "only the first entry opens a log", 3, {"entry": _TEXTS[0]}),
        ("PREV_NOT_EARLIER", "prev-is-itself", "the previous revision comes before", 3, {"entry": revision}),
        ("PREV_NOT_EARLIER", "prev-is-later", "the previous revision comes before", 2, {"entry": revision}),
        ("PAYLOAD_COMMITMENT_MISMATCH", "other-salt", "another salt", 3, other_salt),
        (
            "PAYLOAD_UNEXPECTED",
            "none-committed",
            "nothing was committed to",
            3,
            {**_with_payload(3), "entry": bodiless},
        ),
        ("PAYLOAD_UNEXPECTED", "salt-missing", "they come together", 3, {**_with_payload(3), "salt": None}),
        ("PAYLOAD_UNEXPECTED", "payload-missing", "they come together", 3, {**_with_payload(3), "payload": None}),
        ("PAYLOAD_NOT_CANONICAL", "white-space", "as committed, but not canonical", 3, spaced),
        ("ENTRY_MALFORMED", "v-zero", "versions begin at 1", 3, {"entry": _TEXTS[3].replace('"v":1', '"v":0')}),
    ):
        yield refused(name, error, case, about, **{**base, "start_index": start, "received": [one]})
    yield refused(name, "NETWORK_MISMATCH", "test-on-live", "the two never mix", **{**base, "network": "live"})


def _with_payload(n: int) -> dict[str, Any]:
    return {"entry": _TEXTS[n], "salt": salt(f"{n}").hex(), "payload": PAYLOAD.decode()}


def _committed(payload: bytes) -> dict[str, Any]:
    data = entry.build(type="need", id=record_id(3), at=AT, body=entry.commit(salt("3"), payload))
    return {"entry": data.decode(), "salt": salt("3").hex(), "payload": payload.decode()}


def _tlog_proofs() -> Cases:
    name, error = "parse_tlog_proof", "TLOG_PROOF_MALFORMED"
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, naive.root(_LEAVES)), Signer(ORIGIN, private_key("log")))
    good = tlog_proof.encode(4, naive.inclusion(4, _LEAVES), note)
    yield valid(name, "plain", "an entry of seven", text=good)
    yield valid(name, "extra", "extra data is ignored", text=good.replace("index", "extra AAAA\nindex", 1))
    yield valid(name, "one-leaf", "no hashes", text=tlog_proof.encode(0, [], note))
    for case, about, text in (
        ("other-header", "version 2", good.replace("@v1", "@v2")),
        ("index-missing", "where is it?", good.replace("index 4\n", "")),
        ("index-leading-zero", "no leading zeros", good.replace("index 4", "index 04")),
        ("index-negative", "digits only", good.replace("index 4", "index -4")),
        ("index-too-large", "below 2**53", good.replace("index 4", f"index {2**53}")),
        ("extra-not-base64", "base64", good.replace("index", "extra ?\nindex", 1)),
        ("extra-twice", "one such line", good.replace("index", "extra AAAA\nextra AAAA\nindex", 1)),
        ("hash-cut", "32 bytes", good.replace("index 4\n", "index 4\nAAAA\n")),
        ("too-many-hashes", "64 at most", tlog_proof.encode(4, [bytes(32)] * 65, note)),
        ("no-checkpoint", "a checkpoint follows", good.partition("\n\n")[0] + "\n"),
        ("empty", "nothing", ""),
    ):
        yield refused(name, error, case, about, text=text)
