"""Following activities."""

import strawberry

from schema.activities.types import Activity, ActivityFilter
from schema.common.events import Event, EventKind, current, following


@strawberry.type(description="Something that happened to an activity here.")
class ActivityEvent(Event):
    """An event of an activity."""

    activity: Activity | None = current()


@strawberry.type(description="Following activities.")
class ActivitySubscriptions:
    """Root fields."""

    activity_published: ActivityEvent = following(
        "Activities as they become visible here, whichever node they were published on.",
        lambda: Activity,
        ActivityFilter,
        EventKind.PUBLISHED,
    )
