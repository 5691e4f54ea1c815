"""Decide what a record type is: the shape of its parts, the rules between them, and its row. Pure.

Two kinds of rule are kept apart. Shape and intrinsic bounds (`validate`) hold on
every node for ever: they decide whether a replicated record is projected, so they may
never depend on tables that differ between nodes. Vocabulary (`check_known`: does this
region, category, currency, unit, zone exist here?) binds only whoever writes.

Members of a record that this version does not know are ignored, and stay in the
signed bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

from domain import categories, instants, money, quantity
from domain.errors import GotongError
from domain.regions import Regions

Part = Mapping[str, Any]
Row = dict[str, Any]
Body = TypeVar("Body", bound=msgspec.Struct)


class RecordInvalid(GotongError):
    """A record breaks its type's schema or one of its rules; `part` and `field` say where."""

    code: ClassVar[str] = "RECORD_INVALID"


@dataclass(frozen=True, slots=True)
class Codes:
    """Everything in one body that names an entry of somebody's list, as (field, value)."""

    regions: list[tuple[str, str]] = field(default_factory=list)
    categories: list[tuple[str, str]] = field(default_factory=list)
    moneys: list[tuple[str, money.Money]] = field(default_factory=list)
    quantities: list[tuple[str, quantity.Quantity]] = field(default_factory=list)
    zones: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Clock:
    """What time makes of a record: its state at a moment, and when that changes by itself (None: never)."""

    state: str
    next_due_at: datetime | None


def _nothing_more(_body: Any) -> None:
    return None


def _no_codes(_body: Any) -> Codes:
    return Codes()


def _no_targets(_body: Any) -> Sequence[str]:
    return ()


def _as_written(body: Part, _written_at: datetime, _now: datetime) -> Part:
    return body


@dataclass(frozen=True, kw_only=True)
class RecordType(Generic[Body]):
    """One type of record in one version of its schema.

    `project` gives the columns of `table` that depend on the body alone; `clock`, where present, adds `state` and
    `next_due_at`. `fixed` names body members (as spelled in the bytes) that no revision may change.
    `targets` names the records without which it cannot be shown; `target_column` is where its row has their URI.
    `searched` types have a side table `<table>_search` for full text.
    `wait` gives the body of a record that was written at the first instant and had to wait until the second.
    `one_per_log` marks the record a participant has exactly one of, whose URI is the participant's own.
    """

    name: str
    version: int
    table: str
    body: type[Body]
    project: Callable[[Body], Row]
    restricted: type[msgspec.Struct] | None = None
    core: type[msgspec.Struct] | None = None
    check: Callable[[Body], None] = _nothing_more
    check_restricted: Callable[[Any], None] = _nothing_more
    codes: Callable[[Body], Codes] = _no_codes
    targets: Callable[[Body], Sequence[str]] = _no_targets
    target_column: str | None = None
    clock: Callable[[Body, datetime], Clock] | None = None
    wait: Callable[[Part, datetime, datetime], Part] = _as_written
    fixed: tuple[str, ...] = ()
    one_per_log: bool = False
    searched: bool = False

    def parse(self, body: Part | None) -> Body:
        """Return the typed body, its shape checked (what the JSON Schema says), or raise RecordInvalid."""
        if body is None:
            raise RecordInvalid(f"a record of type {self.name} needs a body", type=self.name, part="body", field="")
        return _convert(body, self.body, "body")

    def parse_restricted(self, restricted: Part) -> msgspec.Struct | None:
        """Return the typed restricted part, None for a type that has none, or raise RecordInvalid."""
        return None if self.restricted is None else _convert(restricted, self.restricted, "restricted")

    def validate(
        self, core: Part, body: Part | None, restricted: Part | None, *, rev: int, previous: Part | None
    ) -> Body:
        """Return the typed body if the parts make a valid record, or raise RecordInvalid: for writers and readers.

        `previous` is the body of revision rev - 1 where it is at hand. Writers always pass it; the projection passes
        None, because a payload withheld from one node must not decide differently there.
        """
        typed = self.parse(body)
        self.check(typed)
        if self.core is not None:
            _convert(core, self.core, "core")
        if restricted is not None and self.restricted is not None:
            self.check_restricted(self.parse_restricted(restricted))
        if previous is not None and body is not None:
            self._check_fixed(body, rev, previous)
        return typed

    def _check_fixed(self, body: Part, rev: int, previous: Part) -> None:
        if rev == 0:
            raise RecordInvalid("the first revision has no previous one", part="body", field="")
        for name in self.fixed:
            if body.get(name) != previous.get(name):
                raise RecordInvalid(f"a revision may not change {name}: publish a new record", part="body", field=name)

    def references(self, body: Part | None) -> Sequence[str]:
        """Return the URIs of the records that must be here before this one gets a row, or raise RecordInvalid."""
        return () if self.targets is _no_targets else self.targets(self.parse(body))

    def row(self, core: Part, body: Part, *, at: datetime, received: datetime) -> Row:
        """Return column -> value of this record's table, but for the columns every record has.

        `at` is the author's claimed time, `received` the moment the derived state is computed for (this node's now,
        or the as-of of a rebuild). Only for parts that passed `validate`. Values: Decimal for numeric, float for
        double precision, aware datetime for timestamptz, lists for arrays and jsonb, None for null.
        """
        return self.row_of(self.parse(body), body, received=received)

    def row_of(self, typed: Body, body: Part, *, received: datetime) -> Row:
        """Return what `row` does for a body that `validate` has typed already."""
        row = self.project(typed)
        row["doc"] = body
        if self.clock is not None:
            clock = self.clock(typed, received)
            row["state"], row["next_due_at"] = clock.state, clock.next_due_at
        return row

    def check_known(self, body: Part, regions: Regions) -> None:
        """Raise RegionUnknown, CategoryUnknown, MoneyInvalid, QuantityInvalid or ZoneUnknown for what our lists lack.

        For writers, after `validate`. The error's details gain `field`.
        """
        codes = self.codes(self.parse(body))
        _look_up(codes.regions, regions.find)
        _look_up(codes.categories, categories.category)
        _look_up(codes.moneys, money.check_currency)
        _look_up(codes.quantities, quantity.check_unit)
        _look_up(codes.zones, instants.check_zone)


AnyRecordType = RecordType[Any]


def _convert(part: Part, struct: type[Body], name: str) -> Body:
    try:
        return msgspec.convert(part, struct)
    except msgspec.ValidationError as error:
        message, path = _explained(str(error))
        raise RecordInvalid(f"{path or name}: {message}", part=name, field=path) from None


def _explained(message: str) -> tuple[str, str]:
    """Return (sentence, field path) of a msgspec message, which ends in " - at `$.place.code`"."""
    sentence, _, location = message.partition(" - at `")
    path = location.removesuffix("`").removeprefix("$").removeprefix(".")
    prefix = "Object missing required field `"
    if sentence.startswith(prefix):
        missing = sentence.removeprefix(prefix).removesuffix("`")
        return "is required", f"{path}.{missing}".removeprefix(".")
    return sentence[:1].lower() + sentence[1:], path


def _look_up(named: list[tuple[str, Any]], check: Callable[[Any], object]) -> None:
    for name, value in named:
        try:
            check(value)
        except GotongError as error:
            error.details["field"] = name
            raise


def record_uri(scid: str, record_type: AnyRecordType, record_id: UUID) -> str:
    """Return the URI of a record: a participant's own for the type it has once."""
    return f"gotong:{scid}" if record_type.one_per_log else f"gotong:{scid}/{record_type.name}/{record_id}"
