"""What a case is, and the small edits cases are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spec.did.writer import NOW, Edit, Json, Writer, method, witness_id


@dataclass(frozen=True)
class Case:
    """One vector; `error` is None for a valid log."""

    name: str
    about: str
    lines: tuple[bytes, ...]
    error: str | None = None
    witness: str | None = None
    now: str = NOW
    scid: str | None = None
    ask: str = "verify"


def set_(*path: str | int, to: Any) -> Edit:
    """Return an edit that sets one member deep inside an entry."""

    def edit(entry: Json) -> None:
        node: Any = entry
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = to

    return edit


def drop(*path: str | int) -> Edit:
    """Return an edit that removes one member deep inside an entry."""

    def edit(entry: Json) -> None:
        node: Any = entry
        for step in path[:-1]:
            node = node[step]
        del node[path[-1]]

    return edit


def parameter(name: str, to: Any) -> Edit:
    return set_("parameters", name, to=to)


def version_id(old: str, new: str) -> Edit:
    def edit(entry: Json) -> None:
        entry["versionId"] = entry["versionId"].replace(old, new, 1)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(entry: Json) -> None:
        for each in edits:
            each(entry)

    return edit


def rule(threshold: Any, *witnesses: int) -> Json:
    return {"threshold": threshold, "witnesses": [{"id": witness_id(each)} for each in witnesses]}


NO_PREROTATION = parameter("nextKeyHashes", [])


def refused(error: str, ask: str = "verify") -> Callable[..., Case]:
    def case(name: str, about: str, writer: Writer | tuple[bytes, ...], **more: Any) -> Case:
        lines = writer if isinstance(writer, tuple) else tuple(writer.lines)
        return Case(name, about, lines, error, ask=ask, **more)

    return case


HEAD: Json = {"size": 7, "root": "07" * 32}
START: Json = {**HEAD, "genesis": "08" * 32}


def closed(entry: Json) -> None:
    entry["state"]["service"][0]["keys"] = [{"id": "#log-0-0", "retired": HEAD}]


def updated() -> Writer:
    return Writer().first().next().next(key=2, time="2026-11-03T00:00:00.5Z")


def own_methods() -> Writer:
    """Return a log whose document has a method of another sort, and a request key that it lists under no purpose."""

    def edit(entry: Json) -> None:
        state, did = entry["state"], entry["state"]["id"]
        other = {"id": f"{did}#mail", "type": "JsonWebKey", "controller": "did:web:example.com"}
        state["verificationMethod"] += [other, method(did, "#request-0", 12)]

    return Writer().first(edit)


def relative_ids(entry: Json) -> None:
    state = entry["state"]
    state["verificationMethod"][0]["id"] = "#log-0-0"
    state["assertionMethod"] = ["#log-0-0"]


def retired() -> Writer:
    def edit(entry: Json) -> None:
        did, state = entry["state"]["id"], entry["state"]
        state["verificationMethod"].append(method(did, "#log-0-1", 11))
        state["assertionMethod"].append(f"{did}#log-0-1")
        state["service"][0]["keys"] = [{"id": "#log-0-0", "retired": HEAD}, {"id": "#log-0-1"}]

    return Writer().first().next(edit)


def epoch(number: int, start: Json | None) -> Edit:
    def edit(entry: Json) -> None:
        did, state = entry["state"]["id"], entry["state"]
        state["verificationMethod"] = [method(did, f"#log-{number}-0", 11)]
        state["assertionMethod"] = [f"{did}#log-{number}-0"]
        state["service"][0] |= {"epoch": number, "keys": [{"id": f"#log-{number}-0"}]}
        if start is not None:
            state["service"][0]["from"] = start

    return edit


def new_epoch() -> Writer:
    return Writer().first().next(epoch(1, START))
