"""Cases about what is asked of a home, and what a keeper keeps: requests for restricted parts, mail, backups."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.backup import sealed
from federation.backup.sealed import Manifest
from federation.encoding import canonical
from federation.log.entry import instant
from federation.restricted.mail import write_brought, write_given
from federation.restricted.request import request_hash, sign_answer, write_answer, write_request
from spec.cases.keys import AT, ORIGIN, SCID, Cases, private_key, public_key, refused, seed, valid

_NODE = "QmNodeNodeNodeNodeNodeNodeNodeNodeNodeNodeNodd"
_RECORD = f"gotong:{SCID}/need/019ced20-0000-7000-8000-000000000001"
_KEYS = [{"id": "#log-0-0", "public_key": public_key("log").hex()}]
_RETIRED = [
    {**_KEYS[0], "retired": {"size": 7, "root": "00" * 32}},
    {"id": "#log-0-1", "public_key": public_key("new").hex()},
]

_OWNER = [{"id": "#log-0-0", "public_key": public_key("owner").hex()}]
_OWNER_ENDED = [{**_OWNER[0], "retired": {"size": 7, "root": "00" * 32}}]
_ANSWER_KEY = X25519PrivateKey.from_private_bytes(seed("answer key")).public_key().public_bytes_raw()
_SEALED_ONCE: dict[str, str] = json.loads(Path(__file__).with_name("sealed.json").read_text(encoding="utf-8"))
"""Sealing draws a key of its own each time, so this was done once: answers to `_request(key=_ANSWER_KEY)`, by name."""


_BACKUP_KEY_ONCE = (
    "b9602781db83b0914a05e6c58dc33808d02ff4fdc96e3c986f4a37ca2b1aa5312d8b202abc03a69d8ef4220e9684e10329ae"
    "092dfd3f250bf6e71544e74a7e466b013a23c158b0c129018ea31e29564e"
)
"""seed("chunk key") sealed to the backup key of seed("kit"), for version 3."""


def cases() -> Cases:
    """Yield the cases of `restricted` and of `backup`, and of what follows from the cards."""
    yield from _requests()
    yield from _answers()
    yield from _mail()
    yield from _manifests()
    yield from _erased()
    yield from _kit()
    yield from _chunks()


def _request(**changes: Any) -> str:
    stated = {
        "asker": SCID,
        "node": _NODE,
        "record": _RECORD,
        "leaf": seed("leaf"),
        "key": seed("answer"),
        "until": AT + timedelta(days=7),
    }
    return write_request(**{**stated, "log_key": private_key("log"), **changes}).decode()


def _requests() -> Cases:
    name, malformed, unproven = (
        "check_restricted_request",
        "RESTRICTED_REQUEST_MALFORMED",
        "RESTRICTED_REQUEST_UNPROVEN",
    )
    good = _request()
    known: dict[str, Any] = {"node": _NODE, "keys": _KEYS, "now": instant(AT)}
    yield valid(name, "signed-by-the-log", "the asker's log key signed it", request=good, **known)
    newer = {**known, "keys": _RETIRED}
    yield valid(name, "newer-key", "a key not retired", request=_request(log_key=private_key("new")), **newer)
    broken = {
        "white-space": good.replace(":", ": ", 1),
        "member-missing": good.replace(f'"node":"{_NODE}",', ""),
        "member-unknown": good.replace('{"asker"', '{"also":1,"asker"'),
        "leaf-upper-case": good.replace(seed("leaf").hex(), seed("leaf").hex().upper()),
        "asker-no-scid": good.replace(SCID, "Qm0"),
        "until-no-instant": good.replace(instant(AT + timedelta(days=7)), "tomorrow"),
        "too-large": good + " " * 4096,
    }
    for case, text in broken.items():
        yield refused(name, malformed, case, "not of the form", request=text, **known)
    yield refused(name, unproven, "other-node", "made for another node", request=good, **{**known, "node": SCID})
    yield refused(name, unproven, "key-retired", "a retired key asks no more", request=good, **newer)
    other = _request(log_key=private_key("other"))
    yield refused(name, unproven, "other-key", "signed by a stranger", request=other, **known)
    record = good.replace("000000000001", "000000000002")
    yield refused(name, unproven, "record-changed", "another record", request=record, **known)
    later = good.replace(instant(AT + timedelta(days=7)), instant(AT + timedelta(days=8)))
    yield refused(name, unproven, "until-changed", "it was to be over earlier", request=later, **known)
    untimely = "RESTRICTED_REQUEST_UNTIMELY"
    over = {**known, "now": instant(AT + timedelta(days=7))}
    yield refused(name, untimely, "over", "it is over", request=good, **over)
    early = {**known, "now": instant(AT - timedelta(days=1, milliseconds=1))}
    yield refused(name, untimely, "too-long", "it lasts more than eight days", request=good, **early)


def _answer(what: str, **changes: Any) -> str:
    stated = {"request": _request(key=_ANSWER_KEY).encode(), "log_key": private_key("owner")}
    return write_answer(sign_answer(bytes.fromhex(_SEALED_ONCE[what]), **{**stated, **changes})).decode()


def _answers() -> Cases:
    name, malformed, unproven = "open_restricted_answer", "RESTRICTED_ANSWER_MALFORMED", "RESTRICTED_ANSWER_UNPROVEN"
    given: dict[str, Any] = {
        "request": _request(key=_ANSWER_KEY),
        "private_key": seed("answer key").hex(),
        "keys": _OWNER,
        "has_ended": False,
    }
    answer, refusal = _answer("part"), _answer("refusal")
    yield valid(name, "a-contact", "salt and payload, sealed to the request's key", **given, answer=answer)
    yield valid(name, "a-refusal", "the owner's refusal, of the same size", **given, answer=refusal)
    yield valid(name, "waiting", "a mirror keeps the request for the home", **given, answer='{"waiting":true}')
    ended = {**given, "keys": _OWNER_ENDED, "has_ended": True}
    yield valid(name, "owner-ended", "all keys of an owner that has ended are retired", **ended, answer=answer)
    broken = {
        "no-json": "x",
        "no-hex": answer.replace(_SEALED_ONCE["part"], "0"),
        "member-unknown": answer.replace("{", '{"also":1,', 1),
        "unsigned": f'{{"sealed":"{_SEALED_ONCE["part"]}"}}',
        "not-padded": _answer("not-padded"),
        "no-line": _answer("no-line"),
        "salt-short": _answer("salt-short"),
    }
    for case, text in broken.items():
        yield refused(name, malformed, case, "not of the form", **given, answer=text)
    other = {**given, "request": _request()}
    yield refused(name, unproven, "other-request", "the answer to another request", **other, answer=answer)
    made_up = _answer("refusal", log_key=private_key("other"))
    yield refused(name, unproven, "other-key", "a refusal that a mirror made up", **given, answer=made_up)
    retired = {**given, "keys": _OWNER_ENDED}
    yield refused(name, unproven, "key-retired", "a retired key answers no more", **retired, answer=answer)
    flipped = answer.replace(_SEALED_ONCE["part"][-4:], f"{int(_SEALED_ONCE['part'][-4:], 16) ^ 1:04x}")
    yield refused(name, unproven, "flipped-bit", "the last bytes are others", **given, answer=flipped)
    cut = _answer("cut-off")
    yield refused(name, "SEAL_BROKEN", "cut-off", "signed, and sealed to something else", **given, answer=cut)


def _mail() -> Cases:
    name, malformed = "read_restricted_mail", "RESTRICTED_MAIL_MALFORMED"
    request = _request(key=_ANSWER_KEY)
    answer = sign_answer(bytes.fromhex(_SEALED_ONCE["refusal"]), request=request.encode(), log_key=private_key("owner"))
    brought = write_brought([(request_hash(request.encode()), answer)]).decode()
    given = write_given([request.encode()]).decode()
    yield valid(name, "brought", "one answer", brought=brought)
    yield valid(name, "nothing-brought", "a home asks what waits", brought='{"answers":[]}')
    yield valid(name, "given", "one request, as the text it is", given=given)
    for case, text in {
        "no-json": "x",
        "no-hash": brought.replace(request_hash(request.encode()).hex(), "00"),
        "member-unknown": brought.replace("{", '{"also":1,', 1),
        "no-answer": '{"answers":[{"request":"' + "00" * 32 + '"}]}',
    }.items():
        yield refused(name, malformed, f"brought-{case}", "not of the form", brought=text)
    many = {"answers": [json.loads(brought)["answers"][0]] * 17}
    yield refused(name, malformed, "brought-too-many", "more than sixteen", brought=json.dumps(many))
    for case, text in {"no-json": "x", "no-text": '{"requests":[{}]}', "empty-text": '{"requests":[""]}'}.items():
        yield refused(name, malformed, f"given-{case}", "not of the form", given=text)


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
