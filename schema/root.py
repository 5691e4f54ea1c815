"""Compose the contract: every feature's types and root fields, and nothing else."""

from functools import cache
from typing import Any

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types
from strawberry.types.base import get_object_definition

from schema.activities.mutations import ActivityMutations
from schema.activities.queries import ActivityQueries
from schema.activities.subscriptions import ActivitySubscriptions
from schema.activities.types import Activity
from schema.changes.queries import ChangeQueries
from schema.changes.subscriptions import ChangeSubscriptions
from schema.common.scalars import SCALARS
from schema.erasure.mutations import ErasureMutations
from schema.erasure.queries import ErasureQueries
from schema.links import link
from schema.moderation.mutations import ModerationMutations
from schema.moderation.queries import ModerationQueries
from schema.needs.mutations import NeedMutations
from schema.needs.queries import NeedQueries
from schema.needs.stats import NeedStatQueries
from schema.needs.subscriptions import NeedSubscriptions
from schema.needs.types import Need
from schema.node.queries import NodeQueries
from schema.organizations.mutations import OrganizationMutations
from schema.organizations.queries import OrganizationQueries
from schema.organizations.types import Organization
from schema.places.queries import PlaceQueries
from schema.restricted.access import RestrictedQueries
from schema.restricted.mutations import RestrictedMutations
from schema.subgraph.queries import subgraph_queries
from schema.updates.mutations import UpdateMutations
from schema.updates.queries import UpdateQueries
from schema.updates.types import Update

QUERIES = (
    NeedQueries,
    NeedStatQueries,
    ChangeQueries,
    ActivityQueries,
    UpdateQueries,
    OrganizationQueries,
    NodeQueries,
    PlaceQueries,
    RestrictedQueries,
    ErasureQueries,
    ModerationQueries,
)
MUTATIONS = (
    NeedMutations,
    ActivityMutations,
    UpdateMutations,
    OrganizationMutations,
    ErasureMutations,
    RestrictedMutations,
    ModerationMutations,
)
SUBSCRIPTIONS = (NeedSubscriptions, ActivitySubscriptions, ChangeSubscriptions)
RECORDS = (Need, Organization, Activity, Update)


def composed(name: str, parts: tuple[type, ...], description: str) -> Any:
    """Return one root type with the fields of all parts."""
    merged = merge_types(name, parts)
    get_object_definition(merged, strict=True).description = description
    return merged


def contract(*queries: type) -> strawberry.Schema:
    """Return the contract with these root fields of Query."""
    return strawberry.Schema(
        query=composed("Query", queries, "Questions about everything this node knows and its operator allows."),
        mutation=composed("Mutation", MUTATIONS, "What an organization may write into its own public log."),
        subscription=composed("Subscription", SUBSCRIPTIONS, "What happens here, as it happens."),
        types=RECORDS,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


@cache
def sdl() -> str:
    """Return the contract in GraphQL's schema language, without what only gateways ask: schema.graphql holds it."""
    return contract(*QUERIES).as_str() + "\n"


link()
# Compiled by `schema.compile`: Strawberry's own executor is not used.
SCHEMA: GraphQLSchema = contract(*QUERIES, subgraph_queries(sdl))._schema
