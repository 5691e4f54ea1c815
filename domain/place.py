"""Decide how a place is written: a Kemendagri code, the edition of the code list, and perhaps a point.

Codes nest by their dots: `32` province, `32.03` regency, `32.03.28` kecamatan,
`32.03.28.2001` desa or kelurahan. The default point is the kecamatan's centroid; an
exact place belongs into the restricted part. Whether a code exists is asked of a
`Regions` table (domain/regions.py), never here: editions differ between nodes.
Other schemes (BPS, OCHA P-codes) are mapped on import and export.
"""

import re
from functools import lru_cache
from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.errors import GotongError

CODE_PATTERN: Final = r"^[0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{4})?)?)?\Z"
# Decimal degrees, seven digits after the point (a centimetre), shortest spelling, no "-0".
LAT_PATTERN: Final = r"^(?!-0\Z)-?(90|[1-8]?[0-9](\.[0-9]{0,6}[1-9])?)\Z"
LON_PATTERN: Final = r"^(?!-0\Z)-?(180|(1[0-7][0-9]|[1-9]?[0-9])(\.[0-9]{0,6}[1-9])?)\Z"
PRECISION_M_MAX = 1_000_000
ADDRESS_CHARS_MAX = 500

RegionCode = Annotated[str, Meta(pattern=CODE_PATTERN)]
Latitude = Annotated[str, Meta(pattern=LAT_PATTERN)]
Longitude = Annotated[str, Meta(pattern=LON_PATTERN)]

CODES_CACHED_MAX = 16_384
_CODE = re.compile(CODE_PATTERN)


class RegionCodeMalformed(GotongError):
    """A region code is not spelled like `32`, `32.03`, `32.03.28` or `32.03.28.2001`."""

    code: ClassVar[str] = "REGION_CODE_MALFORMED"


class Place(Struct, frozen=True, kw_only=True, gc=False):
    """Where a record is, as publicly as its author chose; `lat`, `lon` and `precision_m` come all or none."""

    code: RegionCode
    edition: Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z./-]{0,39}\Z")]
    lat: Latitude | UnsetType = UNSET
    lon: Longitude | UnsetType = UNSET
    precision_m: Annotated[int, Meta(ge=1, le=PRECISION_M_MAX)] | UnsetType = UNSET

    @property
    def point(self) -> tuple[float, float, int] | None:
        """Return (latitude, longitude, precision in metres), or None where no point is given."""
        if self.lat is UNSET or self.lon is UNSET or self.precision_m is UNSET:
            return None
        return float(self.lat), float(self.lon), self.precision_m

    @property
    def is_half_a_point(self) -> bool:
        """Return whether some, but not all of latitude, longitude and precision are given."""
        given = [member is not UNSET for member in (self.lat, self.lon, self.precision_m)]
        return any(given) and not all(given)


def ancestors(code: str) -> list[str]:
    """Return the path from the province to `code` itself: "32.03.28" -> ["32", "32.03", "32.03.28"].

    Raises RegionCodeMalformed. Pure syntax: no table is asked.
    """
    return list(_ancestors(code))


@lru_cache(maxsize=CODES_CACHED_MAX)
def _ancestors(code: str) -> tuple[str, ...]:
    if not _CODE.match(code):
        raise RegionCodeMalformed("a region code is spelled like 32, 32.03, 32.03.28 or 32.03.28.2001", code=code[:64])
    parts = code.split(".")
    return tuple(".".join(parts[: depth + 1]) for depth in range(len(parts)))
