"""Compose the contract: every feature's types and root fields, and nothing else."""

from typing import Any

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types.base import get_object_definition

from schema.activities.mutations import ActivityMutations
from schema.activities.queries import ActivityQueries
from schema.activities.types import Activity
from schema.common.scalars import SCALARS
from schema.links import link
from schema.needs.mutations import NeedMutations
from schema.needs.queries import NeedQueries
from schema.needs.subscriptions import NeedSubscriptions
from schema.needs.types import Need
from schema.node.queries import NodeQueries
from schema.organizations.mutations import OrganizationMutations
from schema.organizations.queries import OrganizationQueries
from schema.organizations.types import Organization
from schema.places.queries import PlaceQueries
from schema.updates.mutations import UpdateMutations
from schema.updates.queries import UpdateQueries
from schema.updates.types import Update

QUERIES = (NeedQueries, ActivityQueries, UpdateQueries, OrganizationQueries, NodeQueries, PlaceQueries)
MUTATIONS = (NeedMutations, ActivityMutations, UpdateMutations, OrganizationMutations)
SUBSCRIPTIONS = (NeedSubscriptions,)
RECORDS = (Need, Organization, Activity, Update)


def composed(name: str, parts: tuple[type, ...], description: str) -> Any:
    """Return one root type with the fields of all parts."""
    merged = merge_types(name, parts)
    get_object_definition(merged, strict=True).description = description
    return merged


link()
CONTRACT = strawberry.Schema(
    query=composed("Query", QUERIES, "Questions about everything this node knows and its operator allows."),
    mutation=composed("Mutation", MUTATIONS, "What an organization may write into its own public log."),
    subscription=composed("Subscription", SUBSCRIPTIONS, "What happens here, as it happens."),
    types=RECORDS,
    config=StrawberryConfig(scalar_map=SCALARS),
)
SCHEMA: GraphQLSchema = CONTRACT._schema  # what is compiled; Strawberry's own executor is not used


def sdl() -> str:
    """Return the contract in GraphQL's schema language: what schema.graphql must hold."""
    return CONTRACT.as_str() + "\n"
