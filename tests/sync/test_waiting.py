"""What may not be signed now is kept sealed, and published later: in order, once, or kept with the rule it breaks."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.errors import GotongError
from domain.instants import format_instant
from domain.records.need import Urgency, default_expiry
from federation.publish.guard import PublicationWaits
from federation.publish.prepare import IdempotencyKeyReused, Once
from federation.publish.waiting import keep, publish_waiting
from store import waiting as rows
from store.database import Connection
from store.logs import LogRow
from tests.nodes import TestNode, fixed, need_body, need_draft
from tests.sync.conftest import MakeNode, SyncNode


class Closed:
    """A guard that a test opens."""

    def __init__(self, node: TestNode) -> None:
        self.is_closed = True
        node.appender._may_sign = self.check

    async def check(self, _connection: Connection, _log: LogRow) -> None:
        if self.is_closed:
            raise PublicationWaits("closed")


@pytest.fixture
async def home(make_node: MakeNode) -> SyncNode:
    return await make_node("rumah")


async def titles(node: SyncNode) -> list[str]:
    return [row[0] for row in await node.rows("select title_text -> 0 ->> 'text' from need order by index")]


async def kept(node: SyncNode, title: str, once: Once | None = None) -> None:
    appender = node.node.appender
    await keep(node.database, appender, node.node.operator.scid, need_draft(title), once, node.node.clock())


async def test_what_waits_is_published_in_order_and_once(home: SyncNode) -> None:
    guard = Closed(home.node)
    for title in ("Beras", "Air bersih", "Selimut"):
        await kept(home, title)
    assert await publish_waiting(home.database, home.node.appender) == 0
    assert await titles(home) == []
    guard.is_closed = False
    assert await publish_waiting(home.database, home.node.appender) == 3
    assert await publish_waiting(home.database, home.node.appender) == 0
    assert await titles(home) == ["Beras", "Air bersih", "Selimut"]


async def test_a_crash_between_signing_and_forgetting_repeats_nothing(
    home: SyncNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept(home, "Beras")
    await kept(home, "Selimut", Once("kunci", b"digest"))

    async def crash(*_: object) -> None:
        raise ConnectionError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(rows, "remove", crash)
        with pytest.raises(ConnectionError):
            await publish_waiting(home.database, home.node.appender)
    assert await titles(home) == ["Beras"]
    assert await publish_waiting(home.database, home.node.appender) == 2
    assert await titles(home) == ["Beras", "Selimut"]
    [again] = await home.node.appender.append(
        home.node.operator.scid, [need_draft("Selimut")], once=Once("kunci", b"digest")
    )
    assert again.repeated


async def test_a_key_waits_once_and_for_one_content(home: SyncNode) -> None:
    Closed(home.node)
    await kept(home, "Beras", Once("kunci", b"digest"))
    await kept(home, "Beras", Once("kunci", b"digest"))
    assert await home.value("select count(*) from waiting") == 1
    with pytest.raises(IdempotencyKeyReused):
        await kept(home, "Selimut", Once("kunci", b"another"))


async def test_what_is_wrong_is_said_at_once_and_not_kept(home: SyncNode) -> None:
    Closed(home.node)
    draft = need_draft("Beras", urgency="SOON")
    with pytest.raises(GotongError, match="RECORD_INVALID"):
        await keep(home.database, home.node.appender, home.node.operator.scid, draft, None, home.node.clock())
    assert await home.value("select count(*) from waiting") == 0


async def test_a_record_that_was_revised_meanwhile_is_kept_for_the_operator_and_holds_nobody_up(home: SyncNode) -> None:
    appender, scid = home.node.appender, home.node.operator.scid
    [need] = await appender.append(scid, [need_draft("Beras")])
    guard = Closed(home.node)
    revision = need_draft()
    revision = type(revision)("need", need.record_id, fixed(need_body("Beras merah")))
    await keep(home.database, appender, scid, revision, None, home.node.clock())
    await kept(home, "Selimut")
    guard.is_closed = False
    await appender.append(scid, [type(revision)("need", need.record_id, fixed(need_body("Beras ketan")))])
    assert await publish_waiting(home.database, appender) == 1
    assert sorted(await titles(home)) == ["Beras ketan", "Selimut"]
    async with home.database.acquire() as connection:
        [left] = await rows.listed(connection, 10)
    assert left.refused_code == "REVISION_CONFLICT"


async def test_a_contact_that_waits_is_not_readable_in_the_database(home: SyncNode, tmp_path: Path) -> None:
    Closed(home.node)
    contact = {"contact": {"name": "Bu Sri", "phone": "+6281234567890"}}
    draft = type(need_draft())("need", None, fixed(need_body(), restricted=contact))
    await keep(home.database, home.node.appender, home.node.operator.scid, draft, None, home.node.clock())
    [row] = await home.rows("select to_jsonb(waiting)::text from waiting")
    assert b"+6281234567890".hex() not in row[0]
    assert "Sri" not in row[0]


async def test_while_the_clock_is_off_it_waits_too(home: SyncNode) -> None:
    home.node.clock.advance(days=-6_000)
    await kept(home, "Beras")
    assert await publish_waiting(home.database, home.node.appender) == 0
    home.node.clock.advance(days=6_000)
    assert await publish_waiting(home.database, home.node.appender) == 1


async def test_a_need_asked_for_while_the_clock_was_wrong_ends_as_long_after_its_publication(home: SyncNode) -> None:
    clock, scid = home.node.clock, home.node.operator.scid
    right = clock.now
    named = right + timedelta(days=50)
    for year, ends in ((2010, None), (2044, None), (2010, named)):
        clock.now = datetime(year, 1, 1, tzinfo=UTC)
        expires_at = format_instant(ends or default_expiry(Urgency.HIGH, clock.now))
        draft = need_draft(urgency="HIGH", expiresAt=expires_at)
        await keep(home.database, home.node.appender, scid, draft, None, clock.now + timedelta(seconds=2))
    clock.now = right
    assert await publish_waiting(home.database, home.node.appender) == 3
    found = [row[0] for row in await home.rows("select expires_at from need order by index")]
    assert found == [default_expiry(Urgency.HIGH, right), default_expiry(Urgency.HIGH, right), named]
