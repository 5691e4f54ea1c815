"""Turn the rows of a spreadsheet into drafts of needs, or into refusals that say why. Pure.

A draft lacks only its expiry, which depends on when it is published. Its external
id makes re-runs safe: whoever publishes looks it up first. Rows the map leaves out
are passed over in silence; every other row gives exactly one draft or one refusal.
Nothing is guessed: an ambiguous place name, an unmapped word or a malformed number
refuses the row.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from domain import contact, instants
from domain.errors import GotongError
from domain.import_map import ContactFields, Expression, Field, ImportMap, Texts, Where
from domain.money import parse_money
from domain.place import Place
from domain.quantity import parse_quantity, parse_value
from domain.records.need import NEED, NeedStatus, Urgency, default_expiry
from domain.regions import Regions
from domain.text import long_text, short_text, shorten

EXTERNAL_SCHEME: Final = "import"
_DMY = re.compile(r"^([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})\Z")
_GROUPED: Final = {
    ".": re.compile(r"^(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?\Z"),
    ",": re.compile(r"^(?:[0-9]+|[0-9]{1,3}(?:\.[0-9]{3})+)(?:,[0-9]+)?\Z"),
}
_RUPIAH_SIGN = re.compile(r"^rp\.?\s*", re.IGNORECASE)

Row = Mapping[str, str]
CsvRow = Mapping[Any, Any]
"""A row as csv.DictReader gives it: surplus cells under the key None, missing cells as the value None."""


class ImportFieldEmpty(GotongError):
    """A row has nothing in a column a need cannot do without."""

    code: ClassVar[str] = "IMPORT_FIELD_EMPTY"


class ImportValueUnmapped(GotongError):
    """A cell holds a value the map's table does not translate, and there is no default."""

    code: ClassVar[str] = "IMPORT_VALUE_UNMAPPED"


class ImportNumberUnclear(GotongError):
    """A cell holds no number, or one that could be read in two ways."""

    code: ClassVar[str] = "IMPORT_NUMBER_UNCLEAR"


class ImportRowRagged(GotongError):
    """A row has more or fewer cells than the header."""

    code: ClassVar[str] = "IMPORT_ROW_RAGGED"


class ImportRowRepeated(GotongError):
    """A row has the same id as an earlier one of the same file."""

    code: ClassVar[str] = "IMPORT_ROW_REPEATED"


@dataclass(frozen=True, slots=True)
class NeedDraft:
    """A need as a row states it. `external_id` is its identity, as in the column of external ids."""

    line: int
    external_id: str
    exercise: bool
    restricted: dict[str, Any] | None
    body_without_expiry: dict[str, Any]

    def body(self, at: datetime) -> dict[str, Any]:
        """Return the whole body of a need published at `at`."""
        expires_at = default_expiry(Urgency(self.body_without_expiry["urgency"]), at)
        return self.body_without_expiry | {"expiresAt": instants.format_instant(expires_at)}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row became no need. `field` is the map's or the record's field, empty if the row as a whole is wrong."""

    line: int
    code: str
    field: str
    message: str


def convert_all(
    import_map: ImportMap, rows: Iterable[tuple[int, CsvRow]], regions: Regions
) -> Iterator[NeedDraft | Refusal]:
    """Yield a draft or a refusal for each (line, row) the map's `where` lets in; a repeated id is refused."""
    seen: dict[str, int] = {}
    for line, row in rows:
        result = convert(import_map, row, line, regions)
        if isinstance(result, NeedDraft):
            first = seen.setdefault(result.external_id, line)
            if first != line:
                repeated = ImportRowRepeated(f"line {first} has the same id {result.external_id}")
                result = _refusal(line, "source.id", repeated)
        if result is not None:
            yield result


def convert(import_map: ImportMap, row: CsvRow, line: int, regions: Regions) -> NeedDraft | Refusal | None:
    """Return the draft of one row, why it is refused, or None if the map's `where` leaves it out."""
    if None in row or any(cell is None for cell in row.values()):
        return _refusal(line, "", ImportRowRagged("the row does not have as many cells as the header"))
    cells = {str(name): str(cell) for name, cell in row.items()}
    if not _holds(import_map.where, cells):
        return None
    reader = _RowReader(import_map, cells, regions)
    try:
        draft = NeedDraft(
            line,
            f"{EXTERNAL_SCHEME}:{reader.identity()}",
            import_map.source.exercise,
            reader.restricted(),
            reader.body(),
        )
        complete = draft.body(instants.EPOCH)
        NEED.validate({}, complete, draft.restricted, rev=0, previous=None)
        NEED.check_known(complete, regions)
    except GotongError as error:
        return _refusal(line, str(error.details.get("field") or reader.field), error)
    return draft


class _RowReader:
    """Reads one row by one map; `field` is what it reads at the moment, for the refusal."""

    def __init__(self, import_map: ImportMap, row: Row, regions: Regions) -> None:
        self.source, self.fields = import_map.source, import_map.fields
        self.row, self.regions = row, regions
        self.field = ""

    def identity(self) -> str:
        """Return `<source name>:<id>`."""
        self.field = "source.id"
        cells = [self.row[column].strip() for column in self.source.id]
        if not all(cells):
            raise ImportFieldEmpty("a column that identifies the row is empty")
        return f"{self.source.name}:{'/'.join(cells)}"

    def body(self) -> dict[str, Any]:
        """Return the body without its expiry."""
        fields = self.fields
        place = self._place()
        body = {
            "title": self._texts("title", fields.title, short_text),
            "description": self._texts("description", fields.description, long_text),
            "kind": self.required("kind", fields.kind),
            "category": self.required("category", fields.category),
            "quantity": self._quantity(),
            "money": self._money(),
            "minimum": self._minimum(),
            "urgency": self._urgency(),
            "place": msgspec.to_builtins(place),
            "neededBy": self._needed_by(place),
            "modes": list(fields.modes),
            "beneficiaries": self.optional("beneficiaries", fields.beneficiaries),
            "status": NeedStatus.OPEN.value,
            "externalIds": [{"scheme": EXTERNAL_SCHEME, "value": self.identity()}],
        }
        if not body["title"]:
            raise ImportFieldEmpty("a need has a title", field="title")
        return {name: value for name, value in body.items() if value is not None}

    def restricted(self) -> dict[str, Any] | None:
        """Return the restricted part, or None if the row names nobody."""
        wanted = self.fields.contact or ContactFields()
        found: dict[str, str] = {}
        for name in wanted.__struct_fields__:
            text = self.optional(f"contact.{name}", getattr(wanted, name))
            if text is not None:
                found[name] = contact.parse_phone(text) if name in ("phone", "whatsapp") else text
        return {"contact": found} if found else None

    def optional(self, name: str, field: Field | None) -> str | None:
        """Return what a field gives for this row, None for nothing."""
        self.field = name
        return None if field is None else _evaluate(field, self.row)

    def required(self, name: str, field: Field) -> str:
        """Return what a field gives for this row, or raise ImportFieldEmpty."""
        value = self.optional(name, field)
        if value is None:
            raise ImportFieldEmpty(f"the row gives no {name}", field=name)
        return value

    def _texts(self, name: str, texts: Texts | None, build: Any) -> list[dict[str, str]] | None:
        entries = texts if isinstance(texts, list) else [] if texts is None else [texts]
        found = []
        for entry in entries:
            words = self.optional(name, entry)
            if words is not None:
                lang = entry.lang if isinstance(entry, Expression) else None
                found.append(build(words, lang or self.source.lang))
        return found or None

    def _urgency(self) -> str:
        word = self.required("urgency", self.fields.urgency)
        if word not in Urgency.__members__:
            raise ImportValueUnmapped(f"{word[:64]!r} is no urgency: {', '.join(Urgency)}")
        return word

    def _place(self) -> Place:
        named = self.required("region", self.fields.region)
        return self.regions.place(named if named[:1].isdigit() else self.regions.resolve(named).code)

    def _quantity(self) -> Any:
        if self.fields.quantity is None:
            return None
        value = self.optional("quantity.value", self.fields.quantity.value)
        if value is None:
            return None
        number = self._number(value)
        unit = self.required("quantity.unit", self.fields.quantity.unit)
        self.field = "quantity"
        return msgspec.to_builtins(parse_quantity(number, unit))

    def _money(self) -> Any:
        if self.fields.money is None:
            return None
        amount = self.optional("money.amount", self.fields.money.amount)
        if amount is None:
            return None
        number = self._number(amount)
        currency = self.required("money.currency", self.fields.money.currency)
        self.field = "money"
        return msgspec.to_builtins(parse_money(number, currency))

    def _minimum(self) -> str | None:
        value = self.optional("minimum", self.fields.minimum)
        return None if value is None else parse_value(self._number(value))

    def _number(self, text: str) -> str:
        digits = "".join(_RUPIAH_SIGN.sub("", text.strip()).split()).removesuffix(",-")
        mark = self.source.decimal_mark
        if mark is None:
            if not digits.isdigit():
                raise ImportNumberUnclear(
                    f"{text[:64]!r}: only plain digits are read unless source.decimal_mark is set"
                )
            return digits
        if not _GROUPED[mark].match(digits):
            raise ImportNumberUnclear(f"{text[:64]!r} is no number with the decimal mark {mark!r}")
        return digits.replace("," if mark == "." else ".", "").replace(mark, ".")

    def _needed_by(self, place: Place) -> str | None:
        """Return an instant; a bare date means the end of that day where the need is."""
        text = self.optional("needed_by", self.fields.needed_by)
        if text is None:
            return None
        if self.source.date_order == "dmy" and (match := _DMY.match(text)):
            day, month, year = match.groups()
            text = f"{year}-{int(month):02}-{int(day):02}"
        if len(text) == len("2026-02-01"):
            text = f"{text}T23:59:59+{self.regions.find(place.code).utc_offset_h:02}:00"
        return instants.format_instant(instants.read_instant(text))


def _evaluate(field: Field, row: Row) -> str | None:
    if isinstance(field, str):
        return field
    if field.where is not None and not _holds(field.where, row):
        return None
    if field.rules is not None:
        fitting = (rule.value for rule in field.rules if _holds(rule.where, row))
        return next(fitting, field.default)
    cell = row[field.column or ""].strip()
    if field.values is not None and cell not in field.values and cell and field.default is None:
        raise ImportValueUnmapped(f"the map translates no {cell[:64]!r} of column {field.column!r}")
    value = (cell if field.values is None else field.values.get(cell, "")) or field.default
    return shorten(value, field.shorten) if value is not None and field.shorten is not None else value


def _holds(where: Where, row: Row) -> bool:
    return all(
        row[column].strip() in ([wanted] if isinstance(wanted, str) else wanted) for column, wanted in where.items()
    )


def _refusal(line: int, field: str, error: GotongError) -> Refusal:
    return Refusal(line, error.code, field, error.message)
