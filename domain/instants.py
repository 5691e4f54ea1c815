"""Decide how points in time are read and spelled: UTC, milliseconds, one form in signed bytes.

Wire form: `YYYY-MM-DDTHH:MM:SS.mmmZ`. Input from people and programs may carry any
RFC 3339 offset; it is converted, and cut (never rounded) to the millisecond. A time
without an offset is refused: nobody may guess a village's time zone.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, ClassVar, Final
from zoneinfo import ZoneInfo

from msgspec import Meta

from domain.errors import GotongError

INSTANT_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z"
ZONE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_+\-]{0,31}(/[A-Za-z0-9_+\-]{1,32}){0,2}\Z"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

InstantText = Annotated[str, Meta(pattern=INSTANT_PATTERN)]
ZoneText = Annotated[str, Meta(pattern=ZONE_PATTERN)]

INSTANTS_CACHED_MAX = 4_096
"""One body is asked for the same instant several times."""
_WIRE = re.compile(INSTANT_PATTERN)
_RFC3339 = re.compile(
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)


class InstantInvalid(GotongError):
    """A point in time is not RFC 3339 with an offset, or no such moment exists."""

    code: ClassVar[str] = "INSTANT_INVALID"


class ZoneUnknown(GotongError):
    """A time zone is not in the IANA database."""

    code: ClassVar[str] = "ZONE_UNKNOWN"


@lru_cache(maxsize=INSTANTS_CACHED_MAX)
def parse_instant(text: str) -> datetime:
    """Return the moment a wire-form instant names, or raise InstantInvalid (any other spelling included)."""
    if not _WIRE.match(text):
        raise InstantInvalid("an instant is written YYYY-MM-DDTHH:MM:SS.mmmZ", instant=text[:64])
    return _moment(text, text[:10], text[11:19], text[20:23], "+00:00")


def read_instant(text: str) -> datetime:
    """Return the UTC moment of any RFC 3339 date-time, cut to milliseconds, or raise InstantInvalid."""
    match = _RFC3339.match(text.strip())
    if match is None:
        raise InstantInvalid("a time needs a date, hours, minutes, seconds and an offset (RFC 3339)", instant=text[:64])
    date, time, fraction, offset = match.groups()
    return _moment(text, date, time, (fraction or "").ljust(3, "0")[:3], "+00:00" if offset in "Zz" else offset)


def _moment(text: str, date: str, time: str, millis: str, offset: str) -> datetime:
    try:
        return datetime.fromisoformat(f"{date}T{time}.{millis}000{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise InstantInvalid("there is no such moment", instant=text[:64]) from None


def format_instant(moment: datetime) -> str:
    """Return the wire form of an aware datetime, cut to the millisecond. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}-{utc:%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"


def to_ms(moment: datetime) -> int:
    """Return milliseconds since 1970-01-01T00:00:00Z of an aware datetime, cut towards the past."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Return the UTC moment `ms` milliseconds after 1970-01-01T00:00:00Z. Raises OverflowError beyond year 9999."""
    return EPOCH + timedelta(milliseconds=ms)


def check_zone(name: str) -> None:
    """Raise ZoneUnknown unless `name` is an IANA time zone (as the installed tzdata knows it)."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # malformed or climbing out, a directory, not found
        raise ZoneUnknown(f"{name!r} is not an IANA time zone", zone=name[:64]) from None
