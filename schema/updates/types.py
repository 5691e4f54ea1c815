"""The Update: news about a record or a community."""

from enum import Enum
from typing import Any, ClassVar

import strawberry

from schema.common import filters
from schema.common.connections import PUBLISHED, RECEIVED, connection
from schema.common.records import ExternalId, ExternalIdInput, Node, Record, external_ids
from schema.common.scalars import DateTime
from schema.compile.clause import where
from schema.compile.read import Linked, Source, declare, localized, token, tokens


@strawberry.enum(
    description="The orders updates can stand in. But for RECEIVED, rows that change while you page may repeat."
)
class UpdateOrder(Enum):
    """Orders of updates."""

    RECEIVED = strawberry.enum_value("RECEIVED", description="Newest here first. Never changes, so paging never skips.")
    PUBLISHED = strawberry.enum_value("PUBLISHED", description="Newest first, as their authors say.")


@strawberry.type(description="News about one record, or about a community as a whole.")
class Update(Record):
    """An update."""

    SOURCE: ClassVar[Source] = Source("update_post", "update", region_path="{p}.region_path")

    about_id: strawberry.ID = token("{t}.about_uri", "The URI of what it is about.")
    about: Node | None = declare(
        Linked("{t}.about_type", "{t}.about_publisher", "{t}.about_id"),
        "What it is about; null while this node does not have it or may not show it.",
    )
    text: str = localized("{t}.body_text", "The news.", first="{t}.body_json")
    media: list[str] = tokens("{t}.media", "Pictures and files, by SHA-256 in hex.")
    external_ids: list[ExternalId] = external_ids()


def _uris(ids: list[str]) -> list[str]:
    return [filters.uri(uri) for uri in filters.bounded(ids)]


@strawberry.input(description="Which updates. All conditions must hold.")
class UpdateFilter:
    """Conditions on updates."""

    publishers: list[strawberry.ID] | None = filters.publishers()
    about: list[strawberry.ID] | None = where(
        "{t}.about_uri = any({v})", "text[]", "Only about these, by id.", convert=_uris
    )
    published_after: DateTime | None = filters.published_after()
    published_before: DateTime | None = filters.published_before()
    received_after: DateTime | None = filters.received_after()
    external_id: ExternalIdInput | None = filters.external_id()
    exercise: bool | None = filters.exercise()


ORDERS = {UpdateOrder.RECEIVED: RECEIVED, UpdateOrder.PUBLISHED: PUBLISHED}


def update_connection(description: str, *, on: str | None = None) -> Any:
    """Return a connection of updates."""
    return connection(description, lambda: Update, ORDERS, UpdateOrder.RECEIVED, UpdateFilter, on=on)
