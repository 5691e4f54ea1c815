"""Know Indonesia's provinces, regencies and districts: look-up by code, by parent, by name. Pure.

The table is data handed in (domain/data/regions.csv, read by whoever wires the
node); nothing is loaded at import. Desa and kelurahan lie below the table: their
codes are accepted when their kecamatan exists, and stand on its centroid.
"""

import csv
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final

from domain import decimals
from domain.errors import GotongError
from domain.place import Place, ancestors

EDITION: Final = "300.2.2-2138/2025"
"""The edition of domain/data/regions.csv: the ministerial decree (Kepmendagri) that lists the codes."""

LEVELS: Final = ("province", "regency", "district", "village")
PRECISION_M: Final = {"province": 100_000, "regency": 20_000, "district": 5_000, "village": 5_000}
SEARCH_RESULTS_MAX = 50
_COLUMNS: Final = ("code", "parent", "level", "name", "lat", "lon", "utc_offset_h", "population")


class RegionUnknown(GotongError):
    """A region code is well-formed but not in this edition of the code list."""

    code: ClassVar[str] = "REGION_UNKNOWN"


class RegionAmbiguous(GotongError):
    """A region's name fits no region, or more than one."""

    code: ClassVar[str] = "REGION_AMBIGUOUS"


class RegionTableInvalid(GotongError):
    """The table of regions itself is damaged: a column is missing, a row is malformed, or a parent is absent."""

    code: ClassVar[str] = "REGION_TABLE_INVALID"


@dataclass(frozen=True, slots=True)
class Region:
    """One row. `lat` and `lon` are decimal degrees (WGS84) as canonical decimals; population is of 2025 where known."""

    code: str
    parent: str | None
    level: str
    name: str
    lat: str
    lon: str
    utc_offset_h: int
    population: int | None


class Regions:
    """A complete, consistent edition of the code list."""

    def __init__(self, regions: Iterable[Region], edition: str = EDITION) -> None:
        """Index the rows; raises RegionTableInvalid for a repeated code or a parent that is absent."""
        self.edition = edition
        self._by_code: dict[str, Region] = {}
        self._children: dict[str | None, list[Region]] = defaultdict(list)
        for region in regions:
            if region.code in self._by_code:
                raise RegionTableInvalid("a code occurs twice", code=region.code)
            self._by_code[region.code] = region
            self._children[region.parent].append(region)
        for region in self._by_code.values():
            path = ancestors(region.code)
            if region.parent != (path[-2] if len(path) > 1 else None) or region.level != LEVELS[len(path) - 1]:
                raise RegionTableInvalid("a row contradicts its own code", code=region.code)
            if region.parent is not None and region.parent not in self._by_code:
                raise RegionTableInvalid("a parent is absent", code=region.code)
        self._words = sorted({(word, code) for code in self._by_code for word in _fold(self.label(code)).split()})

    def __len__(self) -> int:
        return len(self._by_code)

    def get(self, code: str) -> Region | None:
        """Return the row of exactly this code, or None."""
        return self._by_code.get(code)

    def find(self, code: str) -> Region:
        """Return the region of `code`; of a desa, its kecamatan. Raises RegionCodeMalformed or RegionUnknown."""
        path = ancestors(code)
        region = self._by_code.get(path[2] if len(path) == len(LEVELS) else code)
        if region is None:
            raise RegionUnknown(f"{code} is not in the code list of {self.edition}", code=code, edition=self.edition)
        return region

    def path(self, code: str) -> list[Region]:
        """Return the rows from the province down to `code` (or a desa's kecamatan). Raises as `find`."""
        return [self._by_code[part] for part in ancestors(self.find(code).code)]

    def children(self, code: str | None) -> list[Region]:
        """Return the rows directly inside `code` in the order of their codes; None gives the provinces."""
        return sorted(self._children.get(code, []), key=lambda region: region.code)

    def label(self, code: str) -> str:
        """Return a name nobody can confuse: "Cipanas, Kabupaten Cianjur, Jawa Barat". Raises as `find`."""
        return ", ".join(region.name for region in reversed(self.path(code)))

    def place(self, code: str) -> Place:
        """Return the public default place of a code: the centroid, as coarse as its level. Raises as `find`."""
        region = self.find(code)
        return Place(
            code=code, edition=self.edition, lat=region.lat, lon=region.lon, precision_m=PRECISION_M[region.level]
        )

    def search(self, text: str, limit: int = SEARCH_RESULTS_MAX, inside: str | None = None) -> list[Region]:
        """Return regions, of all or inside one, in whose label every word of `text` begins a word, the closest first.

        "cipanas" finds both districts, "cipanas lebak" one. A code ("32.03") finds itself.
        """
        within = "" if inside is None else f"{inside}."
        if exact := self._by_code.get(text.strip()):
            return [exact] if exact.code.startswith(within) else []
        words = _fold(text).split()
        if not words:
            return []
        codes = set.intersection(*(self._codes_with(word) for word in words))
        own = [self._by_code[code] for code in codes if code.startswith(within)]
        named = [region for region in own if any(_begins_word(region.name, word) for word in words)]
        named.sort(key=lambda region: (_distance(region.name, words), len(region.code), region.name, region.code))
        return named[: max(0, limit)]

    def resolve(self, text: str) -> Region:
        """Return the one region a spreadsheet cell names by code, label or unique name.

        Raises RegionUnknown for a code, RegionAmbiguous for a name that fits none or several.
        """
        wanted = text.strip()
        if wanted[:1].isdigit():
            return self.find(wanted)
        found = self.search(wanted)
        words = _fold(wanted)
        same = [region for region in found if words in (_fold(region.name), _fold(self.label(region.code)))]
        fitting = same or found
        if len(fitting) != 1:
            candidates = "; ".join(f"{region.code} {self.label(region.code)}" for region in fitting[:5])
            raise RegionAmbiguous(f"{wanted!r} names {len(fitting)} regions", name=wanted[:128], candidates=candidates)
        return fitting[0]

    def _codes_with(self, prefix: str) -> set[str]:
        start = bisect_left(self._words, (prefix, ""))
        beyond = bisect_left(self._words, (prefix + chr(sys.maxunicode), ""))
        return {code for _, code in self._words[start:beyond]}


def parse_regions(lines: Iterable[str]) -> list[Region]:
    """Return the rows of a CSV table with a header, or raise RegionTableInvalid naming the line."""
    reader = csv.DictReader(lines)
    if missing := set(_COLUMNS) - set(reader.fieldnames or ()):
        raise RegionTableInvalid("the table lacks columns", columns=", ".join(sorted(missing)))
    rows = []
    for row in reader:
        try:
            rows.append(_region(row))
        except (ValueError, TypeError, AttributeError, ArithmeticError):
            raise RegionTableInvalid("a row is malformed", line=reader.line_num) from None
    return rows


def _region(row: dict[str, str]) -> Region:
    return Region(
        code=row["code"],
        parent=row["parent"] or None,
        level=row["level"],
        name=row["name"].strip(),
        lat=decimals.canonical(Decimal(row["lat"])),
        lon=decimals.canonical(Decimal(row["lon"])),
        utc_offset_h=int(row["utc_offset_h"]),
        population=int(row["population"]) if row["population"] else None,
    )


def _fold(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def _begins_word(name: str, prefix: str) -> bool:
    return any(word.startswith(prefix) for word in _fold(name).split())


def _distance(name: str, words: list[str]) -> int:
    folded = _fold(name).removeprefix("kabupaten ").removeprefix("kota ")
    joined = " ".join(words)
    if folded == joined or _fold(name) == joined:
        return 0
    if folded in words:
        return 1
    return 2 if folded.startswith(words[0]) else 3
