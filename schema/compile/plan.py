"""Turn documents into plans and keep both: parse, validate, compile once; then only values change."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import orjson
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    is_non_null_type,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values

from domain.errors import GotongError
from schema import errors
from schema.compile import limits
from schema.compile.act import compile_act
from schema.compile.arguments import Given, Signatures, given_texts, shape, texts_of, values_of
from schema.compile.build import Asking, Build, Located, read_of
from schema.compile.changes import Changes
from schema.compile.cost import Cost, cost_of
from schema.compile.follow import FollowPlan, compile_follow
from schema.compile.group import Statistics
from schema.compile.introspect import Introspected
from schema.compile.query import Partly
from schema.compile.read import Act, Follow, Reader
from schema.compile.roots import BySlug, Connection, Constant, Made, One, Root, compile_root
from schema.compile.select import Fragments, collect
from schema.compile.several import Several
from schema.errors import Formatted

DOCUMENTS_CACHED_MAX = 1_000
PLANS_CACHED_MAX = 2_000
ERRORS_MAX = 10

K = TypeVar("K")
V = TypeVar("V")


class OperationUnclear(GotongError):
    """The document has several operations or none, and the request does not name one of them."""

    code: ClassVar[str] = "OPERATION_UNCLEAR"


class Bounded(OrderedDict[K, V], Generic[K, V]):
    """A mapping that forgets what was not used for longest."""

    def __init__(self, size_max: int) -> None:
        super().__init__()
        self._size_max = size_max

    def recent(self, key: K) -> V | None:
        """Return what is kept under `key`, now the most recent, or None."""
        value = self.get(key)
        if value is not None:
            self.move_to_end(key)
        return value

    def keep(self, key: K, value: V) -> V:
        """Return `value`, kept."""
        self[key] = value
        if len(self) > self._size_max:
            self.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A parsed document and what is wrong with it."""

    operations: Mapping[str, OperationDefinitionNode] = field(default_factory=dict)
    texts: Mapping[str, Signatures | None] = field(default_factory=dict)  # by operation, see `texts_of`
    fragments: Fragments = field(default_factory=dict)
    errors: tuple[Formatted, ...] = ()

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """Return the operation of that name, or the only one; raises OperationUnclear."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        found = self.operations.get(name) if name else None
        if found is None:
            if name:
                raise OperationUnclear(f"The document has no operation named {name[:64]!r}.")
            raise OperationUnclear("The document has several operations or none: name one in `operationName`.")
        return found


@dataclass(frozen=True, slots=True)
class Planned:
    """A root field: its place in the answer, and how it is made or why it cannot be."""

    key: str
    nullable: bool
    node: FieldNode
    root: Root | Located | Exception


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation, compiled: its fields, what it costs, and whether everybody without a token is told the same."""

    fields: tuple[Planned, ...]
    cost: Cost
    shared: bool


class Answer(msgspec.Struct, frozen=True):
    """What an operation gave: JSON of `data` (None: there is none), and what went wrong."""

    data: bytes | None
    errors: list[Formatted]

    def json(self, extensions: bytes = b"") -> bytes:
        """Return the response body, with `extensions` as its member of that name."""
        parts = []
        if self.errors:
            parts.append(b'"errors":' + orjson.dumps(self.errors))
        if self.data is not None:
            parts.append(b'"data":' + self.data)
        if extensions:
            parts.append(b'"extensions":' + extensions)
        return b"{" + b",".join(parts) + b"}"


def name_of(operation: OperationDefinitionNode) -> str:
    """Return the operation's name, "" when it has none."""
    return operation.name.value if operation.name else ""


class RequestRefused(Exception):
    """Nothing can be executed: the request's errors, ready to be answered."""

    def __init__(self, *found: Formatted) -> None:
        super().__init__(found)
        self.errors = list(found)


class Compiler:
    """The schema's compiler, with its caches."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._documents: Bounded[str, Document] = Bounded(DOCUMENTS_CACHED_MAX)
        self._plans: Bounded[Any, tuple[OperationDefinitionNode, Plan]] = Bounded(PLANS_CACHED_MAX)

    def document(self, text: str) -> Document:
        """Return the parsed and validated document, its errors included."""
        return self._documents.recent(text) or self._documents.keep(text, self._parsed(text))

    def _parsed(self, text: str) -> Document:
        try:
            tree = parse(
                text,
                max_tokens=limits.TOKENS_MAX,
                max_comments=limits.COMMENTS_MAX,
                max_source_length=limits.DOCUMENT_CHARS_MAX,
                allow_empty_selection_sets=False,
            )
            unused = limits.check_size(tree)[:ERRORS_MAX]
            found = [GraphQLError(f"Fragment '{node.name.value}' is never used.", node) for node in unused]
            found = found or validate(self.schema, tree, max_errors=ERRORS_MAX)
        except GraphQLError as error:
            return Document(errors=(errors.with_code(error, errors.GRAPHQL_PARSE_FAILED),))
        except GotongError as error:
            return Document(errors=(errors.formatted(error),))
        except RecursionError:
            return Document(
                errors=(errors.refused("The document is nested too deeply.", limits.DocumentTooLarge.code),)
            )
        operations = {name_of(node): node for node in tree.definitions if isinstance(node, OperationDefinitionNode)}
        return Document(
            operations=operations,
            texts={} if found else {name: texts_of(self.schema, node) for name, node in operations.items()},
            fragments={node.name.value: node for node in tree.definitions if isinstance(node, FragmentDefinitionNode)},
            errors=tuple(errors.with_code(error, errors.GRAPHQL_VALIDATION_FAILED) for error in found),
        )

    def variables(self, document: Document, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> Given:
        """Return the coerced variables; raises RequestRefused for too many, or values their types do not take."""
        texts = given_texts(document.texts[name_of(operation)], given)
        if texts is not None:
            return texts
        try:
            limits.check_variables(given)
        except GotongError as error:
            raise RequestRefused(errors.formatted(error)) from None
        values = get_variable_values(
            self.schema, operation.variable_definitions or (), dict(given), max_errors=ERRORS_MAX
        )
        if isinstance(values, list):
            raise RequestRefused(*(errors.formatted(error) for error in values))
        return Given(values.coerced, shape(values.coerced), values)

    def plan(self, document: Document, operation: OperationDefinitionNode, given: Given, *, localize: bool) -> Plan:
        """Return the plan of a query or mutation, kept when it has no error; raises QueryTooCostly."""
        key = (id(operation), localize, given.shape)
        kept = self._plans.recent(key)
        if kept is not None and kept[0] is operation:
            return kept[1]
        variables = _values(document, operation, given)
        cost = cost_of(Build(self.schema, document.fragments, variables, False), operation)
        cost.of(given.coerced)  # what is too costly to run is not worth compiling
        planned = self._planned(document, operation, variables, localize)
        plan = Plan(planned, cost, all(is_shared(field.root) for field in planned))
        if not any(isinstance(field.root, Exception) for field in planned):
            self._plans.keep(key, (operation, plan))
        return plan

    def follow_cost(self, document: Document, operation: OperationDefinitionNode, given: Given) -> int:
        """Return what it costs to begin to follow; raises QueryTooCostly."""
        variables = _values(document, operation, given)
        return cost_of(Build(self.schema, document.fragments, variables, False), operation).of(given.coerced)

    def _planned(
        self, document: Document, operation: OperationDefinitionNode, variables: VariableValues, localize: bool
    ) -> tuple[Planned, ...]:
        type_ = self.schema.get_root_type(operation.operation)
        assert type_ is not None
        selected = collect(self.schema, type_, [operation.selection_set], document.fragments, variables)
        planned = []
        for key, nodes in selected.items():
            build = Build(self.schema, document.fragments, variables, localize)
            planned.append(self._root(build, operation, type_, key, nodes))
        return tuple(planned)

    def follow_plan(
        self, document: Document, operation: OperationDefinitionNode, given: Given, reader: Reader
    ) -> FollowPlan:
        """Return the plan of a subscription; raises Located."""
        type_ = self.schema.subscription_type
        assert type_ is not None
        build = Build(self.schema, document.fragments, _values(document, operation, given), bool(reader.languages))
        selected = build.fields(type_, [operation.selection_set])
        if len(selected) != 1:
            raise RequestRefused(errors.refused("A subscription follows exactly one field.", errors.BAD_USER_INPUT))
        key, nodes = next(iter(selected.items()))
        declared = type_.fields[nodes[0].name.value]
        read = read_of(declared)
        assert isinstance(read, Follow)
        with build.at(key, nodes):
            return compile_follow(build, operation, declared, key, nodes, read, reader.languages)

    def _root(
        self,
        build: Build,
        operation: OperationDefinitionNode,
        type_: GraphQLObjectType,
        key: str,
        nodes: list[FieldNode],
    ) -> Planned:
        name = nodes[0].name.value
        if name == "__typename":
            return Planned(key, False, nodes[0], Constant(orjson.dumps(type_.name)))
        if name.startswith("__"):
            return Planned(
                key, name == "__type", nodes[0], Introspected(self.schema, operation, build.fragments, nodes)
            )
        declared = type_.fields[name]
        nullable = not is_non_null_type(declared.type)
        try:
            with build.at(key, nodes):
                return Planned(key, nullable, nodes[0], _compiled(build, declared, key, nodes))
        except Located as error:
            return Planned(key, nullable, nodes[0], error)


def _values(document: Document, operation: OperationDefinitionNode, given: Given) -> VariableValues:
    return values_of(given, document.texts[name_of(operation)])


def _compiled(build: Build, declared: GraphQLField, key: str, nodes: list[FieldNode]) -> Root:
    read = read_of(declared)
    return (
        compile_act(build, declared, key, nodes, read)
        if isinstance(read, Act)
        else compile_root(build, declared, nodes, read)
    )


def is_shared(root: object) -> bool:
    """Return whether everybody without a token is told the same by a root field until the database changes."""
    if isinstance(root, Made):
        return root.answer.shared
    return isinstance(root, Constant | One | BySlug | Several | Connection | Statistics | Changes | Introspected)


async def answered(planned: tuple[Planned, ...], asking: Asking) -> Answer:
    """Return the answer of a planned query: every root field runs, the errors of each are kept."""
    parts: list[bytes] = []
    found: list[Formatted] = []
    lost = False
    for each in planned:
        try:
            if isinstance(each.root, Exception):
                raise each.root
            parts.append(b'"%b":%b' % (each.key.encode(), await each.root.run(asking)))
        except Partly as partly:
            parts.append(b'"%b":%b' % (each.key.encode(), partly.json))
            found += [
                errors.formatted(error, (each.key, place), (each.node,)) for place, error in partly.errors.items()
            ]
        except Exception as error:
            found.append(placed(error, each))
            lost = lost or not each.nullable
            parts.append(b'"%b":null' % each.key.encode())
    return Answer(b"null" if lost else b"{" + b",".join(parts) + b"}", found)


def placed(error: Exception, each: Planned) -> Formatted:
    """Return the error where it belongs: in the field that is wrong, or in the root field."""
    if isinstance(error, Located):
        return errors.formatted(error.error, error.path, error.nodes)
    return errors.formatted(error, (each.key,), (each.node,))
