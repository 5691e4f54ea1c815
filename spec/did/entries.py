"""Logs whose entries, parameters or witnesses break a rule of did:webvh."""

import json
from collections.abc import Iterator
from typing import Any

from spec.did.case import Case, drop, parameter, refused, rule, set_, version_id
from spec.did.writer import PLACEHOLDER, Edit, Json, Writer, key_hash, multikey, proof, witness_id, witness_proof


def cases() -> Iterator[Case]:
    """Yield logs that are refused for what one entry holds."""
    for group in (_shape, _syntax, _parameters, _witness):
        yield from group()


def _shape() -> Iterator[Case]:
    case = refused("DID_ENTRY_MALFORMED")
    good = Writer().first().lines[0]
    yield case("empty-log", "No line at all.", ())
    yield case("blank-line", "A blank line between two entries.", (good, b""))
    yield case("not-json", "A line that is cut short.", (good[:-1],))
    yield case("repeated-key", "A member is there twice.", (b'{"versionTime":"x",' + good[1:],))
    yield case("nan", "NaN is not JSON.", (good.replace(b'"epoch":0', b'"epoch":NaN'),))
    yield case("unknown-member", "An entry with a sixth member.", Writer().first(set_("note", to="hello")))
    yield case("no-proof-member", "An entry without proof.", Writer().first(tamper=drop("proof")))
    yield case("two-dashes", "versionId with two dashes.", Writer().first(tamper=version_id("-", "--")))
    yield case("padded-number", "versionId with a leading zero.", Writer().first(tamper=version_id("1-", "01-")))
    yield case("no-zone", "versionTime without a zone.", Writer().first(time="2026-11-01T00:00:00"))
    yield case("local-time", "versionTime in another zone.", Writer().first(time="2026-11-01T07:00:00+07:00"))
    yield case("no-such-day", "versionTime on the 31st of November.", Writer().first(time="2026-11-31T00:00:00Z"))
    yield case(
        "seven-digits", "A fraction has at most six digits.", Writer().first(time="2026-11-01T00:00:00.1234567Z")
    )
    yield case("integer-too-large", "2^53.", (good.replace(b'"epoch":0', b'"epoch":9007199254740992'),))
    yield case("state-not-object", "The document is a list.", Writer().first(tamper=set_("state", to=[])))
    surrogate = good.replace(b'"network":"test"', b'"network":"\\ud800"')
    yield case("lone-surrogate", "Text that is not Unicode.", (surrogate,))
    deep = good.replace(b'"network":"test"', b'"network":' + b"[" * 40 + b"]" * 40)
    yield case("too-deep", "Forty nested arrays.", (deep,))


def _syntax() -> Iterator[Case]:
    case = refused("DID_SYNTAX_INVALID")
    places = {
        "dot-dot": "example.com:..:admin",
        "encoded-dot-dot": "example.com:%2E%2E:admin",
        "encoded-lower-case": "example.com:%2e%2e:admin",
        "encoded-dot-inside": "example.com:a%2Eb",
        "encoded-slash": "example.com:a%2Fb",
        "encoded-backslash": "example.com:a%5Cb",
        "encoded-nul": "example.com:a%00b",
        "encoded-space-at-end": "example.com:a%20",
        "encoded-not-utf8": "example.com:%FF",
        "bad-escape": "example.com:a%2",
        "slash": "example.com:a/b",
        "empty-segment": "example.com::a",
        "fragment": "example.com#x",
        "query": "example.com?versionId=1",
        "ipv4": "127.0.0.1",
        "ipv4-fragment": "127.0.0.1#x",
        "ipv4-hexadecimal": "10.0.0.0x7f",
        "ipv6": "[%3A%3A1]",
        "ends-in-number": "example.2130706433",
        "one-label": "localhost",
        "empty-label": "example..com",
        "label-ends-in-hyphen": "example-.com",
        "final-dot": "example.com.",
        "encoded-host": "example%2Ecom",
        "userinfo": "user@example.com",
        "port-zero": "example.com%3A0",
        "port-too-large": "example.com%3A65536",
        "port-leading-zero": "example.com%3A080",
        "two-ports": "example.com%3A80%3A81",
    }
    for name, place in places.items():
        did = f"did:webvh:{PLACEHOLDER}:{place}"
        yield case(name, f"The document's id ends in {place!r}.", Writer().first(set_("state", "id", to=did)))
    yield case("no-id", "A document without id.", Writer().first(drop("state", "id")))
    yield case("other-method", "A did:web document.", Writer().first(set_("state", "id", to="did:web:example.com")))
    yield case(
        "no-host", "A SCID and nothing else.", Writer().first(set_("state", "id", to="did:webvh:" + PLACEHOLDER))
    )


def _parameters() -> Iterator[Case]:
    case = refused("DID_METHOD_UNKNOWN")
    yield case("future", "A version not known yet.", Writer().first(parameter("method", "did:webvh:99.0")))
    yield case("near-miss", "Not exactly the known value.", Writer().first(parameter("method", "did:webvh:1.0-rc1")))
    yield case(
        "later-downgrade", "An older version later on.", Writer().first().next(parameter("method", "did:webvh:0.5"))
    )
    case = refused("DID_PARAMETERS_INVALID")
    wrong: dict[str, Edit] = {
        "unknown": parameter("weather", "fine"),
        "null": parameter("watchers", None),
        "not-a-list": parameter("updateKeys", multikey(0)),
        "not-a-key": parameter("updateKeys", ["z6Mkshort"]),
        "small-order-key": parameter("updateKeys", ["z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP"]),
        "not-a-boolean": parameter("portable", "yes"),
        "ttl-negative": parameter("ttl", -1),
        "ttl-boolean": parameter("ttl", True),
        "too-many-hashes": parameter("nextKeyHashes", [key_hash(1)] * 65),
        "no-method": drop("parameters", "method"),
        "no-update-keys": drop("parameters", "updateKeys"),
        "no-scid": drop("parameters", "scid"),
        "scid-not-a-hash": parameter("scid", "abc"),
        "not-an-object": set_("parameters", to=[]),
    }
    for name, edit in wrong.items():
        yield case(name, f"First entry: {name.replace('-', ' ')}.", Writer().first(edit))
    again = Writer().first()
    yield case("scid-again", "Only the first entry sets scid.", again.next(parameter("scid", again.scid)))


def _witness() -> Iterator[Case]:
    case = refused("DID_WITNESS_INVALID")
    one = {"id": witness_id(20)}
    wrong: dict[str, Any] = {
        "zero-threshold": rule(0, 20),
        "threshold-beyond-count": rule(2, 20),
        "threshold-not-a-number": rule("1", 20),
        "threshold-boolean": rule(True, 20),
        "no-threshold": {"witnesses": [one]},
        "no-witnesses": {"threshold": 1, "witnesses": []},
        "same-witness-twice": rule(2, 20, 20),
        "weights": {"threshold": 1, "witnesses": [{**one, "weight": 1}]},
        "not-did-key": {"threshold": 1, "witnesses": [{"id": "did:web:example.com"}]},
        "null": None,
    }
    for name, value in wrong.items():
        yield case(
            name, f"The witness parameter: {name.replace('-', ' ')}.", Writer().first(parameter("witness", value))
        )

    case = refused("DID_WITNESS_PROOFS_MISSING")
    two = Writer().first(parameter("witness", rule(2, 20, 21)))
    signed = json.loads(two.lines[0])["versionId"]
    yield case("no-file", "Witnesses are named and no proofs given.", two)
    yield case("below-threshold", "One of two needed.", two, witness=two.witnessed((1, 20)))
    yield case("one-witness-twice", "One witness approved twice.", two, witness=two.witnessed((1, 20), (1, 20)))
    yield case("stranger", "A stranger approved.", two, witness=two.witnessed((1, 20), (1, 22)))
    other = json.dumps([{"versionId": signed, "proof": [witness_proof("1-other", each) for each in (20, 21)]}])
    yield case("other-version-signed", "The proofs are over another version id.", two, witness=other)
    unseen = "2-" + signed[2:]
    future = json.dumps([{"versionId": unseen, "proof": [witness_proof(unseen, each) for each in (20, 21)]}])
    yield case("not-in-log", "Proofs for a version that is not in the log.", two, witness=future)
    swapped = json.dumps(
        [{"versionId": signed, "proof": [witness_proof(signed, 20), _swapped(signed, shown=21, signer=20)]}]
    )
    yield case("fragment-differs", "One witness signs in another's name.", two, witness=swapped)
    later = Writer().first(parameter("witness", rule(1, 20))).next()
    yield case("only-earlier", "An approval does not reach forward.", later, witness=later.witnessed((1, 20)))
    own = Writer().first(parameter("witness", rule(2, 20, 21))).next(parameter("witness", rule(1, 22)))
    file = own.witnessed((1, 20), (1, 21), (2, 22))
    yield case("new-list-approves-itself", "New witnesses cannot approve their own appointment.", own, witness=file)
    gone = Writer().first(parameter("witness", rule(1, 20))).next(parameter("witness", {}))
    yield case(
        "removed-unapproved", "Removing the witnesses needs their approval.", gone, witness=gone.witnessed((1, 20))
    )

    case = refused("DID_WITNESS_FILE_MALFORMED")
    yield case("file-not-json", "A file that is cut short.", two, witness="[")
    yield case("file-not-a-list", "A file that is an object.", two, witness="{}")
    yield case("record-without-version", "A record without versionId.", two, witness='[{"proof":[]}]')


def _swapped(signed: str, *, shown: int, signer: int) -> Json:
    return proof({"versionId": signed}, signer, verificationMethod=f"{witness_id(signer)}#{multikey(shown)}")
