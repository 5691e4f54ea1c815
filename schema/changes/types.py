"""Events of records of any type, and which of them one wants."""

from enum import Enum

import strawberry

from schema.common import filters
from schema.common.connections import Edge, HiddenByTrust, PageInfo
from schema.common.events import Event, EventKind, current
from schema.common.records import Record
from schema.compile.clause import where
from schema.compile.read import Value, declare


@strawberry.enum(description="The types of records.")
class RecordType(Enum):
    """Types, by their names in ids."""

    NEED = strawberry.enum_value("need", description="A need.")
    ACTIVITY = strawberry.enum_value("activity", description="An activity.")
    UPDATE = strawberry.enum_value("update", description="An update.")
    ORGANIZATION = strawberry.enum_value("organization", description="An organization.")


@strawberry.type(description="Something that happened to a record here.")
class RecordEvent(Event):
    """An event of a record."""

    record: Record | None = current()


@strawberry.type(description="One page of events, oldest first.")
class ChangeConnection:
    """Events for pollers."""

    nodes: list[RecordEvent] = declare(Value(), "The events of this page: maybe fewer than asked for.")
    edges: list[Edge[RecordEvent]] = declare(Value(), "The events of this page, each with its cursor.")
    page_info: PageInfo = declare(
        Value(),
        "Where this page stands. Keep `endCursor`, also of a page without events, and ask with it next time; "
        "while `hasNextPage`, at once.",
    )
    hidden_by_trust: HiddenByTrust = declare(
        Value(),
        "What fits `types`, `publishers`, `region` and `exercise` but is hidden by trust, or suppressed: what a copy "
        "made of these events lacks. It counts records, wherever the page stands.",
    )


@strawberry.input(description="Which events. All conditions must hold, of the record as it is now.")
class ChangeFilter:
    """Conditions on events."""

    types: list[RecordType] | None = where(
        "{ev}.type = any({v})", "text[]", "Only of records of these types.", convert=filters.names, of_gone=True
    )
    kinds: list[EventKind] | None = where(
        "{ev}.kind = any({v})",
        "text[]",
        "Only of these kinds.",
        convert=filters.names,
        shown_only=True,
        of_gone=True,
    )
    publishers: list[strawberry.ID] | None = filters.publishers()
    region: str | None = where(
        "{region_path} @> array[{v}]",
        "text",
        "Only inside this region: a Kemendagri code such as 32.03. An update is where its publisher is.",
        check=filters.check_region,
    )
    exercise: bool | None = filters.exercise()
