"""The Organization: what a participant says about itself."""

from enum import Enum
from typing import Any, ClassVar

import strawberry

from schema.common import filters
from schema.common.connections import PUBLISHED, RECEIVED, connection, name_key, order
from schema.common.near import NearInput, near
from schema.common.records import ExternalId, ExternalIdInput, Record, external_ids
from schema.common.scalars import DateTime
from schema.common.values import Place
from schema.compile.clause import where
from schema.compile.read import Source, boolean, elements, embedded, localized, text, token, tokens
from schema.restricted.types import Contact, ContactAccess, ExactPlace, contact, contact_access, exact_place


@strawberry.enum(description="What an organization says it is. A claim, until someone you trust attests it.")
class OrganizationKind(Enum):
    """What it says it is."""

    COMMUNITY = strawberry.enum_value("COMMUNITY", description="A grassroots community.")
    NGO = strawberry.enum_value("NGO", description="A non-governmental organization.")
    GOVERNMENT = strawberry.enum_value("GOVERNMENT", description="A government body.")
    SPONSOR = strawberry.enum_value("SPONSOR", description="A sponsor.")
    COOPERATIVE = strawberry.enum_value("COOPERATIVE", description="A co-operative.")
    SCHOOL = strawberry.enum_value("SCHOOL", description="A school.")


@strawberry.enum(
    description="The orders organizations can stand in. But for RECEIVED, rows that change while you page may repeat."
)
class OrganizationOrder(Enum):
    """Orders of organizations."""

    RECEIVED = strawberry.enum_value("RECEIVED", description="Newest here first. Never changes, so paging never skips.")
    PUBLISHED = strawberry.enum_value("PUBLISHED", description="Newest first, as their authors say.")
    NAME = strawberry.enum_value(
        "NAME", description="By name as first written, code point by code point; only its first 32 characters count."
    )


@strawberry.type(description="A page elsewhere.")
class Link:
    """A link; http and https only."""

    url: str = text("{x}.value ->> 'url'", "Where it is.")
    title: str | None = text("{x}.value ->> 'title'", "What it is called.")


@strawberry.type(description="A community, NGO, government body or sponsor with a public log of its own.")
class Organization(Record):
    """The one organization record of a participant."""

    SOURCE: ClassVar[Source] = Source("organization", "organization")

    id: strawberry.ID = token("'gotong:' || {p}.scid", "Its URI, the same on every node: gotong:<SCID>.")
    did: strawberry.ID = text("{i}.did", "Its decentralized identifier (did:webvh), which names its keys.")
    ended: bool = boolean("{i}.ended", "Whether it has ended: what it published stays, and nothing is added.")
    slug: str = token("{t}.slug", "The short name it wishes for; unique only on its own node.")
    name: str = localized("{t}.name_text", "Its name.", first="{t}.name_json")
    kind: OrganizationKind = token("{t}.kind", "What it says it is.")
    description: str | None = localized("{t}.description_text", "What it does.")
    focus: list[str] = tokens("{t}.focus", "The categories it works in.")
    founded_on: str | None = token("{t}.founded_on", "When it began: a year, a month or a day.")
    member_band: str | None = token("{t}.member_band", "How many members it has, roughly: 1-5, 6-10, ... 1001+.")
    place: Place = embedded("Where it is.")
    languages: list[str] = tokens("{t}.languages", "The languages it can be written to in.")
    parent: strawberry.ID | None = token("{t}.parent_uri", "The organization it is a branch of.")
    succeeds: strawberry.ID | None = token(
        "{t}.doc ->> 'succeeds'",
        "The participant it says to have been before: a claim, until `succeededBy` there agrees.",
    )
    succeeded_by: strawberry.ID | None = token(
        "(select 'gotong:' || heir.scid from succession"
        " join organization heir on heir.publisher_id = succession.successor_id and heir.visible"
        " where succession.predecessor_id = {t}.publisher_id)",
        "The organization that people on this node found to be its successor, all its cards being lost; null while "
        "that one may not be seen.",
    )
    links: list[Link] = elements("jsonb_array_elements({t}.links) as {x}(value)", "Its pages elsewhere.")
    external_ids: list[ExternalId] = external_ids()
    contact: Contact | None = contact()
    exact_place: ExactPlace | None = exact_place()
    contact_access: ContactAccess = contact_access()


@strawberry.input(description="Which organizations. All conditions must hold.")
class OrganizationFilter:
    """Conditions on organizations."""

    kinds: list[OrganizationKind] | None = where(
        "{t}.kind = any({v})", "text[]", "Only of these kinds, as they say.", convert=filters.names
    )
    focus: list[str] | None = where(
        filters.FOCUS_SQL,
        "text[]",
        "Only working in these categories, or inside them.",
        convert=filters.with_descendants,
        parts=filters.INSIDE,
    )
    languages: list[str] | None = where(
        "{t}.languages && {v}", "text[]", "Only those that can be written to in one of these.", convert=filters.bounded
    )
    parent: strawberry.ID | None = where(
        "{t}.parent_uri = {v}", "text", "Only branches of this organization.", convert=filters.uri
    )
    publishers: list[strawberry.ID] | None = filters.publishers()
    region: str | None = filters.region()
    near: NearInput | None = near()
    text: str | None = filters.text("organization")
    published_after: DateTime | None = filters.published_after()
    published_before: DateTime | None = filters.published_before()
    received_after: DateTime | None = filters.received_after()
    external_id: ExternalIdInput | None = filters.external_id()
    exercise: bool | None = filters.exercise()


ORDERS = {
    OrganizationOrder.RECEIVED: RECEIVED,
    OrganizationOrder.PUBLISHED: PUBLISHED,
    OrganizationOrder.NAME: order("NAME", name_key("name_text"), descending=False),
}


def organization_connection(description: str, *, fixed: str | None = None) -> Any:
    """Return a connection of organizations."""
    return connection(
        description, lambda: Organization, ORDERS, OrganizationOrder.RECEIVED, OrganizationFilter, fixed=fixed
    )
