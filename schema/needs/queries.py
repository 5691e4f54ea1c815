"""Questions about needs."""

import strawberry

from schema.common.connections import Connection
from schema.needs.types import Need, need_connection


@strawberry.type(description="Questions about needs.")
class NeedQueries:
    """Root fields."""

    needs: Connection[Need] = need_connection("Needs of all communities this node knows.")
