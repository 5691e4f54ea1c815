"""A node that nobody can connect to is a witness: it cosigns what it copied and brings its signatures along."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.errors import GotongError
from federation.identity.states import DidStates
from federation.log import note
from federation.log.cosigners import cosigner_name
from federation.log.note import KeyType, Signer
from federation.moderation.trust import add_peer, set_participant_trust
from federation.witness.bringing import LATER, Bringing
from federation.witness.brought import Brought
from federation.witness.cosigning import Witness
from federation.witness.gossip import take_brought
from federation.witness.witnessing import REFRESH
from store import peers
from tests.mirror.conftest import Laptop, MakeLaptop, Mirror
from tests.sync.conftest import MakeNode, SyncNode, client_of

SAID = """
    select cosigner.scid, cosignature.size from cosignature join participant cosigner on cosigner.id = cosigner_id
    join log on log.id = log_id where origin = $1 order by 1
"""


class Away:
    """The laptop as a witness."""

    def __init__(self, laptop: Laptop) -> None:
        self.laptop = laptop
        node = laptop.node
        self.bringing = Bringing(node.database, Witness(node.database, node.keys, node.clock), node.clock)

    async def bring(self, url: str) -> int:
        """Do what a running node does from time to time; return how many cosignatures were kept."""
        async with self.laptop.database.acquire() as connection:
            peer = await peers.find(connection, url)
        assert peer is not None
        wanted = await self.bringing.wanted(peer)
        if not wanted:
            return 0
        async with self.laptop.client(url) as client:
            return await self.bringing.bring(client, peer, wanted)


@pytest.fixture
async def desa(make_node: MakeNode, mirror: Mirror) -> SyncNode:
    """A village's node with an address; it and the mirror are peers."""
    made = await make_node("desa")
    await made.add_peer(mirror.url)
    await mirror.served.add_peer(made.url)
    return made


async def acquainted(away: Away, desa: SyncNode, mirror: Mirror) -> None:
    """The laptop's identity reaches the village by the mirror; the village never added the laptop."""
    await away.laptop.deposit(mirror.url)
    await desa.pull(mirror.url)
    await away.laptop.syncer.once(mirror.url)
    await set_participant_trust(desa.database, away.laptop.node.operator.scid, "allowed", actor="x")


async def test_a_laptops_cosignature_reaches_the_home_and_everybody_who_copies_from_it(
    mirror: Mirror, laptop: Laptop, desa: SyncNode
) -> None:
    away, origin = Away(laptop), desa.node.operator.origin
    await desa.node.publish_needs(desa.node.operator.scid, "Beras")
    await acquainted(away, desa, mirror)
    await add_peer(laptop.database, desa.url, trust="allowed", actor="x")
    await laptop.syncer.once(desa.url)
    assert await away.bring(desa.url) == 1
    said = [(laptop.node.operator.scid, 2)]
    assert await desa.rows(SAID, origin) == said
    assert await laptop.rows(SAID, origin) == said
    assert await away.bring(desa.url) == 0  # said lately
    await mirror.served.pull(desa.url)
    assert await mirror.served.rows(SAID, origin) == said

    await desa.node.publish_needs(desa.node.operator.scid, "Air")
    await laptop.syncer.once(desa.url)
    assert await away.bring(desa.url) == 1
    assert (laptop.node.operator.scid, 3) in await desa.rows(SAID, origin)
    laptop.node.clock.now += REFRESH + timedelta(seconds=1)
    assert await away.bring(desa.url) == 1


async def test_a_mirrors_own_log_is_cosigned_by_who_deposits_there(mirror: Mirror, laptop: Laptop) -> None:
    origin = mirror.served.node.operator.origin
    await laptop.deposit(mirror.url)
    await laptop.syncer.once(mirror.url)
    assert await Away(laptop).bring(mirror.url) == 1
    assert await mirror.served.rows(SAID, origin) == [(laptop.node.operator.scid, 1)]


async def test_what_was_not_kept_is_brought_again_later_and_a_lost_answer_costs_nothing(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, origin = Away(laptop), mirror.served.node.operator.origin
    await laptop.deposit(mirror.url)
    await laptop.syncer.once(mirror.url)
    await mirror.served.node.publish_needs(mirror.served.node.operator.scid, "Beras")
    assert await away.bring(mirror.url) == 0  # there are two entries by now
    assert await laptop.rows(SAID, origin) == []
    assert await away.bring(mirror.url) == 0
    laptop.node.clock.now += LATER
    await laptop.syncer.once(mirror.url)
    with monkeypatch.context() as patch:
        patch.setattr("federation.witness.bringing.read_kept", lambda _answer: [])
        assert await away.bring(mirror.url) == 0
    laptop.node.clock.now += LATER
    assert await away.bring(mirror.url) == 1
    assert await mirror.served.rows(SAID, origin) == [(laptop.node.operator.scid, 2)]


async def test_a_laptop_never_cosigns_a_smaller_tree_than_before(mirror: Mirror, laptop: Laptop) -> None:
    away, log = Away(laptop), mirror.served.node.operator
    await mirror.served.node.publish_needs(log.scid, "Beras")
    await laptop.deposit(mirror.url)
    await laptop.syncer.once(mirror.url)
    await away.bring(mirror.url)
    before = await laptop.rows("select size, note from witnessed")
    await laptop.rows(
        "update log set checkpoint_size = 1, checkpoint = (select checkpoint from log where origin = $1) "
        "where origin = $1",
        log.origin,
    )
    assert await away.bring(mirror.url) == 0
    assert await laptop.rows("select size, note from witnessed") == before


# ---- what is not kept -----------------------------------------------------------------------------------------------


async def brought(
    mirror: Mirror, laptop: Laptop, *, size: int = 1, seconds: int = 0, name: str | None = None
) -> Sequence[str]:
    """Return what the mirror keeps of a cosignature of the laptop on the mirror's log, made as told."""
    node, scid = mirror.served.node, laptop.node.operator.scid
    (data,) = (await mirror.served.rows("select checkpoint from log where origin = $1", node.operator.origin))[0]
    signer = Signer(name or cosigner_name(scid), laptop.node.keys.get(f"cosign-{scid}-0"), KeyType.COSIGNATURE_V1)
    line = note.cosign(note.parse_note(data).text, signer, int(node.clock().timestamp()) + seconds).line()
    return await take_brought(
        mirror.served.database, DidStates(), scid, [Brought(node.operator.origin, size, line)], node.clock()
    )


async def test_only_what_holds_is_kept(mirror: Mirror, laptop: Laptop) -> None:
    origin = mirror.served.node.operator.origin
    other = cosigner_name(mirror.served.node.operator.scid)
    assert await brought(mirror, laptop, size=2) == []
    assert await brought(mirror, laptop, seconds=901) == []
    assert await brought(mirror, laptop, name=other) == []
    assert await mirror.served.rows(SAID, origin) == []
    assert await brought(mirror, laptop) == [origin]


async def test_a_witness_brings_only_its_own_cosignatures_and_strangers_none(
    mirror: Mirror, laptop: Laptop, make_laptop: MakeLaptop
) -> None:
    second = await make_laptop(await mirror.invite("pos-tani"))
    body = b'{"cosignatures":[{"origin":"x","size":1,"line":"\xe2\x80\x94 x y\\n"}]}'
    kind = "application/json"
    async with client_of(second.node, mirror.url) as client:
        with pytest.raises(GotongError) as caught:
            await client.post("cosignatures", body, content_type=kind, answer_type=kind, bytes_max=9_999)
    assert caught.value.details["cause"] == "CALLER_UNKNOWN"
    async with laptop.client(mirror.url) as client:
        answer = await client.post("cosignatures", body, content_type=kind, answer_type=kind, bytes_max=9_999)
    assert answer == b'{"kept":[]}'
    async with laptop.client(mirror.url) as client:
        with pytest.raises(GotongError) as malformed:
            await client.post("cosignatures", b"{}", content_type=kind, answer_type=kind, bytes_max=9_999)
    assert malformed.value.details["cause"] == "COSIGNATURES_MALFORMED"
