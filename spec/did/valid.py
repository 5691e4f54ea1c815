"""Logs that every verifier accepts."""

import json
from collections.abc import Iterator
from typing import Any

from spec.did.case import NO_PREROTATION, Case, both, closed, drop, new_epoch, parameter, retired, rule, updated
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
    off = Writer().first(NO_PREROTATION).next(both(NO_PREROTATION, drop("parameters", "updateKeys")), key=0)
    yield case("no-prerotation", "Without pre-rotation update keys are inherited.", off)
    witnessed = Writer().first(parameter("witness", rule(1, 20, 21)))
    yield case("witnessed", "One of two witnesses approved.", witnessed, witness=witnessed.witnessed((1, 21)))
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
