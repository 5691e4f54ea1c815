"""Cases about signatures: notes, verifier keys, checkpoints, cosignatures, the keys of a log."""

from typing import Any

from federation.encoding import base64text
from federation.log.merkle import EMPTY_ROOT
from federation.log.note import Checkpoint, KeyType, Note, Signature, Signer, Verifier, checkpoint_text, cosign, sign
from spec.cases import naive
from spec.cases.keys import AT, ORIGIN, SCID, Cases, private_key, public_key, refused, valid

_LOG = Signer(ORIGIN, private_key("log"))
_OLD = Signer(ORIGIN, private_key("old log"))
_THIEF = Signer(ORIGIN, private_key("thief"))
_COSIGNER = Signer("witness.example/one", private_key("cosigner"), KeyType.COSIGNATURE_V1)
_LEAVES = [naive.leaf(f"leaf {index}".encode()) for index in range(9)]
_ROOT = naive.root(_LEAVES)
_CHECKPOINT = Checkpoint(ORIGIN, 9, _ROOT)
_TEXT = checkpoint_text(_CHECKPOINT)
_AT_S = int(AT.timestamp())


def cases() -> Cases:
    """Yield the cases of note.py and of verify.check_checkpoint."""
    yield from _vkeys()
    yield from _notes()
    yield from _texts()
    yield from _checkpoints()
    yield from _cosignatures()
    yield from _log_keys()


def _vkeys() -> Cases:
    public = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    name, error = "parse_vkey", "VKEY_MALFORMED"
    yield valid(name, "ed25519", "a key published by another log", vkey=public)
    yield valid(name, "cosigner", "a key of type 0x04", vkey=_COSIGNER.verifier().vkey())
    for case, about, vkey in (
        ("id-of-another-key", "the id is not the key's", public.replace("33d7b496", "33d7b497")),
        ("id-in-capitals", "the id is lowercase hex", public.replace("33d7b496", "33D7B496")),
        ("no-name", "a key has a name", public.replace("example.com/log/testdata", "")),
        ("space-in-name", "names hold no spaces", public.replace("testdata", "test data")),
        ("key-cut", "31 bytes are no key", Verifier("a", bytes(32)).vkey()[:-4]),
        ("type-unknown", "only types 0x01 and 0x04 are spoken", "a+00000000+" + base64text.encode(b"\x02" + bytes(32))),
        ("base64-not-canonical", "padding is not to be left out", _LOG.verifier().vkey().rstrip("=") + "\n"),
    ):
        yield refused(name, error, case, about, vkey=vkey)


def _note(text: str, *signatures: Signature) -> str:
    return Note(text, signatures).to_bytes().decode()


def _signature(signer: Signer, text: str) -> Signature:
    return Signature(signer.name, signer.verifier().key_id, signer.private.sign(text.encode()))


def _notes() -> Cases:
    name, text = "verify_note", "gotong royong\n\nseperti biasa\n"
    vkeys = [_LOG.verifier().vkey()]
    good = sign(text, _LOG).decode()
    [line] = good.splitlines(keepends=True)[-1:]
    stranger = Signature("stranger", b"abcd", b"whatever")
    yield valid(name, "one-signature", "a text with an empty line in it", note=good, vkeys=vkeys)
    yield valid(name, "stranger-too", "unknown keys are ignored", note=good + stranger.line(), vkeys=vkeys)
    same_name = _note(text, _signature(_THIEF, text), _signature(_LOG, text))
    yield valid(name, "same-name-other-key", "name and key id together name a key", note=same_name, vkeys=vkeys)
    for case, about, note in (
        ("no-signature", "a note is signed", text + "\n"),
        ("no-empty-line", "text and signatures are kept apart", "gotong\n" + line),
        ("no-final-newline", "the last line ends too", good[:-1]),
        ("carriage-return", "no control characters but newline", good.replace("seperti", "seperti\r")),
        ("tab-in-name", "no control characters but newline", good.replace("— gotong", "— \tgotong")),
        ("hyphen-for-dash", "the dash is U+2014", good.replace("—", "-")),
        ("plus-in-name", "names hold no plus", good.replace("— gotong", "— go+tong")),
        ("space-in-name", "names hold no Unicode spaces", good.replace("— gotong", "— go\u2003tong")),
        ("no-name", "a key has a name", f"{text}\n— {base64text.encode(bytes(68))}\n"),
        ("base64-broken", "not base64", good[:-3] + "!\n"),
        ("base64-not-canonical", "bits that are not zero after the end", _loose_bits(good)),
        ("key-id-only", "a signature is longer than its key id", f"{text}\n— a {base64text.encode(bytes(4))}\n"),
        ("line-after", "nothing but signatures follows", good + "more\n"),
        ("too-many-signatures", "64 at most", good + stranger.line() * 64),
    ):
        yield refused(name, "NOTE_MALFORMED", case, about, note=note, vkeys=vkeys)
    large = {"repeat": "a", "times": 128 * 1024 + 1}
    yield refused(name, "NOTE_MALFORMED", "too-large", "128 KiB at most", note=large, vkeys=vkeys)
    for case, about, note in (
        ("text-changed", "a letter is changed", good.replace("biasa", "biasA")),
        ("unknown-key-only", "only a stranger signed", _note(text, stranger)),
        ("one-of-two-broken", "a known key's signature must hold", good + _signature(_LOG, "other\n").line()),
        ("signature-cut", "63 bytes are no signature", _note(text, _cut(_signature(_LOG, text)))),
    ):
        yield refused(name, "NOTE_SIGNATURE_INVALID", case, about, note=note, vkeys=vkeys)


def _loose_bits(note: str) -> str:
    head, last = note.rstrip("\n")[:-2], note.rstrip("\n")[-2:]
    assert last[1] == "="  # 68 bytes end in one sign of padding: the sign before it carries two free bits
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return f"{head}{alphabet[alphabet.index(last[0]) + 1]}=\n"


def _cut(signature: Signature) -> Signature:
    return Signature(signature.name, signature.key_id, signature.data[:-1])


def _texts() -> Cases:
    name = "parse_checkpoint"
    root = base64text.encode(_ROOT)
    yield valid(name, "nine-leaves", "origin, size, root", text=_TEXT)
    empty = f"{ORIGIN}\n0\n{base64text.encode(EMPTY_ROOT)}\n"
    yield valid(name, "empty-tree", "a log before its first entry", text=empty)
    for case, about, text in (
        ("extension-line", "Gotong logs state no extensions", _TEXT + "extra\n"),
        ("empty-line", "no line is empty", _TEXT + "\n"),
        ("root-missing", "three lines", f"{ORIGIN}\n9\n"),
        ("no-final-newline", "the last line ends too", _TEXT[:-1]),
        ("origin-empty", "a log has a name", f"\n9\n{root}\n"),
        ("size-leading-zero", "no leading zeros", f"{ORIGIN}\n09\n{root}\n"),
        ("size-sign", "digits only", f"{ORIGIN}\n+9\n{root}\n"),
        ("size-negative", "digits only", f"{ORIGIN}\n-9\n{root}\n"),
        ("size-other-digits", "ASCII digits only", f"{ORIGIN}\n\N{ARABIC-INDIC DIGIT NINE}\n{root}\n"),
        ("size-too-large", "below 2**53", f"{ORIGIN}\n{2**53}\n{root}\n"),
        ("root-cut", "32 bytes", f"{ORIGIN}\n9\n{base64text.encode(_ROOT[:31])}\n"),
        ("root-unpadded", "padding is not to be left out", f"{ORIGIN}\n9\n{root[:-1]}\n"),
        ("root-url-alphabet", "standard base64", f"{ORIGIN}\n9\n{'-' * 43}=\n"),
        ("empty-tree-with-root", "the empty tree has the empty root", f"{ORIGIN}\n0\n{root}\n"),
    ):
        yield refused(name, "CHECKPOINT_MALFORMED", case, about, text=text)


def _checkpoints() -> Cases:
    name = "verify_checkpoint"
    good = sign(_TEXT, _LOG).decode()
    base: dict[str, Any] = {"origin": ORIGIN, "public_keys": [public_key("log").hex()], "note": good}
    yield valid(name, "signed", "signed by the log", **base)
    cosigned = good + cosign(_TEXT, _COSIGNER, _AT_S).line()
    yield valid(name, "cosigned", "cosignatures are ignored here", **{**base, "note": cosigned})
    both = [public_key("old log").hex(), public_key("log").hex()]
    yield valid(name, "two-keys", "one of two keys signed", **{**base, "public_keys": both})
    other = f"gotong/{SCID}/1"
    for error, case, about, change in (
        (
            "CHECKPOINT_SIGNATURE_INVALID",
            "thief",
            "a key the log does not have",
            {"note": sign(_TEXT, _THIEF).decode()},
        ),
        ("CHECKPOINT_SIGNATURE_INVALID", "size-changed", "signed for 9", {"note": good.replace("\n9\n", "\n8\n")}),
        ("CHECKPOINT_SIGNATURE_INVALID", "no-keys", "a log without keys", {"public_keys": []}),
        ("CHECKPOINT_SIGNATURE_INVALID", "cosigned-only", "a cosignature is none", {"note": _as_cosigner()}),
        ("CHECKPOINT_WRONG_ORIGIN", "other-epoch", "asked for the next epoch", {"origin": other}),
        ("CHECKPOINT_MALFORMED", "extension", "signed, but extended", {"note": sign(_TEXT + "x\n", _LOG).decode()}),
        ("NOTE_MALFORMED", "unsigned", "a text is no note", {"note": _TEXT}),
    ):
        yield refused(name, error, case, about, **{**base, **change})


def _as_cosigner() -> str:
    return _note(_TEXT, cosign(_TEXT, Signer(ORIGIN, private_key("log")), _AT_S))


def _cosignatures() -> Cases:
    name, error = "verify_cosignature", "COSIGNATURE_INVALID"
    signed = sign(_TEXT, _LOG).decode()
    good = cosign(_TEXT, _COSIGNER, _AT_S)
    base = {"name": _COSIGNER.name, "public_key": public_key("cosigner").hex(), "note": signed + good.line()}
    yield valid(name, "one", "seen at that second", **base)
    later = cosign(_TEXT, _COSIGNER, _AT_S + 60).line()
    yield valid(name, "twice", "the newest counts", **{**base, "note": signed + later + good.line()})
    moved = Signature(good.name, good.key_id, (_AT_S + 1).to_bytes(8, "big") + good.data[8:])
    late_text = f"cosignature/v1\ntime {2**63}\n{_TEXT}".encode()
    beyond = Signature(good.name, good.key_id, (2**63).to_bytes(8, "big") + _COSIGNER.private.sign(late_text))
    plain = Signature(good.name, good.key_id, good.data[:8] + _COSIGNER.private.sign(_TEXT.encode()))
    for case, about, note in (
        ("time-changed", "the time is signed too", signed + moved.line()),
        ("time-beyond", "times stay below 2**63", signed + beyond.line()),
        ("plain-signature", "the signed text begins with cosignature/v1", signed + plain.line()),
        ("missing", "it did not sign", signed),
        ("cut", "72 bytes", signed + _cut(good).line()),
        ("root-changed", "it saw another tree", _note(_TEXT.replace("\n9\n", "\n8\n"), good)),
    ):
        yield refused(name, error, case, about, **{**base, "note": note})


def _log_keys() -> Cases:
    name, error = "check_checkpoint", "CHECKPOINT_KEY_RETIRED"
    last = {"size": 9, "root": _ROOT.hex()}
    old = {"id": "#log-0-0", "public_key": public_key("old log").hex(), "retired": last}
    base: dict[str, Any] = {"origin": ORIGIN, "keys": [old, {"id": "#log-0-1", "public_key": public_key("log").hex()}]}

    def signed(size: int, root: bytes, signer: Signer = _OLD) -> str:
        return sign(checkpoint_text(Checkpoint(ORIGIN, size, root)), signer).decode()

    anchor = [each.hex() for each in naive.consistency(6, _LEAVES)]
    six = signed(6, naive.root(_LEAVES[:6]))
    yield valid(name, "key-in-use", "signed by the key in use", **base, note=signed(12, bytes(32), _LOG))
    yield valid(name, "retired-at-its-end", "the very tree it was retired at", **base, note=signed(9, _ROOT))
    yield valid(name, "retired-anchored", "shown to be a prefix of that tree", **base, note=six, anchor=anchor)
    yield refused(name, error, "after-its-end", "a larger tree", **base, note=signed(10, bytes(32)))
    yield refused(name, error, "other-root", "another tree of that size", **base, note=signed(9, bytes(32)))
    yield refused(name, error, "not-anchored", "a smaller tree, not shown to be a prefix", **base, note=six)
    forged = signed(6, bytes(32))
    yield refused(name, error, "forged-prefix", "a thief's smaller tree", **base, note=forged, anchor=anchor)
    thief = signed(9, _ROOT, _THIEF)
    yield refused(name, "CHECKPOINT_SIGNATURE_INVALID", "thief", "a key never listed", **base, note=thief)
