"""Invitations of guests as rows: by the hash of their link, used once."""

from dataclasses import dataclass
from datetime import datetime

from store.database import Connection


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation: until when it can be used, and whether it was."""

    expires_at: datetime
    used_at: datetime | None


async def insert(
    connection: Connection, token_hash: bytes, *, note: str, invited_by: str, expires_at: datetime
) -> None:
    """Write a new invitation."""
    await connection.execute(
        "insert into invitation (token_hash, note, invited_by, expires_at) values ($1, $2, $3, $4)",
        token_hash,
        note,
        invited_by,
        expires_at,
    )


async def lock(connection: Connection, token_hash: bytes) -> InvitationRow | None:
    """Return the invitation with this hash, locked until the transaction ends, or None."""
    record = await connection.fetchrow(
        "select expires_at, used_at from invitation where token_hash = $1 for update", token_hash
    )
    return None if record is None else InvitationRow(**dict(record))


async def use(connection: Connection, token_hash: bytes, participant_id: int, now: datetime) -> None:
    """Remember who came by this invitation."""
    await connection.execute(
        "update invitation set used_at = $2, used_by_id = $3 where token_hash = $1", token_hash, now, participant_id
    )
