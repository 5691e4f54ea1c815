"""The Activity: what a community does."""

from enum import Enum
from typing import Any, ClassVar

import strawberry

from schema.common import filters
from schema.common.connections import PUBLISHED, RECEIVED, connection, instant_key, order
from schema.common.near import NearInput, near
from schema.common.records import ExternalId, ExternalIdInput, Record, external_ids
from schema.common.scalars import DateTime
from schema.common.values import Place
from schema.compile.clause import where
from schema.compile.read import Source, embedded, localized, number, text, time, token
from schema.restricted.types import Contact, ContactAccess, ExactPlace, contact, contact_access, exact_place


@strawberry.enum(description="What the organizers say about an activity.")
class ActivityStatus(Enum):
    """What the organizers say about it."""

    PLANNED = strawberry.enum_value("PLANNED", description="It is planned.")
    CONFIRMED = strawberry.enum_value("CONFIRMED", description="It will take place.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="It will not take place.")
    DONE = strawberry.enum_value("DONE", description="It took place.")


@strawberry.enum(
    description="The orders activities can stand in. But for RECEIVED, rows that change while you page may repeat."
)
class ActivityOrder(Enum):
    """Orders of activities."""

    RECEIVED = strawberry.enum_value("RECEIVED", description="Newest here first. Never changes, so paging never skips.")
    PUBLISHED = strawberry.enum_value("PUBLISHED", description="Newest first, as their authors say.")
    STARTS = strawberry.enum_value("STARTS", description="Soonest start first.")


@strawberry.type(description="Something a community does at a time and a place, once or again and again.")
class Activity(Record):
    """An activity."""

    SOURCE: ClassVar[Source] = Source("activity", "activity")

    title: str = localized("{t}.title_text", "What it is, in a line.", first="{t}.title_json")
    description: str | None = localized("{t}.description_text", "What happens there.")
    start: DateTime = time("{t}.starts_at", "When its first occurrence starts.")
    end: DateTime | None = time("{t}.ends_at", "When its first occurrence ends.")
    zone: str = text("{t}.zone", "The IANA time zone in whose clock it recurs.")
    recurrence: str | None = text("{t}.recurrence", "How it recurs: an RFC 5545 RRULE.")
    place: Place = embedded("Where it is.")
    status: ActivityStatus = token("{t}.status", "What the organizers say about it.")
    programme: strawberry.ID | None = token("{t}.programme", "The programme it belongs to.")
    attendance: int | None = number("{t}.attendance", "How many people came.")
    outcome: str | None = localized("{t}.outcome", "What came of it.")
    external_ids: list[ExternalId] = external_ids()
    contact: Contact | None = contact()
    exact_place: ExactPlace | None = exact_place()
    contact_access: ContactAccess = contact_access()


@strawberry.input(description="Which activities. All conditions must hold.")
class ActivityFilter:
    """Conditions on activities."""

    publishers: list[strawberry.ID] | None = filters.publishers()
    statuses: list[ActivityStatus] | None = where(
        "{t}.status = any({v})", "text[]", "Only with one of these statuses.", convert=filters.names
    )
    programme: strawberry.ID | None = where(
        "{t}.programme = {v}", "text", "Only of this programme.", convert=filters.uri
    )
    region: str | None = filters.region()
    near: NearInput | None = near()
    text: str | None = filters.text("activity")
    starts_after: DateTime | None = filters.instant("{t}.starts_at > {v}", "Only starting after this.")
    starts_before: DateTime | None = filters.instant("{t}.starts_at < {v}", "Only starting before this.", "startsAfter")
    published_after: DateTime | None = filters.published_after()
    published_before: DateTime | None = filters.published_before()
    received_after: DateTime | None = filters.received_after()
    external_id: ExternalIdInput | None = filters.external_id()
    exercise: bool | None = filters.exercise()


ORDERS = {
    ActivityOrder.RECEIVED: RECEIVED,
    ActivityOrder.PUBLISHED: PUBLISHED,
    ActivityOrder.STARTS: order("STARTS", instant_key("starts_at"), descending=False),
}


def activity_connection(description: str, *, on: str | None = None) -> Any:
    """Return a connection of activities."""
    return connection(description, lambda: Activity, ORDERS, ActivityOrder.RECEIVED, ActivityFilter, on=on)
