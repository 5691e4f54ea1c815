"""Take rows away again: what an author erased, and what was about it. Shell; inside the caller's transaction.

State depends on what is here, not on the way it came. So when a record's row goes, whatever could not be shown without
it is decided again by its own log, under that log's lock: at once for this log, by the sweeper within seconds for
others.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.records.base import AnyRecordType, record_uri
from domain.records.registry import RECORDS
from federation.projection.fold import ERASED_AWAY, OUTSIDE_CHAIN, Erased
from store import erasures, logs, outbox, records
from store.database import Connection
from store.logs import LogRow

PARTS = {"body": logs.BODY, "restricted": logs.RESTRICTED}
"""Parts by the number they have in `payload.part`."""


async def erase(
    connection: Connection, log: LogRow, erased: Sequence[Erased], *, as_of: datetime, destroying: bool
) -> None:
    """Take away the rows of erased bodies and, when `destroying`, every copy of what was erased.

    Call before rows of the same batch are written: a later put begins again.
    """
    for each in erased:
        entry = each.entry
        numbers = tuple(PARTS[part] for part in each.parts)
        erasure = erasures.Erasure(log.id, each.index, entry.type, entry.id, numbers, entry.at)
        if destroying:
            await erasures.insert(connection, erasure, now=as_of)
            await erasures.destroy(connection, erasure)
        if "body" not in each.parts:
            continue
        earlier = [(entry.type, entry.id, each.index)]
        await records.forget_earlier(connection, log.id, earlier, reasons=ERASED_AWAY)
        record_type = next((known for known in RECORDS if known.name == entry.type), None)
        if record_type is None:
            continue
        shown = await records.remove(
            connection, record_type.table, log.participant_id, entry.id, below_revision=entry.rev
        )
        if record_type.searched and destroying:
            await records.forget_text(connection, record_type.table, log.participant_id, entry.id)
        if shown is not None:
            await tell(connection, log, entry.type, entry.id, entry.rev)


async def tell(connection: Connection, log: LogRow, record_type: str, record_id: UUID, revision: int) -> None:
    """Tell followers that a record has no row any more."""
    if log.trust == "allowed":
        change = outbox.Change(outbox.ERASED, record_type, log.participant_id, record_id, revision)
        await outbox.record(connection, [change])
        await outbox.announce(connection, outbox.OUTBOX_CHANNEL)


def erased_uris(log: LogRow, erased: Sequence[Erased]) -> list[str]:
    """Return the URIs of the records whose bodies these entries erase, of the types known here."""
    types = {record_type.name: record_type for record_type in RECORDS}
    return [
        record_uri(log.scid, types[each.entry.type], each.entry.id)
        for each in erased
        if "body" in each.parts and each.entry.type in types
    ]


async def recheck(connection: Connection, uris: Sequence[str], *, as_of: datetime) -> None:
    """Have the rows decided again that are about records without a row now."""
    for record_type in RECORDS:
        if record_type.target_column is not None and uris:
            named = (record_type.name, record_type.version)
            await records.recheck_dependents(
                connection, record_type.table, record_type.target_column, named, uris, as_of
            )


async def unshow(connection: Connection, log: LogRow, record_type: AnyRecordType, shown: records.Shown) -> list[int]:
    """Take a row away that its log is to decide anew, and return the indexes of its revisions, in order."""
    tips = await records.unprojected_tips(connection, log.id, [shown.record_id], [*OUTSIDE_CHAIN])
    newest = max([shown.index, *(tip.index for tip in tips if tip.type == record_type.name)])
    await records.remove(
        connection, record_type.table, log.participant_id, shown.record_id, below_revision=shown.revision + 1
    )
    await records.forget_unprojected(connection, log.id, record_type.name, shown.record_id, [*OUTSIDE_CHAIN])
    return await erasures.chain(connection, log.id, newest)
