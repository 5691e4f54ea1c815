"""Turn the arguments of a field into a function of the variables, and variables into their shape.

The shape of the variables decides the SQL text, the values only fill its
parameters: two requests of one shape share a plan.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLInputType,
    GraphQLScalarType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values

Variables = Mapping[str, Any]
Arguments = Mapping[str, Any]
Signatures = dict[str, GraphQLVariableSignature]
_ABSENT: Any = object()


class Given(msgspec.Struct, frozen=True):
    """A request's variables: coerced, what of them decides SQL, and as graphql-core has them, unless texts only."""

    coerced: Variables
    shape: Any
    values: VariableValues | None = None


def shape(value: Any) -> Any:
    """Return what of a coerced value decides SQL: presence, null, and every number, boolean and enum value."""
    if isinstance(value, dict):
        return tuple([(name, shape(member)) for name, member in value.items()])
    if isinstance(value, list):
        return (
            ("list", *[shape(member) for member in value]) if any(isinstance(x, dict | list) for x in value) else "list"
        )
    if value is None or isinstance(value, bool | int | Enum):
        return value
    return "value"


def given_texts(signatures: Signatures | None, given: Variables) -> Given | None:
    """Return variables that need no coercion: of those `texts_of` found, each given as a text; else None."""
    if signatures is None or given.keys() != signatures.keys():
        return None
    for value in given.values():
        if type(value) is not str:
            return None
    return Given(given, None)


def values_of(given: Given, signatures: Signatures | None) -> VariableValues:
    """Return a request's variables as graphql-core has them."""
    if given.values is not None:
        return given.values
    assert signatures is not None
    sources = {name: VariableValueSource(signatures[name], text) for name, text in given.coerced.items()}
    return VariableValues(sources, dict(given.coerced))


def texts_of(schema: GraphQLSchema, operation: OperationDefinitionNode) -> Signatures | None:
    """Return an operation's variables when each is a String! or ID! without default, else None.

    To such a variable any text is as good as coerced, which spares the commonest questions the general way.
    """
    found: Signatures = {}
    for variable in operation.variable_definitions or ():
        signature = get_variable_signature(schema, variable)
        if isinstance(signature, GraphQLError) or signature.default is not None:
            return None
        if str(signature.type) not in ("String!", "ID!"):
            return None
        found[signature.name] = signature
    return found


def arguments_of(
    field: GraphQLField, node: FieldNode, variables: VariableValues
) -> tuple[Arguments, Callable[[Variables], Arguments]]:
    """Return the arguments' values now, and a function that gives them for other variables of the same shape.

    Raises GraphQLError for a value its type does not take.
    """
    now = get_argument_values(field, node, variables)
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    moving = {
        name: template(given[name], field.args[name].type) for name in now if name in given and varies(given[name])
    }
    if not moving:
        return now, lambda _: now
    fixed = {name: value for name, value in now.items() if name not in moving}
    newest: tuple[Variables, Arguments] = ({}, {})

    def later(current: Variables) -> Arguments:
        nonlocal newest
        if newest[0] is current:  # each parameter of a statement asks in turn
            return newest[1]
        values = dict(fixed)
        for name, make in moving.items():
            if (value := make(current)) is not _ABSENT:
                values[name] = value
        newest = (current, values)
        return values

    return now, later


def varies(node: ValueNode) -> bool:
    """Return whether a variable occurs in `node`."""
    if isinstance(node, VariableNode):
        return True
    if isinstance(node, ListValueNode):
        return any(varies(member) for member in node.values)
    return isinstance(node, ObjectValueNode) and any(varies(member.value) for member in node.fields)


def template(node: ValueNode, type_: GraphQLInputType) -> Callable[[Variables], Any]:
    """Return a function of the variables that gives the value of `node`."""
    inner = get_nullable_type(type_)
    if isinstance(node, VariableNode):
        name = node.name.value
        return lambda current: current.get(name, _ABSENT)
    if not varies(node):
        value = _constant(node, type_)
        return lambda _: value
    if isinstance(node, ListValueNode) and is_list_type(inner):
        makers = [template(member, inner.of_type) for member in node.values]
        return lambda current: [None if (x := make(current)) is _ABSENT else x for make in makers]
    if is_list_type(inner):
        only = template(node, inner.of_type)
        return lambda current: [only(current)]
    named = get_named_type(inner)
    if isinstance(named, GraphQLScalarType):
        return lambda current: named.parse_literal(node, dict(current))
    assert is_input_object_type(named)
    assert isinstance(node, ObjectValueNode)
    fields = {
        named.fields[member.name.value].out_name or member.name.value: template(
            member.value, named.fields[member.name.value].type
        )
        for member in node.fields
    }
    return lambda current: {name: x for name, make in fields.items() if (x := make(current)) is not _ABSENT}


def _constant(node: ValueNode, type_: GraphQLInputType) -> Any:
    from graphql.utilities.coerce_input_value import coerce_input_literal

    return coerce_input_literal(node, type_)
