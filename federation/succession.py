"""When all cards of a participant are lost: a new one says that it is who the old one was, and people decide. Shell.

Nothing can be proven here, so nothing is automatic. The claim stands in the successor's own signed record; whether it
is true is decided by a person on each node, who asks the neighbours. Nothing of the predecessor changes: its log, its
records and its keys stay what they are, and readers are told who goes on.
"""

from typing import ClassVar

from domain.errors import GotongError
from federation.trust import ParticipantNotFound
from store import audit, participants, successions
from store.database import Connection, Database
from store.participants import ParticipantRow


class SuccessionNotClaimed(GotongError):
    """The organization record of the successor does not say that it succeeds that participant."""

    code: ClassVar[str] = "SUCCESSION_NOT_CLAIMED"


class SuccessorAccepted(GotongError):
    """The participant has a successor on this node already."""

    code: ClassVar[str] = "SUCCESSOR_ACCEPTED"


async def accept_successor(database: Database, predecessor: str, successor: str, *, actor: str) -> None:
    """Have this node tell that one participant goes on as another; both are SCIDs or their URIs.

    Raises ParticipantNotFound, SuccessionNotClaimed, SuccessorAccepted.
    """
    async with database.transaction() as connection:
        old, new = await _known(connection, predecessor), await _known(connection, successor)
        if old.id == new.id or not await successions.claims(connection, new.id, f"gotong:{old.scid}"):
            raise SuccessionNotClaimed("the successor's own record has to name whom it succeeds", successor=new.scid)
        if not await successions.accept(connection, old.id, new.id, actor):
            raise SuccessorAccepted("it has a successor already", predecessor=old.scid)
        details = {"successor": new.scid}
        await audit.record(connection, actor=actor, action="participant.successor", subject=old.scid, details=details)


async def _known(connection: Connection, named: str) -> ParticipantRow:
    found = await participants.find(connection, named.removeprefix("gotong:"))
    if found is None:
        raise ParticipantNotFound("no participant with this id is known here", named=named[:128])
    return found
