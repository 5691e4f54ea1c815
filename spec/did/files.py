"""The did vectors as files (`about`, `input`, `output` or `error`), and how this implementation answers an input."""

import itertools
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from federation.did import webvh
from federation.did.state import DidState
from federation.log.entry import EpochStart, instant
from federation.log.service import LogService, StatedHead, log_service, require_gotong
from spec.did import chains, entries, participants, valid
from spec.did.case import Case

VECTORS = Path(__file__).parents[1] / "vectors" / "did"


def files() -> dict[str, str]:
    """Return path below `VECTORS` -> text of every vector."""
    return {
        _path(case): _text(case)
        for case in itertools.chain(*(group.cases() for group in (valid, entries, chains, participants)))
    }


def answer(given: dict[str, Any]) -> dict[str, Any]:
    """Return what the log in a vector's `input` says, as JSON; raises the DidError of the rule it breaks."""
    witness = given.get("witness")
    state = webvh.verify(
        [line.encode() for line in given["lines"]],
        now=datetime.fromisoformat(given["now"]),
        witness=None if witness is None else witness.encode(),
        scid=given.get("scid"),
    )
    if given["ask"] == "require_gotong":
        require_gotong(state)
        return {**_state(state), "log": _service(log_service(state))}
    return _state(state)


def _path(case: Case) -> str:
    return f"valid/{case.name}.json" if case.error is None else f"invalid/{case.error}--{case.name}.json"


def _text(case: Case) -> str:
    given: dict[str, Any] = {"ask": case.ask, "now": case.now, "lines": [line.decode() for line in case.lines]}
    if case.witness is not None:
        given["witness"] = case.witness
    if case.scid is not None:
        given["scid"] = case.scid
    outcome = {"error": case.error} if case.error else {"output": answer(given)}
    return json.dumps({"about": case.about, "input": given, **outcome}, indent=1, ensure_ascii=False) + "\n"


def _state(state: DidState) -> dict[str, Any]:
    return {
        "scid": state.scid,
        "did": state.did,
        "version_ids": [version.version_id for version in state.versions],
        "version_time": instant(state.version_time),
        "update_keys": list(state.update_keys),
        "next_key_hashes": list(state.next_key_hashes),
        "portable": state.portable,
        "deactivated": state.deactivated,
    }


def _service(service: LogService) -> dict[str, Any]:
    return {
        "base_url": service.base_url,
        "network": service.network,
        "epoch": service.epoch,
        "from": _start(service.from_),
        "keys": [
            {"id": key.id, "public_key": key.public_key.hex(), "retired": _head(key.retired)} for key in service.keys
        ],
    }


def _start(start: EpochStart | None) -> dict[str, Any] | None:
    if start is None:
        return None
    return {"size": start.size, "root": start.root.hex(), "genesis": start.genesis.hex()}


def _head(head: StatedHead | None) -> dict[str, Any] | None:
    return None if head is None else {"size": head.size, "root": head.root.hex()}
