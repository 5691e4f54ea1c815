"""Questions about this node, and the one question that finds anything by its id."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import strawberry

from auth import tokens
from schema.common.records import Node
from schema.compile.read import Answer, Argument, ById, declare
from schema.compile.visibility import ALLOWED, unindexed
from schema.node.types import LogHead, NodeInfo, RateLimit, Viewer

if TYPE_CHECKING:
    from schema.context import Caller, Charge, Services

LOGS_MAX = 100
_LOGS = f"""
    select log.origin, log.size, log.checkpoint_size, participant.hosted, log.verified_at, log.frozen_size,
           (select to_timestamp(max(at_s)) from cosignature join participant cosigner on cosigner.id = cosigner_id
            where cosignature.log_id = log.id and cosigner.host <> participant.host) as as_of
    from log join participant on participant.id = log.participant_id and {ALLOWED}
    order by log.size desc, log.id limit {LOGS_MAX}
"""
WAITING_MAX = 10_000
_NODE = f"""
    select (select scid from participant where id = operator_id) as operator,
           (select count(*) from peer where trust <> 'blocked' and url is not null) as peers,
           (
               select array_agg(case when what ~ '^[0-9]' then what else 'gotong:' || what end order by what)
               from mirror_choice
           ) as mirrored,
           (select coalesce(max(logs_left_out), 0) from peer) as left_out,
           {unindexed(WAITING_MAX)} as waiting
    from (select max(operator_id) as operator_id from node_state) state
"""


async def _this_node(services: "Services", _caller: "Caller", _arguments: Mapping[str, Any]) -> NodeInfo:
    async with services.database.acquire() as connection:
        logs = await connection.fetch(_LOGS)
        state = await connection.fetchrow(_NODE)
    assert state is not None
    return NodeInfo(
        name=services.node_name,
        version=services.version,
        network=services.network,
        base_url=services.base_url,
        operator=strawberry.ID(f"gotong:{state['operator']}") if state["operator"] else None,
        time=services.clock(),  # type: ignore[arg-type]
        peers=state["peers"],
        mirrored_regions=state["mirrored"],
        logs_left_out=state["left_out"],
        changes_waiting=state["waiting"],
        logs=[LogHead(**dict(log)) for log in logs],
    )


async def _viewer(_services: "Services", caller: "Caller", _arguments: Mapping[str, Any]) -> tokens.Viewer | None:
    return caller.viewer


async def _rate_limit(_services: "Services", caller: "Caller", _arguments: Mapping[str, Any]) -> "Charge":
    return caller.charge


@strawberry.type(description="Questions about this node and about anything by its id.")
class NodeQueries:
    """Root fields."""

    node: Node | None = declare(
        ById("id"),
        "Anything by its id, drills included; null when this node does not have it or may not show it.",
        (Argument("id", strawberry.ID, "Its URI: gotong:<SCID>/<type>/<uuid>, or gotong:<SCID>."),),
    )
    nodes: list[Node | None] = declare(
        ById("ids"),
        "At most 100 things by their ids, in the order asked for.",
        (Argument("ids", list[strawberry.ID], "Their URIs."),),
    )
    this_node: NodeInfo = declare(Answer(_this_node), "The node that answers.")
    rate_limit: RateLimit = declare(Answer(_rate_limit, cost=0), "What the caller may still ask.")
    viewer: Viewer | None = declare(Answer(_viewer), "Who asks; null without an access token.")
