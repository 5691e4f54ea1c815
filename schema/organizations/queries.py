"""Questions about organizations."""

import strawberry

from schema.common.connections import Connection
from schema.compile.read import Argument, ById, declare
from schema.organizations.types import Organization, organization_connection


@strawberry.type(description="Questions about organizations.")
class OrganizationQueries:
    """Root fields."""

    organization: Organization | None = declare(
        ById("id"),
        "One organization, by its id or its slug; among equal slugs this node's own guest, else the one it met first.",
        (
            Argument("id", strawberry.ID | None, "Its URI: gotong:<SCID>."),
            Argument("slug", str | None, "Its short name."),
        ),
    )
    organizations: Connection[Organization] = organization_connection("Organizations of every kind.")
    communities: Connection[Organization] = organization_connection(
        "Organizations that say they are communities.", fixed="{t}.kind = 'COMMUNITY'"
    )
