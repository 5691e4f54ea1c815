"""Cases about second opinions: what a witness is asked, and what it may cosign."""

import json
from typing import Any

from federation.encoding import base64text
from federation.log.add_checkpoint import write
from federation.log.merkle import EMPTY_ROOT
from federation.log.note import Checkpoint, KeyType, Signer, checkpoint_text, cosign, parse_note, sign
from spec.cases import naive
from spec.cases.keys import AT, ORIGIN, SCID, Cases, private_key, refused, valid

_LOG = Signer(ORIGIN, private_key("log"))
_LEAVES = [naive.leaf(f"leaf {index}".encode()) for index in range(9)]
_HASH = base64text.encode(bytes(32))


def _note(size: int, root: bytes) -> bytes:
    return sign(f"{ORIGIN}\n{size}\n{base64text.encode(root)}\n", _LOG)


_NINE = _note(9, naive.root(_LEAVES))


def cases() -> Cases:
    """Yield the cases of add_checkpoint.py and brought.py."""
    yield from _requests()
    yield from _extensions()
    yield from _brought()


def _requests() -> Cases:
    name, error = "parse_add_checkpoint", "ADD_CHECKPOINT_MALFORMED"
    good = write(4, naive.consistency(4, _LEAVES), _NINE).decode()
    yield valid(name, "with-proof", "from size 4 to 9", body=good)
    yield valid(name, "from-nothing", "no proof is needed", body=write(0, [], _NINE).decode())
    yield valid(name, "same-size", "asked to sign again", body=write(9, [], _NINE).decode())
    yield valid(name, "empty-tree", "a log that begins", body=write(0, [], _note(0, EMPTY_ROOT)).decode())
    yield valid(name, "hashes-63", "as many as may be", body=write(4, [bytes(32)] * 63, _NINE).decode())
    note = _NINE.decode()
    for case, about, body in (
        ("hashes-64", "at most 63 hashes", write(4, [bytes(32)] * 64, _NINE).decode()),
        ("old-beyond", "the old size is not larger", write(10, [], _NINE).decode()),
        ("old-leading-zero", "plain decimals", good.replace("old 4", "old 04")),
        ("old-negative", "plain decimals", good.replace("old 4", "old -4")),
        ("old-missing", "the first line says where the proof starts", good.removeprefix("old 4\n")),
        ("old-capital", "the word is old", good.replace("old 4", "Old 4")),
        ("no-empty-line", "hashes and note are kept apart", f"old 4\n{_HASH}\n{note}"),
        ("hash-cut", "a hash has 32 bytes", f"old 4\n{base64text.encode(bytes(31))}\n\n{note}"),
        ("hash-hex", "hashes are base64", f"old 4\n{bytes(32).hex()}\n\n{note}"),
        ("hash-unpadded", "base64 in its one spelling", f"old 4\n{_HASH[:-1]}\n\n{note}"),
        ("carriage-return", "lines end with a newline alone", good.replace("old 4\n", "old 4\r\n")),
        ("no-note", "a checkpoint follows", "old 0\n\n"),
        ("note-unsigned", "the checkpoint is signed", f"old 0\n\n{checkpoint_text(Checkpoint(ORIGIN, 0, EMPTY_ROOT))}"),
        ("note-is-none", "the note is a checkpoint", "old 0\n\n" + sign("gotong royong\n", _LOG).decode()),
        ("extension", "no extension lines", "old 0\n\n" + sign(f"{ORIGIN}\n0\n{_HASH}\nx\n", _LOG).decode()),
    ):
        yield refused(name, error, case, about, body=body)
    yield refused(name, error, "too-large", "a bounded body", body={"repeat": "old 0\n", "times": 30_000})


def _brought() -> Cases:
    name, error = "read_cosignatures", "COSIGNATURES_MALFORMED"
    signer = Signer(f"gotong/{SCID}/witness", private_key("witness"), KeyType.COSIGNATURE_V1)
    line = cosign(parse_note(_NINE).text, signer, int(AT.timestamp())).line()
    one = {"origin": ORIGIN, "size": 9, "line": line}

    def written(*cosignatures: Any) -> str:
        return json.dumps({"cosignatures": cosignatures})

    yield valid(name, "one", "a cosignature on a tree of nine", body=written(one))
    yield valid(name, "member-unknown", "a newer version may say more", body=written({**one, "also": 1}))
    for case, about, body in (
        ("no-json", "it is JSON", "x"),
        ("none", "at least one", written()),
        ("no-list", "a list", '{"cosignatures":{}}'),
        ("no-size", "the size of the checkpoint", written({"origin": ORIGIN, "line": line})),
        ("size-negative", "a size", written({**one, "size": -1})),
        ("origin-empty", "an origin", written({**one, "origin": ""})),
        ("line-without-newline", "a whole line", written({**one, "line": line.removesuffix("\n")})),
        ("two-lines", "one line", written({**one, "line": line * 2})),
        ("line-no-signature", "a signature line", written({**one, "line": "x\n"})),
        ("line-too-long", "a bounded line", written({**one, "line": "\u2014 " + "x" * 512 + "\n"})),
        ("too-many", "at most 256", written(*[one] * 257)),
    ):
        yield refused(name, error, case, about, body=body)


def _extensions() -> Cases:
    name = "check_add_checkpoint"

    def given(old: int, note: bytes, cosigned: int | None, proof: list[bytes], **more: Any) -> dict[str, Any]:
        last = None if cosigned is None else {"size": cosigned, "root": naive.root(_LEAVES[:cosigned]).hex()}
        return {"body": write(old, proof, note).decode(), "cosigned": last, "frozen_size": None, **more}

    proof = naive.consistency(4, _LEAVES)
    yield valid(name, "first", "never cosigned before", **given(0, _NINE, None, []))
    yield valid(name, "grown", "shown to extend", **given(4, _NINE, 4, proof))
    yield valid(name, "again", "the same tree", **given(9, _NINE, 9, []))
    yield valid(name, "empty-tree", "the empty tree", **given(0, _note(0, EMPTY_ROOT), None, []))
    other, error = "WITNESS_AT_OTHER_SIZE", "CHECKPOINT_NOT_EXTENDING"
    yield refused(name, other, "old-too-small", "size 5 was cosigned", **given(4, _NINE, 5, proof))
    yield refused(name, other, "old-too-large", "size 4 was cosigned", **given(5, _NINE, 4, proof))
    yield refused(name, other, "never-cosigned", "nothing was", **given(4, _NINE, None, proof))
    yield refused(name, error, "no-proof", "a proof is needed", **given(4, _NINE, 4, []))
    yield refused(name, error, "proof-from-nothing", "from 0 there is no proof", **given(0, _NINE, None, proof))
    yield refused(name, error, "proof-at-same-size", "nothing to prove", **given(9, _NINE, 9, proof))
    yield refused(name, error, "other-tree", "another tree of that size", **given(9, _note(9, bytes(32)), 9, []))
    yield refused(name, error, "other-growth", "grown from another", **given(4, _note(9, bytes(32)), 4, proof))
    yield refused(name, error, "empty-tree-with-root", "the empty root", **given(0, _note(0, bytes(32)), None, []))
    frozen = given(4, _NINE, 4, proof, frozen_size=3)
    yield refused(name, "LOG_FROZEN", "frozen", "two stories were signed", **frozen)
