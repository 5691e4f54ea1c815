"""Learn from a peer what it holds of the logs hosted here: what the guard decides by. Shell.

A peer's word that it holds more counts for nothing without our own key's signature. A peer that names more DID lines of
an identity than could be had from it confirms nothing: it is as if it could not be reached.
"""

from collections.abc import Sequence

from domain.errors import GotongError
from federation.identity.states import DidStates
from federation.log import tiles
from federation.log.note import Checkpoint, parse_checkpoint, parse_note
from federation.log.service import log_service
from federation.log.static import read_tiles
from federation.log.verify import check_checkpoint
from federation.sync.messages import HeadOfLog
from store import guard
from store.database import Connection, Database
from store.held import Held


async def note_sightings(
    database: Database,
    states: DidStates,
    peer_id: int,
    heads: Sequence[HeadOfLog],
    held: dict[str, Held],
    *,
    is_over: bool = True,
) -> None:
    """Keep that the peer answered, and which of its heads of our own logs are prefixes of what is held here.

    It has answered when the exchange `is_over`: before, what it knows of our identities may still be on its way.
    """
    ours = [(head, held[head.origin]) for head in heads if head.origin in held and held[head.origin].hosted]
    known = await states.load(database, [each for _, each in ours])
    is_told = is_over and all(head.did_version <= each.did_version for head, each in ours)
    async with database.transaction() as connection:
        run = await guard.note_asked(connection, peer_id, reached=is_told)
        for head, each in ours:
            state = known.get(each.scid)
            if each.log_id is None or state is None:
                continue
            try:
                theirs = parse_checkpoint(parse_note(head.checkpoint.encode()).text)
                agrees = await _is_prefix(connection, each, theirs)
                if not agrees:
                    check_checkpoint(head.checkpoint.encode(), head.origin, log_service(state).keys)
            except GotongError:
                continue  # not ours: anybody can write any note
            await guard.note_sighting(connection, each.log_id, peer_id, size=theirs.size, agrees=agrees, run=run)


async def _is_prefix(connection: Connection, ours: Held, theirs: Checkpoint) -> bool:
    """Return whether a tree is what ours was at its size."""
    assert ours.log_id is not None
    if theirs.size > ours.size:
        return False
    held = await read_tiles(connection, ours.log_id, tiles.root_tiles(theirs.size))
    return tiles.edge_from_tiles(theirs.size, held).root() == theirs.root
