"""What a gateway asks: this subgraph's contract, and records by their keys."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from schema.activities.types import Activity
from schema.common.scalars import Representation
from schema.compile.read import Answer, Argument, ById, declare, value
from schema.needs.types import Need
from schema.organizations.types import Organization
from schema.subgraph.sdl import subgraph_sdl
from schema.updates.types import Update

if TYPE_CHECKING:
    from schema.context import Caller, Services

Entity = Annotated[
    Activity | Need | Organization | Update,
    strawberry.union("_Entity", description="Every type that a gateway may ask for by its key."),
]


@strawberry.type(name="_Service", description="This node as a subgraph.")
class Service:
    """What a gateway composes."""

    sdl: str = value("The contract with the directives of Apollo Federation 2.")


def subgraph_queries(sdl: Callable[[], str]) -> type:
    """Return the root fields that Apollo Federation asks of a subgraph whose contract is `sdl`."""

    async def service(_services: "Services", _caller: "Caller", _arguments: Mapping[str, Any]) -> Service:
        return Service(sdl=subgraph_sdl(sdl()))

    @strawberry.type(description="Questions of gateways.")
    class SubgraphQueries:
        service_: Service = declare(Answer(service), "This node as a subgraph, for composition.", name="_service")
        entities: list[Entity | None] = declare(
            ById("representations"),
            "Records by their keys, in the order asked for, at most 500; null for what is not here or may not be "
            "shown.",
            (Argument("representations", list[Representation], 'Each as {"__typename": "Need", "id": "gotong:..."}.'),),
            name="_entities",
        )

    return SubgraphQueries
