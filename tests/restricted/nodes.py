"""Two nodes on real sockets that ask each other for restricted parts."""

from dataclasses import dataclass
from typing import Any

from api.federation_restricted import RestrictedEdge
from domain.ids import RecordUri, parse_uri
from federation.lifecycle.enroll import Enrolled
from federation.publish.append import Draft
from federation.restricted.asking import Asking
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import Releases
from federation.sync.client import PeerClient
from store import restricted
from store.peers import PeerRow
from store.restricted import Release
from tests.nodes import TestNode, fixed, need_body
from tests.schema.world import organization_body
from tests.sync.conftest import SyncNode, client_of

PHONE = "+628123456789"
PART = {
    "contact": {"name": "Sari", "phone": PHONE},
    "exactPlace": {"address": "Kp. Sindanglaya RT 02", "lat": "-6.7312345", "lon": "107.04"},
}


@dataclass
class Side:
    """A node, its guest, and what it gives and asks."""

    sync: SyncNode
    guest: Enrolled
    asking: Asking

    async def publish(self, part: dict[str, Any] | None = PART, title: str = "Beras") -> RecordUri:
        """Return a new need of the guest with a restricted part."""
        draft = Draft("need", None, fixed(need_body(title), restricted=part))
        (appended,) = await self.sync.node.appender.append(self.guest.scid, [draft])
        return parse_uri(appended.uri)

    async def releases(self) -> list[Release]:
        """Return what the guest was told about who asked, newest first."""
        async with self.sync.database.acquire() as connection:
            return await restricted.releases(connection, self.guest.participant_id, before=None, limit=100)

    async def rules(self) -> list[str]:
        """Return the rules of all answers, oldest first."""
        return [release.rule for release in reversed(await self.releases())]


async def side_of(sync: SyncNode, slug: str) -> Side:
    """Return a served node with a guest whose organization is published, able to give and ask."""
    node = sync.node
    asking = asking_of(node)
    sync.app.router.routes.extend(RestrictedEdge(asking.releases, asking.mailbox, sync.callers).routes())
    host = node.operator.did.split(":")[3]
    guest = await node.participant(slug, host=host)
    await node.appender.append(guest.scid, [Draft("organization", None, fixed(organization_body(slug=slug)))])
    return Side(sync, guest, asking)


def asking_of(node: TestNode) -> Asking:
    """Return what gives and asks for restricted parts at a node."""

    def client(peer: PeerRow) -> PeerClient:
        return client_of(node, peer.url, skew_ms=peer.skew_ms or 0)

    releases = Releases(node.database, node.keys, node.appender.vault, node.clock)
    return Asking(releases, Mailbox(node.database, node.clock), client, lambda url: client_of(node, url))


async def introduce(*sides: Side) -> None:
    """Have all of them be peers of all others, and copy everything."""
    for one in sides:
        for other in sides:
            if one is not other:
                await one.sync.add_peer(other.sync.url)
    for _ in range(2):
        for one in sides:
            for other in sides:
                if one is not other:
                    await one.sync.pull(other.sync.url)
