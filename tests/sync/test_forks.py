"""A log that was told in two ways is found out, frozen where both tellings part, and goes nowhere from there."""

from typing import Any, Protocol

import pytest

from federation.identity.keys import log_key_name
from federation.identity.states import DidStates
from federation.lifecycle.enroll import Enrolled
from federation.log import evidence, note
from federation.log.evidence import LogFrozen, Side
from federation.log.note import parse_checkpoint
from federation.projection.rebuild import compare
from federation.sync.client import PeerClient
from federation.sync.messages import OfferedEvidence
from federation.witness import forks
from federation.witness.freeze import accept
from store.held import did_log
from store.outbox import sequence
from tests.nodes import need_draft
from tests.sockets import http_client, serving
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.liar import Liar

NOTE = "select checkpoint from log where origin = $1"
HEAD = "select size, edge, checkpoint, checkpoint_size from log where origin = $1"


class Asked(Protocol):
    """A node whose database can be asked."""

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return one value."""


async def roll_back(node: Asked, origin: str, head: tuple[Any, ...]) -> None:
    """Put a hosted log back to where it was, as restoring a backup of the database does."""
    log_id = await node.value("select id from log where origin = $1", origin)
    await node.value(
        "update log set size = $2, edge = $3, checkpoint = $4, checkpoint_size = $5 where id = $1", log_id, *head
    )
    for table in ("entry", "payload", "need", "unprojected"):
        await node.value(f"delete from {table} where log_id = $1 and index >= $2", log_id, head[0])


async def titles(node: SyncNode, scid: str) -> list[str]:
    query = """
        select title_text -> 0 ->> 'text' from need join participant on participant.id = publisher_id
        where scid = $1 order by index
    """
    return [row[0] for row in await node.rows(query, scid)]


class Forked:
    """A home restored from a backup: `left` holds what it said before, `right` what it said after."""

    def __init__(self, home: SyncNode, guest: Enrolled, left: SyncNode, right: SyncNode) -> None:
        self.home, self.guest, self.left, self.right = home, guest, left, right

    async def frozen(self, node: SyncNode) -> int | None:
        size: int | None = await node.value("select frozen_size from log where origin = $1", self.guest.origin)
        return size


async def fork(make_node: MakeNode, before: int, left_more: int, right_more: int) -> Forked:
    home, left, right = await make_node("rumah"), await make_node("kiri"), await make_node("kanan")
    guest = await home.node.participant("ojol", host="rumah.gotong.test")
    await home.node.publish_needs(guest.scid, *(f"Beras {number}" for number in range(before)))
    [backup] = await home.rows(HEAD, guest.origin)
    for node in (left, right):
        await node.add_peer(home.url)
    await home.node.publish_needs(guest.scid, *(f"Kiri {number}" for number in range(left_more)))
    await left.pull(home.url)
    await roll_back(home, guest.origin, backup)
    home.node.clock.advance(minutes=1)
    await home.node.publish_needs(guest.scid, *(f"Kanan {number}" for number in range(right_more)))
    await right.pull(home.url)
    return Forked(home, guest, left, right)


@pytest.mark.parametrize(("left_more", "right_more"), [(2, 2), (1, 4), (4, 1)])
async def test_two_nodes_that_each_saw_one_side_find_the_fork_and_freeze_where_it_begins(
    make_node: MakeNode, left_more: int, right_more: int
) -> None:
    found = await fork(make_node, 3, left_more, right_more)
    await found.right.add_peer(found.left.url)
    await found.left.value("update participant set trust = 'allowed'")
    await found.right.value("update participant set trust = 'allowed'")
    done = await found.right.pull(found.left.url)
    assert done.forked == [found.guest.origin]
    assert await found.frozen(found.right) == 4  # the first entry of the log and three needs are common
    assert await titles(found.right, found.guest.scid) == ["Beras 0", "Beras 1", "Beras 2"]
    await found.left.add_peer(found.right.url)
    assert (await found.left.pull(found.right.url)).forked == [found.guest.origin]  # passed on, and verified
    assert await titles(found.left, found.guest.scid) == ["Beras 0", "Beras 1", "Beras 2"]
    for node in (found.left, found.right):
        assert await compare(node.database, as_of=node.node.clock()) == []
        async with node.database.acquire() as connection:
            assert await sequence(connection) > 0


async def test_a_node_that_saw_both_sides_at_their_home_needs_nobody(make_node: MakeNode) -> None:
    found = await fork(make_node, 2, 3, 2)
    done = await found.left.pull(found.home.url)
    assert done.forked == [found.guest.origin]
    assert await found.frozen(found.left) == 3
    await found.home.node.publish_needs(found.guest.scid, "Kanan 3", "Kanan 4")
    assert (await found.left.pull(found.home.url)).entries == 0
    await found.right.pull(found.home.url)  # has one consistent story, and takes the evidence of left when it meets it
    await found.right.add_peer(found.left.url)
    assert (await found.right.pull(found.left.url)).forked == [found.guest.origin]
    assert await found.frozen(found.right) == 3


async def test_a_frozen_log_is_relayed_up_to_where_it_was_frozen(make_node: MakeNode) -> None:
    found = await fork(make_node, 3, 2, 2)
    for node in (found.left, found.right):
        await node.value("update participant set trust = 'allowed'")
    await found.left.pull(found.home.url)
    late = await make_node("baru")
    await late.add_peer(found.left.url)
    await late.pull(found.left.url)
    assert await late.value("select size from log where origin = $1", found.guest.origin) == 4
    assert (await late.pull(found.left.url)).entries == 0
    assert await found.frozen(late) == 4
    async with http_client() as http:
        base = f"{found.left.url}/federation/v1/log/{found.guest.scid}/0"
        assert (await http.get(f"{base}/tile/0/000.p/4")).status_code == 200
        assert (await http.get(f"{base}/tile/entries/000.p/5")).status_code == 404
        assert (await http.get(f"{base}/tile/0/000.p/6")).status_code == 200  # hashes, for who has the other telling
        assert (await http.get(f"{base}/payloads?from=4&n=1")).status_code == 416


async def test_where_evidence_came_from_far_back_the_place_where_both_part_is_found_later(make_node: MakeNode) -> None:
    """Whoever proved the fork was not given the tiles, so that its proof is of a larger size than it could be."""
    found = await fork(make_node, 3, 2, 2)
    async with found.left.database.acquire() as connection:
        held = await did_log(connection, found.guest.scid)
    assert held is not None
    lines, witness = held
    notes = [bytes(await node.value(NOTE, found.guest.origin)) for node in (found.left, found.right)]
    sides = [Side(each, parse_checkpoint(note.parse_note(each).text).root, ()) for each in notes]
    data = evidence.build_fork(lines, witness, 6, sides)
    for node in (found.left, found.right):
        await node.value("update participant set trust = 'allowed'")
        assert await accept(node.database, data, node.node.clock()) is not None
        assert await found.frozen(node) == 5
    await found.right.add_peer(found.left.url)
    assert (await found.right.pull(found.left.url)).forked == [found.guest.origin]
    await found.left.add_peer(found.right.url)
    assert (await found.left.pull(found.right.url)).forked == [found.guest.origin]
    for node in (found.left, found.right):
        assert await found.frozen(node) == 4
        assert await titles(node, found.guest.scid) == ["Beras 0", "Beras 1", "Beras 2"]
        assert await compare(node.database, as_of=node.node.clock()) == []
    assert (await found.right.pull(found.left.url)).forked == []


async def test_the_owner_of_a_frozen_log_signs_no_more(make_node: MakeNode) -> None:
    found = await fork(make_node, 3, 2, 2)
    await found.left.pull(found.home.url)
    await found.home.add_peer(found.left.url)
    await found.home.pull(found.left.url)
    assert await found.frozen(found.home) == 4
    with pytest.raises(LogFrozen):
        await found.home.node.appender.append(found.guest.scid, [need_draft("Tenda")])
    other = await found.home.node.participant("lain", host="rumah.gotong.test")
    assert await found.home.node.publish_needs(other.scid, "Selimut")


async def test_a_note_that_leads_nowhere_accuses_nobody_at_the_wrong_place(make_node: MakeNode) -> None:
    """A thief signs a root without a tree: that the key signed two stories is proven, where they part only so far."""
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air bersih", "Selimut")
    await b.add_peer(a.url)
    await b.pull(a.url)
    true = await a.value("select checkpoint from log where origin = $1", guest.origin)
    key = a.node.keys.get(log_key_name(guest.scid, 0, 0))
    false = note.sign_checkpoint(note.Checkpoint(guest.origin, 4, bytes(32)), note.Signer(guest.origin, key))
    liar = Liar(a.url, heads=lambda body: body.replace(_json(true), _json(false)))
    async with serving(liar.app) as url:
        await b.add_peer(url)
        assert (await b.pull(url)).forked == [guest.origin]
    assert await b.value("select frozen_size from log where origin = $1", guest.origin) == 3


async def test_a_peer_that_sends_garbage_accuses_nobody(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air bersih")
    await b.add_peer(a.url)
    await b.pull(a.url)
    true = await a.value("select checkpoint from log where origin = $1", guest.origin)
    stranger = a.node.keys.get(log_key_name(a.node.operator.scid, 0, 0))
    for size in (2, 3, 9):
        false = note.sign_checkpoint(
            note.Checkpoint(guest.origin, size, bytes(32)), note.Signer(guest.origin, stranger)
        )
        liar = Liar(a.url, heads=lambda body, false=false: body.replace(_json(true), _json(false)))  # type: ignore[misc]
        async with serving(liar.app) as url:
            await b.add_peer(url)
            assert (await b.pull(url)).forked == []
    assert await b.value("select count(*) from evidence") == 0
    assert await b.value("select count(*) from log where frozen_size is not null") == 0


async def test_false_evidence_has_no_effect_and_evidence_about_strangers_none_yet(make_node: MakeNode) -> None:
    found = await fork(make_node, 3, 2, 2)
    await found.left.pull(found.home.url)
    genuine = await found.left.value("select data from evidence")
    stranger = await make_node("asing")
    assert await accept(stranger.database, genuine, stranger.node.clock()) is None
    assert await stranger.value("select count(*) from evidence") == 0
    forged = genuine.replace(b'"size":5', b'"size":4')
    assert forged != genuine
    liar = Liar(found.left.url, answer=lambda request, body: _instead(request.url.path, genuine, forged, body))
    async with serving(liar.app) as url:
        await found.right.add_peer(url)
        await found.right.value("update log set checkpoint_size = checkpoint_size")
        liar.heads = lambda body: body.replace(b'"logs":[', b'"logs":[],"x":[')
        assert (await found.right.pull(url)).forked == []
        assert await found.frozen(found.right) is None
        liar.answer = None
        assert (await found.right.pull(url)).forked == [found.guest.origin]


async def test_evidence_is_kept_once_and_served_to_whoever_asks(make_node: MakeNode) -> None:
    found = await fork(make_node, 3, 2, 2)
    await found.left.pull(found.home.url)
    await found.left.pull(found.home.url)
    assert await found.left.value("select count(*) from evidence") == 1
    async with http_client() as http:
        base = f"{found.left.url}/federation/v1/evidence"
        [listed] = (await http.get(base)).json()["evidence"]
        assert listed["scid"] == found.guest.scid
        data = (await http.get(f"{base}/{listed['id']}")).content
        assert (await http.get(f"{base}?after={listed['number']}")).json() == {"evidence": []}
        assert (await http.get(f"{base}/{'0' * 64}")).status_code == 404
        assert (await http.get(f"{base}/x")).status_code == 404
    assert evidence.verify(data, found.left.node.clock()).size == 5


def _json(data: bytes) -> bytes:
    import json

    return json.dumps(data.decode(), ensure_ascii=False)[1:-1].encode()


def _instead(path: str, genuine: bytes, forged: bytes, body: bytes) -> Any:
    from starlette.responses import Response

    return Response(forged, media_type="application/json") if body == genuine else None


async def test_evidence_beyond_what_an_exchange_takes_is_taken_by_the_next_ones(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    await b.pull(a.url)
    peer_id = await b.value("select id from peer")
    offered = [OfferedEvidence(number, f"{number:064x}", "fork", a.node.operator.scid, 1) for number in range(1, 6)]
    asked = []

    class Offering(PeerClient):
        async def evidence_after(self, number: int) -> list[OfferedEvidence]:
            return [each for each in offered if each.number > number]

        async def evidence(self, id_: str) -> bytes:
            asked.append(int(id_, 16))
            return b"false"

    monkeypatch.setattr(forks, "EVIDENCE_PER_EXCHANGE_MAX", 2)
    async with Offering(a.url) as client:
        for _ in range(4):
            looking = forks.Forks(b.database, client, peer_id, DidStates(), b.node.clock())
            await looking.take_evidence(5, in_full=False)
    assert asked == [1, 2, 3, 4, 5]
