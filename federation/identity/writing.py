"""Decide whether this node may write for a participant, and in which of its logs. Shell.

It may while it hosts the participant and the identity has not ended, and only in the newest epoch.
"""

from typing import ClassVar

from domain.errors import GotongError
from federation.log.evidence import LogFrozen
from store import logs, participants
from store.database import Connection
from store.logs import LogRow


class ParticipantNotHosted(GotongError):
    """This node does not hold the log of that participant, so it cannot write for it."""

    code: ClassVar[str] = "PARTICIPANT_NOT_HOSTED"


class ParticipantMoved(GotongError):
    """The participant was hosted here and left, or its keys were changed elsewhere: it is written for there now."""

    code: ClassVar[str] = "PARTICIPANT_MOVED"


class ParticipantEnded(GotongError):
    """The participant ended its identity; its records stay as they are."""

    code: ClassVar[str] = "PARTICIPANT_ENDED"


async def writable_head(connection: Connection, scid: str, *, lock: bool = True, frozen_too: bool = False) -> LogRow:
    """Return the head of the log to write for a participant, locked unless told otherwise.

    Of a log that is `frozen_too` nothing may be signed in its epoch; its cards still change what the identity states.
    Raises ParticipantNotHosted, ParticipantMoved, ParticipantEnded, LogFrozen.
    """
    newest = await logs.newest_log(connection, scid)
    if newest is not None and newest.hosted and lock:
        newest = await logs.lock_head(connection, newest.origin)
    if newest is None or not newest.hosted:
        found = await participants.find(connection, scid)
        if found is not None and found.left_at is not None:
            left_at = found.left_at.isoformat()
            raise ParticipantMoved("this participant is hosted elsewhere now", scid=scid, left_at=left_at)
        raise ParticipantNotHosted("this node does not write for that participant", scid=scid)
    if newest.has_ended:
        raise ParticipantEnded("this participant has ended", scid=scid)
    if newest.frozen_size is not None and not frozen_too:
        raise LogFrozen("two stories were signed for this log; only a new epoch goes on", scid=scid)
    if not newest.is_projected:  # a new epoch began while the lock was waited for
        return await writable_head(connection, scid, lock=lock, frozen_too=frozen_too)
    return newest
