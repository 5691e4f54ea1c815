"""A peer whose heads contradict what is held, or whose checkpoints, logs or operator are not what they were."""

import json

from federation.identity.keys import log_key_name
from federation.log import note
from tests.sockets import serving
from tests.sync.conftest import MakeNode, Scene
from tests.sync.liar import Liar, kept_in, notes


async def test_yesterdays_checkpoint_is_refused_wherever_it_comes(scene: Scene) -> None:
    yesterday = await scene.honest.value("select checkpoint from log where origin = $1", scene.guest.origin)
    await scene.honest.node.publish_needs(scene.guest.scid, "Tenda")
    scene.liar.frames = notes(lambda _note: yesterday)
    assert await scene.pull_code() == "BEYOND_CHECKPOINT"
    scene.liar.be_honest()
    await scene.puller.pull(scene.url)
    await scene.honest.node.publish_needs(scene.guest.scid, "Lampu")
    scene.liar.frames = notes(lambda _note: yesterday)
    assert await scene.pull_code() == "CHECKPOINT_BEHIND"
    scene.liar.be_honest()
    assert (await scene.puller.pull(scene.url)).records == 1


async def test_old_heads_change_nothing(scene: Scene) -> None:
    old: list[bytes] = []
    scene.liar.heads = kept_in(old)
    await scene.puller.pull(scene.url)
    await scene.honest.node.publish_needs(scene.guest.scid, "Tenda")
    scene.liar.be_honest()
    await scene.puller.pull(scene.url)
    scene.liar.heads = lambda _body: old[0]
    assert (await scene.puller.pull(scene.url)).refused == {}
    assert (await scene.puller.node.check(scene.guest.origin)).signed_size == 6


async def test_a_node_of_the_other_network_is_refused(scene: Scene) -> None:
    scene.liar.heads = lambda body: body.replace(b'"network":"test"', b'"network":"live"')
    assert await scene.pull_code() == "NETWORK_MISMATCH"
    await scene.assert_honesty_heals()


async def test_a_log_of_the_other_network_is_refused_whatever_its_peer_says(scene: Scene) -> None:
    scene.puller.syncer.network = "live"
    scene.liar.heads = lambda body: body.replace(b'"network":"test"', b'"network":"live"')
    assert await scene.pull_code() == "NETWORK_MISMATCH"
    assert sum((await scene.answers()).values()) == 0


async def test_a_peer_whose_operator_changes_is_refused(scene: Scene) -> None:
    await scene.puller.pull(scene.url)
    scene.liar.heads = lambda body: json.dumps({**json.loads(body), "operator": scene.guest.scid}).encode()
    assert await scene.pull_code() == "PEER_OPERATOR_CHANGED"


async def test_a_name_changed_on_the_way_holds_nobody_to_it(scene: Scene) -> None:
    """An operator's name counts once an identity of that name was verified."""
    known = "select operator_scid from peer"
    operator = scene.honest.node.operator.scid
    scene.liar.heads = lambda body: body.replace(operator.encode(), operator.replace("Qm", "QM").encode(), 1)
    await scene.puller.pull(scene.url)
    assert await scene.puller.value(known) is None
    scene.liar.be_honest()
    await scene.puller.pull(scene.url)
    assert await scene.puller.value(known) == operator


async def test_a_peer_that_says_to_host_others_gives_them_no_trust(make_node: MakeNode) -> None:
    a, b, c = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    await b.pull(a.url)
    liar = Liar(b.url, heads=lambda body: body.replace(b'"hosted":false', b'"hosted":true'))
    async with serving(liar.app) as url:
        await c.add_peer(url)
        await c.pull(url)
        assert await c.value("select trust from participant where scid = $1", guest.scid) == "quarantined"


async def test_two_trees_of_one_size_are_reported_as_a_fork(scene: Scene, make_node: MakeNode) -> None:
    await scene.puller.pull(scene.url)
    twin = await fork_of(scene)
    scene.liar.heads = lambda body: body.replace(twin[0], twin[1])
    assert await scene.pull_code() == "LOG_FORKED"
    evidence = await scene.puller.value("select evidence from refusal where code = 'LOG_FORKED'")
    assert evidence.count(b"\n5\n") == 2


async def test_a_longer_version_of_our_own_log_is_reported_and_taken_back(scene: Scene) -> None:
    """The honest node was restored from a backup; another node still holds what it had signed."""
    await scene.puller.pull(scene.url)
    before = await scene.honest.rows("select size, edge, checkpoint from log where origin = $1", scene.guest.origin)
    await scene.honest.node.publish_needs(scene.guest.scid, "Tenda")
    await scene.puller.pull(scene.url)
    await scene.honest.value(
        "update log set size = $2, edge = $3, checkpoint = $4, checkpoint_size = $2 where origin = $1",
        scene.guest.origin, *before[0],
    )  # fmt: skip
    for table in ("entry", "payload", "need"):
        await scene.honest.value(f"delete from {table} where index >= 5")
    await scene.honest.add_peer(scene.puller.url)
    done = await scene.honest.pull(scene.puller.url)
    assert (done.refused, done.healed) == ({}, [scene.guest.origin])
    assert await scene.honest.value("select code from refusal") == "OWN_LOG_LONGER"
    assert (await scene.honest.node.check(scene.guest.origin)).signed_size == 6


async def fork_of(scene: Scene) -> tuple[bytes, bytes]:
    """Return the true checkpoint and a second one of the same size, signed with the same key, as JSON writes them."""
    true = await scene.honest.value("select checkpoint from log where origin = $1", scene.guest.origin)
    key = scene.honest.node.keys.get(log_key_name(scene.guest.scid, 0, 0))
    false = note.sign_checkpoint(
        note.Checkpoint(scene.guest.origin, 5, bytes(32)), note.Signer(scene.guest.origin, key)
    )
    return json.dumps(true.decode(), ensure_ascii=False)[1:-1].encode(), json.dumps(false.decode(), ensure_ascii=False)[
        1:-1
    ].encode()


async def test_a_log_that_was_refused_is_asked_for_again_although_nothing_changed_since(scene: Scene) -> None:
    """The peer's hint goes on, or one refused log would have it tell of all that changed since, for ever."""
    syncer, clock = scene.puller.syncer, scene.puller.node.clock
    scene.liar.frames = notes(lambda _note: b"hello")
    async with syncer.client(await syncer._peer(scene.url)) as client:
        await syncer._exchange(scene.url, client, in_full=False)
        assert await scene.puller.value("select since from peer") is not None
        pauses = []
        for _ in range(3):
            due_at = await scene.puller.value("select next_pull_at from peer")
            assert due_at == await scene.puller.value("select min(due_at) from left_log")
            pauses.append((due_at - clock()).total_seconds())
            clock.now = due_at
            await syncer._exchange(scene.url, client, in_full=False)
        assert pauses == [1.0, 4.0, 16.0]
        scene.liar.be_honest()
        assert (await syncer._exchange(scene.url, client, in_full=False)).records == 0, "its pause is not over"
        clock.advance(hours=1)
        assert (await syncer._exchange(scene.url, client, in_full=False)).records == 4
        assert await scene.puller.value("select count(*) from left_log") == 0
        assert (await syncer._exchange(scene.url, client, in_full=False)).entries == 0


async def test_a_peer_that_is_asked_again_for_a_log_has_not_said_that_it_holds_more(
    scene: Scene, make_node: MakeNode
) -> None:
    """Meanwhile another one gave more of it: the shorter version that comes is what the peer has, and no breach."""
    relay = await make_node("penerus")
    await relay.add_peer(scene.honest.url)
    await relay.pull(scene.honest.url)
    puller = scene.puller
    await puller.add_peer(relay.url)
    await puller.pull(relay.url)
    await puller.rows(
        "insert into left_log (peer_id, origin, due_at) select id, $1, $2 from peer where url = $3",
        scene.guest.origin,
        puller.node.clock(),
        relay.url,
    )
    await scene.honest.node.publish_needs(scene.guest.scid, "Tenda")
    await puller.pull(scene.url)
    assert (await puller.syncer.once(relay.url, in_full=False)).refused == {}
    assert await puller.rows("select code from refusal") == []
    assert await puller.value("select count(*) from left_log") == 0
