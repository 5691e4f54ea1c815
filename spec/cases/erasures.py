"""Cases about erase entries, which parts they name and what they may not, and about acknowledgements."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.encoding import base64text, canonical
from federation.erasing import acknowledgement, removal
from federation.erasing.acknowledgement import Acknowledgement
from federation.log.merkle import leaf_hash
from spec.cases.keys import AT, ORIGIN, SCID, Cases, private_key, record_id, refused, seed, valid

_SEALED_ONCE: dict[str, str] = json.loads(Path(__file__).with_name("sealed.json").read_text(encoding="utf-8"))
_FETCH_KEY = X25519PrivateKey.from_private_bytes(seed("fetch key")).public_key().public_bytes_raw()
_LETTER = "019ced20" * 4

_MEMBERS: dict[str, Any] = {
    "v": 1,
    "type": "need",
    "id": str(record_id(0)),
    "rev": 1,
    "prev": 3,
    "at": "2026-03-14T09:26:53.589Z",
    "op": "erase",
}


def cases() -> Cases:
    """Yield the cases of erasure.py, acknowledgement.py and removal.py."""
    name = "erased_parts"
    yield valid(name, "body", "what everybody can read", entry=_text(core={"parts": ["body"]}))
    yield valid(name, "restricted", "contact and exact place", entry=_text(core={"parts": ["restricted"]}))
    yield valid(name, "both", "everything beside the entry", entry=_text(core={"parts": ["body", "restricted"]}))
    unknown = _text(core={"parts": ["body"]}, type="a-type-of-tomorrow", v=9)
    yield valid(name, "unknown-type", "erasing needs no knowledge of the type", entry=unknown)
    yield valid(name, "drill", "of a drill", entry=_text(core={"parts": ["body"]}, exercise=True))
    for case, about, core in (
        ("nothing", "no part at all", {"parts": []}),
        ("twice", "a part twice", {"parts": ["body", "body"]}),
        ("unsorted", "in another order", {"parts": ["restricted", "body"]}),
        ("unknown-part", "a part nobody knows", {"parts": ["media"]}),
        ("text", "a text instead of a list", {"parts": "body"}),
        ("number", "no text in the list", {"parts": ["body", 1]}),
        ("more-members", "another member beside", {"parts": ["body"], "reason": "..."}),
        ("other-member", "another member instead", {"part": ["body"]}),
    ):
        yield refused(name, "ERASE_MALFORMED", case, about, entry=_text(core=core))
    yield refused(name, "ERASE_MALFORMED", "no-core", "nothing said", entry=_text())
    committing = _text(core={"parts": ["body"]}, body="cd" * 32)
    yield refused(name, "ERASE_MALFORMED", "commits", "it brings a body", entry=committing)
    for case, parts in (("core", ["core"]), ("core-and-body", ["body", "core"])):
        yield refused(name, "CORE_NOT_ERASABLE", case, "what the entry itself says", entry=_text(core={"parts": parts}))
    first = {member: value for member, value in _MEMBERS.items() if member != "prev"} | {"rev": 0}
    nothing = canonical.encode({**first, "core": {"parts": ["body"]}}).decode()
    yield refused(name, "NOTHING_TO_ERASE", "first-revision", "a record that begins with its erasure", entry=nothing)
    yield from _acknowledgements()
    yield from _removals()


def _acknowledgements() -> Cases:
    name = "check_acknowledgement"
    key, root = private_key("cosigner"), leaf_hash(b"one entry")
    public = [key.public_key().public_bytes_raw().hex()]
    said = Acknowledgement(SCID, ORIGIN, 7, root, AT)
    good = acknowledgement.sign(said, key).decode()
    yield valid(name, "good", "all erasures up to 7 entries", note=good, public_keys=public, root=root.hex())
    another = private_key("another").public_key().public_bytes_raw().hex()
    both = [another, *public]
    yield valid(name, "one-of-two-keys", "the operator has two keys", note=good, public_keys=both, root=root.hex())
    code = "ACKNOWLEDGEMENT_OF_ANOTHER_TREE"
    yield refused(name, code, "root", "our tree has another root", note=good, public_keys=public, root="ab" * 32)
    code = "ACKNOWLEDGEMENT_SIGNATURE_INVALID"
    given: dict[str, Any] = {"root": root.hex()}
    yield refused(name, code, "other-key", "another key", note=good, public_keys=[another], **given)
    yield refused(name, code, "no-key", "an operator without keys", note=good, public_keys=[], **given)
    changed = good.replace("\n7\n", "\n8\n")
    yield refused(name, code, "changed", "a size changed afterwards", note=changed, public_keys=public, **given)
    given |= {"public_keys": public}
    for case, about, text in (
        ("checkpoint", "a checkpoint is no acknowledgement", good.replace("gotong/erasures/v1\n", "")),
        ("other-version", "another version", good.replace("erasures/v1", "erasures/v2")),
        ("size-zero", "nothing is up to 0", good.replace("\n7\n", "\n0\n")),
        ("size-leading-zero", "a number with a zero before it", good.replace("\n7\n", "\n07\n")),
        ("no-origin", "not the name of a log", good.replace(f"\n{ORIGIN}\n", "\ngotong\n")),
        ("short-root", "a root of 3 bytes", good.replace(base64text.encode(root), "AAAA")),
        ("seconds", "a time without its fraction", good.replace(".589Z", "Z")),
        ("extra-line", "one line more", good.replace("\n\n", "\nand more\n\n", 1)),
        ("witness", "a witness's name", good.replace("/erasures ", "/witness ")),
        ("no-note", "no note at all", "executed"),
        ("two-signatures", "two signatures", good + good.rpartition("\n\n")[2]),
    ):
        yield refused(name, "ACKNOWLEDGEMENT_MALFORMED", case, about, note=text, **given)


def _text(**members: Any) -> str:
    return canonical.encode({**_MEMBERS, **members}).decode()


def _removals() -> Cases:
    name, malformed = "read_removals_fetch", "REMOVALS_MALFORMED"
    fetch = removal.write_fetch(_FETCH_KEY, [_LETTER]).decode()
    yield valid(name, "first", "what waits is asked for", fetch=removal.write_fetch(_FETCH_KEY, []).decode())
    yield valid(name, "one-taken", "one is here now", fetch=fetch)
    for case, text in {
        "no-json": "x",
        "key-short": fetch.replace(_FETCH_KEY.hex(), "00"),
        "letter-upper-case": fetch.replace(_LETTER, _LETTER.upper()),
        "member-unknown": fetch.replace("{", '{"also":1,', 1),
        "no-key": '{"taken":[]}',
        "too-many": removal.write_fetch(_FETCH_KEY, [_LETTER] * 17).decode(),
    }.items():
        yield refused(name, malformed, case, "not of the form", fetch=text)
    name = "open_removals"
    known: dict[str, Any] = {"fetch": fetch, "private_key": seed("fetch key").hex()}
    given = removal.write_given(bytes.fromhex(_SEALED_ONCE["removals"])).decode()
    yield valid(name, "one", "a record, and why", given=given, **known)
    yield refused(name, malformed, "no-hex", "not of the form", given='{"sealed":"0"}', **known)
    yield refused(name, malformed, "no-member", "not of the form", given="{}", **known)
    other = {**known, "fetch": removal.write_fetch(_FETCH_KEY, []).decode()}
    yield refused(name, "SEAL_BROKEN", "other-fetch", "the answer to another", given=given, **other)
    for case, about in {
        "no-record": "what is sealed is not of the form",
        "nul": "no text holds a NUL",
    }.items():
        bad = removal.write_given(bytes.fromhex(_SEALED_ONCE[f"removals-{case}"])).decode()
        yield refused(name, malformed, case, about, given=bad, **known)
