"""Collect the fields a selection asks of one object type: fragments opened, @skip and @include decided."""

from collections.abc import Iterable, Mapping

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
)
from graphql.execution.values import VariableValues, get_directive_values

Fragments = Mapping[str, FragmentDefinitionNode]
Selected = dict[str, list[FieldNode]]


def collect(
    type_: GraphQLObjectType, sets: Iterable[SelectionSetNode | None], fragments: Fragments, variables: VariableValues
) -> Selected:
    """Return the field nodes by response key, in the order of the answer (GraphQL, CollectFields)."""
    selected: Selected = {}
    names = {type_.name, *(interface.name for interface in type_.interfaces)}
    visited: set[str] = set()

    def visit(selections: Iterable[SelectionNode]) -> None:
        for node in selections:
            if not _included(node, variables):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                selected.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if node.type_condition is None or node.type_condition.name.value in names:
                    visit(node.selection_set.selections)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in visited:
                visited.add(node.name.value)
                fragment = fragments[node.name.value]
                if fragment.type_condition.name.value in names:
                    visit(fragment.selection_set.selections)

    for each in sets:
        if each is not None:
            visit(each.selections)
    return selected


def _included(node: SelectionNode, variables: VariableValues) -> bool:
    if not node.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    if skip and skip["if"]:
        return False
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return not include or bool(include["if"])
