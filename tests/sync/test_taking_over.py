"""A new epoch's log takes over: whatever the history was, the rows are those that the new log alone would give."""

import random
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from federation.lifecycle.enroll import Enrolled
from federation.lifecycle.recover import recover
from federation.projection.project import settle
from federation.projection.rebuild import compare
from federation.publish.append import Appended, Draft
from store import erasures, logs, outbox, records, texts
from tests.nodes import fixed, need_body, need_draft, seed_of
from tests.sync.conftest import MakeNode, SyncNode

SEED = seed_of("ojol")
ACTIONS = 24
BODY = (
    "select salt, payload.data from payload join log on log.id = log_id where origin = $1 and index = $2 and part = 1"
)


@dataclass
class Histories:
    """A home with two participants that write about each other's needs, and a reader of both."""

    home: SyncNode
    reader: SyncNode
    ours: Enrolled
    other: Enrolled
    chance: random.Random
    needs: dict[str, list[Appended]] = field(default_factory=dict)
    erased: set[UUID] = field(default_factory=set)

    async def something(self) -> None:
        """Have one of both publish, revise or erase a need, or write about one."""
        who = self.chance.choice([self.ours, self.ours, self.other])
        own = [each for each in self.needs.get(who.scid, []) if each.record_id not in self.erased]
        every = [each for needs in self.needs.values() for each in needs if each.record_id not in self.erased]
        action = self.chance.choice(["need", "need", "revise", "erase", "about", "about"])
        if action == "need" or not own:
            made = await self.home.node.appender.append(who.scid, [need_draft(f"Beras {self.chance.random()}")])
            self.needs.setdefault(who.scid, []).append(made[0])
        elif action == "about":
            target = self.chance.choice(every)
            about = {"uri": target.uri, "leaf": target.leaf_hash.hex()}
            news = fixed({"about": about, "text": [{"lang": "id", "text": f"Kabar {self.chance.random()}"}]})
            await self.home.node.appender.append(who.scid, [Draft("update", None, news)])
        elif action == "revise":
            change = fixed(need_body(f"Gula {self.chance.random()}"))
            await self.home.node.appender.append(who.scid, [Draft("need", self.chance.choice(own).record_id, change)])
        else:
            gone = self.chance.choice(own).record_id
            self.erased.add(gone)
            draft = Draft("need", gone, fixed(None), erase=("body",))
            await self.home.node.appender.append(who.scid, [draft])

    async def size(self) -> int:
        return int(await self.home.value("select size from log where origin = $1", self.ours.origin))

    async def recover(self, size: int, keep: int | None = None) -> None:
        now = self.home.node.clock.advance(minutes=1)
        keys = self.home.node.keys
        await recover(self.home.database, keys, self.ours.scid, SEED, size=size, keep=keep, now=now)

    async def settle(self) -> None:
        """Have every node decide what waits, as its sweeper does."""
        for node in (self.home, self.reader):
            async with node.database.acquire() as connection:
                origins = await records.due_logs(connection, node.node.clock())
            for origin in origins:
                async with node.database.transaction() as connection:
                    await settle(connection, origin, as_of=node.node.clock())

    async def assert_as_the_logs_say(self) -> None:
        await self.settle()
        for node in (self.home, self.reader):
            assert await compare(node.database, as_of=node.node.clock()) == []


async def histories(make_node: MakeNode, seed: int) -> Histories:
    home, reader = await make_node("a"), await make_node("b")
    await reader.add_peer(home.url)
    ours, other = [await home.node.participant(slug, host="a.gotong.test") for slug in ("ojol", "dapur")]
    return Histories(home, reader, ours, other, random.Random(seed))


@pytest.mark.parametrize("seed", range(6))
async def test_rows_are_those_of_the_new_log_alone_whatever_happened(make_node: MakeNode, seed: int) -> None:
    told = await histories(make_node, seed)
    for _ in range(ACTIONS):
        await told.something()
    assert (await told.reader.pull(told.home.url)).refused == {}
    await told.assert_as_the_logs_say()
    end = await told.size()
    size = told.chance.randint(1, end)
    keep = told.chance.choice([size, told.chance.randint(size, end)])
    await told.recover(size, keep)
    if told.chance.random() < 0.5:
        await told.home.node.publish_needs(told.ours.scid, "Obat")
    told.home.node.clock.advance(minutes=1)
    assert (await told.reader.pull(told.home.url)).refused == {}
    await told.assert_as_the_logs_say()


async def test_a_body_that_only_one_of_the_logs_has_is_shown(make_node: MakeNode) -> None:
    """One entry's body is withheld at first and comes with the new log; another one's comes with the old log alone."""
    told = await histories(make_node, 0)
    await told.home.node.publish_needs(told.ours.scid, "Beras", "Selimut", "Obat")
    ((salt, body),) = await told.home.rows(BODY, told.ours.origin, 1)
    await told.home.rows(_LOSE, told.ours.origin, 1)
    assert (await told.reader.pull(told.home.url)).refused == {}
    assert await told.reader.value("select count(*) from need") == 2
    async with told.home.database.acquire() as connection:
        log = await logs.head(connection, told.ours.origin)
        assert log is not None
        await erasures.give_bodies(connection, log.id, [(1, salt, body)])
    await told.home.rows(_LOSE, told.ours.origin, 2)
    await told.recover(4)
    assert (await told.reader.pull(told.home.url)).refused == {}
    titles = await told.reader.rows("select title_text -> 0 ->> 'text' from need order by index")
    assert titles == [("Beras",), ("Selimut",), ("Obat",)]
    assert await compare(told.reader.database, as_of=told.reader.node.clock()) == []


async def test_the_text_of_what_left_is_forgotten_and_the_text_of_what_stayed_is_not(make_node: MakeNode) -> None:
    told = await histories(make_node, 0)
    await told.home.node.publish_needs(told.ours.scid, "Beras", "Kirim uang")
    assert (await told.reader.pull(told.home.url)).refused == {}
    for node in (told.home, told.reader):
        async with node.database.acquire() as connection:
            await outbox.sequence(connection)
            await texts.index(connection)
    await told.recover(2)
    assert (await told.reader.pull(told.home.url)).refused == {}
    for node in (told.home, told.reader):
        assert await node.rows(_WORDS) == [("Beras",)]


_LOSE = """
delete from payload using log where log.id = log_id and origin = $1 and index = $2 and part = 1 returning part
"""
_WORDS = "select title_text -> 0 ->> 'text' from need_search join need using (publisher_id, record_id)"
