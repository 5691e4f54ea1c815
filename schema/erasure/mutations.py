"""Erase parts of a record."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import strawberry

from domain.errors import GotongError
from domain.ids import parse_uri
from federation.erasing.removal import REASON_CHARS_MAX
from federation.log.erasure import erasable
from federation.publish.prepare import unchanged
from schema.common import inputs
from schema.common.inputs import WriteInput
from schema.common.writing import (
    RAISED,
    Deed,
    Outcome,
    Work,
    Written,
    mutation,
    own,
    user_error,
    words,
    written,
)
from schema.compile.read import Value, declare
from store import removals


class RemovalUnclear(GotongError):
    """A request to remove something has a reason of at most 2,000 characters."""

    code: ClassVar[str] = "REMOVAL_UNCLEAR"


class RemovalsExhausted(GotongError):
    """This node has been asked too often lately to remove things; its operator has to look first."""

    code: ClassVar[str] = "REMOVALS_EXHAUSTED"


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
        uri = own(deed.input.id, parse_uri(deed.input.id).type or "organization")
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


@strawberry.input(description="A request to this node's operator to have a record removed. It needs no account.")
class RequestRemovalInput(WriteInput):
    """What somebody wants removed."""

    id: strawberry.ID = inputs.required("The record.")
    reason: str = inputs.required(
        "Why: whom it exposes, what is false. The operators of this node and of the record's home read it, nobody else."
    )
    contact: str | None = inputs.optional(
        "How to reach you, if you want an answer. Only the operator of this node reads it."
    )


@dataclass(frozen=True, slots=True)
class Requested(Outcome):
    """What became of a request, before its payload is written."""

    requested: bool = False


async def request_removal(deed: Deed) -> Requested:
    """Return what became of the request: the operator has it on a list, or a bound was reached."""
    told = deed.input.client_mutation_id or None
    try:
        uri = parse_uri(deed.input.id)
        contact = None if deed.input.contact is strawberry.UNSET else deed.input.contact
        for name, text in (("reason", deed.input.reason), ("contact", contact or "")):
            words(text, name)
            if len(text) > REASON_CHARS_MAX or (name == "reason" and not text.strip()):
                raise RemovalUnclear(
                    f"A {name} has at most {REASON_CHARS_MAX} characters and is not empty.", field=name
                )
        if not deed.input.dry_run:
            async with deed.services.database.transaction() as connection:
                if not await removals.insert(connection, str(uri), uri.scid, deed.input.reason, contact):
                    raise RemovalsExhausted("Too many requests wait already; write to the operator of this node.")
    except RAISED:
        raise
    except GotongError as error:
        return Requested(None, [user_error(error)], told)
    return Requested(None, [], told, requested=not deed.input.dry_run)


@strawberry.type(description="What became of the request.")
class RequestRemovalPayload(Written):
    """The answer of requestRemoval."""

    requested: bool = declare(Value(), "Whether it is on the operator's list now.")


@strawberry.type(description="Taking back what was published.")
class ErasureMutations:
    """Root fields."""

    erase_record: EraseRecordPayload = mutation(
        erase_record,
        EraseRecordInput,
        "Erase parts of a record. Other nodes that follow its log destroy them too and acknowledge it; whoever copied "
        "them by other means still has them.",
    )
    request_removal: RequestRemovalPayload = mutation(
        request_removal,
        RequestRemovalInput,
        "Ask the operator of this node to have a record removed. Nothing is removed by this: a person decides. "
        "The one who can erase it everywhere is its author: the node where it is at home is told what and why.",
    )
