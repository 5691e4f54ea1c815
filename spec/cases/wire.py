"""Cases about what goes over the wire: frames, the order of a stream, heads, pull requests (rules F, S)."""

import json
import struct
from typing import Any

from spec.cases.keys import ORIGIN, SCID, Cases, refused, valid

_OTHER = f"gotong/{SCID}/1"
_HASH = bytes(range(32))
_NOTE = b"a note\n"


def _frame(kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">BI", kind, len(data)) + data


def _entry(data: bytes, rest: bytes = b"") -> bytes:
    return _frame(5, struct.pack(">H", len(data)) + data + rest)


_LOG, _LINE, _WITNESS = _frame(1, ORIGIN.encode()), _frame(2, b"{}"), _frame(3, b"[]")
_CHECKPOINT, _BARE, _MARK = _frame(4, _NOTE), _entry(b"{}"), _frame(6, struct.pack(">Q", 1) + _HASH)
_ALL, _BOUND, _PAUSE, _END = _frame(7, b"\x00"), _frame(7, b"\x01"), _frame(8, struct.pack(">I", 30)), _frame(9)
_EVIDENCE = _frame(10, b"{}")


def cases() -> Cases:
    """Yield the cases of frames.py, sections.py and messages.py."""
    yield from _frames()
    yield from _streams()
    yield from _heads()
    yield from _news()
    yield from _pulls()


def _frames() -> Cases:
    whole = {
        "log": ("A log's name.", _LOG),
        "did-line": ("A line of a DID log.", _LINE),
        "witness": ("A witness file.", _WITNESS),
        "checkpoint": ("A signed note.", _CHECKPOINT),
        "entry": ("An entry without a body.", _BARE),
        "entry-with-body": ("An entry, 16 bytes of salt, a body.", _entry(b"{}", bytes(16) + b'{"a":1}')),
        "entry-with-empty-body": (
            "A body may be empty here; whether it fits is for rules E3.",
            _entry(b"{}", bytes(16)),
        ),
        "mark": ("A size and one hash of a proof.", _MARK),
        "mark-without-proof": ("At the checkpoint's own size a proof is empty.", _frame(6, struct.pack(">Q", 7))),
        "end-of-log": ("A bound was reached.", _BOUND),
        "retry-after": ("Half a minute.", _PAUSE),
        "evidence": ("A piece of evidence; whether it is one is for rules Y.", _EVIDENCE),
        "several": ("Frames follow each other without anything between.", _LOG + _LINE + _END),
        "nothing": ("No bytes are no frames.", b""),
    }
    for name, (about, data) in whole.items():
        yield valid("decode_frames", name, about, stream=data.hex())
    wrong = {
        "unknown-type": ("FRAME_UNKNOWN", "There is no type 11.", _frame(11)),
        "type-zero": ("FRAME_UNKNOWN", "There is no type 0.", _frame(0)),
        "long-origin": ("FRAME_TOO_LARGE", "An origin has at most 128 bytes.", _frame(1, b"g" * 129)),
        "length-alone": ("FRAME_TOO_LARGE", "A length is refused before its data come.", struct.pack(">BI", 4, 2**31)),
        "long-evidence": ("FRAME_TOO_LARGE", "Evidence has at most 11 MiB.", struct.pack(">BI", 10, 11 * 2**20 + 1)),
        "end-with-data": ("FRAME_TOO_LARGE", "END has no data.", _frame(9, b"x")),
        "long-proof": ("FRAME_TOO_LARGE", "A proof has at most 128 hashes.", _frame(6, bytes(8) + _HASH * 129)),
        "empty-origin": ("FRAME_MALFORMED", "A name is not empty.", _frame(1)),
        "origin-not-ascii": ("FRAME_MALFORMED", "A name is ASCII.", _frame(1, "gotong/é".encode())),
        "entry-without-length": ("FRAME_MALFORMED", "An entry is preceded by its length.", _frame(5, b"\x00")),
        "entry-too-long": ("FRAME_MALFORMED", "An entry ends within its frame.", _frame(5, b"\x00\x09{}")),
        "half-a-salt": ("FRAME_MALFORMED", "A salt has 16 bytes.", _entry(b"{}", bytes(15))),
        "half-a-hash": ("FRAME_MALFORMED", "A proof is whole hashes.", _frame(6, bytes(8) + _HASH[:-1])),
        "mark-without-size": ("FRAME_MALFORMED", "A mark begins with a size.", _frame(6, bytes(7))),
        "size-too-large": ("FRAME_MALFORMED", "A size stays below 2^53.", _frame(6, struct.pack(">Q", 2**53))),
        "unknown-reason": ("FRAME_MALFORMED", "A log ends for reason 0 or 1.", _frame(7, b"\x02")),
        "no-reason": ("FRAME_MALFORMED", "A log ends for a reason.", _frame(7)),
        "long-pause": ("FRAME_MALFORMED", "A pause is at most a day.", _frame(8, struct.pack(">I", 86_401))),
        "cut-header": ("FRAME_TRUNCATED", "The stream ends inside a header.", _LOG[:3]),
        "cut-data": ("FRAME_TRUNCATED", "The stream ends inside a frame.", _LOG[:-1]),
    }
    for name, (code, about, data) in wrong.items():
        yield refused("decode_frames", code, name, about, stream=data.hex())


def _streams() -> Cases:
    section = _LOG + _LINE + _WITNESS + _CHECKPOINT + _BARE + _MARK + _ALL
    whole = {
        "section": ("One log, from its identity to its end.", section + _END),
        "nothing-new": ("A log of which nothing is sent.", _LOG + _ALL + _END),
        "identity-alone": ("DID lines and a checkpoint, no entries.", _LOG + _LINE + _CHECKPOINT + _ALL + _END),
        "two-batches": ("Two batches under one checkpoint.", _LOG + _CHECKPOINT + (_BARE + _MARK) * 2 + _BOUND + _END),
        "pause": ("The sender asks for a pause.", section + _PAUSE + _END),
        "no-logs": ("Nothing that was asked for is served.", _END),
        "witness-alone": ("Proofs may come without new lines.", _LOG + _WITNESS + _CHECKPOINT + _ALL + _END),
    }
    for name, (about, data) in whole.items():
        yield valid("read_stream", name, about, stream=data.hex(), asked=[ORIGIN])
    unasked = {
        "evidence": ("A bundle holds logs and evidence.", section + _EVIDENCE + _END),
        "evidence-first": ("They come in any order.", _EVIDENCE * 2 + section + _PAUSE + _END),
    }
    for name, (about, data) in unasked.items():
        yield valid("read_stream", name, about, stream=data.hex(), asked=None)
    wrong = {
        "entry-first": ("STREAM_OUT_OF_ORDER", "An entry stands outside a section.", _BARE + _END),
        "no-checkpoint": (
            "STREAM_OUT_OF_ORDER",
            "Entries come after a checkpoint.",
            _LOG + _BARE + _MARK + _ALL + _END,
        ),
        "no-mark": ("STREAM_OUT_OF_ORDER", "Entries end with a mark.", _LOG + _CHECKPOINT + _BARE + _ALL + _END),
        "mark-alone": (
            "STREAM_OUT_OF_ORDER",
            "A mark ends at least one entry.",
            _LOG + _CHECKPOINT + _MARK + _ALL + _END,
        ),
        "line-after-witness": ("STREAM_OUT_OF_ORDER", "Lines come before proofs.", _LOG + _WITNESS + _LINE + _END),
        "two-checkpoints": ("STREAM_OUT_OF_ORDER", "A section has one.", _LOG + _CHECKPOINT * 2 + _ALL + _END),
        "lines-without-checkpoint": ("STREAM_OUT_OF_ORDER", "Lines lead to one.", _LOG + _LINE + _ALL + _END),
        "log-within-log": ("STREAM_OUT_OF_ORDER", "A section ends before the next.", _LOG + _CHECKPOINT + _LOG + _END),
        "after-end": ("STREAM_OUT_OF_ORDER", "Nothing follows END.", _END + _END),
        "two-pauses": ("STREAM_OUT_OF_ORDER", "There is one pause.", section + _PAUSE * 2 + _END),
        "log-after-pause": ("STREAM_OUT_OF_ORDER", "After a pause comes END alone.", _PAUSE + section + _END),
        "pause-within": ("STREAM_OUT_OF_ORDER", "A pause stands between sections.", _LOG + _PAUSE + _ALL + _END),
        "evidence-in-a-pull": ("STREAM_OUT_OF_ORDER", "A pull's answer holds none.", section + _EVIDENCE + _END),
        "not-asked": ("STREAM_LOG_UNEXPECTED", "That log was not asked for.", _frame(1, _OTHER.encode()) + _ALL + _END),
        "twice": ("STREAM_LOG_UNEXPECTED", "A log has one section.", (_LOG + _ALL) * 2 + _END),
        "no-end": ("FRAME_TRUNCATED", "A stream says that it ends.", section),
        "open-section": ("FRAME_TRUNCATED", "A section says that it ends.", _LOG + _CHECKPOINT + _BARE),
    }
    for name, (code, about, data) in wrong.items():
        yield refused("read_stream", code, name, about, stream=data.hex(), asked=[ORIGIN])
    yield refused(
        "read_stream",
        "STREAM_OUT_OF_ORDER",
        "evidence-within",
        "Evidence stands between sections.",
        stream=(_LOG + _EVIDENCE + _ALL + _END).hex(),
        asked=None,
    )
    yield refused(
        "read_stream",
        "STREAM_SECTION_TOO_LARGE",
        "much-evidence",
        "A bundle holds at most 256 pieces of evidence.",
        stream=[{"repeat": _EVIDENCE.hex(), "times": 257}, _END.hex()],
        asked=None,
    )
    batch = {"head": (_LOG + _CHECKPOINT).hex(), "entry": _BARE.hex(), "tail": (_MARK + _ALL + _END).hex()}
    yield refused(
        "read_stream",
        "STREAM_SECTION_TOO_LARGE",
        "long-batch",
        "A batch has at most 4096 entries.",
        stream=[batch["head"], {"repeat": batch["entry"], "times": 4_097}, batch["tail"]],
        asked=[ORIGIN],
    )


def _news() -> Cases:
    """Nothing is refused: who does not understand an event looks at everything."""
    log = json.dumps({"origin": ORIGIN, "size": 8})
    grown = f"event: head\ndata: {log}\nid: a:1\n\n"
    mail, silence = "event: mail\ndata: {}\n\n", ": still here\n\n"
    first, second = log.split(" ", 1)
    cases = {
        "grown": ("A log grew, and where to resume from.", grown),
        "mail": ("Something waits for whoever signed the request.", mail),
        "both": ("Mail and a log; a comment is no news.", mail + grown + silence),
        "silence": ("A comment keeps the connection alive.", silence),
        "not-understood": ("An event of a log that cannot be read: all is looked at.", "event: head\ndata: {\n\n"),
        "no-resuming-beyond": ("One that cannot be read is not left behind.", "event: head\ndata: {\nid: a:1\n\n"),
        "resume-before": ("It is resumed from before it.", grown + "event: head\ndata: {}\nid: a:2\n\n" + grown),
        "other-event": ("An event that a newer version sends is left alone.", "event: weather\ndata: {}\n\n"),
        "mailbox": ("Another name that begins like one of these is another event.", "event: mailbox\ndata: {}\n\n"),
        "named-in-passing": ("What an event is says its own field.", ": event: head\ndata: {}\n\n"),
        "cr-lf": ("Lines may end with CR LF.", (mail + grown).replace("\n", "\r\n")),
        "other-order": (
            "Fields in any order, a space behind the colon or not.",
            f"id:a:1\ndata:{log}\nevent:head\n\n",
        ),
        "two-lines": ("Data may be of several lines.", f"event: head\ndata: {first}\ndata: {second}\nid: a:1\n\n"),
        "unfinished": ("An event that is cut off is none.", mail + grown[:-1]),
        "long-id": ("An id of more than 256 characters is none.", grown.replace("a:1", "a" * 257)),
    }
    for name, (about, text) in cases.items():
        yield valid("read_news", name, about, text=text)


def _heads() -> Cases:
    log: dict[str, Any] = {"origin": ORIGIN, "size": 7, "checkpoint": "a note", "did_version": 1, "hosted": True}
    heads: dict[str, Any] = {
        "network": "test",
        "operator": SCID,
        "time": "2026-03-14T09:26:53.589Z",
        "since": "a:1",
        "logs": [log],
    }
    bare = {name: value for name, value in log.items() if name != "hosted"}
    whole = {
        "one": ("One log, hosted there.", heads),
        "none": ("Nothing changed.", heads | {"logs": []}),
        "did-hash": ("The hash of the newest DID line.", heads | {"logs": [log | {"did_hash": "Qm" + "1" * 44}]}),
        "not-hosted": ("`hosted` may be left out.", heads | {"logs": [bare]}),
        "keeps-mail": ("Requests wait there for its home.", heads | {"logs": [bare | {"mail": True}], "mail": 2}),
        "more": ("Members that a newer version sends are left alone.", heads | {"weather": "rain"}),
        "any-name": ("Whether a name is one of a log is for rule H1.1.", heads | {"logs": [log | {"origin": "x"}]}),
    }
    for name, (about, value) in whole.items():
        yield valid("read_heads", name, about, body=json.dumps(value))
    wrong = {
        "no-json": ("It is JSON.", "{"),
        "many-left-out": ("A count is below 2^53.", json.dumps(heads | {"left_out": 2**53})),
        "a-number": ("It is an object.", "5"),
        "no-network": ("A member is missing.", json.dumps({k: v for k, v in heads.items() if k != "network"})),
        "other-network": ("There are two networks.", json.dumps(heads | {"network": "main"})),
        "bad-time": ("Time has three fraction digits.", json.dumps(heads | {"time": "2026-03-14T09:26:53Z"})),
        "size-as-text": ("A size is a number.", json.dumps(heads | {"logs": [log | {"size": "7"}]})),
        "size-negative": ("A size is not negative.", json.dumps(heads | {"logs": [log | {"size": -1}]})),
        "size-too-large": ("A size stays below 2^53.", json.dumps(heads | {"logs": [log | {"size": 2**53}]})),
        "version-too-large": (
            "A DID log has at most 4096 lines.",
            json.dumps(heads | {"logs": [log | {"did_version": 4_097}]}),
        ),
        "long-origin": ("A name has at most 128 bytes.", json.dumps(heads | {"logs": [log | {"origin": "g" * 129}]})),
        "long-hash": (
            "A hash has at most 64 characters.",
            json.dumps(heads | {"logs": [log | {"did_hash": "Q" * 65}]}),
        ),
        "mail-as-number": ("Of a log it is said or not.", json.dumps(heads | {"logs": [log | {"mail": 1}]})),
        "nul": ("Texts hold no NUL.", json.dumps(heads | {"operator": "Qm\0"})),
        "long-since": ("A hint has at most 256 characters.", json.dumps(heads | {"since": "a" * 257})),
    }
    for name, (about, body) in wrong.items():
        yield refused("read_heads", "HEADS_MALFORMED", name, about, body=body)


def _pulls() -> Cases:
    wanted: dict[str, Any] = {"origin": ORIGIN, "size": 4, "did_version": 1, "upto": 1_000}
    whole: dict[str, tuple[str, Any]] = {
        "whole": ("All members.", {"logs": [wanted], "bytes_max": 1_024}),
        "least": ("From the first entry, all of it.", {"logs": [{"origin": ORIGIN}]}),
        "two": ("Two logs, in the order in which they are wanted.", {"logs": [{"origin": _OTHER}, wanted]}),
    }
    for name, (about, value) in whole.items():
        yield valid("read_pull", name, about, body=json.dumps(value))
    wrong: dict[str, tuple[str, Any]] = {
        "no-logs": ("It asks for a log at least.", {"logs": []}),
        "twice": ("A log is asked for once.", {"logs": [wanted, wanted]}),
        "no-origin": ("A log has a name.", {"logs": [{"size": 4}]}),
        "bad-origin": ("A name is one of a log (R1.2).", {"logs": [{"origin": "gotong/../0"}]}),
        "size-negative": ("A size is not negative.", {"logs": [wanted | {"size": -1}]}),
        "no-bytes": ("It takes a byte at least.", {"logs": [wanted], "bytes_max": 0}),
        "too-many-bytes": ("It takes at most 16 MiB.", {"logs": [wanted], "bytes_max": 2**24 + 1}),
    }
    for name, (about, value) in wrong.items():
        yield refused("read_pull", "PULL_MALFORMED", name, about, body=json.dumps(value))
    many = {"list_of": {"origin": ORIGIN}, "times": 1_025}
    yield refused(
        "read_pull", "PULL_MALFORMED", "too-many-logs", "It asks for at most 1024 logs.", value={"logs": many}
    )
