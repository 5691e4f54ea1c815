"""The Need: what a community asks for."""

from enum import Enum
from typing import Any, ClassVar

import strawberry

from domain.records.need import URGENCY_RANK
from domain.records.need import Urgency as UrgencyText
from schema.common import filters
from schema.common.connections import PUBLISHED, RECEIVED, connection, instant_key, last_instant_key, order, small_key
from schema.common.near import NearInput, near
from schema.common.records import ExternalId, ExternalIdInput, Record, external_ids
from schema.common.scalars import DateTime, Decimal
from schema.common.values import Category, Money, Place, Quantity, categories
from schema.compile.clause import where
from schema.compile.read import Source, after, boolean, decimal, embedded, localized, time, token, tokens
from schema.compile.visibility import UNVERIFIED
from schema.restricted.types import Contact, ContactAccess, ExactPlace, contact, contact_access, exact_place


@strawberry.enum(description="What sort of thing is asked for.")
class NeedKind(Enum):
    """What sort of thing is asked for."""

    MONEY = strawberry.enum_value("MONEY", description="Money.")
    GOODS = strawberry.enum_value("GOODS", description="Things.")
    LABOUR = strawberry.enum_value("LABOUR", description="Hands.")
    SKILL = strawberry.enum_value("SKILL", description="Someone who knows how.")
    SPACE = strawberry.enum_value("SPACE", description="A room or a piece of land.")
    TRANSPORT = strawberry.enum_value("TRANSPORT", description="Getting people or things somewhere.")
    LOAN = strawberry.enum_value("LOAN", description="Something that will be given back.")
    INFORMATION = strawberry.enum_value("INFORMATION", description="Something to know.")


@strawberry.enum(description="How something may be given.")
class Mode(Enum):
    """How it may be given."""

    DONATE = strawberry.enum_value("DONATE", description="For good.")
    LEND = strawberry.enum_value("LEND", description="For a while.")
    BARTER = strawberry.enum_value("BARTER", description="In exchange.")
    GOTONG_ROYONG = strawberry.enum_value("GOTONG_ROYONG", description="Done together.")


@strawberry.enum(description="How soon a need must be answered.")
class Urgency(Enum):
    """How soon it must be answered."""

    LOW = strawberry.enum_value("LOW", description="Some day.")
    MEDIUM = strawberry.enum_value("MEDIUM", description="Within a month.")
    HIGH = strawberry.enum_value("HIGH", description="Within a week.")
    CRITICAL = strawberry.enum_value("CRITICAL", description="Within a day.")


@strawberry.enum(description="What has become of a need.")
class NeedState(Enum):
    """What has become of it."""

    OPEN = strawberry.enum_value("OPEN", description="Nothing is promised yet.")
    PARTLY_PLEDGED = strawberry.enum_value("PARTLY_PLEDGED", description="A part is promised.")
    FULLY_PLEDGED = strawberry.enum_value("FULLY_PLEDGED", description="All of it is promised.")
    PARTLY_RECEIVED = strawberry.enum_value("PARTLY_RECEIVED", description="A part has arrived.")
    FULFILLED = strawberry.enum_value("FULFILLED", description="All of it has arrived.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="Its time passed; confirming it opens it again.")
    WITHDRAWN = strawberry.enum_value("WITHDRAWN", description="Its author took it back.")
    CLOSED_UNMET = strawberry.enum_value("CLOSED_UNMET", description="Its author gave up on it.")


@strawberry.enum(
    description="The orders needs can stand in. But for RECEIVED, rows that change while you page may repeat."
)
class NeedOrder(Enum):
    """Orders of needs."""

    RECEIVED = strawberry.enum_value("RECEIVED", description="Newest here first. Never changes, so paging never skips.")
    PUBLISHED = strawberry.enum_value("PUBLISHED", description="Newest first, as their authors say.")
    URGENCY = strawberry.enum_value("URGENCY", description="Most urgent first, then newest here.")
    NEEDED_BY = strawberry.enum_value("NEEDED_BY", description="Soonest due first; those without a day last.")


URGENCY_SQL = "(array[" + ", ".join(f"'{urgency.value}'" for urgency in UrgencyText) + "])[{t}.urgency + 1]"


@strawberry.type(description="Something a community asks for.")
class Need(Record):
    """A need."""

    SOURCE: ClassVar[Source] = Source("need", "need", f"{{t}}.urgency = {URGENCY_RANK[UrgencyText.CRITICAL]}")

    title: str = localized("{t}.title_text", "What is needed, in a line.", first="{t}.title_json")
    description: str | None = localized("{t}.description_text", "What is needed and why.")
    kind: NeedKind = token("{t}.kind", "What sort of thing.")
    category: Category = after("{t}.category", categories, "What it is about.", named_by="code")
    quantity: Quantity | None = embedded(
        "How much of it.",
        present="{t}.quantity_value is not null",
        value="{t}.quantity_value",
        unit="{t}.quantity_unit",
    )
    money: Money | None = embedded(
        "How much money.",
        present="{t}.money_amount is not null",
        amount="{t}.money_amount",
        currency="{t}.money_currency",
    )
    minimum: Decimal | None = decimal(
        "{t}.minimum_value", "The least that already helps, in the need's unit or currency."
    )
    urgency: Urgency = token(URGENCY_SQL, "How soon it must be answered.")
    place: Place = embedded("Where it is needed.")
    needed_by: DateTime | None = time("{t}.needed_by", "By when it is needed.")
    expires_at: DateTime = time("{t}.expires_at", "When it closes unless its author confirms it again.")
    confirmed_at: DateTime | None = time("{t}.confirmed_at", "When its author last confirmed it.")
    modes: list[Mode] = tokens("{t}.modes", "How it may be given.")
    permit: strawberry.ID | None = token("{t}.permit", "The permit under which money is collected.")
    recipient: strawberry.ID | None = token(
        "{t}.recipient", "The organization that will receive it, if not its author."
    )
    beneficiaries: str | None = token("{t}.beneficiaries", "How many people it helps, roughly: 1-5, 6-10, ... 1001+.")
    state: NeedState = token("{t}.state", "What has become of it.")
    external_ids: list[ExternalId] = external_ids()
    unverified: bool = boolean(
        UNVERIFIED, "Whether nobody at this node has looked at its publisher yet: see `unverifiedCritical`."
    )
    contact: Contact | None = contact()
    exact_place: ExactPlace | None = exact_place()
    contact_access: ContactAccess = contact_access()


def rank(urgency: Urgency) -> int:
    """Return the position a need's row holds for its urgency."""
    return URGENCY_RANK[UrgencyText[urgency.name]]


@strawberry.input(description="Which needs. All conditions must hold.")
class NeedFilter:
    """Conditions on needs."""

    publishers: list[strawberry.ID] | None = filters.publishers()
    kinds: list[NeedKind] | None = where("{t}.kind = any({v})", "text[]", "Only of these kinds.", convert=filters.names)
    categories: list[str] | None = where(
        filters.CATEGORY_SQL,
        "text[]",
        "Only of these categories, or inside them.",
        convert=filters.with_descendants,
        parts=filters.CATEGORY_PARTS,
        choice=filters.ONE_CATEGORY,
    )
    modes: list[Mode] | None = where(
        "{t}.modes && {v}", "text[]", "Only those that may be given in one of these ways.", convert=filters.names
    )
    states: list[NeedState] | None = where(
        "{t}.state = any({v})", "text[]", "Only in these states.", convert=filters.names, choice=filters.ONE_STATE
    )
    urgency_at_least: Urgency | None = where(
        "{t}.urgency >= {v}", "smallint", "Only this urgent or more.", convert=rank
    )
    region: str | None = filters.region(walked=True)
    near: NearInput | None = near()
    text: str | None = filters.text("need")
    needed_before: DateTime | None = filters.instant("{t}.needed_by < {v}", "Only needed before this.")
    published_after: DateTime | None = filters.published_after()
    published_before: DateTime | None = filters.published_before()
    received_after: DateTime | None = filters.received_after()
    external_id: ExternalIdInput | None = filters.external_id()
    exercise: bool | None = filters.exercise()
    unverified_critical: bool | None = filters.unverified_critical()


ORDERS = {
    NeedOrder.RECEIVED: RECEIVED,
    NeedOrder.PUBLISHED: PUBLISHED,
    NeedOrder.URGENCY: order("URGENCY", small_key("urgency"), instant_key("received_at"), descending=True),
    NeedOrder.NEEDED_BY: order("NEEDED_BY", last_instant_key("needed_by"), descending=False),
}


def need_connection(description: str, *, on: str | None = None) -> Any:
    """Return a connection of needs."""
    return connection(description, lambda: Need, ORDERS, NeedOrder.RECEIVED, NeedFilter, on=on)
