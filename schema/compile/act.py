"""Run mutations: the deed by Python, the record in its payload by a compiled question."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type
from msgspec.structs import replace
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY
from strawberry.types.arguments import convert_argument

from domain.ids import split_uri
from schema.common.scalars import SCALARS
from schema.compile import values
from schema.compile.arguments import Variables
from schema.compile.build import Asking, Build, read_of
from schema.compile.read import Act, Stored
from schema.compile.roots import One, one_by_uri

if TYPE_CHECKING:
    from schema.common.writing import Outcome

_CONFIG = StrawberryConfig()
_SCALARS = {**DEFAULT_SCALAR_REGISTRY, **SCALARS}


@dataclass(frozen=True, slots=True)
class Acted:
    """A compiled mutation field."""

    key: str
    name: str
    act: Act
    later: Callable[[Variables], Mapping[str, Any]]
    members: tuple[tuple[str, One | values.Pick], ...]

    async def run(self, asking: Asking) -> bytes:
        """Return the payload's JSON; what the writer cannot mend is raised."""
        from schema.common.writing import Deed

        given = self.later(asking.variables)["input"]
        caller = asking.caller
        if caller.idempotency_key:
            caller = replace(caller, idempotency_key=f"{caller.idempotency_key}/{self.key}")
        made = convert_argument(given, self.act.input, _SCALARS, _CONFIG)
        outcome: Outcome = await self.act.run(Deed(asking.services, caller, self.name, made, given))
        parts = []
        for key, member in self.members:
            if isinstance(member, One):
                json = await member.read(split_uri(outcome.uri), asking) if outcome.uri else b"null"
            else:
                json = orjson.dumps(member(outcome, asking))
            parts.append(b'"%b":%b' % (key.encode(), json))
        return b"{" + b",".join(parts) + b"}"


def compile_act(build: Build, declared: GraphQLField, key: str, nodes: list[FieldNode], act: Act) -> Acted:
    """Return a mutation field, compiled."""
    _, later = build.arguments(declared, nodes[0])
    type_ = get_named_type(declared.type)
    assert isinstance(type_, GraphQLObjectType)
    members: list[tuple[str, One | values.Pick]] = []
    for inner_key, found in build.fields(type_, [node.selection_set for node in nodes]).items():
        name = found[0].name.value
        with build.at(inner_key, found):
            if name != "__typename" and isinstance(read_of(type_.fields[name]), Stored):
                members.append((inner_key, one_by_uri(build, type_.fields[name], found)))
            else:
                members.append((inner_key, values.member(build, type_, name, found)))
    return Acted(key, nodes[0].name.value, act, later, tuple(members))
