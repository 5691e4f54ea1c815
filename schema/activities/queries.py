"""Questions about activities."""

import strawberry

from schema.activities.types import Activity, activity_connection
from schema.common.connections import Connection


@strawberry.type(description="Questions about activities.")
class ActivityQueries:
    """Root fields."""

    activities: Connection[Activity] = activity_connection("Activities of all communities this node knows.")
