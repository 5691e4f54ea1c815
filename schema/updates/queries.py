"""Questions about updates."""

import strawberry

from schema.common.connections import Connection
from schema.updates.types import Update, update_connection


@strawberry.type(description="Questions about updates.")
class UpdateQueries:
    """Root fields."""

    updates: Connection[Update] = update_connection("News of all communities this node knows.")
