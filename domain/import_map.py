"""Decide what an import map says: how the columns of somebody's spreadsheet become a need. Pure.

A map is a TOML document with three tables: `[source]` (where rows come from and what
identifies one), `[where]` (which rows count) and `[fields]` (how each field is made).
A field is a constant (`kind = "GOODS"`), a column (`{column = "judul"}`, with an
optional table of `values`), or `rules` tried in order. A mistake in the map is found
here, with its key, before the first row is read.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from domain.categories import CATEGORIES
from domain.errors import GotongError
from domain.records.need import Mode, NeedKind, Urgency
from domain.records.parts import CountBand
from domain.text import LANG_DEFAULT, SHORT_TEXT_CHARS_MAX, Lang

RULES_MAX = 100

Where = dict[str, str | list[str]]
"""Column -> the value, or one of the values, it must hold; every column must."""


class ImportMapInvalid(GotongError):
    """An import map has a wrong key, an impossible value, or names a column the file lacks; `key` says where."""

    code: ClassVar[str] = "IMPORT_MAP_INVALID"


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """If a row fulfils `where`, the field is `value`."""

    where: Where
    value: str


class Expression(Struct, frozen=True, forbid_unknown_fields=True):
    """How one field is read from a row: from `column` or by `rules`; `default` where that gives nothing.

    `values` translates a column's cells (a cell it lacks is refused unless there is a default); `shorten` cuts long
    text at a word, in characters; `lang` is the language of a text; `where` leaves the field out of other rows.
    """

    column: str | None = None
    values: dict[str, str] | None = None
    rules: Annotated[list[Rule], Meta(min_length=1, max_length=RULES_MAX)] | None = None
    default: str | None = None
    shorten: Annotated[int, Meta(ge=10, le=SHORT_TEXT_CHARS_MAX)] | None = None
    lang: Lang | None = None
    where: Where | None = None


Field = str | Expression
Texts = str | Expression | list[Expression]


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """Where rows come from. A need's identity is `import:<name>:<the id columns joined by "/">`.

    `decimal_mark` says whether 1.500 is one and a half or fifteen hundred; without it only plain digits are read.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}\Z")]
    id: Annotated[list[str], Meta(min_length=1, max_length=8)]
    lang: Lang = LANG_DEFAULT
    exercise: bool = False
    decimal_mark: Literal[".", ","] | None = None
    date_order: Literal["iso", "dmy"] = "iso"


class QuantityFields(Struct, frozen=True, forbid_unknown_fields=True):
    """A number and its unit."""

    value: Field
    unit: Field


class MoneyFields(Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in major units and its currency."""

    amount: Field
    currency: Field = "IDR"


class ContactFields(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to call: becomes the restricted part, never public."""

    name: Field | None = None
    phone: Field | None = None
    whatsapp: Field | None = None
    email: Field | None = None
    note: Field | None = None


class Fields(Struct, frozen=True, forbid_unknown_fields=True):
    """How each field of a need is made. `region` may be a code, a full label, or a name only one region has."""

    title: Texts
    kind: Field
    category: Field
    urgency: Field
    region: Field
    description: Texts | None = None
    quantity: QuantityFields | None = None
    money: MoneyFields | None = None
    minimum: Field | None = None
    needed_by: Field | None = None
    modes: Annotated[list[str], Meta(min_length=1)] = msgspec.field(default_factory=lambda: [Mode.DONATE.value])
    beneficiaries: Field | None = None
    contact: ContactFields | None = None


class ImportMap(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole map, checked."""

    source: Source
    fields: Fields
    where: Where = msgspec.field(default_factory=dict)


def parse_import_map(document: Mapping[str, Any]) -> ImportMap:
    """Return the map a TOML document describes, or raise ImportMapInvalid with the key that is wrong."""
    try:
        import_map = msgspec.convert(document, ImportMap)
    except msgspec.ValidationError as error:
        message, _, location = str(error).partition(" - at `")
        key = location.removesuffix("`").removeprefix("$").removeprefix(".")
        raise ImportMapInvalid(f"{key or 'the map'}: {message[:1].lower()}{message[1:]}", key=key) from None
    if import_map.fields.quantity is None and import_map.fields.money is None:
        raise ImportMapInvalid("fields: a need has a quantity or an amount of money", key="fields.quantity")
    for key, expression in expressions(import_map):
        _check_expression(key, expression)
    _check_words(import_map)
    return import_map


def check_header(import_map: ImportMap, columns: Collection[str]) -> None:
    """Raise ImportMapInvalid if the map names a column the file does not have."""
    for key, column in _columns_named(import_map):
        if column not in columns:
            raise ImportMapInvalid(f"{key}: the file has no column {column!r}", key=key, column=column)


def expressions(part: Struct, prefix: str = "") -> Iterator[tuple[str, Expression]]:
    """Yield every expression of a map with its key path."""
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        key = f"{prefix}{field.name}"
        entries = [(f"{key}[{at}]", entry) for at, entry in enumerate(value)] if isinstance(value, list) else []
        for path, entry in entries or [(key, value)]:
            if isinstance(entry, Expression):
                yield path, entry
            elif isinstance(entry, Struct):
                yield from expressions(entry, f"{path}.")


def _check_expression(key: str, expression: Expression) -> None:
    if (expression.column is None) == (expression.rules is None):
        raise ImportMapInvalid(f"{key}: give either a column or rules", key=key)
    if expression.values is not None and expression.column is None:
        raise ImportMapInvalid(f"{key}: values translate a column", key=f"{key}.values")


def _check_words(import_map: ImportMap) -> None:
    """Find a misspelled word in the map at once, not once a row."""
    fields = import_map.fields
    words: list[tuple[str, Any, Collection[str]]] = [
        ("fields.kind", fields.kind, set(NeedKind)),
        ("fields.urgency", fields.urgency, set(Urgency)),
        ("fields.category", fields.category, CATEGORIES.keys()),
        ("fields.beneficiaries", fields.beneficiaries, set(CountBand)),
        *(("fields.modes", mode, set(Mode)) for mode in fields.modes),
    ]
    for key, field, known in words:
        for value in _outputs(field):
            if value not in known:
                raise ImportMapInvalid(f"{key}: {value!r} is none of {', '.join(sorted(known))}", key=key, value=value)


def _outputs(field: Field | None) -> list[str]:
    """Return every value a field can take whatever the row says (a bare column's cells are not known here)."""
    if field is None:
        return []
    if isinstance(field, str):
        return [field]
    found = [rule.value for rule in field.rules or ()] + list((field.values or {}).values())
    return found if field.default is None else [*found, field.default]


def _columns_named(import_map: ImportMap) -> Iterator[tuple[str, str]]:
    yield from (("source.id", column) for column in import_map.source.id)
    yield from (("where", column) for column in import_map.where)
    for key, expression in expressions(import_map):
        if expression.column is not None:
            yield f"{key}.column", expression.column
        yield from ((f"{key}.where", column) for column in expression.where or ())
        for at, rule in enumerate(expression.rules or ()):
            yield from ((f"{key}.rules[{at}].where", column) for column in rule.where)
