"""Statistics of needs."""

from collections.abc import Mapping
from enum import Enum

import strawberry

from schema.common.scalars import BigInt
from schema.common.values import Category, Money, Quantity, Region, categories, regions
from schema.compile.read import Argument, Dimension, Grouped, after, declare, elements, number, token
from schema.needs.types import URGENCY_SQL, Need, NeedFilter, NeedKind, NeedState, Urgency

STATS_COST = 500  # it reads every need that fits


@strawberry.enum(description="What statistics of needs can tell apart.")
class NeedDimension(Enum):
    """Dimensions."""

    REGION_PROVINCE = strawberry.enum_value("REGION_PROVINCE", description="The province it is needed in.")
    REGION_REGENCY = strawberry.enum_value("REGION_REGENCY", description="The regency or city it is needed in.")
    REGION_DISTRICT = strawberry.enum_value("REGION_DISTRICT", description="The district it is needed in.")
    CATEGORY = strawberry.enum_value("CATEGORY", description="What it is about.")
    KIND = strawberry.enum_value("KIND", description="What sort of thing is asked for.")
    URGENCY = strawberry.enum_value("URGENCY", description="How soon it must be answered.")
    STATE = strawberry.enum_value("STATE", description="What has become of it.")
    MONTH = strawberry.enum_value("MONTH", description="The month, in UTC, in which its author says it was published.")


_REGION = "{t}.region_path[{level}]"
DIMENSIONS: Mapping[Enum, Dimension] = {
    NeedDimension.REGION_PROVINCE: Dimension("region", _REGION, 1),
    NeedDimension.REGION_REGENCY: Dimension("region", _REGION, 2),
    NeedDimension.REGION_DISTRICT: Dimension("region", _REGION, 3),
    NeedDimension.CATEGORY: Dimension("category", "{t}.category"),
    NeedDimension.KIND: Dimension("kind", "{t}.kind"),
    NeedDimension.URGENCY: Dimension("urgency", "{t}.urgency"),
    NeedDimension.STATE: Dimension("state", "{t}.state"),
    NeedDimension.MONTH: Dimension("month", "to_char({t}.published_at at time zone 'UTC', 'YYYY-MM')"),
}
SUMS = {
    "quantities": ("{t}.quantity_unit", "{t}.quantity_value"),
    "money": ("{t}.money_currency", "{t}.money_amount"),
}


@strawberry.type(description="How many needs there are of one group, and what they ask for together.")
class NeedStat:
    """One group. A field is null when it is not grouped by."""

    region_code: str | None = token(
        "{t}.region", "The region's code; null also for needs whose place is not given that exactly."
    )
    region: Region | None = after(
        "{t}.region", regions, "The region of that code; null when this node's list lacks it."
    )
    category: Category | None = after("{t}.category", categories, "What they are about.", named_by="code")
    kind: NeedKind | None = token("{t}.kind", "What sort of thing is asked for.")
    urgency: Urgency | None = token(URGENCY_SQL, "How soon they must be answered.")
    state: NeedState | None = token("{t}.state", "What has become of them.")
    month: str | None = token("{t}.month", "The month in which their authors say they were published: 2026-11.")
    count: BigInt = number("{t}.count", "How many needs.")
    quantities: list[Quantity] = elements(
        "unnest({t}.quantities_units, {t}.quantities_sums) as {x}(unit, value)",
        "How much they ask for, summed within each unit.",
        unit="{x}.unit",
        value="trim_scale({x}.value)",
    )
    money: list[Money] = elements(
        "unnest({t}.money_units, {t}.money_sums) as {x}(currency, amount)",
        "How much money they ask for, summed within each currency.",
        currency="{x}.currency",
        amount="trim_scale({x}.amount)",
    )


@strawberry.type(description="Statistics of needs.")
class NeedStatQueries:
    """Root fields."""

    need_stats: list[NeedStat] = declare(
        Grouped(lambda: Need, DIMENSIONS, SUMS, STATS_COST),
        "Needs counted and summed, a row a group, in the order of the groups' codes. "
        "Whatever state they are in: filter by `states` for what is still open. At most 10,000 groups.",
        (
            Argument("filter", NeedFilter | None, "Which needs. Without it: all that may be seen, drills excepted."),
            Argument("group_by", list[NeedDimension], "What to tell apart; of regions one level. Empty: nothing."),
        ),
    )
