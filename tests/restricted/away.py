"""Nodes that nobody can connect to, which ask and are asked for restricted parts through their mirror."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from domain.ids import RecordUri, parse_uri
from federation.publish.append import Draft
from federation.restricted.asking import Asking, Waiting
from federation.restricted.release import allow
from store import restricted
from store.restricted import Release
from tests.mirror.conftest import Laptop, Mirror
from tests.nodes import fixed, need_body
from tests.restricted.nodes import PART, asking_of

MakeAway = Callable[..., Awaitable["Away"]]


@dataclass
class Away:
    """A laptop whose operator publishes and asks."""

    laptop: Laptop
    mirror: Mirror
    asking: Asking

    @property
    def scid(self) -> str:
        return self.laptop.node.operator.scid

    async def publish(self, part: dict[str, Any] | None = PART, title: str = "Beras") -> RecordUri:
        """Return a new need with a restricted part, deposited at the mirror."""
        draft = Draft("need", None, fixed(need_body(title), restricted=part))
        (appended,) = await self.laptop.node.appender.append(self.scid, [draft])
        await self.laptop.deposit(self.mirror.url)
        return parse_uri(appended.uri)

    async def online(self) -> None:
        """Do what a running node does when it has a connection: copy, answer what waits, deposit."""
        await self.laptop.syncer.once(self.mirror.url)
        await self.laptop.deposit(self.mirror.url)

    async def allow(self, asker: str) -> None:
        await allow(self.laptop.database, self.scid, asker, actor="sari")

    async def ask(self, uri: RecordUri) -> bytes | Waiting:
        return await self.asking.request(self.scid, uri)

    async def releases(self) -> list[Release]:
        """Return what the operator was told about who asked, oldest first."""
        async with self.laptop.database.acquire() as connection:
            owner = self.laptop.node.operator.participant_id
            return (await restricted.releases(connection, owner, before=None, limit=100))[::-1]

    async def rules(self) -> list[str]:
        return [release.rule for release in await self.releases()]


def away_of(laptop: Laptop, mirror: Mirror) -> Away:
    """Return a laptop as one that gives and asks."""
    return Away(laptop, mirror, asking_of(laptop.node))
