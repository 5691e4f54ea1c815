"""Mail of a home with several mirrors, and how a home hears of it: by its own open stream, not by the clock."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from domain.ids import RecordUri
from federation.mirror.link import parse_link, write_link
from federation.moderation.trust import set_participant_trust
from federation.restricted.asking import Waiting
from federation.sync.client import PeerClient
from federation.sync.news import News
from store.peers import PeerRow
from tests.beside import beside
from tests.mirror.conftest import Mirror
from tests.restricted.away import Away, MakeAway
from tests.restricted.conftest import keeping_mail
from tests.restricted.nodes import PART
from tests.restricted.test_release import told
from tests.sync.conftest import MakeNode
from tests.sync.test_quiet_logs import alive
from tests.waiting import PATIENCE_S, eventually

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def home(make_away: MakeAway) -> Away:
    return await make_away("dapur-ibu")


@pytest.fixture
async def asker(make_away: MakeAway) -> Away:
    return await make_away("pos-tani")


@pytest.fixture
async def second(make_node: MakeNode, mirror: Mirror) -> Mirror:
    """Another node that takes deposits; it and the first one copy from each other."""
    made = await keeping_mail(await make_node("kaca"))
    await made.served.add_peer(mirror.url)
    await mirror.served.add_peer(made.url)
    return made


async def joins_too(away: Away, mirror: Mirror) -> None:
    """A laptop under another mirror's host joins one more, by an invitation without a name."""
    invitation = parse_link(write_link(await mirror.invite()))
    await away.laptop.join(invitation)
    await away.laptop.syncer.once(mirror.url)
    await away.laptop.deposit(mirror.url)


async def copied(*pairs: tuple[Mirror, Mirror]) -> None:
    for puller, source in pairs:
        await puller.served.pull(source.url)


async def published_with_two_mirrors(mirror: Mirror, second: Mirror, home: Away, asker: Away) -> RecordUri:
    """Return a record of a home that has both mirrors, which the asker has as well."""
    await joins_too(home, second)
    uri = await home.publish()
    await home.laptop.deposit(second.url)
    await copied((second, mirror), (mirror, second))
    await joins_too(asker, second)
    await asker.online()
    return uri


async def requests_at(mirror: Mirror) -> int:
    count: int = await mirror.served.value("select count(*) from restricted_mail where answer is null")
    return count


async def test_a_request_waits_at_every_mirror_that_is_known_and_is_answered_through_any(
    mirror: Mirror, second: Mirror, home: Away, asker: Away
) -> None:
    uri = await published_with_two_mirrors(mirror, second, home, asker)
    await home.online()
    await home.allow(asker.scid)
    assert isinstance(await asker.ask(uri), Waiting)
    assert (await requests_at(mirror), await requests_at(second)) == (1, 1)
    await home.laptop.syncer.once(second.url)  # its own mirror is away
    assert await told(asker.ask(uri)) == PART
    assert await requests_at(mirror) == 1
    await home.laptop.syncer.once(mirror.url)
    assert await requests_at(mirror) == 0
    assert await home.rules() == ["CHOSEN"], "fetched from both, released once"


async def test_one_mirror_out_of_reach_is_no_reason_not_to_wait_at_the_other(
    mirror: Mirror, second: Mirror, home: Away, asker: Away
) -> None:
    uri = await published_with_two_mirrors(mirror, second, home, asker)
    await asker.laptop.rows("update peer set url = $2 where url = $1", mirror.url, NOWHERE)
    asker.asking = replace(asker.asking, client_at=lambda url: asker.laptop.client(NOWHERE))
    assert isinstance(await asker.ask(uri), Waiting)
    assert (await requests_at(mirror), await requests_at(second)) == (0, 1)


async def test_a_peer_that_keeps_nothing_for_the_home_is_not_asked_who_asks_for_what(
    mirror: Mirror, second: Mirror, home: Away, asker: Away
) -> None:
    await copied((second, mirror))
    uri = await home.publish()
    await copied((second, mirror))
    await joins_too(asker, second)
    await asker.online()
    asked: list[str] = []
    client = asker.asking.client

    def noting(peer: PeerRow) -> PeerClient:
        asked.append(peer.url)
        return client(peer)

    asker.asking = replace(asker.asking, client=noting)
    assert isinstance(await asker.ask(uri), Waiting)
    assert asked == [mirror.url]


async def test_a_depositor_gets_no_mail_of_a_neighbour_whose_log_it_brings(
    mirror: Mirror, second: Mirror, home: Away, make_away: MakeAway
) -> None:
    """Any log may be deposited; requests go to whoever bears its operator's name, and to nobody besides."""
    await copied((second, mirror))  # it knows who lives under that host
    await second.served.rows("update participant set home_peer_id = null where scid = $1", home.scid)
    neighbour = await make_away("warung")
    await joins_too(neighbour, second)
    await home.publish()
    await neighbour.laptop.syncer.once(mirror.url)
    await set_participant_trust(neighbour.laptop.database, home.scid, "allowed", actor="test")
    await neighbour.laptop.rows("update participant set hosted = true where scid = $1", home.scid)
    await neighbour.laptop.deposit(second.url)
    await neighbour.laptop.deposit(mirror.url)
    known = "select peer.operator_scid from participant join peer on peer.id = mirrored_for where scid = $1"
    assert await second.served.rows(known, home.scid) == []
    assert await second.served.value("select count(*) from participant where scid = $1", home.scid) == 1
    assert await mirror.served.rows(known, home.scid) == [(home.scid,)]


async def test_a_home_hears_of_mail_over_the_stream_that_it_keeps_open(
    mirror: Mirror, make_away: MakeAway, asker: Away
) -> None:
    home = await make_away("dapur-ibu")
    uri = await home.publish()
    await asker.online()
    await home.online()
    await home.allow(asker.scid)
    laptop = home.laptop
    laptop.syncer.poll_s = 3_600.0
    await laptop.syncer.once(mirror.url)  # the next look is an hour away

    async def is_answered() -> bool:
        return bool(await mirror.served.value("select count(*) from restricted_mail where answer is not null"))

    async with alive([mirror.served]), beside(laptop.wake.run(), laptop.syncer.run()):
        await eventually(lambda: _is_listened_to(mirror))
        assert isinstance(await asker.ask(uri), Waiting)
        await eventually(is_answered)
        assert await told(asker.ask(uri)) == PART


async def test_what_waited_before_the_stream_was_opened_is_told_when_it_is_and_only_to_its_home(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await home.publish()
    await asker.online()
    assert isinstance(await asker.ask(uri), Waiting)
    async with alive([mirror.served]), asyncio.timeout(PATIENCE_S):
        async with home.laptop.client(mirror.url) as client:
            heard = [news async for news in _until_mail(client)]
            assert heard[-1].mail
        feed = mirror.served.mail_feed
        assert await feed._newest([0, 10**6]) == {}


async def _until_mail(client: PeerClient) -> AsyncGenerator[News]:
    async for news in client.news():
        yield news
        if news.mail:
            return


async def _is_listened_to(mirror: Mirror) -> bool:
    return bool(mirror.served.mail_feed._listeners)
