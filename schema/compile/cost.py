"""Say what a question costs before it is asked: the rows it may read, from page sizes and nesting alone.

A unit is about one row. What a connection costs is its page size times what
each row costs with everything nested in it; the data decides nothing, so the
same question always costs the same. The walk is bounded too: a field that may
give any record type is compiled once for each, and nesting multiplies that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
    is_abstract_type,
    is_object_type,
)

from domain.errors import GotongError
from schema.compile.arguments import Arguments, Variables
from schema.compile.build import Build, read_of
from schema.compile.connection import COUNTS, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX
from schema.compile.read import Act, ElementsOf, Linked, Related
from schema.compile.select import Sets

QUERY_COST_MAX = 10_000
COMPILED_FIELDS_MAX = 1_000
OPERATION_COST = 1
COUNT_COST = 10  # a count stops at 10,000, but it does read that far
WRITE_COST = 10
INTROSPECTION_COST = 2_000  # graphql-core executes it, in about the time of that many rows
FOLLOW_COST = 10
REPLAYED_ROWS = 100
LISTS = ("ids", "representations")  # arguments with one row a member


class QueryTooCostly(GotongError):
    """The question may read more rows than one question is allowed to."""

    code: ClassVar[str] = "QUERY_TOO_COSTLY"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan costs: always `fixed`, and for each list argument so much a member."""

    fixed: int
    lists: tuple[tuple[Callable[[Variables], Arguments], str, int], ...] = ()

    def of(self, variables: Variables) -> int:
        """Return the cost for these variables; raises QueryTooCostly."""
        cost = self.fixed
        for later, name, each in self.lists:
            cost += each * len(later(variables).get(name) or ())
        if cost > QUERY_COST_MAX:
            raise QueryTooCostly(
                f"The question costs {cost}, and one may cost {QUERY_COST_MAX}. Ask for smaller pages or nest less.",
                requested=cost,
                max=QUERY_COST_MAX,
            )
        return cost


def cost_of(build: Build, operation: OperationDefinitionNode) -> Cost:
    """Return what an operation costs; raises QueryTooCostly when it opens into too many fields to compile."""
    root = build.schema.get_root_type(operation.operation)
    assert root is not None
    walk = _Walk(build)
    fixed = OPERATION_COST
    for nodes in build.fields(root, [operation.selection_set]).values():
        fixed += walk.root(root, nodes, operation.operation)
    return Cost(fixed, tuple(walk.lists))


class _Walk:
    """One walk through an operation."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._fields = 0
        self.lists: list[tuple[Callable[[Variables], Arguments], str, int]] = []

    def root(self, root: GraphQLObjectType, nodes: list[FieldNode], kind: OperationType) -> int:
        """Return the cost of one field of the operation, without what depends on the length of its lists."""
        name = nodes[0].name.value
        if name.startswith("__"):
            return 0 if name == "__typename" else INTROSPECTION_COST
        declared = root.fields[name]
        if kind is OperationType.SUBSCRIPTION:
            replays = self._now(declared, nodes[0]).get("after") is not None
            return FOLLOW_COST + self._inner(declared, nodes) * (REPLAYED_ROWS if replays else 1)
        for argument in LISTS:
            if argument in declared.args:
                each = 1 + self._inner(declared, nodes)
                try:
                    _, later = self._build.arguments(declared, nodes[0])
                except GraphQLError:  # compiling says so, in its place
                    return each
                self.lists.append((later, argument, each))
                return 0
        return self._field(declared, nodes)

    def _field(self, declared: GraphQLField, nodes: list[FieldNode]) -> int:
        read = read_of(declared)
        type_ = get_named_type(declared.type)
        if "first" in declared.args and is_object_type(type_):
            own = self._own(read)
            if "nodes" in type_.fields:
                return own + self._connection(type_, self._rows(declared, nodes[0]), nodes)
            return own + self._rows(declared, nodes[0]) * (1 + self._inner(declared, nodes))
        if isinstance(read, Related):
            return read.rows_max * (1 + self._inner(declared, nodes))
        return self._own(read) + self._inner(declared, nodes)

    def _own(self, read: Any) -> int:
        """Return what a field costs beside the row it belongs to."""
        if isinstance(read, Linked | ElementsOf):
            return 1
        if isinstance(read, Act):
            return WRITE_COST
        own: int = getattr(read, "cost", 0)
        return own

    def _connection(self, type_: GraphQLObjectType, rows: int, nodes: list[FieldNode]) -> int:
        each, once, listed = 1, 0, False
        for found in self._build.fields(type_, [node.selection_set for node in nodes]).values():
            self._count()
            name = found[0].name.value
            if name == "__typename":
                continue
            if name in COUNTS or not is_object_type(get_named_type(type_.fields[name].type)):
                once += COUNT_COST  # what is said of all rows together
            else:
                listed = True
                each += self._inner(type_.fields[name], found)
        return once + (rows * each if listed else 0)

    def _inner(self, declared: GraphQLField, nodes: list[FieldNode]) -> int:
        """Return the cost of what is selected of the field, that of the dearest type where it may give several."""
        type_ = get_named_type(declared.type)
        if is_abstract_type(type_):
            types: Sequence[GraphQLObjectType] = self._build.schema.get_possible_types(type_)
        elif is_object_type(type_):
            types = [type_]
        else:
            return 0
        sets = [node.selection_set for node in nodes]
        return max((self._selection(each, sets) for each in types), default=0)

    def _selection(self, type_: GraphQLObjectType, sets: Sets) -> int:
        cost = 0
        for nodes in self._build.fields(type_, sets).values():
            self._count()
            name = nodes[0].name.value
            if not name.startswith("__"):
                cost += self._field(type_.fields[name], nodes)
        return cost

    def _count(self) -> None:
        self._fields += 1
        if self._fields > COMPILED_FIELDS_MAX:
            raise QueryTooCostly(
                f"The question opens into more than {COMPILED_FIELDS_MAX} fields: each field that may give any type of "
                "record counts once for each type.",
                fields_max=COMPILED_FIELDS_MAX,
                max=QUERY_COST_MAX,
            )

    def _rows(self, declared: GraphQLField, node: FieldNode) -> int:
        now = self._now(declared, node)
        size = now.get("first") if now.get("first") is not None else now.get("last")
        return min(max(1, PAGE_ROWS_DEFAULT if size is None else size), PAGE_ROWS_MAX)

    def _now(self, declared: GraphQLField, node: FieldNode) -> Mapping[str, Any]:
        try:
            return self._build.arguments(declared, node)[0]
        except GraphQLError:  # compiling says so, in its place
            return {}
