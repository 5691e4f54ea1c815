"""Carry out that an operator hides one record here, or shows it again. Shell; every decision leaves an audit line.

It is this node's alone: the log, its proofs and what is relayed stay as they are, and no other node is told. An
organization's own record is not suppressed: all that it publishes is shown under it and would go with it, and to hide
somebody as a whole is what trust is for.
"""

from datetime import datetime
from typing import ClassVar

from domain.errors import GotongError
from domain.ids import RecordUri
from domain.records.registry import RECORDS
from federation.publish.prepare import RecordNotFound
from store import audit, outbox, participants, records, suppressions
from store.database import Connection, Database
from store.participants import ParticipantRow


class ParticipantNotSuppressible(GotongError):
    """An organization's own record is not suppressed: block it as a whole; a guest is let go first."""

    code: ClassVar[str] = "PARTICIPANT_NOT_SUPPRESSIBLE"


async def set_suppressed(
    database: Database, uri: RecordUri, *, suppressed: bool, actor: str, now: datetime, reason: str | None = None
) -> bool:
    """Hide a record here or show it again; return whether that changed anything.

    Raises RecordNotFound, ParticipantNotSuppressible.
    """
    async with database.transaction() as connection:
        publisher, revision = await known(connection, uri)
        assert uri.type is not None
        assert uri.id is not None
        if suppressed:
            changed = await suppressions.insert(
                connection, publisher.id, uri.type, uri.id, actor=actor, reason=reason, now=now
            )
        else:
            changed = await suppressions.delete(connection, publisher.id, uri.type, uri.id)
        details = {"suppressed": suppressed, "changed": changed} | ({} if reason is None else {"reason": reason})
        await audit.record(connection, actor=actor, action="record.suppress", subject=str(uri), details=details)
        if changed and revision is not None and publisher.trust == "allowed":
            kind = outbox.SUPPRESSED if suppressed else outbox.PUBLISHED
            await outbox.record(connection, [outbox.Change(kind, uri.type, publisher.id, uri.id, revision)])
            await outbox.announce(connection, outbox.OUTBOX_CHANNEL)
    return changed


async def known(connection: Connection, uri: RecordUri) -> tuple[ParticipantRow, int | None]:
    """Return the publisher of a record and the revision its row shows, None for one without a row that is suppressed.

    Raises RecordNotFound, ParticipantNotSuppressible.
    """
    publisher = await participants.find(connection, uri.scid)
    if publisher is not None and uri.id is None:
        raise ParticipantNotSuppressible(_INSTEAD[publisher.hosted], id=str(uri), field="id")
    record_type = next((each for each in RECORDS if each.name == uri.type and not each.one_per_log), None)
    if uri.id is None or record_type is None or publisher is None:
        raise RecordNotFound("no such record is here", field="id")
    row = (await records.shown(connection, record_type.table, publisher.id, [uri.id])).get(uri.id)
    if row is None and await suppressions.one(connection, uri) is None:
        raise RecordNotFound("no such record is here", field="id")
    return publisher, None if row is None else row.revision


_INSTEAD = {
    False: "everything an organization publishes stands under its own record: quarantine or block it instead",
    True: "everything an organization publishes stands under its own record, and this one is a guest of this node: "
    "whoever writes for it revises that record or erases its body, or this node lets it go (gotong org move out) and "
    "blocks it",
}
"""What to do instead, by whether the organization is hosted here."""
