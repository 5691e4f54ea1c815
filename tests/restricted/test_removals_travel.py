"""What people ask to have removed, anywhere, comes to the list of the node where the record is at home."""

from typing import Any

import pytest

from domain.ids import RecordUri
from federation.erasing import removal_mail
from federation.erasing.removal import Fetch, Letter, write_fetch
from federation.erasing.removal_mail import RemovalMail
from federation.requests.caller import CallerUnknown
from store import peers, removals
from store.database import Database
from store.removals import Removal
from tests.beside import beside
from tests.mirror.conftest import Mirror
from tests.restricted.away import Away, MakeAway
from tests.restricted.nodes import Side
from tests.sync.conftest import MakeNode
from tests.sync.test_quiet_logs import alive
from tests.waiting import eventually

WHY = "Nomor telepon ibu saya ada di sini"
WHO = "sari@example.org"


@pytest.fixture
async def laptop(make_away: MakeAway) -> Away:
    return await make_away("dapur-ibu")


async def ask(database: Database, uri: RecordUri, reason: str = WHY) -> None:
    """Do what requestRemoval does."""
    async with database.transaction() as connection:
        assert await removals.insert(connection, str(uri), uri.scid, reason, WHO)


async def listed(database: Database) -> list[Removal]:
    async with database.acquire() as connection:
        return await removals.waiting(connection)


async def told(database: Database) -> list[tuple[Any, ...]]:
    return [(each.uri, each.reason, each.contact, each.is_passed_on) for each in await listed(database)]


async def test_a_request_at_a_mirror_comes_to_the_laptop_once_without_who_asks(mirror: Mirror, laptop: Away) -> None:
    uri = await laptop.publish()
    await ask(mirror.served.database, uri)
    await laptop.online()
    await laptop.online()
    assert await told(laptop.laptop.database) == [(str(uri), WHY, None, False)]
    assert [each.told_by for each in await listed(laptop.laptop.database)] == [mirror.url]
    assert await told(mirror.served.database) == [(str(uri), WHY, WHO, True)]
    assert WHO not in str(await laptop.laptop.rows("select t::text from removal_request t"))


async def test_a_request_at_a_third_node_travels_over_the_mirror(
    mirror: Mirror, laptop: Away, make_node: MakeNode
) -> None:
    ngo = await make_node("lsm")
    await ngo.add_peer(mirror.url)
    await mirror.served.add_peer(ngo.url)
    uri = await laptop.publish()
    await ngo.pull(mirror.url)
    await ask(ngo.database, uri)
    await mirror.served.pull(ngo.url)
    assert await told(mirror.served.database) == [(str(uri), WHY, None, False)]
    await laptop.online()
    assert await told(laptop.laptop.database) == [(str(uri), WHY, None, False)]
    assert [passed for *_, passed in await told(mirror.served.database)] == [True]
    await ngo.pull(mirror.url)
    assert len(await told(ngo.database)) == 1, "it does not come back"


async def test_a_home_with_an_address_fetches_what_was_asked_at_its_peers(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    await ask(asker.sync.database, uri)
    await home.sync.pull(asker.sync.url)
    assert await told(home.sync.database) == [(str(uri), WHY, None, False)]


async def test_it_is_told_over_the_stream(mirror: Mirror, laptop: Away) -> None:
    uri = await laptop.publish()
    away = laptop.laptop
    away.syncer.poll_s = 3_600.0
    await away.syncer.once(mirror.url)

    async def has_come() -> bool:
        return bool(await listed(away.database))

    async with alive([mirror.served]), beside(away.wake.run(), away.syncer.run()):
        await ask(mirror.served.database, uri)
        await eventually(has_come)


async def test_what_was_settled_or_is_about_others_is_not_given(
    mirror: Mirror, laptop: Away, make_away: MakeAway
) -> None:
    neighbour = await make_away("warung")
    mine, settled = await laptop.publish(), await laptop.publish(title="Gula")
    await ask(mirror.served.database, settled)
    (row,) = await listed(mirror.served.database)
    async with mirror.served.database.transaction() as connection:
        assert await removals.settle(connection, row.id, "erased")
    await ask(mirror.served.database, mine)
    await neighbour.online()
    assert await told(neighbour.laptop.database) == []
    await laptop.online()
    assert [each.uri for each in await listed(laptop.laptop.database)] == [str(mine)]


async def test_one_peer_fills_only_its_share_of_the_list_and_what_is_over_it_waits(
    mirror: Mirror, laptop: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal_mail, "OPEN_PER_PEER_MAX", 20)
    uri = await laptop.publish()
    for number in range(30):
        await ask(mirror.served.database, uri, f"{WHY} {number}")
    await laptop.online()
    kept = await listed(laptop.laptop.database)
    assert len(kept) == 20
    await ask(laptop.laptop.database, uri)  # a neighbour at the laptop itself is heard all the same
    async with laptop.laptop.database.transaction() as connection:
        for each in kept:
            assert await removals.settle(connection, each.id, "seen")
    await laptop.online()
    assert len(await listed(laptop.laptop.database)) == 11


async def test_what_a_liar_passes_on_about_others_or_about_nothing_is_not_taken(home: Side, asker: Side) -> None:
    theirs, ours = await asker.publish(), await home.publish()
    await home.sync.pull(asker.sync.url)
    async with home.sync.database.acquire() as connection:
        peer = await peers.find(connection, asker.sync.url)
    assert peer is not None
    letters = [Letter(f"{number:032x}", record, WHY) for number, record in enumerate((str(theirs), "x", str(ours)))]
    assert await RemovalMail(home.sync.database)._take(peer.id, letters) == ([f"{2:032x}"], 1)
    assert await RemovalMail(home.sync.database)._take(peer.id, letters) == ([f"{2:032x}"], 0)
    assert [each.uri for each in await listed(home.sync.database)] == [str(ours)]


async def test_a_peer_that_is_not_allowed_is_given_nothing(home: Side, asker: Side) -> None:
    async with home.sync.database.acquire() as connection:
        peer = await peers.find(connection, asker.sync.url)
        assert peer is not None
        await peers.set_trust(connection, peer.id, "quarantined")
    body = write_fetch(bytes(32), [])
    with pytest.raises(CallerUnknown):
        await RemovalMail(home.sync.database).give(peer.id, Fetch("00" * 32, []), body)
