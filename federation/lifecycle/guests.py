"""Invite a community to be hosted here: a link that works once, and expires. Shell.

Only the hash of a link is kept, so whoever reads the database can accept nobody's invitation. A link is used up in the
transaction that makes the participant: it is spent exactly when somebody came by it.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from domain.errors import GotongError
from store import audit, invitations
from store.database import Connection, Database

TOKEN_BYTES = 24
LINK_PATH = "/join/"
LINK_CHARS_MAX = 1_024

Admit = Callable[[Connection, int], Awaitable[None]]
"""Given the participant that was just made, admits it, or raises and it was never made."""


class InvitationUnknown(GotongError):
    """No such invitation was given by this node."""

    code: ClassVar[str] = "INVITATION_UNKNOWN"


class InvitationExpired(GotongError):
    """The invitation was not accepted in time; ask for a new one."""

    code: ClassVar[str] = "INVITATION_EXPIRED"


class InvitationUsed(GotongError):
    """Somebody came by this invitation already; each works once."""

    code: ClassVar[str] = "INVITATION_USED"


@dataclass(frozen=True, slots=True)
class Invited:
    """A link to hand over, and until when it works."""

    link: str
    expires_at: datetime


async def invite(database: Database, base_url: str, *, note: str, days: int, now: datetime, actor: str) -> Invited:
    """Return a new invitation to be hosted here; `note` says for whom, for the operators' own memory."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = now + timedelta(days=days)
    async with database.transaction() as connection:
        await invitations.insert(connection, _hash(token), note=note, invited_by=actor, expires_at=expires_at)
        await audit.record(connection, actor=actor, action="org.invite", subject=note, details={"days": days})
    return Invited(f"{base_url}{LINK_PATH}{token}", expires_at)


def admitting(link: str, now: datetime) -> Admit:
    """Return what admits the participant that is made by this link.

    It raises InvitationUnknown, InvitationExpired or InvitationUsed.
    """
    token_hash = _hash(link[:LINK_CHARS_MAX].strip().rpartition("/")[2])

    async def admit(connection: Connection, participant_id: int) -> None:
        found = await invitations.lock(connection, token_hash)
        if found is None:
            raise InvitationUnknown("this node gave no such invitation")
        if found.used_at is not None:
            raise InvitationUsed("somebody came by this invitation already", used_at=found.used_at.isoformat())
        if found.expires_at <= now:
            raise InvitationExpired("this invitation has expired", expired_at=found.expires_at.isoformat())
        await invitations.use(connection, token_hash, participant_id, now)

    return admit


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
