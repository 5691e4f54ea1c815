"""Logs that erase, and their delivery to a second node in any order: what the tests of erasure share."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from federation.log.entry import Part
from federation.projection.project import settle
from federation.publish.append import Draft
from federation.publish.prepare import Appended, unchanged
from federation.sync.heal import take_bodies
from store import logs, records
from store.database import Database
from store.logs import StoredEntry
from tests.copies import Mirror
from tests.nodes import TestNode, fixed, need_body, need_draft


def erasure(type_: str, record_id: UUID, *parts: Part) -> Draft:
    """Return a draft that erases these parts of a record."""
    return Draft(type_, record_id, unchanged, erase=parts)


async def erase(node: TestNode, scid: str, record: Appended, *parts: Part) -> Appended:
    """Erase parts of a record, the body by default, and return where the erase entry stands."""
    return (await node.appender.append(scid, [erasure(record.type, record.record_id, *(parts or ("body",)))]))[0]


@dataclass
class Author:
    """Writes records at random, and keeps every body it wrote as a peer might that never deletes."""

    node: TestNode
    scid: str
    origin: str
    random: random.Random
    records: list[Appended] = field(default_factory=list)
    kept: dict[int, StoredEntry] = field(default_factory=dict)

    async def act(self, about: Sequence[Appended]) -> None:
        """Do one thing: publish, revise or erase a record, or publish news about one of `about`."""
        needs = [each for each in self.records if each.type == "need"]
        kind = self.random.choice(["publish", "revise", "erase", "erase", "news", "news"])
        if kind == "news" and about:
            target = self.random.choice(about)
            reference = {"uri": target.uri, "leaf": target.leaf_hash.hex()}
            body = {"about": reference, "text": [{"lang": "id", "text": f"Kabar {self.random.random()}"}]}
            await self._append(Draft("update", None, fixed(body)))
        elif kind == "revise" and needs:
            number = self.random.choice(needs).record_id
            await self._append(Draft("need", number, fixed(need_body(f"Lagi {self.random.random()}"))))
        elif kind == "erase" and self.records:
            record = self.random.choice(self.records)
            if await self._is_shown(record):
                await self._append(erasure(record.type, record.record_id, "body"))
        else:
            self.records += await self._append(need_draft(f"Beras {self.random.random()}"))

    async def _append(self, draft: Draft) -> list[Appended]:
        appended = await self.node.appender.append(self.scid, [draft])
        if draft.type == "update" and not draft.erase:
            self.records += appended
        async with self.node.database.acquire() as connection:
            log = await logs.head(connection, self.origin)
            assert log is not None
            for stored in await logs.entries(connection, log.id, appended[0].index, 1):
                self.kept[stored.index] = stored
        return appended

    async def _is_shown(self, record: Appended) -> bool:
        table = "need" if record.type == "need" else "update_post"
        async with self.node.database.acquire() as connection:
            log = await logs.head(connection, self.origin)
            assert log is not None
            return bool(await records.shown(connection, table, log.participant_id, [record.record_id]))


@dataclass
class Delivery:
    """Brings one author's log to another database: in pieces, bodies early, late or again after they were erased."""

    mirror: Mirror
    author: Author
    random: random.Random

    async def step(self) -> bool:
        """Deliver something, and return whether all entries have come."""
        size = len(self.author.kept) + 1
        withhold = [index for index in self.author.kept if self.random.random() < 0.4]
        arrived = await self.mirror.feed(self.random.randint(1, 4), withhold=withhold, bodies=self.author.kept)
        if self.random.random() < 0.5:
            await self.heal(self.random.sample(sorted(self.author.kept), k=len(self.author.kept) // 2))
        return arrived == size

    async def heal(self, indexes: Sequence[int]) -> None:
        """Offer the bodies of these entries, erased or not."""
        found = {index: self.author.kept[index].body for index in indexes}
        given = {index: body for index, body in found.items() if body is not None}
        await take_bodies(self.mirror.database, self.author.origin, given, now=self.author.node.clock())


async def settled(database: Database, origins: Sequence[str], node: TestNode) -> None:
    """Let everything come to rest that waits for other records."""
    for _ in range(12):
        node.clock.advance(seconds=6)
        for origin in origins:
            async with database.transaction() as connection:
                await settle(connection, origin, as_of=node.clock())
