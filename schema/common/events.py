"""What events have in common, and the subscription fields that give them."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import strawberry

from schema.common.connections import HiddenByTrust
from schema.common.scalars import DateTime
from schema.compile.read import Argument, Follow, Hidden, declare, embedded, time, token
from schema.compile.stream import CURSOR_SQL


@strawberry.enum(description="What happened to a record here.")
class EventKind(Enum):
    """Kinds of events."""

    PUBLISHED = strawberry.enum_value("PUBLISHED", description="It became visible here.")
    REVISED = strawberry.enum_value("REVISED", description="Its author changed it.")
    STATE = strawberry.enum_value("STATE", description="Time changed its state: a need expired.")
    ERASED = strawberry.enum_value(
        "ERASED",
        description="It is not shown here any more: its author erased it, or what it was about. Drop your copy.",
    )
    WITHDRAWN = strawberry.enum_value(
        "WITHDRAWN", description="It was not its publisher's: signed with a stolen key, and taken back with the cards."
    )
    SUPPRESSED = strawberry.enum_value(
        "SUPPRESSED",
        description="This node's operator does not show it any more. PUBLISHED follows if that is undone.",
    )


@strawberry.type(description="Something that happened here.")
class Event:
    """What events have in common; the record is a field of the types that extend this."""

    cursor: strawberry.ID = token(CURSOR_SQL, "Its place: give it as `after` to go on from here.")
    kind: EventKind = token("{ev}.kind", "What happened.")
    record_id: strawberry.ID = token("{uri}", "The record's URI, also when it is gone.")
    at: DateTime = time("{ev}.at", "When it happened on this node.")
    hidden_by_trust: HiddenByTrust = declare(
        Hidden(),
        "What fits the filter but is hidden by trust, or suppressed, as this event is told: events of it are not told.",
    )


def current() -> Any:
    """Return the field of an event's record."""
    return embedded("The record as it is now; null when it is gone.", present="{t}.record_id is not null")


def following(description: str, node: Callable[[], type], filter_type: type, *kinds: EventKind) -> Any:
    """Return a subscription field."""
    return declare(
        Follow(node, tuple(kind.name for kind in kinds)),
        description,
        (
            Argument("filter", filter_type | None, "Which records. Without it: all that may be seen, drills excepted."),
            Argument(
                "after", str | None, "First everything behind this event's cursor, then live. Default: from now on."
            ),
        ),
    )
