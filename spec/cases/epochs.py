"""Cases about a log that goes on from the one before it, after a theft."""

from typing import Any

from federation.log import entry
from federation.log.entry import EpochStart
from spec.cases import naive
from spec.cases.batches import small_log
from spec.cases.keys import AT, GENESIS_ID, SCID, Cases, record_id, refused, valid

_OLD = small_log(SCID, 7)
_TEXTS = [each.decode() for each in _OLD]
_LEAVES = [naive.leaf(each) for each in _OLD]


def cases() -> Cases:
    """Yield the cases of epochs.py."""
    name = "check_epoch"
    yield valid(name, "first-epoch", "nothing is copied", **_epoch(None))
    yield valid(name, "copied", "five entries count, two of the thief do not", **_epoch(_start(5)))
    yield valid(name, "held", "a reader that holds the old log finds the same", **_epoch(_start(5)), held=_TEXTS)
    yield valid(name, "held-less", "a reader that holds less of it", **_epoch(_start(5)), held=_TEXTS[:3])
    yield valid(name, "grown", "the new log has gone on", **{**_epoch(_start(5)), "checkpoint_size": 9})
    yield valid(name, "genesis-alone", "all was the thief's", **_epoch(_start(1)))
    later = [_genesis(2, _second(4)), *_TEXTS[1:4]]
    yield valid(
        name, "third-log", "an epoch that copies an epoch", stated=_stated(_second(4)), entries=later, checkpoint_size=4
    )

    other = EpochStart(4, naive.root(_LEAVES[:4]), _LEAVES[0])
    error = "EPOCH_NOT_STATED"
    yield refused(name, error, "other-size", "another head", **{**_epoch(_start(5)), "stated": _stated(other)})
    yield refused(name, error, "not-stated", "no new epoch was stated", **{**_epoch(_start(5)), "stated": None})
    yield refused(name, error, "not-a-copy", "one was stated", **{**_epoch(None), "stated": _stated(_start(2))})
    error = "EPOCH_INCOMPLETE"
    yield refused(name, error, "short", "it ends in the copy", **{**_epoch(_start(5)), "checkpoint_size": 4})
    error = "EPOCH_PREFIX_DIFFERS"
    changed = _epoch(_start(5))
    changed["entries"][3] = _TEXTS[5]
    yield refused(name, error, "entry-changed", "another entry in its place", **changed)
    swapped = _epoch(_start(5))
    swapped["entries"][1:3] = [_TEXTS[2], _TEXTS[1]]
    yield refused(name, error, "entries-swapped", "the same entries in other places", **swapped)
    forged = EpochStart(5, naive.root(_LEAVES[:5]), naive.leaf(b"another genesis"))
    yield refused(name, error, "other-genesis", "not the genesis of that tree", **_epoch(forged))
    error = "EPOCH_REWRITES_HISTORY"
    own = entry.build(type="need", id=record_id(40), at=AT, core={"n": 40}).decode()
    yield refused(name, error, "rewritten", "held otherwise", **_epoch(_start(5)), held=[*_TEXTS[:2], own])
    yield refused(name, error, "genesis", "another genesis is held", **_epoch(_start(5)), held=[own, *_TEXTS[1:]])


def _start(size: int) -> EpochStart:
    return EpochStart(size, naive.root(_LEAVES[:size]), _LEAVES[0])


def _second(size: int) -> EpochStart:
    genesis = naive.leaf(_genesis(1, _start(5)).encode())
    return EpochStart(size, naive.root([genesis, *_LEAVES[1:size]]), genesis)


def _genesis(epoch: int, start: EpochStart | None) -> str:
    return entry.genesis(SCID, epoch, "test", AT, GENESIS_ID, start=start).decode()


def _epoch(start: EpochStart | None) -> dict[str, Any]:
    if start is None:
        return {"stated": None, "entries": _TEXTS[:3], "checkpoint_size": 3}
    entries = [_genesis(1, start), *_TEXTS[1 : start.size]]
    return {"stated": _stated(start), "entries": entries, "checkpoint_size": start.size}


def _stated(start: EpochStart) -> dict[str, Any]:
    return {"size": start.size, "root": start.root.hex(), "genesis": start.genesis.hex()}
