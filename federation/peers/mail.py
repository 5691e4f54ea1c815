"""Fetch what waits for this node at a peer: requests for restricted parts, and for removal. Shell."""

from dataclasses import dataclass

import structlog

from federation.erasing.removal_mail import RemovalMail
from federation.restricted.release import Releases
from federation.sync.client import PeerClient, PeerProtocolError
from store.peers import PeerRow

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mail:
    """Fetches both kinds; a peer may have only one of them for this node."""

    releases: Releases
    removals: RemovalMail

    async def fetch(self, peer: PeerRow, client: PeerClient) -> int:
        """Return how many requests were answered or are new here; raises the Peer errors and what an answer breaks."""
        answered = new = 0
        try:
            answered = await self.releases.answer_mail(client)
        except PeerProtocolError as error:  # it is no mirror of this node
            _log.debug("mail_refused", peer=peer.url, cause=error.details.get("cause"))
        try:
            new = await self.removals.fetch(client, peer.id)
        except PeerProtocolError as error:  # of a version that passes none on
            _log.debug("removals_refused", peer=peer.url, cause=error.details.get("cause"))
        return answered + new
