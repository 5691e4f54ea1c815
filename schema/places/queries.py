"""Questions about regions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import strawberry

from domain.regions import Region as RegionRow
from schema.common.filters import TEXT_CHARS_MAX, FilterTooLarge
from schema.common.values import Region
from schema.compile.read import Answer, Argument, declare

if TYPE_CHECKING:
    from schema.context import Caller, Services


async def _regions(services: "Services", _caller: "Caller", arguments: Mapping[str, Any]) -> list[RegionRow]:
    parent, search = arguments.get("parent"), arguments.get("search")
    if parent is not None:
        services.regions.find(parent)
    if search is None:
        return services.regions.children(parent)
    if len(search) > TEXT_CHARS_MAX:
        raise FilterTooLarge(f"A text to search for has at most {TEXT_CHARS_MAX} characters.", chars=len(search))
    return services.regions.search(search, inside=parent)


@strawberry.type(description="Questions about places.")
class PlaceQueries:
    """Root fields."""

    regions: list[Region] = declare(
        Answer(_regions, shared=True),
        "The provinces of Indonesia; with `parent` what lies directly inside it; with `search` the best 50 by name.",
        (
            Argument("parent", str | None, "A region's code."),
            Argument("search", str | None, "Words its name begins with, closest first: cipanas lebak."),
        ),
    )
