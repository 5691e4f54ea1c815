"""Small objects inside records: places, amounts, categories, regions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import strawberry

from domain.categories import CATEGORIES
from domain.categories import Category as CategoryRow
from domain.errors import GotongError
from domain.regions import Region as RegionRow
from schema.common.scalars import Decimal
from schema.compile.fields import fallbacks
from schema.compile.read import LANGUAGE, Reader, after, decimal, number, text, token, value

if TYPE_CHECKING:
    from schema.context import Caller, Services


@strawberry.type(description="An amount of money, in major units. Nothing is ever converted.")
class Money:
    """Money as the record states it."""

    amount: Decimal = decimal("{amount}", 'The amount: "120000000" IDR is Rp120 juta.')
    currency: str = token("{currency}", "The ISO 4217 code.")


@strawberry.type(description="An amount of something, in one unit. Amounts are never added across units.")
class Quantity:
    """A quantity as the record states it."""

    value: Decimal = decimal("{value}", "How much.")
    unit: str = text("{unit}", "A UCUM code such as kg or h, or an annotation such as {buku}.")


async def regions(services: "Services", _caller: "Caller", codes: Sequence[str]) -> Mapping[str, RegionRow]:
    """Return the regions of these codes, of a village its district; codes this edition lacks are left out."""
    found = {}
    for code in codes:
        try:
            found[code] = services.regions.find(code)
        except GotongError:
            continue
    return found


async def categories(_services: "Services", _caller: "Caller", codes: Sequence[str]) -> Mapping[str, CategoryRow]:
    """Return the categories of these codes; one a newer version made is shown by its code alone."""
    return {code: CATEGORIES.get(code) or CategoryRow(code, code, code, "Multi-sector", 17) for code in codes}


def _level(region: RegionRow, _arguments: Mapping[str, Any], _reader: Reader) -> str:
    return region.level.upper()


@strawberry.type(description="A province, regency or district of Indonesia (Kemendagri codes).")
class Region:
    """A row of the code list."""

    code: str = value("Its code; codes nest: 32.03.28 lies in 32.03.")
    name: str = value("Its name.")
    level: str = value("PROVINCE, REGENCY or DISTRICT.", _level)
    parent: str | None = value("The code one level up.")
    lat: float = value("Latitude of its centre, WGS84.", lambda region, _a, _r: float(region.lat))
    lon: float = value("Longitude of its centre, WGS84.", lambda region, _a, _r: float(region.lon))
    population: int | None = value("How many people live there, where known.")


@strawberry.type(description="Where something is, as publicly as its author chose: usually the district's centre.")
class Place:
    """A place."""

    code: str = token("{t}.region", "The Kemendagri code.")
    region: Region | None = after(
        "{t}.region",
        regions,
        "The region of that code, of a village its district; null when this node's list lacks it.",
    )
    edition: str | None = token("{t}.place_edition", "The edition of the code list its author used.")
    lat: float | None = number("{t}.lat", "Latitude, WGS84.")
    lon: float | None = number("{t}.lon", "Longitude, WGS84.")
    precision_m: int | None = number("{t}.precision_m", "How exact the point is, in metres.")


def _category_name(row: CategoryRow, arguments: Mapping[str, Any], reader: Reader) -> str:
    given = arguments.get("lang")
    for tag in fallbacks((given,) if given else reader.languages):
        if tag in ("id", "en"):
            return row.name_id if tag == "id" else row.name_en
    return row.name_id


@strawberry.type(description="What a need is about: an entry of a small codelist of our own.")
class Category:
    """A category."""

    code: str = value("Its code; codes nest: food.rice lies in food.")
    name: str = value("Its name, in Indonesian or English.", _category_name, LANGUAGE)
    ocha: str = value("The cluster of the humanitarian system that would answer it.")
    sdg: int = value("The Sustainable Development Goal it serves.")
