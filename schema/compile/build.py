"""The state of one compilation: parameters, aliases, what is computed afterwards, and where we are."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from graphql import FieldNode, GraphQLError, GraphQLField, GraphQLObjectType, GraphQLSchema, SelectionSetNode
from graphql.execution.values import VariableValues

from domain.errors import GotongError
from domain.text import TextInvalid
from schema.compile.arguments import Arguments, Variables, arguments_of
from schema.compile.read import READ, Batch, Read, Reader, Source
from schema.compile.select import Fragments, Selected, collect
from schema.compile.visibility import names

if TYPE_CHECKING:
    from schema.context import Caller, Services

Path = tuple[str, ...]


class Asking(msgspec.Struct, frozen=True):
    """One request: everything a plan may depend on but the plan itself."""

    services: "Services"
    caller: "Caller"
    variables: Variables
    reader: Reader


class Located(Exception):
    """An error and the field it belongs to."""

    def __init__(self, error: Exception, path: Path, nodes: tuple[FieldNode, ...]) -> None:
        super().__init__(error, path)
        self.error = error
        self.path = path
        self.nodes = nodes


@dataclass(frozen=True, slots=True)
class Binder:
    """One parameter of a statement."""

    get: Callable[[Asking], Any]
    path: Path
    nodes: tuple[FieldNode, ...]

    def __call__(self, asking: Asking) -> Any:
        """Return the parameter's value, or raise Located."""
        try:
            value = self.get(asking)
            check_text(value)
        except (GotongError, GraphQLError) as error:
            raise Located(error, self.path, self.nodes) from error
        return value


@dataclass(frozen=True, slots=True)
class Hole:
    """What is computed after the SQL, for all keys of an answer at once, and how its result is written."""

    batch: Batch
    write: Callable[[Any, Asking], bytes]


def check_text(value: Any) -> None:
    """Return if PostgreSQL can hold the text; raises TextInvalid."""
    if isinstance(value, str):
        if "\0" in value or (not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)):
            raise TextInvalid("The text holds a character that is none: U+0000 or half a surrogate pair.")
    elif isinstance(value, list):
        for member in value:
            check_text(member)


class Statement:
    """The parameters of one SQL statement, and what follows it.

    One that `chooses` has other SQL for some kinds of values: `choices` give the kinds of a request's.
    """

    def __init__(self, *, chooses: bool = False) -> None:
        self.binders: list[Binder] = []
        self.holes: list[Hole] = []
        self.chooses = chooses
        self.choices: list[Callable[[Asking], Hashable]] = []
        self.uneven = False
        self.counts_hidden = False  # whether it reads `HIDDEN`, which its maker then gives it
        self._aliases = 0

    @property
    def is_flat(self) -> bool:
        """Whether it reads one table's rows and what is one to one with them."""
        return self._aliases == 1

    def alias(self) -> int:
        """Return the next alias number."""
        self._aliases += 1
        return self._aliases


class Scope(Mapping[str, str]):
    """What the holes of SQL templates stand for at one row; asking for `l`, `e` or `i` joins it."""

    def __init__(self, source: Source, row: str, publisher: str, joins: dict[str, str]) -> None:
        self.source = source
        self.row = row
        self.joins = joins
        self._names = {"t": row, "p": publisher, "type": source.type}

    @classmethod
    def of(cls, source: Source, n: int) -> "Scope":
        """Return the scope of the aliases `visibility.visible(source, n)` makes."""
        aliases = names(source, n)
        return cls(source, aliases["t"], aliases["p"], {})

    def publisher(self, source: Source) -> "Scope":
        """Return the scope of the row's publisher, an organization joined already."""
        row = self._names["p"]
        return Scope(source, row, row, self.joins)

    def filled(self, names: Mapping[str, str]) -> "Scope":
        """Return this scope with more names."""
        scope = Scope(self.source, self.row, self._names["p"], self.joins)
        scope._names = {**self._names, **names}
        return scope

    def join_sql(self) -> str:
        """Return the joins asked for so far."""
        return " ".join(self.joins.values())

    def __getitem__(self, name: str) -> str:
        row = self.row
        if name == "l":
            shown = f"l_{row}.participant_id = {row}.publisher_id and l_{row}.is_projected"
            self.joins.setdefault(f"l_{row}", f"join log l_{row} on {shown}")
            return f"l_{row}"
        if name == "e":
            self.joins.setdefault(
                f"e_{row}", f"join entry e_{row} on e_{row}.log_id = {row}.log_id and e_{row}.index = {row}.index"
            )
            return f"e_{row}"
        if name == "i":
            self.joins.setdefault(f"i_{row}", f"join participant i_{row} on i_{row}.id = {row}.publisher_id")
            return f"i_{row}"
        return self._names[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass
class Build:
    """One compilation of one root field."""

    schema: GraphQLSchema
    fragments: Fragments
    variables: VariableValues
    localize: bool
    statement: Statement = field(default_factory=Statement)
    path: Path = ()
    nodes: tuple[FieldNode, ...] = ()

    def fields(self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode | None]) -> Selected:
        """Return what is selected of `type_`, by response key."""
        return collect(self.schema, type_, sets, self.fragments, self.variables)

    def arguments(self, declared: GraphQLField, node: FieldNode) -> tuple[Arguments, Callable[[Variables], Arguments]]:
        """Return the field's arguments now, and for other variables of the same shape."""
        return arguments_of(declared, node, self.variables)

    def bind(self, type_: str, get: Callable[[Asking], Any]) -> str:
        """Return the placeholder of a new parameter of SQL type `type_`."""
        self.statement.binders.append(Binder(get, self.path, self.nodes))
        return f"${len(self.statement.binders)}::{type_}"

    def fresh(self) -> "Build":
        """Return a build at the same place with a statement of its own."""
        return Build(self.schema, self.fragments, self.variables, self.localize, Statement(), self.path, self.nodes)

    def again(self, variables: Variables) -> "Build":
        """Return a build of the same field for other variables of the same shape."""
        values = VariableValues(self.variables.sources, dict(variables))
        statement = Statement(chooses=self.statement.chooses)
        return Build(self.schema, self.fragments, values, self.localize, statement, self.path, self.nodes)

    @contextmanager
    def at(self, key: str, nodes: list[FieldNode]) -> Iterator[None]:
        """Return with `path` and `nodes` at a field while the block runs; errors leave it located there."""
        before = self.path, self.nodes
        self.path, self.nodes = (*self.path, key), tuple(nodes)
        try:
            yield
        except (GotongError, GraphQLError) as error:
            raise Located(error, self.path, self.nodes) from error
        finally:
            self.path, self.nodes = before


def read_of(declared: GraphQLField) -> Read:
    """Return how a field of the schema is read."""
    read: Read = declared.extensions["strawberry-definition"].metadata[READ]
    return read


def source_of(type_: GraphQLObjectType) -> Source:
    """Return the table of a record type."""
    source: Source = type_.extensions["strawberry-definition"].origin.SOURCE
    return source


def class_name(cls: type) -> str:
    """Return the name a Strawberry class has in the schema."""
    name: str = cls.__strawberry_definition__.name  # type: ignore[attr-defined]
    return name
