"""Times and distances as the oracle has them, computed another way than the compiler does."""

from datetime import UTC, datetime, timedelta
from math import atan2, cos, hypot, radians, sin
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def instant(moment: datetime | None) -> str | None:
    return (
        None
        if moment is None
        else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    )


def kilometres(row: dict[str, Any], v: dict[str, float]) -> float:
    """The angle between two vectors, which is another way than the one the compiler takes."""
    places = [(radians(row["lat"]), radians(row["lon"])), (radians(v["lat"]), radians(v["lon"]))]
    (x1, y1, z1), (x2, y2, z2) = [(cos(a) * cos(b), cos(a) * sin(b), sin(a)) for a, b in places]
    cross = hypot(y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2)
    return 6371.0088 * atan2(cross, x1 * x2 + y1 * y2 + z1 * z2)


def given(text: str) -> datetime:
    return datetime.fromisoformat(text)
