"""Cases about what is asked of a home, and what a keeper keeps: requests for restricted parts, manifests of backups."""

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.backup import sealed
from federation.backup.sealed import Manifest
from federation.encoding import canonical
from federation.restricted.request import write_request
from spec.cases.keys import AT, ORIGIN, SCID, Cases, private_key, public_key, refused, seed, valid

_NODE = "QmNodeNodeNodeNodeNodeNodeNodeNodeNodeNodeNodd"
_RECORD = f"gotong:{SCID}/need/019ced20-0000-7000-8000-000000000001"
_KEYS = [{"id": "#log-0-0", "public_key": public_key("log").hex()}]
_RETIRED = [
    {**_KEYS[0], "retired": {"size": 7, "root": "00" * 32}},
    {"id": "#log-0-1", "public_key": public_key("new").hex()},
]

_ANSWER_KEY = X25519PrivateKey.from_private_bytes(seed("answer key")).public_key().public_bytes_raw()
# Sealing draws a key of its own each time, so this was done once.
_SEALED_ONCE = (
    "dc4eb2c34a2a5c69e17430b930b47fcdb8d18c1f43e3347bc828f7d86d704c619f742b3a44353f3bee97958cb2fbe639f587"
    "2ae431631d5290f39afd5747caf74a6373539df3a1734e0643ec6cd23290ca1def1fec1aa241528a6d4131b3d06befd1a257"
    "75"
)


_BACKUP_KEY_ONCE = (
    "b9602781db83b0914a05e6c58dc33808d02ff4fdc96e3c986f4a37ca2b1aa5312d8b202abc03a69d8ef4220e9684e10329ae"
    "092dfd3f250bf6e71544e74a7e466b013a23c158b0c129018ea31e29564e"
)
"""seed("chunk key") sealed to the backup key of seed("kit"), for version 3."""


def cases() -> Cases:
    """Yield the cases of restricted_request.py, cards.py and backup.py."""
    yield from _requests()
    yield from _answers()
    yield from _manifests()
    yield from _erased()
    yield from _kit()
    yield from _chunks()


def _request(**changes: Any) -> str:
    stated = {"asker": SCID, "node": _NODE, "record": _RECORD, "leaf": seed("leaf"), "key": seed("answer")}
    return write_request(**{**stated, "log_key": private_key("log"), **changes}).decode()


def _requests() -> Cases:
    name, malformed, unproven = (
        "check_restricted_request",
        "RESTRICTED_REQUEST_MALFORMED",
        "RESTRICTED_REQUEST_UNPROVEN",
    )
    good = _request()
    yield valid(name, "signed-by-the-log", "the asker's log key signed it", request=good, node=_NODE, keys=_KEYS)
    yield valid(
        name, "newer-key", "a key that is not retired", request=_request(log_key=private_key("new")), node=_NODE,
        keys=_RETIRED,
    )  # fmt: skip
    broken = {
        "white-space": good.replace(":", ": ", 1),
        "member-missing": good.replace(f'"node":"{_NODE}",', ""),
        "member-unknown": good.replace('{"asker"', '{"also":1,"asker"'),
        "leaf-upper-case": good.replace(seed("leaf").hex(), seed("leaf").hex().upper()),
        "asker-no-scid": good.replace(SCID, "Qm0"),
        "too-large": good + " " * 4096,
    }
    for case, text in broken.items():
        yield refused(name, malformed, case, "not of the form", request=text, node=_NODE, keys=_KEYS)
    yield refused(name, unproven, "other-node", "made for another node", request=good, node=SCID, keys=_KEYS)
    yield refused(name, unproven, "key-retired", "a retired key asks no more", request=good, node=_NODE, keys=_RETIRED)
    other = _request(log_key=private_key("other"))
    yield refused(name, unproven, "other-key", "signed by a stranger", request=other, node=_NODE, keys=_KEYS)
    record = good.replace("000000000001", "000000000002")
    yield refused(name, unproven, "record-changed", "another record", request=record, node=_NODE, keys=_KEYS)


def _answers() -> Cases:
    name, malformed = "open_restricted_answer", "RESTRICTED_ANSWER_MALFORMED"
    given = {"request": _request(key=_ANSWER_KEY), "private_key": seed("answer key").hex()}
    answer = f'{{"sealed":"{_SEALED_ONCE}"}}'
    yield valid(name, "a-contact", "salt and payload, sealed to the request's key", **given, answer=answer)
    for case, text in {"no-json": "x", "no-hex": '{"sealed":"0"}', "member-unknown": '{"sealed":"","also":1}'}.items():
        yield refused(name, malformed, case, "not of the form", **given, answer=text)
    other = {**given, "request": _request()}
    yield refused(name, "SEAL_BROKEN", "other-request", "the answer to another request", **other, answer=answer)
    cut = answer.replace(_SEALED_ONCE[-4:], "")
    yield refused(name, "SEAL_BROKEN", "cut-off", "the last bytes are missing", **given, answer=cut)


def _manifest(**changes: Any) -> Manifest:
    stated: dict[str, Any] = {
        "scid": SCID,
        "version": 3,
        "at": f"{AT:%Y-%m-%dT%H:%M:%S}.589Z",
        "origin": ORIGIN,
        "size": 9,
        "bytes": 40,
        "chunks": [sealed.hash_of(chunk) for chunk in _sealed()],
        "key": "ab" * 80,
        "reader": seed("reader").hex(),
        "erased": 0,
    }
    return Manifest(**{**stated, **changes})


def _sealed() -> list[bytes]:
    return list(sealed.seal_chunks(b"what is at home only", seed("chunk key")))


def _signed(manifest: Manifest, key: str = "log") -> str:
    return sealed.sign_manifest(manifest, private_key(key)).decode()


def _manifests() -> Cases:
    name, malformed, unproven = "check_backup_manifest", "BACKUP_MALFORMED", "BACKUP_UNPROVEN"
    good = _signed(_manifest())
    yield valid(name, "signed-by-the-log", "the participant's log key signed it", manifest=good, keys=_KEYS)
    before = _signed(_manifest(size=7))
    yield valid(name, "before-retirement", "made when that key still counted", manifest=before, keys=_RETIRED)
    after = _signed(_manifest(erased=8))
    yield valid(name, "after-an-erasure", "its keeper drops earlier ones", manifest=after, keys=_KEYS)
    unsigned = {**msgspec.to_builtins(_manifest()), "signature": "00" * 64}
    broken = {
        "white-space": good.replace(":", ": ", 1),
        "no-chunks": canonical.encode({**unsigned, "chunks": []}).decode(),
        "version-0": canonical.encode({**unsigned, "version": 0}).decode(),
        "member-unknown": canonical.encode({**unsigned, "also": 1}).decode(),
        "erased-missing": canonical.encode({k: v for k, v in unsigned.items() if k != "erased"}).decode(),
        "chunk-no-hash": canonical.encode({**unsigned, "chunks": ["00"]}).decode(),
    }
    for case, text in broken.items():
        yield refused(name, malformed, case, "not of the form", manifest=text, keys=_KEYS)
    yield refused(name, unproven, "after-retirement", "a retired key beyond its end", manifest=good, keys=_RETIRED)
    other = _signed(_manifest(), "other")
    yield refused(name, unproven, "other-key", "signed by a stranger", manifest=other, keys=_KEYS)
    newer = good.replace('"version":3', '"version":4')
    yield refused(name, unproven, "version-changed", "an old one under a new number", manifest=newer, keys=_KEYS)


def _erased() -> Cases:
    name = "backup_holds_erased"
    newer = _manifest(version=4, size=12, erased=10)
    cases = {
        "before": (_manifest(size=9), newer, "made before the erasure: dropped"),
        "after": (_manifest(size=10), newer, "made with the erasing entry in its log: kept"),
        "nothing-erased": (_manifest(size=9), _manifest(version=4, size=12), "nothing was erased: kept"),
        "other-log": (_manifest(size=11, origin=ORIGIN.replace("/0", "/1")), newer, "of another epoch: dropped"),
    }
    for case, (one, other, why) in cases.items():
        yield valid(name, case, why, earlier=_signed(one), newer=_signed(other))


def _kit() -> Cases:
    kit = seed("kit").hex()
    yield valid("keys_of_seed", "kit", "the first two update keys, what opens backups, what fetches them", seed=kit)
    name = "open_backup_key"
    manifest = _signed(_manifest(key=_BACKUP_KEY_ONCE))
    yield valid(name, "kit", "the key of the chunks, sealed to the cards", manifest=manifest, seed=kit)
    other = seed("other").hex()
    yield refused(name, "SEAL_BROKEN", "other-cards", "other cards", manifest=manifest, seed=other)
    newer = _signed(_manifest(key=_BACKUP_KEY_ONCE, version=4))
    yield refused(name, "SEAL_BROKEN", "other-version", "sealed for another version", manifest=newer, seed=kit)


def _chunks() -> Cases:
    name, damaged = "open_backup_chunk", "BACKUP_DAMAGED"
    manifest, chunk, key = _signed(_manifest()), _sealed()[0].hex(), seed("chunk key").hex()
    yield valid(name, "first", "chunk 0", manifest=manifest, number=0, chunk=chunk, key=key)
    flipped = f"{int(chunk[:2], 16) ^ 1:02x}{chunk[2:]}"
    yield refused(name, damaged, "flipped-bit", "not its hash", manifest=manifest, number=0, chunk=flipped, key=key)
    wrong = seed("other").hex()
    stated: dict[str, Any] = {"manifest": manifest, "chunk": chunk}
    yield refused(name, damaged, "other-key", "sealed by another key", **stated, number=0, key=wrong)
    yield refused(name, "BACKUP_MALFORMED", "no-such-chunk", "not listed", **stated, number=1, key=key)
