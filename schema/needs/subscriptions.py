"""Following needs."""

import strawberry

from schema.common.events import Event, EventKind, current, following
from schema.needs.types import Need, NeedFilter


@strawberry.type(description="Something that happened to a need here.")
class NeedEvent(Event):
    """An event of a need."""

    need: Need | None = current()


@strawberry.type(description="Following needs.")
class NeedSubscriptions:
    """Root fields."""

    need_published: NeedEvent = following(
        "Needs as they become visible here, whichever node they were published on.",
        lambda: Need,
        NeedFilter,
        EventKind.PUBLISHED,
    )
    need_changed: NeedEvent = following(
        "Needs as they change after they became visible: their authors revise or erase them, or time changes their "
        "state. The filter is for the need as it is now: of one that no longer fits nothing is told, of one that is "
        "gone everybody is.",
        lambda: Need,
        NeedFilter,
        EventKind.REVISED,
        EventKind.STATE,
        EventKind.ERASED,
        EventKind.WITHDRAWN,
        EventKind.SUPPRESSED,
    )
