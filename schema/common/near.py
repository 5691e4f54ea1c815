"""The condition "within so many kilometres of a point": a box an index knows, then the great circle."""

from collections.abc import Callable, Mapping
from math import asin, cos, degrees, radians, sin
from typing import Any, ClassVar

import strawberry

from domain.errors import GotongError
from schema.compile.clause import Part, where

RADIUS_KM_MAX = 500
EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
_BOX_MARGIN = 1.000_001  # the box may be a little too large, never too small

Point = Mapping[str, float]


class PointOutOfRange(GotongError):
    """A latitude is not within -90 to 90, or a longitude not within -180 to 180."""

    code: ClassVar[str] = "POINT_OUT_OF_RANGE"


class RadiusOutOfRange(GotongError):
    """A radius is not above 0 km and at most 500 km."""

    code: ClassVar[str] = "RADIUS_OUT_OF_RANGE"


@strawberry.input(description="Within so many kilometres of a point.")
class NearInput:
    """A circle on the globe."""

    lat: float = strawberry.field(description="Latitude of its centre, WGS84.")
    lon: float = strawberry.field(description="Longitude of its centre, WGS84.")
    radius_km: float = strawberry.field(description=f"Its radius in kilometres, above 0 and at most {RADIUS_KM_MAX}.")


def check(_services: Any, given: Point) -> None:
    """Raise PointOutOfRange or RadiusOutOfRange."""
    if not -90 <= given["lat"] <= 90 or not -180 <= given["lon"] <= 180:
        raise PointOutOfRange("`lat` is -90 to 90 and `lon` is -180 to 180.")
    if not 0 < given["radiusKm"] <= RADIUS_KM_MAX:
        raise RadiusOutOfRange(
            f"`radiusKm` is above 0 and at most {RADIUS_KM_MAX}; of a larger area ask by `region`.",
            radius_km_max=RADIUS_KM_MAX,
        )


def box(given: Point) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) of a box around the circle, in degrees.

    Around a pole, and across the 180th meridian, it is the whole band of latitudes.
    """
    angle = given["radiusKm"] / EARTH_RADIUS_KM * _BOX_MARGIN
    south, north = given["lat"] - degrees(angle), given["lat"] + degrees(angle)
    if south > -90 and north < 90:
        reach = degrees(asin(min(1.0, sin(angle) / cos(radians(given["lat"])))))
        west, east = given["lon"] - reach, given["lon"] + reach
        if west >= -180 and east <= 180:
            return west, south, east, north
    return -180.0, south, 180.0, north


def _side(number: int) -> Part:
    return Part("double precision", lambda given: box(given)[number])


def _member(name: str) -> Callable[[Point], float]:
    return lambda given: given[name]


_HAVERSINE = """(power(sin(radians({t}.lat - {v}) / 2), 2)
    + cos(radians({v})) * cos(radians({t}.lat)) * power(sin(radians({t}.lon - {lon}) / 2), 2))"""
_SQL = f"""({{t}}.lat between {{south}} and {{north}} and {{t}}.lon between {{west}} and {{east}}
    and 2 * {EARTH_RADIUS_KM} * asin(least(1, sqrt({_HAVERSINE}))) <= {{km}})"""


def near() -> NearInput | None:
    """Return the filter field: by distance from a point."""
    field: NearInput | None = where(
        _SQL,
        "double precision",
        "Only within this distance of a point, along the great circle. "
        "A place is as exact as its author chose: usually the centre of its district. What has no point is left out.",
        convert=_member("lat"),
        check=check,
        uneven=True,
        shown_only=True,
        parts={
            "lon": Part("double precision", _member("lon")),
            "km": Part("double precision", _member("radiusKm")),
            **{side: _side(number) for number, side in enumerate(("west", "south", "east", "north"))},
        },
    )
    return field
