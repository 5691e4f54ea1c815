"""Erasing over sockets, on two and three nodes: destroyed everywhere, acknowledged, and withheld bodies healed."""

import pytest

from federation.erasing import acknowledge
from federation.erasing.acknowledgement import Acknowledgement, sign
from federation.erasing.overview import overview
from federation.lifecycle import custody
from federation.log.merkle import Edge
from federation.peers import aftercare as aftercare_
from federation.peers.aftercare import Aftercare
from store import peers
from store.database import Connection
from store.sweep import pending, sweep
from tests.erasure.story import erase
from tests.nodes import seed_of
from tests.sync.conftest import MakeNode, SyncNode, client_of

PUT_BACK = "insert into payload (log_id, index, part, salt, data) values ($1, $2, $3, $4, $5)"
BODIES = "select count(*) from payload join log on log.id = log_id where part = 1 and index > 0 and origin = $1"


def aftercare(served: SyncNode) -> Aftercare:
    async def no_claims() -> Connection:
        raise AssertionError("a single round claims nothing")

    return Aftercare(
        served.database,
        served.node.keys,
        lambda peer: client_of(served.node, peer.url, limits=served.limits),
        served.node.clock,
        no_claims,
    )


async def cared(served: SyncNode, url: str) -> tuple[int, int]:
    """Do one round with a peer, and return how many bodies and statements it brought."""
    async with served.database.acquire() as connection:
        peer = await peers.find(connection, url)
        assert peer is not None
    await acknowledge.acknowledge(served.database, served.node.keys, served.node.clock)
    care = aftercare(served)
    try:
        return await care.once(peer)
    finally:
        await care.close()


async def swept(served: SyncNode) -> None:
    async with served.database.acquire() as connection:
        while await pending(connection):  # other tests' transactions may be under way on this server
            assert await sweep(connection, served.node.clock()) is not None


async def test_an_erasure_reaches_a_replica_and_the_replica_of_that_and_their_word_comes_back(
    make_node: MakeNode,
) -> None:
    origin, relay, last = await make_node("asal"), await make_node("tengah"), await make_node("akhir")
    guest = await origin.node.participant("ojol", host="asal.gotong.test")
    needs = await origin.node.publish_needs(guest.scid, "Beras", "Air")
    await relay.add_peer(origin.url)
    await last.add_peer(relay.url)
    await origin.add_peer(relay.url)
    await relay.pull(origin.url)
    async with last.database.transaction() as connection:
        await connection.execute("update peer set trust = 'allowed'")
    await last.pull(relay.url)
    assert await last.value(BODIES, guest.origin) == 2
    await erase(origin.node, guest.scid, needs[0])
    await relay.pull(origin.url)
    await last.pull(relay.url)
    for served in (origin, relay, last):
        assert await served.value(BODIES, guest.origin) == 1
        checked = await served.node.check(guest.origin)
        assert (checked.withheld, checked.erased) == (0, 1)
        await swept(served)
    await last.pull(relay.url)
    # The last node brings its word to the relay, which is all it can reach; the origin gets both from there.
    await relay.add_peer(last.url)
    await relay.pull(last.url)
    await origin.pull(relay.url)
    await cared(last, relay.url)
    assert (await cared(origin, relay.url))[1] >= 1
    await cared(relay, origin.url)
    (told,) = await overview(origin.database, 10)
    assert set(told.listed.acknowledged) >= {relay.node.operator.scid}
    assert (told.listed.missing, told.state(origin.node.clock())) == ([], "DONE")


async def test_an_operator_with_new_keys_says_again_what_the_old_ones_signed(make_node: MakeNode) -> None:
    origin, relay, replica = await make_node("asal"), await make_node("tengah"), await make_node("akhir")
    guest = await origin.node.participant("ojol", host="asal.gotong.test")
    (need,) = await origin.node.publish_needs(guest.scid, "Beras")
    for one, other in ((relay, origin), (replica, relay), (relay, replica), (origin, relay)):
        await one.add_peer(other.url)
    for served in (origin, relay, replica):
        async with served.database.acquire() as connection:
            await connection.execute("update peer set trust = 'allowed'")
    await erase(origin.node, guest.scid, need)
    for one, other in ((relay, origin), (replica, relay), (relay, replica)):
        await one.pull(other.url)
    for served in (origin, replica):
        await swept(served)
    await cared(replica, relay.url)
    said = "select count(*) from erasure_acknowledgement where operator_scid = $1"
    assert await relay.value(said, replica.node.operator.scid) == 1  # it has its word, and the origin not yet
    replica.node.clock.advance(seconds=1)
    await custody.rotate(
        replica.database,
        replica.node.keys,
        replica.node.operator.scid,
        seed_of("akhir.gotong.test"),
        now=replica.node.clock(),
    )
    await relay.pull(replica.url)
    await origin.pull(relay.url)
    await cared(origin, relay.url)
    assert await origin.value(said, replica.node.operator.scid) == 0  # no key that it has now signed that
    await cared(replica, relay.url)
    assert await acknowledge.acknowledge(replica.database, replica.node.keys, replica.node.clock) == 0
    await cared(origin, relay.url)
    assert await origin.value(said, replica.node.operator.scid) == 1


async def test_a_peer_that_says_nothing_is_overdue_after_72_hours(make_node: MakeNode) -> None:
    origin, silent = await make_node("asal"), await make_node("diam")
    guest = await origin.node.participant("ojol", host="asal.gotong.test")
    (need,) = await origin.node.publish_needs(guest.scid, "Beras")
    await origin.add_peer(silent.url)
    await origin.pull(silent.url)
    await erase(origin.node, guest.scid, need)
    (told,) = await overview(origin.database, 10)
    assert told.state(origin.node.clock()) == "IN_FILES"
    await swept(origin)
    (told,) = await overview(origin.database, 10)
    now = origin.node.clock()
    assert (told.state(now), told.hours_left(now), told.listed.missing) == ("WAITING", 72, [silent.node.operator.scid])
    origin.node.clock.advance(hours=73)
    assert told.state(origin.node.clock()) == "OVERDUE"


async def test_a_withheld_body_is_fetched_from_another_peer_and_an_erased_one_is_not(make_node: MakeNode) -> None:
    origin, replica = await make_node("asal"), await make_node("salinan")
    guest = await origin.node.participant("ojol", host="asal.gotong.test")
    needs = await origin.node.publish_needs(guest.scid, "Beras", "Air", "Selimut")
    async with origin.database.acquire() as connection:
        kept = await connection.fetch("select * from payload where index in (1, 2)")
        await connection.execute("delete from payload where index in (1, 2)")  # as a peer that withholds
    await replica.add_peer(origin.url)
    await replica.pull(origin.url)
    reasons = "select index from unprojected where reason = 'WITHHELD' order by index"
    assert await replica.rows(reasons) == [(1,), (2,)]
    assert await cared(replica, origin.url) == (0, 0)
    async with origin.database.acquire() as connection:
        for row in kept:
            await connection.execute(
                PUT_BACK,
                *(row[name] for name in ("log_id", "index", "part", "salt", "data")),
            )
    await erase(origin.node, guest.scid, needs[0])
    async with origin.database.acquire() as connection:  # a peer that does not erase
        row = kept[0]
        await connection.execute(
            PUT_BACK,
            *(row[name] for name in ("log_id", "index", "part", "salt", "data")),
        )
    await replica.pull(origin.url)
    assert (await cared(replica, origin.url))[0] == 1
    assert await replica.rows(reasons) == []
    titles = await replica.rows("select title_text -> 0 ->> 'text' from need order by 1")
    assert titles == [("Air",), ("Selimut",)]
    assert await replica.rows("select index from payload where part = 1 and index > 0 order by 1") == [(2,), (3,)]


async def test_a_body_that_nobody_has_does_not_hide_those_after_it(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aftercare_, "PAYLOADS_MAX", 1)
    origin, replica = await make_node("asal"), await make_node("salinan")
    guest = await origin.node.participant("ojol", host="asal.gotong.test")
    await origin.node.publish_needs(guest.scid, "Beras", "Air", "Selimut")
    async with origin.database.acquire() as connection:
        [row] = await connection.fetch("select * from payload where index = 3")
        await connection.execute("delete from payload where index in (1, 3)")
    await replica.add_peer(origin.url)
    await replica.pull(origin.url)
    async with origin.database.acquire() as connection:
        await connection.execute(PUT_BACK, *(row[name] for name in ("log_id", "index", "part", "salt", "data")))
    async with replica.database.acquire() as connection:
        peer = await peers.find(connection, origin.url)
        assert peer is not None
    care = aftercare(replica)
    assert [(await care.once(peer))[0] for _ in range(3)] == [0, 1, 0]
    assert await replica.rows("select index from unprojected where reason = 'WITHHELD'") == [(1,)]


async def test_bodies_of_a_participant_in_quarantine_are_not_asked_for(make_node: MakeNode) -> None:
    """They would come beside its quota."""
    origin, replica = await make_node("asal"), await make_node("salinan")
    guest = await origin.node.participant("ojol", host="asal.gotong.test")
    await origin.node.publish_needs(guest.scid, "Beras")
    async with origin.database.acquire() as connection:
        [row] = await connection.fetch("select * from payload where index = 1")
        await connection.execute("delete from payload where index = 1")
    await replica.add_peer(origin.url, trust="quarantined")
    await replica.pull(origin.url)
    async with origin.database.acquire() as connection:
        await connection.execute(PUT_BACK, *(row[name] for name in ("log_id", "index", "part", "salt", "data")))
    assert (await cared(replica, origin.url))[0] == 0
    await replica.add_peer(origin.url)
    assert (await cared(replica, origin.url))[0] == 1


async def test_nobody_speaks_for_another_operator_or_of_another_tree(make_node: MakeNode) -> None:
    origin, other = await make_node("asal"), await make_node("lain")
    guest = await origin.node.participant("ojol", host="asal.gotong.test")
    (need,) = await origin.node.publish_needs(guest.scid, "Beras")
    await erase(origin.node, guest.scid, need)
    await other.add_peer(origin.url)
    await other.pull(origin.url)
    await origin.add_peer(other.url)
    await origin.pull(other.url)
    key = other.node.keys.get(f"cosign-{other.node.operator.scid}-0")
    now = origin.node.clock()

    async def code(operator: str, size: int, root: bytes) -> str:
        said = Acknowledgement(operator, guest.origin, size, root, now)
        client = client_of(other.node, origin.url)
        async with client:
            try:
                path = f"erasures/{guest.origin.removeprefix('gotong/')}"
                await client.post(
                    path,
                    sign(said, key),
                    content_type="text/plain; charset=utf-8",
                    answer_type="application/json",
                    bytes_max=64,
                )
            except Exception as error:
                return str(getattr(error, "details", {}).get("cause"))
        return "taken"

    async with other.database.acquire() as connection:
        edge = await connection.fetchrow("select size, edge from log where origin = $1", guest.origin)
    assert edge is not None
    root = Edge.from_bytes(edge["size"], edge["edge"]).root()
    assert await code(origin.node.operator.scid, 3, root) == "ACKNOWLEDGEMENT_SIGNATURE_INVALID"
    assert await code(other.node.operator.scid, 3, bytes(32)) == "ACKNOWLEDGEMENT_OF_ANOTHER_TREE"
    assert await code(other.node.operator.scid, 99, root) == "ACKNOWLEDGEMENT_OF_ANOTHER_TREE"
    assert await origin.value("select count(*) from erasure_acknowledgement") == 0
    assert await code(other.node.operator.scid, 3, root) == "taken"
    assert await origin.rows("select operator_scid, size from erasure_acknowledgement") == [
        (other.node.operator.scid, 3)
    ]
