"""Following records of any type."""

import strawberry

from schema.changes.types import ChangeFilter, RecordEvent
from schema.common.events import following
from schema.common.records import Record


@strawberry.type(description="Following records of any type.")
class ChangeSubscriptions:
    """Root fields."""

    record_changed: RecordEvent = following(
        "Whatever happens here to records of any type.", lambda: Record, ChangeFilter
    )
