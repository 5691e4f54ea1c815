"""State is a function of the entries, the payloads and the time: never of how they arrived."""

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from federation import did, tiles
from federation.append import Appender, Draft
from federation.apply import apply, meet, ready
from federation.did_service import log_service
from federation.fold import Reason
from federation.merkle import Edge
from federation.project import advance_states, settle
from federation.verify import Batch, Head, Received, check_batch, check_checkpoint
from store import logs, participants
from store.database import Database
from store.logs import StoredEntry
from tests.clock import FrozenClock
from tests.nodes import TestNode, fixed, need_body, need_draft, start_test_node

NewDatabase = Callable[[], Awaitable[str]]
CONTENT = """
    select table_name from information_schema.columns
    where table_schema = 'public' and column_name = 'record_id' and table_name not in ('outbox', 'event', 'unprojected')
      and table_name not like '%\\_search'
"""


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


class Mirror:
    """A second database that is fed a log piece by piece."""

    def __init__(self, database: Database, source: TestNode, origin: str) -> None:
        self.database = database
        self._source = source
        self._origin = origin

    async def meet(self, trust: str = "allowed") -> None:
        async with self._source.database.acquire() as source, self.database.transaction() as mine:
            log = await logs.head(source, self._origin)
            assert log is not None
            lines = await participants.did_lines(source, log.participant_id)
            state = did.verify(lines, now=self._source.clock())
            head = await meet(mine, state, lines, held=0)
            await participants.set_trust(mine, [head.participant_id], trust, set_by="operator", tables={})

    async def feed(self, count: int, *, withhold: Sequence[int] = ()) -> int:
        """Apply up to `count` further entries and return the size after them."""
        async with self._source.database.acquire() as source, self.database.acquire() as mine:
            theirs, held = await logs.head(source, self._origin), await logs.head(mine, self._origin)
            assert theirs is not None
            assert held is not None
            assert theirs.checkpoint is not None
            state = did.verify(await participants.did_lines(source, theirs.participant_id), now=self._source.clock())
            entries = await logs.entries(source, theirs.id, held.size, count)
            target = check_checkpoint(theirs.checkpoint, self._origin, log_service(state).keys)
            end = held.size + len(entries)
            proof = await _consistency(source, theirs.id, end, target.size)
        received = [_received(entry, withhold) for entry in entries]
        start = Head(self._origin, Edge.from_bytes(held.size, held.edge))
        batch = check_batch(start, "test", Batch(received, target, proof))
        await apply(
            self.database,
            ready(batch, self._source.clock()),
            start=held.size,
            note=theirs.checkpoint,
            target=target,
            proof=tuple(proof),
            now=self._source.clock(),
        )
        return end


def _received(entry: StoredEntry, withhold: Sequence[int]) -> Received:
    if entry.body is None or entry.index in withhold:
        return Received(entry.data)
    return Received(entry.data, *entry.body)


async def _consistency(connection: Any, log_id: int, m: int, n: int) -> list[bytes]:
    if m == n:
        return []
    found: dict[tiles.TileId, bytes] = {}
    for tile in tiles.consistency_tiles(m, n):
        hashes = await logs.tile_hashes(connection, log_id, tile.level, tile.n * 256, tile.width)
        found[tile] = b"".join(hashes)
    return tiles.prove_consistency(m, n, found)


async def _content(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return every record table's rows without this database's own numbers and times."""
    local = {"publisher_id", "log_id", "received_at"}
    async with database.acquire() as connection:
        tables = sorted(row["table_name"] for row in await connection.fetch(CONTENT))
        assert {"need", "activity", "organization", "update_post"} <= set(tables)
        return {
            table: [
                {key: value for key, value in row.items() if key not in local}
                for row in await connection.fetch(f"select * from {table} order by record_id")
            ]
            for table in tables
        }


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
        assert await _content(database) == await _content(node.database)


async def test_a_withheld_payload_leaves_the_entry_and_says_so(node: TestNode, new_database: NewDatabase) -> None:
    guest = await node.participant("baca-yuk")
    await node.publish_needs(guest.scid, "satu", "dua", "tiga")
    async with Database(await new_database(), connections=3) as database:
        mirror = Mirror(database, node, guest.origin)
        await mirror.meet()
        await mirror.feed(9, withhold=[2])
        assert await _reasons(database) == {2: Reason.WITHHELD}
        titles = [row["title_text"][0]["text"] for row in (await _content(database))["need"]]
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
        (row,) = (await _content(database))["need"]
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
        assert (await _content(database))["need"] == []
        node.clock.advance(days=3)
        await _settle(database, guest.origin, node.clock)
        assert await _reasons(database) == {}
        assert await _content(database) == await _content(node.database)


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
        assert len((await _content(database))["update_post"]) == 1


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
    body = (await _content(node.database))["organization"][0]["doc"]
    (revised,) = await appender.append(guest.scid, [Draft("organization", None, fixed({**body, "focus": ["buku"]}))])
    assert (revised.uri, revised.revision) == (f"gotong:{guest.scid}", 1)
