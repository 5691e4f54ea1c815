"""Following needs."""

import strawberry

from schema.common.events import Event, EventKind, following
from schema.compile.read import embedded
from schema.needs.types import Need, NeedFilter


@strawberry.type(description="Something that happened to a need here.")
class NeedEvent(Event):
    """An event of a need."""

    need: Need = embedded("The need as it is now.")


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
        "Needs as they change after they became visible: their authors revise them, or time changes their state. "
        "The filter is for the need as it is now: of one that no longer fits nothing is told.",
        lambda: Need,
        NeedFilter,
        EventKind.REVISED,
        EventKind.STATE,
    )
