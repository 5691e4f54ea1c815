"""State is a function of the entries, the payloads and the time: never of how they arrived."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from federation.lifecycle.enroll import Enrolled
from federation.projection import project as projecting
from federation.projection import withdraw
from federation.projection.fold import Reason
from federation.projection.project import advance_states, settle
from federation.publish.append import Appended, Appender, Draft
from federation.publish.prepare import unchanged
from node.background import sweep_once
from store import logs, participants
from store.database import Database
from tests.clock import FrozenClock
from tests.copies import Mirror, content
from tests.nodes import TestNode, fixed, need_body, need_draft, start_test_node
from tests.waiting import eventually

NewDatabase = Callable[[], Awaitable[str]]


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


async def _reasons(database: Database) -> dict[int, str]:
    async with database.acquire() as connection:
        return {row["index"]: row["reason"] for row in await connection.fetch("select index, reason from unprojected")}


async def _settle(database: Database, origin: str, clock: FrozenClock) -> None:
    async with database.transaction() as connection:
        await settle(connection, origin, as_of=clock())
    async with database.transaction() as connection:
        await advance_states(connection, as_of=clock())


async def _story(node: TestNode, scid: str) -> None:
    """Write a log with revisions, states, an update about a need, and an organization."""
    organization = {
        "name": [{"lang": "id", "text": "Baca Yuk!"}],
        "kind": "COMMUNITY",
        "slug": "baca-yuk",
        "place": {"code": "32.03.28", "edition": "2025"},
        "languages": ["id"],
    }
    await node.appender.append(scid, [Draft("organization", None, fixed(organization))])
    needs = [(await node.appender.append(scid, [need_draft(f"Kebutuhan {n}")]))[0] for n in range(6)]
    for n, need in enumerate(needs):
        node.clock.advance(minutes=1)
        body = need_body(f"Kebutuhan {n}, direvisi", status="WITHDRAWN" if n % 2 else "OPEN")
        await node.appender.append(scid, [Draft("need", need.record_id, fixed(body))])
        about = {"uri": need.uri, "leaf": need.leaf_hash.hex()}
        news = {"about": about, "text": [{"lang": "id", "text": f"Kabar {n}"}]}
        await node.appender.append(scid, [Draft("update", None, fixed(news))])


@pytest.mark.parametrize("seed", range(6))
async def test_the_pieces_in_which_a_log_arrives_do_not_matter(
    node: TestNode, new_database: NewDatabase, seed: int
) -> None:
    guest = await node.participant("baca-yuk")
    await _story(node, guest.scid)
    pieces = random.Random(seed)
    async with Database(await new_database(), connections=3) as database:
        mirror = Mirror(database, node, guest.origin)
        await mirror.meet()
        size = (await node.check(guest.origin)).size
        while await mirror.feed(pieces.randint(1, 5)) < size:
            pass
        assert await _reasons(database) == {}
        assert await content(database) == await content(node.database)


async def test_a_withheld_payload_leaves_the_entry_and_says_so(node: TestNode, new_database: NewDatabase) -> None:
    guest = await node.participant("baca-yuk")
    await node.publish_needs(guest.scid, "satu", "dua", "tiga")
    async with Database(await new_database(), connections=3) as database:
        mirror = Mirror(database, node, guest.origin)
        await mirror.meet()
        await mirror.feed(9, withhold=[2])
        assert await _reasons(database) == {2: Reason.WITHHELD}
        titles = [row["title_text"][0]["text"] for row in (await content(database))["need"]]
        assert sorted(titles) == ["satu", "tiga"]


async def test_a_revision_of_a_withheld_record_is_shown_with_its_first_date(
    node: TestNode, new_database: NewDatabase
) -> None:
    guest = await node.participant("baca-yuk")
    (first,) = await node.publish_needs(guest.scid, "satu")
    published_at = node.clock()
    node.clock.advance(hours=1)
    await node.appender.append(guest.scid, [Draft("need", first.record_id, fixed(need_body("satu lagi")))])
    async with Database(await new_database(), connections=3) as database:
        mirror = Mirror(database, node, guest.origin)
        await mirror.meet()
        await mirror.feed(2, withhold=[1])
        await mirror.feed(1)
        (row,) = (await content(database))["need"]
        assert (row["revision"], row["published_at"]) == (1, published_at)


async def test_an_entry_dated_ahead_waits_for_its_time(node: TestNode, new_database: NewDatabase) -> None:
    guest = await node.participant("baca-yuk")
    node.clock.advance(days=3)
    await node.publish_needs(guest.scid, "dari lusa")
    node.clock.advance(days=-3)
    async with Database(await new_database(), connections=3) as database:
        mirror = Mirror(database, node, guest.origin)
        await mirror.meet()
        await mirror.feed(9)
        assert await _reasons(database) == {1: Reason.NOT_YET}
        await _settle(database, guest.origin, node.clock)
        assert (await content(database))["need"] == []
        node.clock.advance(days=3)
        await _settle(database, guest.origin, node.clock)
        assert await _reasons(database) == {}
        assert await content(database) == await content(node.database)


async def test_news_about_a_need_of_another_log_waits_for_that_need(node: TestNode, new_database: NewDatabase) -> None:
    owner, writer = await node.participant("baca-yuk"), await node.participant("ojol-peduli")
    (need,) = await node.publish_needs(owner.scid, "satu")
    news = {"about": {"uri": need.uri, "leaf": need.leaf_hash.hex()}, "text": [{"lang": "id", "text": "Kami antar"}]}
    await node.appender.append(writer.scid, [Draft("update", None, fixed(news))])
    async with Database(await new_database(), connections=3) as database:
        theirs = Mirror(database, node, writer.origin)
        await theirs.meet()
        await theirs.feed(9)
        assert await _reasons(database) == {1: Reason.TARGET_MISSING}
        ours = Mirror(database, node, owner.origin)
        await ours.meet()
        await ours.feed(9)
        await _settle(database, writer.origin, node.clock)
        node.clock.advance(seconds=10)
        await _settle(database, writer.origin, node.clock)
        assert await _reasons(database) == {}
        assert len((await content(database))["update_post"]) == 1


async def test_news_about_a_participant_wait_until_it_says_what_it_is(
    node: TestNode, new_database: NewDatabase
) -> None:
    owner, writer = await node.participant("baca-yuk"), await node.participant("ojol-peduli")
    await _story(node, owner.scid)
    news = {"about": {"uri": f"gotong:{owner.scid}"}, "text": [{"lang": "id", "text": "Terima kasih"}]}
    await node.appender.append(writer.scid, [Draft("update", None, fixed(news))])
    async with Database(await new_database(), connections=3) as database:
        theirs, ours = Mirror(database, node, writer.origin), Mirror(database, node, owner.origin)
        await theirs.meet()
        await theirs.feed(9)
        assert await _reasons(database) == {1: Reason.TARGET_MISSING}
        await ours.meet()
        await ours.feed(99)
        node.clock.advance(seconds=10)
        await _settle(database, writer.origin, node.clock)
        assert await _reasons(database) == {}


async def test_a_need_expires_by_the_clock_and_followers_are_told(node: TestNode) -> None:
    await node.publish_needs(node.operator.scid, "satu")
    node.clock.advance(days=365)
    await _settle(node.database, node.operator.origin, node.clock)
    async with node.database.acquire() as connection:
        row = await connection.fetchrow("select state, next_due_at from need")
        kinds = [row["kind"] for row in await connection.fetch("select kind from outbox order by id")]
    assert row is not None
    assert (row["state"], row["next_due_at"]) == ("EXPIRED", None)
    assert kinds == ["PUBLISHED", "STATE"]


async def test_a_quarantined_publisher_fills_no_outbox_until_allowed(node: TestNode, new_database: NewDatabase) -> None:
    guest = await node.participant("baca-yuk")
    await node.publish_needs(guest.scid, "satu", "dua")
    async with Database(await new_database(), connections=3) as database:
        mirror = Mirror(database, node, guest.origin)
        await mirror.meet(trust="quarantined")
        await mirror.feed(9)
        async with database.transaction() as connection:
            assert await connection.fetchval("select count(*) from outbox") == 0
            number = await connection.fetchval("select id from participant")

            async def allow() -> list[int]:
                tables = {"need": "need"}
                return await participants.set_trust(connection, [number], "allowed", set_by="operator", tables=tables)

            assert await allow() == [number]
            assert await allow() == []
            assert await connection.fetchval("select count(*) from outbox") == 2


async def test_every_size_on_the_way_has_a_proof_of_being_a_prefix(node: TestNode, new_database: NewDatabase) -> None:
    guest = await node.participant("baca-yuk")
    await node.publish_needs(guest.scid, *(f"{n}" for n in range(7)))
    async with Database(await new_database(), connections=3) as database:
        mirror = Mirror(database, node, guest.origin)
        await mirror.meet()
        await mirror.feed(3)
        async with database.acquire() as connection:
            log = await logs.head(connection, guest.origin)
        assert log is not None
        assert (log.size, log.checkpoint, log.target_size) == (3, None, 8)
        node.clock.advance(seconds=timedelta(minutes=1).total_seconds())
        await mirror.feed(99)
        async with database.acquire() as connection:
            log = await logs.head(connection, guest.origin)
        assert log is not None
        assert (log.size, log.checkpoint_size, log.target_size) == (8, 8, None)


async def test_a_second_organization_record_is_kept_and_not_shown(node: TestNode) -> None:
    """One participant, one organization: the record that has its log's genesis id."""
    appender = Appender(node.database, node.keys, node.clock)
    guest = await node.participant("baca-yuk")
    await _story(node, guest.scid)
    body = (await content(node.database))["organization"][0]["doc"]
    (revised,) = await appender.append(guest.scid, [Draft("organization", None, fixed({**body, "focus": ["buku"]}))])
    assert (revised.uri, revised.revision) == (f"gotong:{guest.scid}", 1)


AT_COMMIT = """
    create function wait_for_the_test() returns trigger language plpgsql as
        'begin perform pg_advisory_xact_lock_shared(4711); return null; end';
    create constraint trigger at_commit after insert or delete on {table} deferrable initially deferred
        for each row execute function wait_for_the_test();
"""


@contextlib.asynccontextmanager
async def _held_at_commit(database: Database, table: str) -> AsyncIterator[None]:
    """Within, transactions that give this table a row, or take one, are done but for their commit."""
    async with database.acquire() as connection:
        await connection.execute(AT_COMMIT.format(table=table))
        await connection.execute("select pg_advisory_lock(4711)")
        try:
            yield
        finally:
            await connection.execute("select pg_advisory_unlock(4711)")


async def _is_held(database: Database) -> bool:
    async with database.acquire() as connection:
        return bool(await connection.fetchval("select exists (select from pg_locks where not granted)"))


@dataclass(frozen=True)
class _Copies:
    """A database fed with two logs: one has a need, the other an update about it."""

    database: Database
    owner: Enrolled
    need: Appended
    needs: Mirror
    news: Mirror

    async def news_after_all(self, node: TestNode) -> int:
        """Return how many updates are shown when all that can be decided is."""
        for _ in range(3):
            node.clock.advance(seconds=6)
            await sweep_once(self.database, node.clock())
        return len((await content(self.database))["update_post"])


@pytest.fixture
async def copies(node: TestNode, new_database: NewDatabase) -> AsyncIterator[_Copies]:
    owner, writer = await node.participant("baca-yuk"), await node.participant("ojol-peduli")
    (need,) = await node.publish_needs(owner.scid, "satu")
    about = {"uri": need.uri, "leaf": need.leaf_hash.hex()}
    news = {"about": about, "text": [{"lang": "id", "text": "Kami antar"}]}
    await node.appender.append(writer.scid, [Draft("update", None, fixed(news))])
    async with Database(await new_database(), connections=5) as database:
        made = _Copies(
            database, owner, need, Mirror(database, node, owner.origin), Mirror(database, node, writer.origin)
        )
        await made.needs.meet()
        await made.news.meet()
        yield made


async def _erase(node: TestNode, copies: _Copies) -> None:
    draft = Draft("need", copies.need.record_id, unchanged, erase=("body",))
    await node.appender.append(copies.owner.scid, [draft])


async def test_news_that_come_while_their_need_is_being_committed_are_shown(
    node: TestNode, copies: _Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes."""
    monkeypatch.setattr(projecting, "AT_WORK_S", 0.0)
    async with _held_at_commit(copies.database, "need"):
        need = asyncio.create_task(copies.needs.feed(9))
        await eventually(lambda: _is_held(copies.database))
        await copies.news.feed(9)
        assert await copies.news_after_all(node) == 0
    await need
    assert await copies.news_after_all(node) == 1


async def test_news_that_come_while_their_need_is_being_erased_are_not_shown(node: TestNode, copies: _Copies) -> None:
    await copies.needs.feed(9)
    await _erase(node, copies)
    async with _held_at_commit(copies.database, "need"):
        erased = asyncio.create_task(copies.needs.feed(9))
        await eventually(lambda: _is_held(copies.database))
        await copies.news.feed(9)
    await erased
    assert await copies.news_after_all(node) == 0


async def test_a_need_that_is_erased_while_news_about_it_are_being_committed_takes_them_along(
    node: TestNode, copies: _Copies
) -> None:
    await copies.needs.feed(9)
    async with _held_at_commit(copies.database, "update_post"):
        news = asyncio.create_task(copies.news.feed(9))
        await eventually(lambda: _is_held(copies.database))
        await _erase(node, copies)
        erased = asyncio.create_task(copies.needs.feed(9))
        await asyncio.wait([erased], timeout=0.5)
    await asyncio.gather(news, erased)
    assert await copies.news_after_all(node) == 0


async def test_news_stay_shown_while_their_need_is_being_revised(node: TestNode, copies: _Copies) -> None:
    await copies.needs.feed(9)
    await copies.news.feed(9)
    await node.appender.append(copies.owner.scid, [Draft("need", copies.need.record_id, fixed(need_body("dua")))])
    async with copies.database.transaction() as connection:
        await withdraw.recheck(connection, [copies.need.uri], as_of=node.clock())
    async with _held_at_commit(copies.database, "need"):
        revised = asyncio.create_task(copies.needs.feed(9))
        await eventually(lambda: _is_held(copies.database))
        assert await copies.news_after_all(node) == 1
    await revised
    assert await copies.news_after_all(node) == 1
    assert await _reasons(copies.database) == {}
