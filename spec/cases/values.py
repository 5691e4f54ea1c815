"""Cases about single values: canonical JSON, keys, addresses, lists of evidence (rules C1, K1, V2, S1.2)."""

import json

from federation.encoding.multikey import encode_multikey, multibase_encode
from spec.cases.keys import SCID, Cases, public_key, refused, valid

_KEY = encode_multikey(public_key("log"))
_ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85")


def cases() -> Cases:
    """Yield the cases of canonical.py, multikey.py, addresses.py and of lists of evidence."""
    yield from _canonical()
    yield from _documents()
    yield from _multikeys()
    yield from _addresses()
    yield from _evidence()


def _canonical() -> Cases:
    whole = {
        "object": ("Keys are sorted, nothing stands between.", b'{"a":1,"b":[true,null,"\xc3\xa9"]}'),
        "largest-integer": ("The largest integer.", b"9007199254740991"),
        "unnormalised": ("Two spellings of one letter stay two.", '["é","e\u0301"]'.encode()),
        "deep": ("32 levels.", b"[" * 32 + b"]" * 32),
    }
    for name, (about, data) in whole.items():
        yield valid("decode_canonical", name, about, bytes=data.hex())
    wrong = {
        "open": ("NOT_JSON", "It ends.", b'{"a":1'),
        "not-utf-8": ("NOT_JSON", "It is UTF-8.", b'"\xff"'),
        "byte-order-mark": ("NOT_JSON", "It begins with no mark.", b"\xef\xbb\xbf{}"),
        "space": ("NOT_CANONICAL", "No white space.", b'{"a": 1}'),
        "unsorted": ("NOT_CANONICAL", "Keys are sorted.", b'{"b":1,"a":2}'),
        "escaped": ("NOT_CANONICAL", "A text has one spelling.", b'"\\u0061"'),
        "leading-zero": ("NOT_JSON", "A number has one spelling.", b"01"),
        "minus-zero": ("NOT_CANONICAL", "Zero has no sign.", b"-0"),
        "float": ("JSON_VALUE_NOT_ALLOWED", "Decimals are texts.", b"1.5"),
        "exponent": ("JSON_VALUE_NOT_ALLOWED", "Numbers are integers.", b"1e3"),
        "too-large": ("JSON_VALUE_NOT_ALLOWED", "Integers stay below 2^53.", b"9007199254740992"),
        "key-not-ascii": ("JSON_VALUE_NOT_ALLOWED", "Keys are ASCII.", '{"é":1}'.encode()),
        "nul": ("JSON_VALUE_NOT_ALLOWED", "A text holds no NUL.", b'"\\u0000"'),
        "lone-surrogate": ("NOT_JSON", "A text holds no lone surrogate.", b'"\\ud800"'),
        "too-deep": ("JSON_TOO_DEEP", "At most 32 levels.", b"[" * 33 + b"]" * 33),
    }
    for name, (code, about, data) in wrong.items():
        yield refused("decode_canonical", code, name, about, bytes=data.hex())


def _documents() -> Cases:
    name = "document_of_others"
    whole = {
        "layout": ("Any layout; the canonical form has one.", b' {"b" : [ 1 , true ] ,\n"a" : "\\u00e9\\/" } '),
        "key-order": ("Keys are sorted by UTF-16 code units.", '{"\ufb33":1,"😀":2,"é":3}'.encode()),
        "whole-floats": ("A number is what RFC 8785 writes for it.", b"[4.0,1e2,-0.0,-0,5E-1]"),
        "floats": ("Written as ECMAScript does.", b"[1e21,0.000001,1e-7,333333333.33333329]"),
        "largest-integer": ("The largest integer.", b"[-9007199254740991,9007199254740991]"),
        "nul": ("A text may hold what it likes.", b'["\\u0000"]'),
        "deep": ("32 levels.", b"[" * 32 + b"]" * 32),
    }
    for case, (about, data) in whole.items():
        yield valid(name, case, about, bytes=data.hex())
    wrong = {
        "open": ("NOT_JSON", "It ends.", b'{"a":1'),
        "byte-order-mark": ("NOT_JSON", "It begins with no mark.", b"\xef\xbb\xbf{}"),
        "lone-surrogate": ("NOT_JSON", "Half a surrogate pair.", b'["\\ud800"]'),
        "lone-surrogate-key": ("NOT_JSON", "Half a surrogate pair.", b'{"\\udc00":1}'),
        "repeated-key": ("JSON_VALUE_NOT_ALLOWED", "Which one counts?", b'{"a":1,"a":1}'),
        "repeated-key-escaped": ("JSON_VALUE_NOT_ALLOWED", "One key in two spellings.", b'{"a":1,"\\u0061":1}'),
        "nan": ("JSON_VALUE_NOT_ALLOWED", "No number.", b"[NaN]"),
        "infinity": ("JSON_VALUE_NOT_ALLOWED", "No number.", b"[-Infinity]"),
        "too-large-a-float": ("JSON_VALUE_NOT_ALLOWED", "Infinite for those who read it.", b"[1e999]"),
        "too-large": ("JSON_VALUE_NOT_ALLOWED", "Integers stay below 2^53.", b"[9007199254740992]"),
        "too-deep": ("JSON_TOO_DEEP", "At most 32 levels.", b"[" * 33 + b"]" * 33),
    }
    for case, (code, about, data) in wrong.items():
        yield refused(name, code, case, about, bytes=data.hex())


def _multikeys() -> Cases:
    yield valid("decode_multikey", "key", "An Ed25519 key.", key=_KEY)
    nowhere = multibase_encode(b"\xed\x01\x02" + bytes(31))
    yield valid("decode_multikey", "no-point", "No point has y = 2: no signature will hold.", key=nowhere)
    raw = public_key("log")
    wrong = {
        "other-algorithm": ("Only Ed25519.", multibase_encode(b"\xe7\x01" + raw)),
        "short": ("32 bytes.", multibase_encode(b"\xed\x01" + raw[:-1])),
        "long": ("32 bytes.", multibase_encode(b"\xed\x01" + raw + b"\x00")),
        "other-base": ("The base is base58btc.", "f" + (b"\xed\x01" + raw).hex()),
        "no-prefix": ("A multibase has a prefix.", _KEY[1:]),
        "bad-letter": ("There is no 0 in base58btc.", _KEY[:-1] + "0"),
        "small-order": ("With this key one signature fits every message.", multibase_encode(b"\xed\x01" + bytes(32))),
        "neutral": ("The neutral element.", multibase_encode(b"\xed\x01\x01" + bytes(31))),
        "order-8": ("Small order, with the sign bit.", multibase_encode(b"\xed\x01" + _ORDER_8)),
        "not-reduced": ("A point has one encoding.", multibase_encode(b"\xed\x01\xee" + b"\xff" * 30 + b"\x7f")),
        "empty": ("It is not empty.", ""),
    }
    for name, (about, key) in wrong.items():
        yield refused("decode_multikey", "MULTIKEY_INVALID", name, about, key=key)


def _addresses() -> Cases:
    whole = {
        "public": ("An address of the internet.", ["93.184.216.34"], "live", False),
        "private-allowed": ("A village LAN, said so when the peer was added.", ["192.168.1.7"], "live", True),
        "test-loopback": ("Test networks live on one machine.", ["127.0.0.1"], "test", False),
        "one-of-two": ("What may not be is left out.", ["10.0.0.1", "93.184.216.34"], "live", False),
        "no-address": ("A name without addresses breaks no rule.", [], "live", False),
    }
    for name, (about, several, network, private) in whole.items():
        yield valid("permitted_addresses", name, about, addresses=several, network=network, private=private)
    hidden = {
        "private": ("10.0.0.1", "A private network."),
        "loopback": ("127.0.0.1", "This machine."),
        "loopback-6": ("::1", "This machine."),
        "mapped": ("::ffff:192.168.0.1", "A private address inside an IPv6 one."),
        "nat64": ("64:ff9b::a00:1", "A private address behind NAT64."),
        "6to4": ("2002:a00:1::1", "A private address inside 6to4."),
        "unique-local": ("fd00::1", "A private network."),
        "shared": ("100.64.0.1", "Behind a provider's NAT."),
        "documentation": ("203.0.113.1", "For books only."),
        "not-global-unicast": ("4000::1", "Not assigned to anybody."),
    }
    for name, (found, about) in hidden.items():
        yield refused(
            "permitted_addresses", "PEER_ADDRESS_PRIVATE", name, about, addresses=[found], network="live", private=False
        )
    never = {
        "metadata": ("169.254.169.254", "A metadata service, even where private addresses are allowed."),
        "metadata-6": ("fd00:ec2::254", "A metadata service by IPv6."),
        "metadata-inside": ("::ffff:100.100.100.200", "A metadata service inside an IPv6 address."),
        "reserved": ("240.0.0.1", "Reserved."),
        "this-network": ("0.1.2.3", "This network."),
        "ipv4-compatible": ("::a00:1", "It leads to an address that is not to be read off it."),
        "teredo": ("2001::1", "Likewise."),
        "link-local": ("fe80::1", "Link-local."),
        "multicast": ("224.0.0.1", "Multicast."),
        "unspecified": ("0.0.0.0", "No address."),  # noqa: S104 - nothing is bound
    }
    for name, (found, about) in never.items():
        yield refused(
            "permitted_addresses", "PEER_ADDRESS_REFUSED", name, about, addresses=[found], network="live", private=True
        )


def _evidence() -> Cases:
    one = {"number": 1, "id": "ab" * 32, "kind": "fork", "scid": SCID, "size": 7}
    yield valid("read_evidence", "one", "One piece is offered.", body=json.dumps({"evidence": [one]}))
    yield valid("read_evidence", "none", "None is.", body=json.dumps({"evidence": []}))
    wrong = {
        "no-json": ("It is JSON.", "["),
        "no-member": ("The list is missing.", "{}"),
        "no-id": ("An id is missing.", json.dumps({"evidence": [{k: v for k, v in one.items() if k != "id"}]})),
        "number-as-text": ("A number is a number.", json.dumps({"evidence": [one | {"number": "1"}]})),
    }
    for name, (about, body) in wrong.items():
        yield refused("read_evidence", "EVIDENCE_LIST_MALFORMED", name, about, body=body)
