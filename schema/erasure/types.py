"""What is told of erasures: where the bytes are gone, and who has said so within the hours that the law gives."""

from enum import Enum
from typing import Any

import strawberry

from schema.common.scalars import DateTime
from schema.compile.read import value
from schema.erasure.mutations import RecordPart
from store.erasures import NAMES_MAX


def _of(name: str) -> Any:
    return lambda row, _arguments, _reader: row[name]


def _named(name: str) -> Any:
    return lambda row, _arguments, _reader: [each if "://" in each else f"gotong:{each}" for each in row[name]]


@strawberry.enum(description="Where an erasure stands.")
class ErasureState(Enum):
    """Where it stands, the earliest first."""

    IN_FILES = strawberry.enum_value(
        "IN_FILES", description="No answer has it any more; the bytes are in files of this node still. See `waitsFor`."
    )
    WAITING = strawberry.enum_value(
        "WAITING", description="It is done here; some peer has not acknowledged it yet, or keeps a backup from before."
    )
    OVERDUE = strawberry.enum_value("OVERDUE", description="The same, and the 72 hours are over: ask those operators.")
    DONE = strawberry.enum_value(
        "DONE", description="It is done here, every peer has acknowledged it, and none keeps a backup from before."
    )


@strawberry.enum(description="What keeps erased bytes in the files of a node. It looks again by itself.")
class ErasureHold(Enum):
    """What the last sweep could not do."""

    TRANSACTION = strawberry.enum_value(
        "TRANSACTION", description="A transaction somewhere on the database server may still see them."
    )
    TABLE = strawberry.enum_value("TABLE", description="A table was in use for too long.")
    STATISTICS = strawberry.enum_value("STATISTICS", description="The database's statistics of an empty table.")
    WRITE_AHEAD_LOG = strawberry.enum_value(
        "WRITE_AHEAD_LOG", description="The database's write-ahead log, or nobody here may look whether it does."
    )
    DISK = strawberry.enum_value("DISK", description="Too little free disk to write a table anew.")
    QUIET_HOUR = strawberry.enum_value(
        "QUIET_HOUR", description="A large table, which nobody can use while it is written anew, waits for the night."
    )


@strawberry.type(description="What an author erased. For operators, and for the author's own people.")
class Erasure:
    """An erasure."""

    id: strawberry.ID = value("The record.", _of("id"))
    parts: list[RecordPart] = value(
        "What of it.", lambda row, _arguments, _reader: [RecordPart(name) for name in row["parts"]]
    )
    erased_at: DateTime = value("When its author said so.", _of("erasedAt"))
    executed_at: DateTime = value("When this node deleted it.", _of("executedAt"))
    out_of_files_at: DateTime | None = value("When the bytes left this node's files.", _of("outOfFilesAt"))
    acknowledged_by: list[strawberry.ID] = value(
        f"The operators who have signed that it is done on their node, at most {NAMES_MAX}.", _named("acknowledgedBy")
    )
    missing: list[str] = value(
        "The peers that have not, of what was written here alone: their operators' "
        f"ids, or the addresses of those never met, at most {NAMES_MAX}.",
        _named("missing"),
    )
    missing_count: int = value("How many peers have not.", _of("missingCount"))
    backups_at: list[str] = value(
        "The peers that still keep a sealed backup from before, of what only backups hold: contacts and exact places; "
        f"at most {NAMES_MAX}. It is replaced by itself.",
        _named("backupsAt"),
    )
    hours_left: int = value("How many of the 72 hours are left, negative when they are over.", _of("hoursLeft"))
    state: ErasureState = value("Where it stands.", lambda row, _arguments, _reader: ErasureState[row["state"]])
    waits_for: ErasureHold | None = value(
        "What kept the last attempt from finishing, while it is IN_FILES.",
        lambda row, _arguments, _reader: None if row["waitsFor"] is None else ErasureHold[row["waitsFor"]],
    )
