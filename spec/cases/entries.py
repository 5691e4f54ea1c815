"""Cases about one entry: its form, its names and times, the genesis, the payloads."""

import json
from typing import Any

from federation.encoding import canonical
from federation.log import entry
from federation.log.entry import EpochStart
from spec.cases.keys import AT, GENESIS_ID, ORIGIN, SCID, Cases, record_id, refused, salt, valid

_ID = str(record_id(0))
_AT = "2026-03-14T09:26:53.589Z"
_MEMBERS: dict[str, Any] = {"v": 1, "type": "need", "id": _ID, "rev": 0, "at": _AT, "op": "put"}
_PAYLOAD = '{"title":[{"lang":"id","text":"Beras untuk dapur umum"}]}'
_COMMITMENT = entry.commit(salt("body"), _PAYLOAD.encode()).hex()


def cases() -> Cases:
    """Yield the cases of names.py and entry.py."""
    yield from _names()
    yield from _instants()
    yield from _entries()
    yield from _malformed()
    yield from _genesis()
    yield from _payloads()


def _text(**members: Any) -> str:
    return canonical.encode({**_MEMBERS, **members}).decode()


def _names() -> Cases:
    yield valid("parse_origin", "first-epoch", "a log", origin=ORIGIN)
    yield valid("parse_origin", "third-epoch", "a log after two thefts", origin=f"gotong/{SCID}/2")
    no_hash = f"gotong/Qm{'z' * 44}/0"
    yield valid("parse_origin", "any-letters", "whether an SCID is a hash is for rule D2.6", origin=no_hash)
    for case, origin in (
        ("scheme", f"https://gotong/{SCID}/0"),
        ("scid-short", f"gotong/{SCID[:-1]}/0"),
        ("scid-not-base58", f"gotong/0{SCID[1:]}/0"),
        ("no-epoch", f"gotong/{SCID}"),
        ("epoch-leading-zero", f"gotong/{SCID}/00"),
        ("epoch-too-large", f"gotong/{SCID}/{2**31}"),
        ("newline", f"{ORIGIN}\n"),
    ):
        yield refused("parse_origin", "ORIGIN_MALFORMED", case, "not the name of a log", origin=origin)
    yield valid("parse_uri", "record", "a need", uri=f"gotong:{SCID}/need/{_ID}")
    yield valid("parse_uri", "organization", "the participant itself", uri=f"gotong:{SCID}")
    for case, uri in (
        ("type-only", f"gotong:{SCID}/need"),
        ("type-capital", f"gotong:{SCID}/Need/{_ID}"),
        ("id-capital", f"gotong:{SCID}/need/{_ID.upper()}"),
        ("id-version-4", f"gotong:{SCID}/need/{_ID.replace('-7', '-4', 1)}"),
        ("scid-short", f"gotong:{SCID[:-1]}"),
        ("trailing-slash", f"gotong:{SCID}/"),
    ):
        yield refused("parse_uri", "ID_MALFORMED", case, "not the name of a record", uri=uri)


def _instants() -> Cases:
    yield valid("parse_instant", "now", "a time", text=_AT)
    yield valid("parse_instant", "leap-day", "a day that exists", text="2028-02-29T00:00:00.000Z")
    for case, text in (
        ("no-fraction", "2026-03-14T09:26:53Z"),
        ("microseconds", "2026-03-14T09:26:53.589000Z"),
        ("offset", "2026-03-14T09:26:53.589+00:00"),
        ("local", "2026-03-14T09:26:53.589"),
        ("space", "2026-03-14 09:26:53.589Z"),
        ("no-leap-day", "2026-02-29T00:00:00.000Z"),
        ("hour-24", "2026-03-14T24:00:00.000Z"),
        ("leap-second", "2026-06-30T23:59:60.000Z"),
        ("year-0", "0000-03-14T09:26:53.589Z"),
        ("other-digits", "202\N{ARABIC-INDIC DIGIT SIX}-03-14T09:26:53.589Z"),
    ):
        yield refused("parse_instant", "INSTANT_MALFORMED", case, "not a time as Gotong writes it", text=text)


def _entries() -> Cases:
    name = "parse_entry"
    core = {"need": {"uri": f"gotong:{SCID}/need/{_ID}", "leaf": "ab" * 32}, "amount": {"amount": "150000"}}
    yield valid(name, "smallest", "no core, no commitments", entry=_text())
    full = _text(rev=2, prev=7, core=core, exercise=True, body="cd" * 32, restricted="ef" * 32)
    yield valid(name, "everything", "every member", entry=full)
    yield valid(name, "erase", "an erasure", entry=_text(op="erase", rev=1, prev=3, core={"parts": ["body"]}))
    yield valid(name, "not-ascii", "values may be any text", entry=_text(core={"name": "Ciliwung 🌊 é"}))
    for case, about, change in (
        ("newer-type", "a type of a newer version", {"type": "soil-sample"}),
        ("newer-v", "a newer version of a type", {"v": 9}),
        ("newer-op", "an operation of a newer version", {"op": "merge"}),
        ("newer-member", "a member of a newer version", {"geo": {"cell": "u1"}}),
    ):
        yield valid(name, case, about, entry=_text(**change))
    small = _text()
    frame = len(_text(core={"x": ""}))
    fits, larger = _text(core={"x": "a" * (4096 - frame)}), _text(core={"x": "a" * (4097 - frame)})
    yield valid(name, "4096-bytes", "the largest entry", entry=fits)
    yield refused(name, "ENTRY_TOO_LARGE", "4097-bytes", "a byte too many", entry=larger)
    deep = small.replace('"id"', '"core":' + '{"a":' * 32 + "1" + "}" * 32 + ',"id"')
    for case, about, text in (
        ("not-json", "cut in the middle", small[:-1]),
        ("not-an-object", "a list", "[]"),
        ("white-space", "no space after a comma", small.replace(',"id"', ', "id"')),
        ("final-newline", "nothing follows", small + "\n"),
        ("order", "members are sorted", json.dumps(_MEMBERS, separators=(",", ":"))),
        ("repeated-key", "a member twice", small.replace('"v":1', '"v":1,"v":1')),
        ("escape", "an escape that is not needed", small.replace("need", "\\u006eeed")),
        ("float", "no floats", _text(core={"x": 1}).replace('"x":1', '"x":1.5')),
        ("float-whole", "not even whole ones", small.replace('"rev":0', '"rev":0.0')),
        ("integer-too-large", "below 2**53", _text(core={"x": 1}).replace('"x":1', f'"x":{2**53}')),
        ("key-not-ascii", "keys are ASCII", _text(core={"x": 1}).replace('"x":1', '"é":1')),
        ("nul", "no NUL", _text(core={"x": "a"}).replace('"a"', '"\\u0000"')),
        ("surrogate", "no lone surrogate", _text(core={"x": "a"}).replace('"a"', '"\\ud800"')),
        ("too-deep", "nested 33 deep", deep),
    ):
        yield refused(name, "ENTRY_NOT_CANONICAL", case, about, entry=text)


def _malformed() -> Cases:
    for member in _MEMBERS:
        members = {key: value for key, value in _MEMBERS.items() if key != member}
        text = canonical.encode(members).decode()
        yield refused("parse_entry", "ENTRY_MALFORMED", f"{member}-missing", f"{member} must be there", entry=text)
    for case, about, change in (
        ("v-zero", "versions begin at 1", {"v": 0}),
        ("v-text", "a number", {"v": "1"}),
        ("v-true", "true is no number", {"v": True}),
        ("type-capital", "lowercase", {"type": "Need"}),
        ("type-long", "32 characters at most", {"type": "a" * 33}),
        ("type-newline", "a name and nothing else", {"type": "need\n"}),
        ("op-empty", "an operation has a name", {"op": ""}),
        ("id-capital", "lowercase", {"id": _ID.upper()}),
        ("id-version-4", "UUIDv7", {"id": _ID.replace("-7", "-4", 1)}),
        ("id-variant", "the RFC 9562 variant", {"id": _ID.replace("-8000-", "-0000-")}),
        ("id-no-hyphens", "with hyphens", {"id": _ID.replace("-", "")}),
        ("rev-negative", "revisions count from 0", {"rev": -1, "prev": 0}),
        ("prev-missing", "a revision has a previous one", {"rev": 1}),
        ("prev-without-rev", "a first revision has none", {"prev": 0}),
        ("prev-negative", "an index", {"rev": 1, "prev": -1}),
        ("prev-null", "absent, not null", {"prev": None}),
        ("at-no-fraction", "three fraction digits", {"at": "2026-03-14T09:26:53Z"}),
        ("at-number", "a text", {"at": 1773480413}),
        ("core-empty", "absent when empty", {"core": {}}),
        ("core-list", "an object", {"core": [1]}),
        ("core-null", "absent, not null", {"core": None}),
        ("exercise-false", "absent when false", {"exercise": False}),
        ("exercise-text", "true or absent", {"exercise": "true"}),
        ("body-short", "32 bytes", {"body": "cd" * 31}),
        ("body-capital", "lowercase hex", {"body": "CD" * 32}),
        ("body-spaces", "hex and nothing else", {"body": "cd " * 21 + "c"}),
        ("body-null", "absent, not null", {"body": None}),
        ("restricted-not-hex", "lowercase hex", {"restricted": "zz" * 32}),
    ):
        yield refused("parse_entry", "ENTRY_MALFORMED", case, about, entry=_text(**change))


def _genesis() -> Cases:
    name = "check_genesis"
    first = entry.genesis(SCID, 0, "test", AT, GENESIS_ID).decode()
    copied = entry.genesis(SCID, 1, "test", AT, GENESIS_ID, start=EpochStart(9, bytes(32), bytes(32))).decode()
    base = {"entry": first, "origin": ORIGIN, "network": "test"}
    yield valid(name, "first-epoch", "a new log", **base)
    yield valid(name, "next-epoch", "it copies 9 entries", **{**base, "entry": copied, "origin": f"gotong/{SCID}/1"})
    core: dict[str, Any] = {"network": "test", "scid": SCID, "epoch": 0}
    start = {"from": {"size": 9, "root": "00" * 32}}
    for case, about, members in (
        ("other-type", "its type is log", {"core": core}),
        ("other-scid", "another participant's", {"type": "log", "core": {**core, "scid": SCID[:-1] + "3"}}),
        ("other-epoch", "another epoch's", {"type": "log", "core": {**core, "epoch": 1, **start}}),
        ("no-core", "it says nothing", {"type": "log"}),
        ("network-unknown", "live or test", {"type": "log", "core": {**core, "network": "demo"}}),
        ("core-member-more", "nothing else", {"type": "log", "core": {**core, "host": "a.example"}}),
        ("from-in-first-epoch", "there is nothing to copy", {"type": "log", "core": {**core, **start}}),
        ("commitment", "nothing to commit to", {"type": "log", "core": core, "body": "cd" * 32}),
        ("exercise", "a log is no exercise", {"type": "log", "core": core, "exercise": True}),
        ("revision", "the first revision", {"type": "log", "core": core, "rev": 1, "prev": 0}),
        ("erase", "a put", {"type": "log", "core": core, "op": "erase"}),
        ("version-2", "of version 1", {"type": "log", "core": core, "v": 2}),
    ):
        yield refused(name, "GENESIS_MALFORMED", case, about, **{**base, "entry": _text(**members)})
    no_from = _text(type="log", core={**core, "epoch": 1})
    later = {**base, "entry": no_from, "origin": f"gotong/{SCID}/1"}
    yield refused(name, "GENESIS_MALFORMED", "from-missing", "a later epoch says what it copies", **later)
    yield refused(
        name, "NETWORK_MISMATCH", "test-on-live", "a drill on the live network", **{**base, "network": "live"}
    )
    yield refused(name, "ORIGIN_MALFORMED", "origin", "asked for no log", **{**base, "origin": SCID})


def _payloads() -> Cases:
    name = "check_payload"
    with_body = _text(body=_COMMITMENT)
    base: dict[str, Any] = {"entry": with_body, "part": "body", "salt": salt("body").hex(), "payload": _PAYLOAD}
    yield valid(name, "body", "the one committed to", **base)
    yield valid(
        name, "restricted", "the same rule", **{**base, "entry": _text(restricted=_COMMITMENT), "part": "restricted"}
    )
    mismatch = "PAYLOAD_COMMITMENT_MISMATCH"
    for error, case, about, change in (
        (mismatch, "text-changed", "a letter is changed", {"payload": _PAYLOAD.replace("Beras", "beras")}),
        (mismatch, "other-salt", "another salt", {"salt": salt("other").hex()}),
        (mismatch, "salt-short", "a salt has 16 bytes", {"salt": salt("body").hex()[:-2]}),
        (mismatch, "split-moved", "bytes moved from payload to salt", _moved()),
        ("PAYLOAD_UNEXPECTED", "none-committed", "the entry has no body", {"entry": _text()}),
        ("PAYLOAD_UNEXPECTED", "other-part", "committed as restricted", {"entry": _text(restricted=_COMMITMENT)}),
        ("PAYLOAD_NOT_CANONICAL", "white-space", "as committed, but not canonical", _committed('{"a": 1}')),
        ("PAYLOAD_NOT_CANONICAL", "list", "as committed, but no object", _committed("[]")),
        ("PAYLOAD_NOT_CANONICAL", "float", "as committed, but with a float", _committed('{"a":1.5}')),
    ):
        yield refused(name, error, case, about, **{**base, **change})
    large = {"repeat": "a", "times": 65537}
    yield refused(name, "PAYLOAD_TOO_LARGE", "65537-bytes", "a byte too many", **{**base, "payload": large})


def _moved() -> dict[str, str]:
    return {"salt": (salt("body") + _PAYLOAD[:1].encode()).hex(), "payload": _PAYLOAD[1:]}


def _committed(payload: str) -> dict[str, str]:
    return {"entry": _text(body=entry.commit(salt("body"), payload.encode()).hex()), "payload": payload}
