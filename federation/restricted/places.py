"""Remember which peers say that requests for a participant's restricted parts wait there for its home. Shell.

A hint like everything in a head: who is asked in vain answers that there is no such record, and nothing is lost.
"""

from collections.abc import Sequence

from federation.log.names import is_origin, parse_origin
from federation.sync.messages import HeadOfLog
from store import mail_places
from store.database import Database


async def note_places(database: Database, peer_id: int, heads: Sequence[HeadOfLog]) -> None:
    """Remember what a peer's heads say of where requests wait; raises the database's errors."""
    named = [(parse_origin(head.origin).scid, head.mail) for head in heads if is_origin(head.origin)]
    kept = {scid for scid, is_kept in named if is_kept}
    async with database.transaction() as connection:
        await mail_places.note(connection, peer_id, sorted(kept), sorted({scid for scid, _ in named} - kept))
