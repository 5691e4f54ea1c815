"""Print the contract as an Apollo Federation 2 subgraph: every record type has its id as key.

The contract itself knows nothing of gateways. `_service` and `_entities` stay out of what is printed here, as
the subgraph specification asks.
"""

from dataclasses import replace

from graphql import (
    ConstDirectiveNode,
    DefinitionNode,
    DocumentNode,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    parse,
    print_ast,
)

# The oldest version that knows all we use: every gateway composes it.
FEDERATION_URL = "https://specs.apollo.dev/federation/v2.0"
LINK = f'extend schema @link(url: "{FEDERATION_URL}", import: ["@key", "@shareable"])'
KEYED = "Node"
SHARED = ("PageInfo",)  # Relay's, the same in every subgraph that pages


def subgraph_sdl(contract: str) -> str:
    """Return the contract's SDL with what a gateway needs to compose it."""
    extension = parse(LINK, no_location=True).definitions
    definitions = parse(contract, no_location=True).definitions
    return print_ast(DocumentNode(definitions=(*extension, *map(_annotated, definitions)))) + "\n"


def _annotated(definition: DefinitionNode) -> DefinitionNode:
    if not isinstance(definition, ObjectTypeDefinitionNode):
        return definition
    if any(interface.name.value == KEYED for interface in definition.interfaces or ()):
        return replace(definition, directives=_directives('@key(fields: "id")'))
    if definition.name.value in SHARED:
        return replace(definition, directives=_directives("@shareable"))
    return definition


def _directives(text: str) -> tuple[ConstDirectiveNode, ...]:
    (like,) = parse(f"scalar T {text}", no_location=True).definitions
    assert isinstance(like, ScalarTypeDefinitionNode)
    return tuple(like.directives or ())
