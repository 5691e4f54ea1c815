"""Cosign what was copied here and bring it to a node that serves it: a witness that nobody can connect to. Shell.

It decides which logs (allowed ones of other nodes, of which this node holds the newest checkpoint in full) and to whom:
the participant's home, or else this node's mirrors. A cosignature counts as given when somebody kept it; until then the
log is cosigned and brought again. What is remembered durably before a line leaves is the same as for `add_checkpoint`.
What the other side keeps is decided in `gossip`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.errors import GotongError
from federation.sync.client import PeerClient
from federation.witness.brought import KEPT_BYTES_MAX, Brought, read_kept, write_brought
from federation.witness.cosigning import Witness
from federation.witness.witnessing import REFRESH
from store import cosignatures
from store.cosignatures import Uncosigned
from store.database import Database
from store.peers import PeerRow

LOGS_PER_ROUND_MAX = 256
LATER = timedelta(minutes=10)
"""How long a log is left alone whose cosignature a peer did not keep: it holds more of it than we do, or less."""


@dataclass(slots=True)
class Bringing:
    """Cosigns and brings, when an operator wants it."""

    database: Database
    witness: Witness
    clock: Callable[[], datetime]
    _later: dict[tuple[int, int, int], datetime] = field(default_factory=dict)

    async def wanted(self, peer: PeerRow) -> list[Uncosigned]:
        """Return the logs that this peer is to be brought a cosignature on."""
        if peer.trust != "allowed":
            return []
        now = self.clock()
        async with self.database.acquire() as connection:
            found = await cosignatures.uncosigned(connection, peer.id, now - REFRESH, LOGS_PER_ROUND_MAX)
        self._later = {key: until for key, until in self._later.items() if until > now}
        return [each for each in found if (peer.id, each.log_id, each.size) not in self._later]

    async def bring(self, client: PeerClient, peer: PeerRow, wanted: Sequence[Uncosigned]) -> int:
        """Return how many cosignatures the peer kept; raises the Peer errors and CosignaturesMalformed."""
        made: dict[str, tuple[Uncosigned, str, int, bytes]] = {}
        for each in wanted:
            with suppress(GotongError):  # frozen, or of another epoch, since it was read
                scid, at_s, line = await self.witness.cosign_held(each.origin, each.size)
                made[each.origin] = each, scid, at_s, line
            self._later[peer.id, each.log_id, each.size] = self.clock() + LATER
        if not made:
            return 0
        answer = await client.post(
            "cosignatures",
            write_brought([Brought(each.origin, each.size, line.decode()) for each, _, _, line in made.values()]),
            content_type="application/json",
            answer_type="application/json",
            bytes_max=KEPT_BYTES_MAX,
        )
        kept = [made[origin] for origin in dict.fromkeys(read_kept(answer)) if origin in made]
        async with self.database.transaction() as connection:
            for each, scid, at_s, line in kept:
                await cosignatures.keep(connection, each.log_id, each.size, [(scid, at_s, line)])
        return len(kept)
