"""Events, asked for now and then."""

import strawberry

from schema.changes.types import ChangeConnection, ChangeFilter
from schema.common.records import Record
from schema.compile.read import Argument, Changes, Follow, declare


@strawberry.type(description="Events, asked for now and then.")
class ChangeQueries:
    """Root fields."""

    changes: ChangeConnection = declare(
        Changes(Follow(lambda: Record, ())),
        "What happened here to records of any type, oldest first: for those who ask once a night. Cursors are those of "
        "subscriptions, and good for both. STREAM_CHANGED says that this node was restored: ask by `receivedAfter` for "
        "what you may have missed, then again without `after`.",
        (
            Argument("filter", ChangeFilter | None, "Which events. Without it: all that may be seen, drills excepted."),
            Argument("after", str | None, "Only events behind this cursor. Without it: from the first on."),
            Argument("first", int | None, "How many events at most, 1 to 100. Default: 20."),
        ),
    )
