"""Decide what of a section is new here when it answers no question: a bundle's or a deposit's. Pure.

A pull answer begins exactly where the asker's copy ends. A bundle was made for anybody and a deposit for a mirror that
may have moved on, so both may begin earlier than our copy ends, which is trimmed, or later, which is a gap. What is
left over is an answer to a pull, and is verified as one.

Rules, with the error that answers each:
- B1.1 a section begins where our copy ends or earlier, its DID lines and its entries both: SECTION_GAP.
- B1.2 what is here already is left out unread; a checkpoint behind ours leaves out all of its section.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from domain.errors import GotongError
from federation.log.note import parse_checkpoint, parse_note
from federation.sync.sections import Opened, Pulled

VERSION_DIGITS_MAX = 9


class SectionGap(GotongError):
    """A bundle or deposit begins after what is held here; an earlier one, or a pull, brings what lies between."""

    code: ClassVar[str] = "SECTION_GAP"


class _Line(msgspec.Struct):
    versionId: str  # noqa: N815 - the standard's spelling


_line = msgspec.json.Decoder(_Line)


def new_lines(lines: Sequence[bytes], held: int) -> tuple[bytes, ...]:
    """Return the DID lines after the `held` first versions, or raise SectionGap (rules B1); they may be malformed."""
    if not lines:
        if held == 0:
            raise SectionGap("the identity of this log is not here, and did not come along", did_version_held=0)
        return ()
    first = version_number(lines[0])
    if first is None:
        return tuple(lines)  # whoever verifies them says what is wrong
    if first > held + 1:
        raise SectionGap("identity versions are missing in between", did_version_held=held, begins_at=first)
    return tuple(lines[held + 1 - first :])


def new_entries(event: Pulled, held: int) -> Pulled | None:
    """Return the batch without the entries below `held`, None if none is left, or raise SectionGap (rules B1)."""
    start = event.size - len(event.entries)
    if start < 0 or start == held:
        return event  # below zero: whoever verifies it says what is wrong
    if start > held:
        raise SectionGap("entries are missing in between", size_held=held, begins_at=start)
    if event.size <= held:
        return None
    return Pulled(event.origin, event.entries[held - start :], event.size, event.proof)


def is_behind(event: Opened, held: int) -> bool:
    """Return whether the section leads to a shorter log than the one held; a malformed note is not judged here."""
    try:
        return parse_checkpoint(parse_note(event.note).text).size < held
    except GotongError:
        return False


def version_number(line: bytes) -> int | None:
    """Return the version number that a DID line states, None if it states none that can be read."""
    try:
        number, _, _ = _line.decode(line).versionId.partition("-")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not number.isascii() or not number.isdecimal() or len(number) > VERSION_DIGITS_MAX or number.startswith("0"):
        return None
    return int(number)
