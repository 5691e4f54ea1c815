"""Requests that a home cannot answer hold up none that it can, and do not travel with every exchange."""

from datetime import timedelta

import pytest

from domain.ids import RecordUri
from federation.restricted import request
from federation.restricted.asking import Waiting
from federation.restricted.mail import EXCHANGED_MAX
from federation.restricted.mailbox import MAIL_PER_HOME_MAX
from federation.restricted.release import MAIL_ROUNDS_MAX, allow
from federation.restricted.request import WAITING
from store import depositors
from store.restricted_mail import KEPT_BACK_MAX
from tests.mirror.conftest import Mirror
from tests.restricted.away import Away, MakeAway
from tests.restricted.nodes import PART, asking_of
from tests.restricted.test_mail import asker, home
from tests.restricted.test_release import told

__all__ = ["asker", "home"]


@pytest.fixture
async def stranger(home: Away, asker: Away, make_away: MakeAway) -> Away:
    """A depositor that came to the mirror when the home had copied all that was there: it does not know it yet."""
    await home.online()
    return await make_away("baru")


async def ask_often(mirror: Mirror, stranger: Away, uri: RecordUri, count: int) -> None:
    """Have so many requests wait at the mirror, each of them good there."""
    for number in range(count):
        body = request.write_request(
            asker=stranger.scid,
            node=stranger.scid,
            record=str(uri),
            leaf=b"\1" * 32,
            key=(number + 9).to_bytes(32, "little"),
            until=stranger.laptop.node.clock() + timedelta(days=7),
            log_key=stranger.laptop.node.keys.get(f"log-{stranger.scid}-0-0"),
        )
        assert await asking_of(mirror.served.node).mailbox.take(stranger.scid, body) == WAITING


async def fetch(home: Away) -> int:
    """Return how many requests the home answers, told of them before it copies anything."""
    async with home.laptop.client(home.mirror.url) as client:
        return await asking_of(home.laptop.node).releases.answer_mail(client)


async def due(home: Away) -> int:
    """Return how many requests the mirror would give its depositor now."""
    async with home.mirror.served.database.acquire() as connection:
        peer_id = await depositors.find(connection, home.scid)
    assert peer_id is not None
    return await asking_of(home.mirror.served.node).mailbox.waiting_for(peer_id)


async def test_a_request_behind_many_that_cannot_be_answered_is_answered_by_the_same_exchange(
    mirror: Mirror, home: Away, asker: Away, stranger: Away
) -> None:
    uri = await home.publish()
    await asker.online()
    await allow(home.laptop.database, home.scid, asker.scid, actor="sari")
    await ask_often(mirror, stranger, uri, 2 * EXCHANGED_MAX + 1)
    assert isinstance(await asker.ask(uri), Waiting)
    assert await fetch(home) == 1
    assert await told(asker.ask(uri)) == PART


async def test_one_exchange_is_enough_for_all_that_a_mirror_keeps() -> None:
    assert (MAIL_ROUNDS_MAX - 1) * EXCHANGED_MAX >= MAIL_PER_HOME_MAX


async def test_what_was_not_answered_is_given_again_when_it_has_waited_twice_as_long(
    mirror: Mirror, home: Away, stranger: Away
) -> None:
    uri = await home.publish()
    await ask_often(mirror, stranger, uri, 3)
    clock = mirror.served.node.clock
    clock.advance(seconds=40)
    assert await due(home) == 3
    assert await fetch(home) == 0
    clock.advance(seconds=39)
    assert await due(home) == 0
    clock.advance(seconds=1)
    assert await due(home) == 3
    assert await fetch(home) == 0
    clock.advance(seconds=79)
    assert await due(home) == 0
    clock.advance(days=3)
    assert await fetch(home) == 0
    clock.now += KEPT_BACK_MAX - timedelta(seconds=1)
    assert await due(home) == 0
    clock.advance(seconds=1)
    assert await due(home) == 3


async def test_a_new_request_is_given_at_once_beside_those_that_are_kept_back(
    mirror: Mirror, home: Away, asker: Away, stranger: Away
) -> None:
    uri = await home.publish()
    await asker.online()
    await ask_often(mirror, stranger, uri, EXCHANGED_MAX)
    mirror.served.node.clock.advance(minutes=5)
    assert await fetch(home) == 0
    await asker.ask(uri)
    assert await due(home) == 1
    assert await fetch(home) == 1


async def test_a_request_is_answered_once_the_home_knows_who_asks(mirror: Mirror, home: Away, stranger: Away) -> None:
    uri = await home.publish()
    await stranger.online()
    clock = mirror.served.node.clock
    assert isinstance(await stranger.ask(uri), Waiting)
    clock.advance(seconds=40)
    assert await fetch(home) == 0
    await home.online()
    await home.allow(stranger.scid)
    clock.advance(seconds=40)
    await home.online()
    assert await told(stranger.ask(uri)) == PART


async def test_a_clock_that_was_ahead_when_a_request_was_given_keeps_none_back(
    mirror: Mirror, home: Away, stranger: Away
) -> None:
    uri = await home.publish()
    await ask_often(mirror, stranger, uri, 1)
    clock = mirror.served.node.clock
    clock.advance(days=2)
    assert await fetch(home) == 0
    clock.advance(days=-2)
    assert await due(home) == 1
