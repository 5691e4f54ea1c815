"""Decide which repetition rules an activity may carry: a bounded subset of RFC 5545 RRULE.

Daily to yearly only: a rule per second would let one record fill everybody's
calendar. Nothing is expanded here; calendars do that.
"""

import re
from typing import ClassVar, Final

from domain.errors import GotongError

RRULE_CHARS_MAX = 200

_NUMBER = r"[1-9][0-9]{0,2}"
_DAY = r"(?:MO|TU|WE|TH|FR|SA|SU)"
_PARTS: Final = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": _NUMBER,
    "COUNT": _NUMBER,
    "UNTIL": r"[0-9]{8}(?:T[0-9]{6}Z)?",
    "BYDAY": rf"(?:[+-]?[1-5])?{_DAY}(?:,(?:[+-]?[1-5])?{_DAY}){{0,6}}",
    "BYMONTHDAY": r"-?(?:[1-9]|[12][0-9]|3[01])(?:,-?(?:[1-9]|[12][0-9]|3[01])){0,30}",
    "BYMONTH": r"(?:[1-9]|1[0-2])(?:,(?:[1-9]|1[0-2])){0,11}",
    "BYSETPOS": r"-?[1-5]",
    "WKST": _DAY,
}
_COMPILED: Final = {name: re.compile(rf"(?:{value})\Z") for name, value in _PARTS.items()}


class RecurrenceInvalid(GotongError):
    """A repetition is not an RRULE of the supported subset (RFC 5545, 3.3.10)."""

    code: ClassVar[str] = "RECURRENCE_INVALID"


def check_recurrence(rule: str) -> None:
    """Raise RecurrenceInvalid unless `rule` is such as "FREQ=WEEKLY;BYDAY=SU": FREQ first, each part once."""
    if len(rule) > RRULE_CHARS_MAX:
        raise RecurrenceInvalid(f"a repetition has at most {RRULE_CHARS_MAX} characters", chars=len(rule))
    names = []
    for part in rule.split(";"):
        name, _, value = part.partition("=")
        pattern = _COMPILED.get(name)
        if pattern is None or not pattern.match(value):
            raise RecurrenceInvalid(f"{part[:64]!r} is not a part of a repetition we support", part=part[:64])
        names.append(name)
    if names[0] != "FREQ" or len(set(names)) != len(names):
        raise RecurrenceInvalid("a repetition begins with FREQ and names each part once", rule=rule)
    if "COUNT" in names and "UNTIL" in names:
        raise RecurrenceInvalid("a repetition ends by COUNT or by UNTIL, not both", rule=rule)
