"""Keys change at home, and other nodes go on reading: between the entry and the next record, and behind a thief."""

from federation.identity.keys import log_key_name
from federation.lifecycle.custody import rotate
from federation.log import note
from federation.log.verify import Received
from federation.sync.frames import EntryData, Mark
from tests.nodes import need_body, seed_of
from tests.sockets import serving
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.liar import Liar, without
from tests.sync.raw import append_raw, hand_built

SEED = seed_of("ojol")
HELD = "select did_version, size from log join participant p on p.id = participant_id where scid = $1"


async def two_nodes(make_node: MakeNode) -> tuple[SyncNode, SyncNode]:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    return a, b


async def test_a_reader_follows_a_log_over_a_change_of_its_key(make_node: MakeNode) -> None:
    a, b = await two_nodes(make_node)
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    assert (await b.pull(a.url)).refused == {}

    await rotate(a.database, a.node.keys, guest.scid, SEED, now=a.node.clock.advance(minutes=1))
    assert (await b.pull(a.url)).refused == {}  # the identity alone: the checkpoint is still the old key's
    assert await b.value("select did_version from participant where scid = $1", guest.scid) == 2
    await a.node.publish_needs(guest.scid, "Selimut")
    done = await b.pull(a.url)
    assert (done.refused, done.records) == ({}, 1)
    assert (await b.node.check(guest.origin)).signed_size == 3


async def test_whoever_comes_later_reads_all_of_it(make_node: MakeNode) -> None:
    a, b = await two_nodes(make_node)
    guest = await a.node.participant("ojol", host="a.gotong.test")
    for number in range(3):
        await a.node.publish_needs(guest.scid, f"Beras {number}")
        await rotate(a.database, a.node.keys, guest.scid, SEED, now=a.node.clock.advance(minutes=1))
    done = await b.pull(a.url)
    assert (done.refused, done.records) == ({}, 3)
    assert (await b.node.check(guest.origin)).size == 4


async def test_a_retired_key_signs_nothing_more_that_a_reader_takes(make_node: MakeNode) -> None:
    a, b = await two_nodes(make_node)
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    await rotate(a.database, a.node.keys, guest.scid, SEED, now=a.node.clock.advance(minutes=1))
    await b.pull(a.url)
    # Somebody on that machine signs on with the old key's file.
    await append_raw(a.node, guest, [_need(a)], key_number=0)
    done = await b.pull(a.url)
    assert done.refused == {guest.origin: "CHECKPOINT_KEY_RETIRED"}
    assert await b.value("select count(*) from need") == 1


async def test_a_relay_that_has_heard_of_a_new_key_only_is_not_accused(make_node: MakeNode) -> None:
    """What it was sending when it was cut off came no further than the identity; it hands on what it has."""
    a, relay = await two_nodes(make_node)
    late = await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    await relay.pull(a.url)
    await a.node.publish_needs(guest.scid, "Selimut")
    await rotate(a.database, a.node.keys, guest.scid, SEED, now=a.node.clock.advance(minutes=1))
    async with serving(Liar(a.url, frames=without(EntryData, Mark)).app) as cut_url:
        await relay.add_peer(cut_url)
        await relay.pull(cut_url)
    assert await relay.rows(HELD, guest.scid) == [(2, 2)]
    await late.add_peer(relay.url)
    assert (await late.pull(relay.url)).refused == {}
    assert await late.rows("select code from refusal") == []

    assert (await relay.pull(a.url)).refused == {}
    late.node.clock.advance(minutes=1)
    assert ((await late.pull(relay.url)).refused, await late.rows(HELD, guest.scid)) == ({}, [(2, 3)])


async def test_the_key_file_of_the_past_is_another_than_the_one_that_signs(make_node: MakeNode) -> None:
    a = await make_node("a")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await rotate(a.database, a.node.keys, guest.scid, SEED, now=a.node.clock.advance(minutes=1))
    await a.node.publish_needs(guest.scid, "Beras")
    checkpoint = await a.value("select checkpoint from log where origin = $1", guest.origin)
    new = a.node.keys.get(log_key_name(guest.scid, 0, 1)).public_key().public_bytes_raw()
    assert note.verify_checkpoint(checkpoint, guest.origin, [new]).size == 2


def _need(node: SyncNode) -> Received:
    return hand_built(node.node, 1, "need", need_body("Uang saja"))
