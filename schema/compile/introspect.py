"""Answer questions about the schema itself: the one part of a query that graphql-core executes."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableDefinitionNode,
    execute_sync,
)

from schema.compile.build import Asking
from schema.compile.select import Fragments

TYPES_OF_VARIABLES = ("String", "Boolean")  # all that `__type` and `__schema` take


@dataclass(frozen=True, slots=True)
class Introspected:
    """A root field `__schema` or `__type`."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: Fragments
    nodes: Sequence[FieldNode]

    async def run(self, asking: Asking) -> bytes:
        """Return what graphql-core answers."""
        variables = [node for node in self.operation.variable_definitions or () if _is_simple(node)]
        operation = OperationDefinitionNode(
            operation=OperationType.QUERY,
            name=None,
            variable_definitions=tuple(variables),
            directives=(),
            selection_set=SelectionSetNode(selections=tuple(self.nodes)),
        )
        names = {node.variable.name.value for node in variables}
        result = execute_sync(
            self.schema,
            DocumentNode(definitions=(operation, *self.fragments.values())),
            variable_values={name: value for name, value in asking.variables.items() if name in names},
        )
        if result.data is None:
            assert result.errors
            raise result.errors[0]
        return orjson.dumps(next(iter(result.data.values())))


def _is_simple(node: VariableDefinitionNode) -> bool:
    type_ = node.type.type if isinstance(node.type, NonNullTypeNode) else node.type
    return isinstance(type_, NamedTypeNode) and type_.name.value in TYPES_OF_VARIABLES
