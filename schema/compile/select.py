"""Collect the fields a selection asks of one object type: fragments opened, @skip and @include decided."""

from collections.abc import Iterable, Mapping, Sequence

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    is_abstract_type,
)
from graphql.execution.values import VariableValues, get_directive_values

Fragments = Mapping[str, FragmentDefinitionNode]
Selected = dict[str, list[FieldNode]]
Sets = Sequence[SelectionSetNode | None]


def collect(
    schema: GraphQLSchema,
    type_: GraphQLObjectType,
    sets: Iterable[SelectionSetNode | None],
    fragments: Fragments,
    variables: VariableValues,
) -> Selected:
    """Return the field nodes by response key, in the order of the answer (GraphQL, CollectFields)."""
    selected: Selected = {}
    visited: set[str] = set()

    def applies(name: str) -> bool:
        condition = schema.type_map[name]
        return condition is type_ or (is_abstract_type(condition) and schema.is_sub_type(condition, type_))

    def visit(selections: Iterable[SelectionNode]) -> None:
        for node in selections:
            if not _included(node, variables):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                selected.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if node.type_condition is None or applies(node.type_condition.name.value):
                    visit(node.selection_set.selections)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in visited:
                visited.add(node.name.value)
                fragment = fragments[node.name.value]
                if applies(fragment.type_condition.name.value):
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
