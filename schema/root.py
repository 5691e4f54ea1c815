"""Compose the contract: every feature's types and root fields, and nothing else."""

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from schema.common.scalars import SCALARS
from schema.needs.queries import NeedQueries
from schema.needs.types import Need
from schema.organizations.queries import OrganizationQueries
from schema.organizations.types import Organization

Query = merge_types("Query", (NeedQueries, OrganizationQueries))
Query.__strawberry_definition__.description = "Questions about everything this node knows and its operator allows."  # type: ignore[attr-defined]

SCHEMA = strawberry.Schema(
    query=Query,
    types=(Need, Organization),
    config=StrawberryConfig(scalar_map=SCALARS),
)
