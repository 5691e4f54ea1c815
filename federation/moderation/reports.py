"""Keep what a peer did that broke a rule, for the operator who decides about it. Shell.

Whether it broke one is its caller's judgement: a peer that is away, or a clock that is off, is no reason to report.
"""

from domain.errors import GotongError
from store import peers
from store.database import Database
from store.peers import PeerRow


async def report(
    database: Database, peer: PeerRow, error: GotongError, *, origin: str | None = None, evidence: bytes | None = None
) -> None:
    """Keep the report, in a transaction of its own: what it is about has not come to anything, or is committed."""
    async with database.transaction() as connection:
        await peers.report(connection, error, peer_id=peer.id, origin=origin, evidence=evidence)
