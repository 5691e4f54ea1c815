"""The one list of record types this version knows. A new type is a module beside this one and a line here."""

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from domain.errors import GotongError
from domain.records.activity import ACTIVITY
from domain.records.base import AnyRecordType
from domain.records.need import NEED
from domain.records.organization import ORGANIZATION
from domain.records.update import UPDATE


class RecordTypeUnknown(GotongError):
    """This version cannot write records of that type. (Reading one is no error: it is kept unprojected.)"""

    code: ClassVar[str] = "RECORD_TYPE_UNKNOWN"


class Registry:
    """Record types by name; the newest version of each."""

    def __init__(self, types: Iterable[AnyRecordType]) -> None:
        """Index the types; raises ValueError for a name or a table used twice."""
        self._types: dict[str, AnyRecordType] = {}
        for record_type in types:
            if record_type.name in self._types or record_type.table in {known.table for known in self}:
                raise ValueError(f"{record_type.name} is registered twice")
            self._types[record_type.name] = record_type

    def __iter__(self) -> Iterator[AnyRecordType]:
        return iter(self._types.values())

    def get(self, name: str, version: int) -> AnyRecordType | None:
        """Return the type that can project such a record, or None if a newer or another program wrote it."""
        record_type = self._types.get(name)
        return record_type if record_type is not None and version <= record_type.version else None

    def named(self, name: str) -> AnyRecordType:
        """Return the type a writer asked for, or raise RecordTypeUnknown."""
        record_type = self._types.get(name)
        if record_type is None:
            raise RecordTypeUnknown(f"this version knows no record type {name!r}", type=name[:64])
        return record_type


RECORDS: Final = Registry([ORGANIZATION, ACTIVITY, NEED, UPDATE])
