"""Erase parts of a record."""

from enum import Enum

import strawberry

from domain.ids import parse_uri
from federation.erasure import erasable
from federation.prepare import unchanged
from schema.common import inputs
from schema.common.inputs import WriteInput
from schema.common.writing import Deed, Outcome, Work, Written, mutation, written
from schema.compile.read import Value, declare


@strawberry.enum(description="The parts of a record.")
class RecordPart(Enum):
    """Parts, as an entry names them."""

    CORE = strawberry.enum_value(
        "core", description="Parties, amounts, times and links. They cannot be erased: CORE_NOT_ERASABLE."
    )
    BODY = strawberry.enum_value("body", description="What everybody can read. Without it the record is not shown.")
    RESTRICTED = strawberry.enum_value("restricted", description="Contact and exact place.")


@strawberry.input(description="Erase parts of a record, of all its revisions, here and on every node that has them.")
class EraseRecordInput(WriteInput):
    """What to erase."""

    id: strawberry.ID = inputs.required("The record.")
    parts: list[RecordPart] = inputs.required("What to erase of it. The signed entry says so to everybody.")
    expected_revision: int | None = inputs.optional(inputs.EXPECTED_REVISION)


async def erase_record(deed: Deed) -> Outcome:
    """Return what became of the erasure."""

    def work() -> Work:
        uri = parse_uri(deed.input.id)
        parts = erasable([part.value for part in deed.input.parts])
        expected = deed.input.expected_revision
        expected = None if expected is strawberry.UNSET else expected
        return Work(uri.scid, uri.type or "organization", unchanged, uri.id, expected, exists=True, erase=parts)

    return await written(deed, work)


@strawberry.type(description="What became of the erasure.")
class EraseRecordPayload(Written):
    """The answer of eraseRecord."""

    erased_id: strawberry.ID | None = declare(
        Value(lambda outcome, _given, _reader: outcome.uri), "The record; null when a rule was broken."
    )


@strawberry.type(description="Taking back what was published.")
class ErasureMutations:
    """Root fields."""

    erase_record: EraseRecordPayload = mutation(
        erase_record,
        EraseRecordInput,
        "Erase parts of a record. Other nodes that follow its log destroy them too and acknowledge it; whoever copied "
        "them by other means still has them.",
    )
