"""Logs that every verifier accepts."""

import json
from collections.abc import Iterator
from typing import Any

from spec.did.case import (
    NO_PREROTATION,
    Case,
    both,
    closed,
    drop,
    new_epoch,
    own_methods,
    parameter,
    relative_ids,
    retired,
    rule,
    updated,
)
from spec.did.writer import Writer, move


def cases() -> Iterator[Case]:
    """Yield logs that every verifier accepts."""

    def case(name: str, about: str, writer: Writer, **more: Any) -> Case:
        return Case(name, about, tuple(writer.lines), **more)

    gotong = {"ask": "require_gotong"}
    yield case("created", "A guest's first entry.", Writer().first(), **gotong)
    yield case("updated", "Each entry uses the key the one before committed to.", updated(), **gotong)
    yield case("moved", "The participant moves to another host.", Writer().first().next(move), **gotong)
    end = both(NO_PREROTATION, parameter("deactivated", True), closed)
    yield case("deactivated", "The participant ends its log.", Writer().first().next(end), **gotong)
    yield case("key-retired", "A log key is retired at a stated head and replaced.", retired(), **gotong)
    yield case("new-epoch", "After a theft the log goes on in a new epoch.", new_epoch(), **gotong)
    spaced = Writer().first()
    spaced.lines[0] = json.dumps(json.loads(spaced.lines[0]), indent=1).replace("\n", " ").encode()
    yield case("any-layout", "White space and order of a line do not matter.", spaced, **gotong)
    yield case(
        "time-with-offset", "Universal time may be written +00:00.", Writer().first(time="2026-11-01T00:00:00+00:00")
    )
    yield case("time-within-tolerance", "Five minutes ahead of the clock.", Writer().first(time="2026-11-22T00:05:00Z"))
    exact = Writer().first(time="2026-11-01T00:00:00.123456Z")
    yield case("time-in-microseconds", "A fraction has one to six digits.", exact)
    decoy = Writer().first().next(parameter("nextKeyHashes", ["a decoy"]))
    yield case("decoy-hash", "Any text may stand among the hashes of next keys.", decoy, **gotong)
    floating = Writer().first(parameter("ttl", 60))
    floating.lines[0] = floating.lines[0].replace(b'"ttl":60', b'"ttl":6e1')
    yield case("whole-float", "6e1 is 60 and has its canonical form.", floating)
    yield case("own-methods", "Other methods and purposes are the participant's own business.", own_methods(), **gotong)
    yield case("relative-ids", "Keys may be named by their fragment.", Writer().first(relative_ids), **gotong)
    off = Writer().first(NO_PREROTATION).next(both(NO_PREROTATION, drop("parameters", "updateKeys")), key=0)
    yield case("no-prerotation", "Without pre-rotation update keys are inherited.", off)
    witnessed = Writer().first(parameter("witness", rule(1, 20, 21)))
    yield case("witnessed", "One of two witnesses approved.", witnessed, witness=witnessed.witnessed((1, 21)))
    bare = json.dumps([*json.loads(witnessed.witnessed((1, 21))), {"versionId": "2-Qm"}])
    yield case("witness-record-bare", "A record may hold no proof.", witnessed, witness=bare)
    yield case("witness-file-unread", "Nobody reads it where no witness is named.", Writer().first(), witness="{")
    later = Writer().first(parameter("witness", rule(2, 20, 21))).next()
    yield case(
        "witnessed-later",
        "Approving an entry approves those before it.",
        later,
        witness=later.witnessed((2, 20), (2, 21)),
    )
    changed = Writer().first(parameter("witness", rule(2, 20, 21))).next(parameter("witness", rule(1, 22)))
    file = changed.witnessed((2, 20), (2, 21))
    yield case("witnesses-changed", "A change of witnesses is judged by the old ones.", changed, witness=file)
    begun = Writer().first().next(parameter("witness", rule(1, 20)))
    yield case(
        "witnesses-begun", "The first list ever set is in force at once.", begun, witness=begun.witnessed((2, 20))
    )
