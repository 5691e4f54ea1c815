"""A home that nobody can connect to is asked for restricted parts through its mirror, which can read none of them."""

from datetime import timedelta

import pytest

from domain.ids import RecordUri
from federation.lifecycle.custody import rotate
from federation.lifecycle.introduce import take_lines
from federation.moderation.trust import set_participant_trust
from federation.publish.append import Draft
from federation.publish.prepare import unchanged
from federation.restricted.asking import Waiting
from federation.restricted.mailbox import COLLECTED_KEPT, forget_mail
from federation.restricted.release import allow
from store import participants
from tests.mirror.conftest import Mirror
from tests.nodes import fixed, need_body, seed_of
from tests.restricted.away import Away, MakeAway
from tests.restricted.conftest import keeping_mail
from tests.restricted.nodes import PART, PHONE, asking_of, side_of
from tests.restricted.test_release import refused, told
from tests.schema.world import organization_body
from tests.sync.conftest import MakeNode


@pytest.fixture
async def home(make_away: MakeAway) -> Away:
    return await make_away("dapur-ibu")


@pytest.fixture
async def asker(make_away: MakeAway) -> Away:
    return await make_away("pos-tani")


async def asked(home: Away, asker: Away) -> RecordUri:
    """Return a need that the asker has seen, asked for while its home is away."""
    uri = await home.publish()
    await asker.online()
    await home.online()  # it knows the asker now
    await home.allow(asker.scid)
    assert isinstance(await asker.ask(uri), Waiting)
    return uri


async def test_two_nodes_that_nobody_can_connect_to_give_and_ask_through_their_mirror(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await asked(home, asker)
    assert await home.releases() == []
    await home.online()
    assert await told(asker.ask(uri)) == PART
    (release,) = await home.releases()
    assert (release.asker_scid, release.node_scid, release.uri) == (asker.scid, asker.scid, str(uri))
    assert (release.is_released, release.rule) == (True, "CHOSEN")


async def test_asking_again_while_it_waits_is_the_same_request(mirror: Mirror, home: Away, asker: Away) -> None:
    uri = await home.publish()
    await asker.online()
    first = await asker.ask(uri)
    asker.laptop.node.clock.now += timedelta(hours=5)
    assert await asker.ask(uri) == first
    assert isinstance(first, Waiting)
    assert first.until - first.since == timedelta(days=7)
    assert await mirror.served.value("select count(*) from restricted_mail") == 1


async def test_neither_mirror_nor_asking_node_can_read_or_keeps_a_contact(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await asked(home, asker)
    await home.online()
    for is_collected in (False, True):
        if is_collected:
            assert await told(asker.ask(uri)) == PART
        for rows in (mirror.served.rows, asker.laptop.rows):
            for (table,) in await rows("select tablename from pg_tables where schemaname = 'public'"):
                dump = str(await rows(f"select t::text from {table} t"))
                assert PHONE not in dump
                assert PHONE.encode().hex() not in dump
    assert await asker.laptop.rows("select * from restricted_asked") == []


async def test_the_owners_refusal_comes_through_and_is_written_down(home: Away, asker: Away) -> None:
    uri = await home.publish()
    await asker.online()
    await asker.ask(uri)
    await home.online()
    assert await refused(asker.ask(uri)) == "RESTRICTED_REFUSED"
    await home.allow(asker.scid)
    assert isinstance(await asker.ask(uri), Waiting)  # a new request
    await home.online()
    assert await told(asker.ask(uri)) == PART
    assert await home.rules() == ["NOT_ALLOWED", "CHOSEN"]


async def test_an_answer_that_was_lost_on_the_way_is_there_when_the_same_is_asked_again(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await asked(home, asker)
    await home.online()
    (request,) = (await asker.laptop.rows("select request from restricted_asked"))[0]
    mailbox = asking_of(mirror.served.node).mailbox
    await mailbox.take(asker.scid, request)  # handed out, and never arrived
    assert await told(asker.ask(uri)) == PART


async def test_an_older_revision_than_the_homes_is_told_as_such(home: Away, asker: Away) -> None:
    uri = await asked(home, asker)
    newer = Draft("need", uri.id, fixed(need_body(), restricted={"contact": {"phone": "+628111111111"}}))
    await home.laptop.node.appender.append(home.scid, [newer])
    await home.online()
    assert await refused(asker.ask(uri)) == "RESTRICTED_REVISED"
    await asker.online()
    await asker.ask(uri)
    await home.online()
    assert await told(asker.ask(uri)) == {"contact": {"phone": "+628111111111"}}


async def test_a_request_is_asked_anew_when_the_record_was_revised_or_the_time_is_over(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await home.publish()
    await asker.online()
    first = await asker.ask(uri)
    await home.laptop.node.appender.append(
        home.scid, [Draft("need", uri.id, fixed(need_body("Beras merah"), restricted=PART))]
    )
    await home.laptop.deposit(home.mirror.url)
    await asker.online()
    await asker.ask(uri)
    assert await mirror.served.value("select count(*) from restricted_mail") == 2
    asker.laptop.node.clock.now += timedelta(days=7)
    again = await asker.ask(uri)
    assert isinstance(first, Waiting)
    assert isinstance(again, Waiting)
    assert again.since == first.since + timedelta(days=7)


async def test_a_request_is_asked_anew_when_the_keys_were_changed(mirror: Mirror, home: Away, asker: Away) -> None:
    uri = await asked(home, asker)
    node = asker.laptop.node
    seed, now = seed_of(f"pos-tani{node.keys._directory}"), node.clock.advance(minutes=1)
    await rotate(node.database, node.keys, asker.scid, seed, now=now)
    async with node.database.acquire() as connection:
        lines = await participants.did_lines(connection, node.operator.participant_id)
    await take_lines(mirror.served.database, asker.scid, b"\n".join(lines), now=now)
    await home.online()
    assert isinstance(await asker.ask(uri), Waiting)
    await home.online()
    assert await told(asker.ask(uri)) == PART


async def test_what_was_erased_meanwhile_leaves_the_mirror_and_is_gone(mirror: Mirror, home: Away, asker: Away) -> None:
    uri = await asked(home, asker)
    await home.online()
    assert await mirror.served.value("select answer is not null from restricted_mail")
    await home.laptop.node.appender.append(home.scid, [Draft("need", uri.id, unchanged, erase=("restricted",))])
    await home.laptop.deposit(mirror.url)
    assert await mirror.served.rows("select * from restricted_mail") == []
    assert isinstance(await asker.ask(uri), Waiting)
    await home.online()
    assert await refused(asker.ask(uri)) == "RESTRICTED_GONE"


async def test_people_at_the_mirror_itself_ask_in_the_same_way(mirror: Mirror, home: Away) -> None:
    uri = await home.publish()
    node = mirror.served.node
    guest = await node.participant("posko", host="cermin.gotong.test")
    await home.online()
    await home.allow(guest.scid)
    asking = asking_of(node)
    assert isinstance(await asking.request(guest.scid, uri), Waiting)
    await home.online()
    assert await told(asking.request(guest.scid, uri)) == PART


async def test_an_asker_with_another_mirror_reaches_the_homes_mirror_by_the_address_in_the_identity(
    mirror: Mirror, home: Away, make_node: MakeNode, make_away: MakeAway
) -> None:
    """The home's mirror never added the asker's node: it is enough that it is allowed there."""
    other = await keeping_mail(await make_node("kaca"))
    await other.served.add_peer(mirror.url)
    await mirror.served.add_peer(other.url)
    asker = await make_away("jauh", other)
    uri = await home.publish()
    for puller, source in ((other, mirror), (mirror, other)):
        await puller.served.pull(source.url)
    await asker.online()
    await set_participant_trust(asker.laptop.database, home.scid, "allowed", actor="tani")
    await home.online()
    await home.allow(asker.scid)
    assert [row[0] for row in await asker.laptop.rows("select url from peer")] == [other.url]
    assert isinstance(await asker.ask(uri), Waiting)
    assert await mirror.served.value("select count(*) from restricted_mail") == 1
    await home.online()
    assert await told(asker.ask(uri)) == PART


async def test_an_asker_without_an_address_is_answered_at_once_by_a_home_that_has_one(
    mirror: Mirror, asker: Away, make_node: MakeNode
) -> None:
    home = await side_of(await make_node("desa"), "baca-yuk")
    home.guest = await home.sync.node.participant("pojok", host="desa.gotong.test", base_url=home.sync.url)
    about = Draft("organization", None, fixed(organization_body(slug="pojok")))
    await home.sync.node.appender.append(home.guest.scid, [about])
    await mirror.served.add_peer(home.sync.url)
    await home.sync.add_peer(mirror.url)
    uri = await home.publish()
    await mirror.served.pull(home.sync.url)
    await home.sync.pull(mirror.url)
    await asker.online()
    await set_participant_trust(asker.laptop.database, home.guest.scid, "allowed", actor="tani")
    await allow(home.sync.database, home.guest.scid, asker.scid, actor="sari")
    assert await told(asker.ask(uri)) == PART
    assert await home.rules() == ["CHOSEN"]


async def test_mail_that_is_over_is_forgotten(mirror: Mirror, home: Away, asker: Away) -> None:
    uri = await asked(home, asker)
    await home.online()
    await asker.ask(uri)
    clock = mirror.served.node.clock
    await forget_mail(mirror.served.database, clock())
    assert await mirror.served.value("select count(*) from restricted_mail") == 1
    await forget_mail(mirror.served.database, clock() + COLLECTED_KEPT)
    assert await mirror.served.value("select count(*) from restricted_mail") == 0
    await asker.ask(uri)
    await forget_mail(mirror.served.database, clock() + timedelta(days=7))
    await forget_mail(asker.laptop.database, clock() + timedelta(days=7))
    assert await mirror.served.rows("select * from restricted_mail") == []
    assert await asker.laptop.rows("select * from restricted_asked") == []
