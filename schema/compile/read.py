"""How a field of the contract is read: the words a type is declared with.

A Strawberry field carries one of these in its metadata. The SDL comes from
the field, the SQL from its metadata, so the two cannot drift apart. SQL here
is a template: `{t}` is the record's row, `{p}` its publisher's `organization`
(in conditions: only its `scid`), `{i}` its publisher's `participant`, `{l}` its
log, `{e}` its entry, and an embedded type names further holes. Nothing here
reads a database.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec
import strawberry
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

if TYPE_CHECKING:
    from schema.context import Caller, Services

READ = "read"
ANSWER_COST = 10


class Form(Enum):
    """How a column's value becomes JSON text."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"  # anything: PostgreSQL escapes it
    TOKEN = "token"  # noqa: S105 -- no secret: verified elsewhere to hold nothing that JSON escapes
    TOKENS = "tokens"  # an array of such
    TIME = "time"
    DECIMAL = "decimal"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value of the row."""

    sql: str
    form: Form


@dataclass(frozen=True, slots=True)
class Localized:
    """A text in several languages, a jsonb array of {lang, text}: the reader's language, else the first.

    `first` is a column with that one's JSON, where there is one.
    """

    sql: str
    first: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    """An object made of columns of the same row. `holes` names what its own templates leave open."""

    holes: Mapping[str, str] = field(default_factory=dict)
    present: str | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """An object of what fits the field's filter and is hidden: counted once for all rows of the statement."""

    cost: int = 10  # a count stops at 10,000, but it does read that far


@dataclass(frozen=True, slots=True)
class ElementsOf:
    """A list of objects, one an element of a jsonb array or of an SQL array: `{x}` in the objects' templates."""

    rows: str
    holes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publisher:
    """The organization that signed the row."""


@dataclass(frozen=True, slots=True)
class Linked:
    """Another record, named by the row: by columns holding its type, its publisher's SCID and its id."""

    type: str
    scid: str
    id: str


@dataclass(frozen=True, slots=True)
class Related:
    """A short list of other records of one type, in an order, at most `rows_max` of them.

    `through` is the SQL that leads from them, `{t}` and `{p}`, to the outer row `{outer}` and its log `{outer_l}`:
    joins and a condition.
    """

    through: str
    order: str
    rows_max: int


@dataclass(frozen=True, slots=True)
class Many:
    """A keyset connection of another record type; nested ones say what binds them to the outer row.

    In `on`, `{t}` and `{p}` are the inner row, `{outer}` is the outer row and `{outer_p}` its publisher.
    """

    node: Callable[[], type]
    orders: Mapping[Enum, "Order"]
    default: Enum
    on: str | None = None
    fixed: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A total order of rows. All keys run the same way, so that a row comparison is a keyset."""

    name: str
    keys: tuple["Key", ...]
    descending: bool


@dataclass(frozen=True, slots=True)
class Key:
    """One sort key: its SQL, its PostgreSQL type, and the SQL of its text inside a cursor."""

    sql: str
    type: str
    text: str
    parse: Callable[[str], Any]


Batch = Callable[["Services", "Caller", Sequence[str]], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class After:
    """Something SQL cannot say: computed for all rows of an answer at once, from a key each row gives.

    It may depend on the caller, who is nobody in shared answers. `named_by`: its field that is the key, so SQL has it.
    """

    key: str
    batch: Batch
    cost: int = 0
    named_by: str | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A field of a Python object: an attribute, or a function of the object and the field's arguments."""

    get: Callable[[Any, Mapping[str, Any], "Reader"], Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A root field whose object is made by Python: a coroutine of the asking and the field's arguments.

    `shared`: it gives everybody without a token the same, until the database changes.
    """

    make: Callable[["Services", "Caller", Mapping[str, Any]], Awaitable[Any]]
    shared: bool = False
    cost: int = ANSWER_COST


@dataclass(frozen=True, slots=True)
class ById:
    """A root field that finds records by `id`, `ids`, an organization's `slug`, or a gateway's `representations`."""

    argument: str


@dataclass(frozen=True, slots=True)
class Act:
    """A mutation: a coroutine of a Deed, which gives an Outcome; the payload's record is read by its URI."""

    run: Callable[..., Awaitable[Any]]
    input: type


@dataclass(frozen=True, slots=True)
class Stored:
    """The record a mutation wrote, inside its payload: read through the compiler."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Events of `kinds` (none named: of all) of one record type, or of all that have an interface."""

    node: Callable[[], type]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dimension:
    """What statistics can tell apart: a column of the group, and its SQL, in which `{level}` stands for `level`."""

    column: str
    sql: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Grouped:
    """A root field of statistics of one record type.

    `sums` are by the field that shows them, the SQL of a unit and that of its amount. The group's row has the
    dimensions' columns, `count`, and of each sum that is asked for `<name>_units` and `<name>_sums`.
    """

    node: Callable[[], type]
    dimensions: Mapping[Enum, Dimension]
    sums: Mapping[str, tuple[str, str]]
    cost: int


@dataclass(frozen=True, slots=True)
class Changes:
    """A root field: a page of events of all record types, for those who ask now and then instead of following."""

    follow: Follow


@dataclass(frozen=True, slots=True)
class Source:
    """The table of a record type, its place in URIs, and the SQL of what makes a record critical and of where it is."""

    table: str
    type: str
    critical: str | None = None
    region_path: str = "{t}.region_path"


class Reader(msgspec.Struct, frozen=True):
    """What of the caller an answer depends on: the languages asked for, best first, in lower case."""

    languages: tuple[str, ...] = ()


Read = (
    Scalar
    | Localized
    | Embedded
    | Hidden
    | ElementsOf
    | Publisher
    | Linked
    | Related
    | Many
    | After
    | Value
    | Answer
    | ById
    | Act
    | Stored
    | Follow
    | Changes
    | Grouped
)


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a declared field."""

    name: str
    type: Any
    description: str


def declare(read: Read, description: str, arguments: Sequence[Argument] = (), **more: Any) -> Any:
    """Return a Strawberry field that is read as `read`; typed Any, since its annotation is its type."""
    declared: StrawberryField = strawberry.field(description=description, metadata={READ: read}, **more)
    declared.arguments = [
        StrawberryArgument(
            python_name=argument.name,
            graphql_name=None,
            type_annotation=StrawberryAnnotation(argument.type),
            description=argument.description,
        )
        for argument in arguments
    ]
    return declared


def number(sql: str, description: str) -> Any:
    """Return a field read as a number."""
    return declare(Scalar(sql, Form.NUMBER), description)


def boolean(sql: str, description: str) -> Any:
    """Return a field read as a boolean."""
    return declare(Scalar(sql, Form.BOOLEAN), description)


def text(sql: str, description: str) -> Any:
    """Return a field read as any text."""
    return declare(Scalar(sql, Form.TEXT), description)


def token(sql: str, description: str) -> Any:
    """Return a field read as text that needs no escaping: codes, ids, enum values."""
    return declare(Scalar(sql, Form.TOKEN), description)


def tokens(sql: str, description: str) -> Any:
    """Return a field read as a list of such texts."""
    return declare(Scalar(sql, Form.TOKENS), description)


def time(sql: str, description: str) -> Any:
    """Return a field read as an instant."""
    return declare(Scalar(sql, Form.TIME), description)


def decimal(sql: str, description: str) -> Any:
    """Return a field read as a decimal string."""
    return declare(Scalar(sql, Form.DECIMAL), description)


LANGUAGE = Argument("lang", str | None, "The language wanted, as a BCP 47 tag. Default: the Accept-Language header.")


def localized(sql: str, description: str, *, first: str | None = None) -> Any:
    """Return a field read as a text in the reader's language; `first`: a column with the JSON of the first one."""
    return declare(
        Localized(sql, first), description + " In the language asked for if there is one, else as written.", (LANGUAGE,)
    )


def embedded(description: str, *, present: str | None = None, **holes: str) -> Any:
    """Return a field read as an object of the same row, null unless `present`."""
    return declare(Embedded(holes, present), description)


def elements(rows: str, description: str, **holes: str) -> Any:
    """Return a field read as a list of objects, one a row of the template `rows`."""
    return declare(ElementsOf(rows, holes), description)


def after(key: str, batch: Batch, description: str, cost: int = 0, named_by: str | None = None) -> Any:
    """Return a field computed after the SQL, for all keys of an answer at once; `cost` is that of each, in rows."""
    return declare(After(key, batch, cost, named_by), description)


def value(
    description: str, get: Callable[[Any, Mapping[str, Any], Reader], Any] | None = None, *arguments: Argument
) -> Any:
    """Return a field of a Python object."""
    return declare(Value(get), description, arguments)
