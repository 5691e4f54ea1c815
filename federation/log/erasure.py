"""Decide what an `erase` entry asks for. Pure: the entry is the argument; where it stands in a chain is for `fold`.

An erase revises a record like any other entry: same type and id, the next revision, `prev` the revision before. So it
can stand in its author's log alone, and only the author can erase. It destroys the parts it names of every entry of
that record before it, in every copy. The entries stay, and the log still verifies.

It needs no knowledge of the record's type: a node erases what it could never show.

Rules, with the code that answers each; an entry that breaks one stays in the log and in its chain, without effect:
- A2.1 the core of an erase entry is exactly `parts`: a sorted list of `body`, `restricted` or both; it commits to
  nothing: ERASE_MALFORMED.
- A2.2 `core` is no part that can be erased: what parties, amounts and times a record states stays: CORE_NOT_ERASABLE.
- A2.3 it follows an entry of its record, so its revision is above 0: NOTHING_TO_ERASE.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from domain.errors import GotongError
from federation.log.entry import Entry, Part

ERASE: Final = "erase"
CORE: Final = "core"
ERASABLE: Final[tuple[Part, ...]] = ("body", "restricted")
"""The parts that lie beside the entry, in the order in which they are written."""


class EraseMalformed(GotongError):
    """An erase entry does not name the parts it erases as it must."""

    code: ClassVar[str] = "ERASE_MALFORMED"


class CoreNotErasable(GotongError):
    """The core of a record stands in the signed entry itself and cannot be erased; correct it by a new record."""

    code: ClassVar[str] = "CORE_NOT_ERASABLE"


class NothingToErase(GotongError):
    """There is no earlier revision of the record, or none of it has that part."""

    code: ClassVar[str] = "NOTHING_TO_ERASE"


def erased_parts(entry: Entry) -> tuple[Part, ...]:
    """Return the parts an entry with op `erase` destroys, or raise for the first rule it breaks (rules A2).

    EraseMalformed, CoreNotErasable, NothingToErase.
    """
    parts = entry.core.get("parts")
    if entry.core.keys() != {"parts"} or not isinstance(parts, list) or entry.body or entry.restricted:
        raise EraseMalformed("the core of an erase entry is `parts` alone, and it commits to nothing")
    wanted = erasable([part for part in parts if isinstance(part, str)])
    if list(wanted) != parts:
        raise EraseMalformed("`parts` names body, restricted or both, sorted and once", parts=repr(parts)[:80])
    if entry.rev == 0:
        raise NothingToErase("a record cannot begin with its erasure")
    return wanted


def erasable(parts: Sequence[str]) -> tuple[Part, ...]:
    """Return these parts in the order in which an entry names them; raises CoreNotErasable, EraseMalformed."""
    if CORE in parts:
        raise CoreNotErasable("what stands in a record's core cannot be erased: publish a correction instead")
    unknown = set(parts).difference(ERASABLE)
    if unknown or not parts:
        raise EraseMalformed("`parts` names body, restricted or both", parts=repr(sorted(parts))[:80])
    return tuple(part for part in ERASABLE if part in parts)
