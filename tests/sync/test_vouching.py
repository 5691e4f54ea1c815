"""Vouching for a successor over sockets: it travels as signed, from operators alone, and only allowed ones count."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import GotongError
from federation.identity import vouching
from federation.identity.vouching import Vouch, VouchForOneself, VouchMalformed
from federation.lifecycle import succession, vouch
from federation.lifecycle.succession import SuccessorNotVouched, accept_successor
from federation.lifecycle.vouch import NotVouching
from federation.log.entry import instant
from federation.publish.append import Draft
from federation.sync.client import PeerProtocolError
from store import peers
from tests.erasure.test_nodes import aftercare, cared
from tests.nodes import fixed
from tests.sockets import serving
from tests.sync.conftest import MakeNode, SyncNode, client_of

NAMES = "select old.scid, new.scid from succession join participant old on old.id = predecessor_id"


@dataclass
class Village:
    """A node that hosts a predecessor and its successor, and one that pulls from it."""

    home: SyncNode
    reader: SyncNode
    old: str
    new: str


@pytest.fixture
async def village(make_node: MakeNode) -> Village:
    home, reader = await make_node("asal"), await make_node("pembaca")
    old, new = [(await home.node.participant(slug, host="asal.gotong.test")).scid for slug in ("lama", "baru")]
    await claim(home, old, new)
    await reader.add_peer(home.url)
    await reader.pull(home.url)
    return Village(home, reader, old, new)


async def claim(served: SyncNode, old: str, new: str) -> None:
    body = {
        "slug": "baru",
        "name": [{"lang": "id", "text": "Dapur Baru"}],
        "kind": "COMMUNITY",
        "place": {"code": "32.03.28", "edition": "2025"},
        "languages": ["id"],
        "succeeds": f"gotong:{old}",
    }
    await served.node.appender.append(new, [Draft("organization", None, fixed(body))])


async def vouched(served: SyncNode, old: str, new: str, **changes: bool) -> bool:
    node = served.node
    return await vouch.vouch(node.database, node.keys, old, new, reason="", actor="test", now=node.clock(), **changes)


async def shown(served: SyncNode, old: str, new: str) -> list[str]:
    """Return the SCIDs of those who are shown as vouching."""
    async with served.database.acquire() as connection:
        found = await succession.vouchers(connection, await succession.claimed(connection, old, new))
    return [each.operator_scid for each in found]


async def accept(served: SyncNode, old: str, new: str) -> None:
    await accept_successor(served.database, old, new, actor="test")


def signed_by(served: SyncNode, said: Vouch) -> bytes:
    return vouching.sign(said, served.node.keys.get(f"cosign-{served.node.operator.scid}-0"))


async def test_an_operator_vouches_and_a_peer_accepts_the_successor(village: Village) -> None:
    home, reader, old, new = village.home, village.reader, village.old, village.new
    with pytest.raises(SuccessorNotVouched):
        await accept(reader, old, new)
    assert await vouched(home, old, new)
    assert not await vouched(home, old, new)
    assert await cared(reader, home.url) == (0, 1)
    assert await cared(reader, home.url) == (0, 0)
    assert await shown(reader, old, new) == [home.node.operator.scid]
    assert await reader.rows("select count(*) from succession") == [(0,)]
    await accept(reader, f"gotong:{old}", f"gotong:{new}")
    joined = f"{NAMES} join participant new on new.id = successor_id"
    assert await reader.rows(joined) == [(old, new)]
    details = "select details -> 'vouchers' ->> 0 from audit where action = 'participant.successor'"
    assert await reader.value(details) == home.node.operator.scid


async def test_it_reaches_a_node_over_another_and_counts_there_once_its_operator_is_allowed(
    village: Village, make_node: MakeNode
) -> None:
    home, relay, old, new = village.home, village.reader, village.old, village.new
    last = await make_node("akhir")
    await last.add_peer(relay.url)
    await last.pull(relay.url)
    await vouched(home, old, new)
    await cared(relay, home.url)
    await cared(last, relay.url)
    assert await last.value("select count(*) from vouch") == 1
    assert await shown(last, old, new) == []
    with pytest.raises(SuccessorNotVouched):
        await accept(last, old, new)
    async with last.database.transaction() as connection:
        query = "update participant set trust = 'allowed', trust_set_by = $2 where scid = $1"
        await connection.execute(query, home.node.operator.scid, "peer")
    assert await shown(last, old, new) == []  # nobody here looked at it: it inherited that
    async with last.database.transaction() as connection:
        await connection.execute(query, home.node.operator.scid, "operator")
    assert await shown(last, old, new) == [home.node.operator.scid]
    await accept(last, old, new)


async def test_a_node_that_nobody_can_reach_brings_its_word(village: Village) -> None:
    home, reader, old, new = village.home, village.reader, village.old, village.new
    await home.add_peer(reader.url)
    await home.pull(reader.url)
    await vouched(reader, old, new)
    await cared(reader, home.url)
    assert await shown(home, old, new) == [reader.node.operator.scid]


async def test_a_word_given_after_a_peer_was_asked_is_brought_in_the_next_round(village: Village) -> None:
    home, reader, old, new = village.home, village.reader, village.old, village.new
    await home.add_peer(reader.url)
    await home.pull(reader.url)
    async with reader.database.acquire() as connection:
        peer = await peers.find(connection, home.url)
    assert peer is not None
    care = aftercare(reader)
    for _ in range(2):
        await care.once(peer)
    await vouched(reader, old, new)
    await care.once(peer)
    assert await shown(home, old, new) == [reader.node.operator.scid]


async def test_a_vouch_that_is_taken_back_counts_nowhere_and_does_not_come_back(
    village: Village, make_node: MakeNode
) -> None:
    home, relay, old, new = village.home, village.reader, village.old, village.new
    last = await make_node("akhir")
    await last.add_peer(relay.url)
    await last.pull(relay.url)
    with pytest.raises(NotVouching):
        await vouched(home, old, new, withdrawn=True)
    await vouched(home, old, new)
    await cared(relay, home.url)
    await cared(last, relay.url)
    before = await relay.value("select note from vouch")
    home.node.clock.advance(minutes=-5)  # a clock that went back
    assert await vouched(home, old, new, withdrawn=True)
    with pytest.raises(NotVouching):
        await vouched(home, old, new, withdrawn=True)
    home.node.clock.advance(hours=1)
    for node, other in ((relay, home), (last, relay)):
        await cared(node, other.url)
        assert await shown(node, old, new) == []
        assert not await vouch.take(node.database, before, successor=new, now=node.node.clock())
        assert await node.value("select count(*) from vouch") == 1
        assert await node.value("select note from vouch") != before
    with pytest.raises(SuccessorNotVouched):
        await accept(relay, old, new)
    assert await vouched(home, old, new)
    home.node.clock.advance(hours=1)
    await cared(relay, home.url)
    assert await shown(relay, old, new) == [home.node.operator.scid]


@pytest.mark.parametrize("trust", ["quarantined", "blocked"])
async def test_an_operator_who_is_not_allowed_is_neither_shown_nor_handed_on(village: Village, trust: str) -> None:
    home, reader, old, new = village.home, village.reader, village.old, village.new
    await vouched(home, old, new)
    await cared(reader, home.url)
    assert len(await vouch.known(reader.database, new)) == 1
    async with reader.database.transaction() as connection:
        query = "update participant set trust = $2, trust_set_by = 'operator' where scid = $1"
        await connection.execute(query, home.node.operator.scid, trust)
    assert await shown(reader, old, new) == []
    assert await vouch.known(reader.database, new) == []
    with pytest.raises(SuccessorNotVouched):
        await accept(reader, old, new)


async def test_forged_foreign_and_malformed_statements_are_refused(village: Village) -> None:
    home, reader, old, new = village.home, village.reader, village.old, village.new
    await home.add_peer(reader.url)
    await home.pull(reader.url)
    mine, theirs, now = reader.node.operator.scid, home.node.operator.scid, home.node.clock()

    async def code(note: bytes, successor: str = new) -> str:
        async with client_of(reader.node, home.url) as client:
            try:
                await client.post(
                    f"vouches/{successor}",
                    note,
                    content_type="text/plain; charset=utf-8",
                    answer_type="application/json",
                    bytes_max=64,
                )
            except GotongError as error:
                return str(error.details.get("cause"))
        return "taken"

    good = signed_by(reader, Vouch(mine, old, new, "test", now))
    forged = signed_by(reader, Vouch(theirs, old, new, "test", now))
    stranger = "QmStrangerStrangerStrangerStrangerStrangerStr1"
    assert await code(forged) == "VOUCH_SIGNATURE_INVALID"
    assert await code(signed_by(reader, Vouch(stranger, old, new, "test", now))) == "VOUCH_SIGNATURE_INVALID"
    assert await code(signed_by(reader, Vouch(mine, old, new, "live", now))) == "VOUCH_OF_ANOTHER_NETWORK"
    assert await code(signed_by(reader, Vouch(mine, stranger, new, "test", now))) == "PARTICIPANT_NOT_FOUND"
    assert await code(signed_by(reader, Vouch(mine, new, old, "test", now)), old) == "SUCCESSION_NOT_CLAIMED"
    assert await code(good, old) == "VOUCH_MALFORMED"
    assert await code(good.replace(b"vouch/v1", b"vouch/v2")) == "VOUCH_MALFORMED"
    assert await code(b"\xff") == "VOUCH_MALFORMED"
    assert await code(good, "nobody") == "ID_MALFORMED"
    later = instant(now + timedelta(seconds=1))
    assert await code(good.replace(instant(now).encode(), later.encode())) == "VOUCH_SIGNATURE_INVALID"
    guest_key = home.node.keys.get(f"log-{old}-0-0")
    guest = Vouch((await home.node.participant("tamu", host="asal.gotong.test")).scid, old, new, "test", now)
    assert await code(vouching.sign(guest, guest_key)) == "VOUCH_SIGNATURE_INVALID"
    assert await home.value("select count(*) from vouch") == 0
    assert await code(good) == "taken"
    assert await shown(home, old, new) == [mine]


async def test_of_nobody_who_is_known_nothing_is_told_and_a_name_that_is_none_is_refused(village: Village) -> None:
    home, reader, old = village.home, village.reader, village.old
    assert await vouch.known(home.database, old) == []
    async with client_of(reader.node, home.url) as client:
        for name, why in (("nobody", "ID_MALFORMED"), ("a%00b", "PATH_UNKNOWN")):
            with pytest.raises(PeerProtocolError) as refusal:
                await client.read(f"vouches/{name}", {}, answer_type="application/json", bytes_max=1_024)
            assert refusal.value.details["cause"] == why


async def test_a_peer_that_tells_lies_about_vouching_brings_nothing(village: Village) -> None:
    home, reader, old, new = village.home, village.reader, village.old, village.new
    forged = signed_by(reader, Vouch(home.node.operator.scid, old, new, "test", clock_of(home)))
    good = signed_by(home, Vouch(home.node.operator.scid, old, new, "test", clock_of(home)))
    answers = [vouch.write_list([forged, b"no note", forged]), b'{"vouches": 7}', vouch.write_list([forged, good])]

    async def answer(_: Request) -> Response:
        return Response(answers.pop(0), media_type="application/json")

    app = Starlette(routes=[Route("/federation/v1/vouches/{scid}", answer)])
    async with serving(app) as url, client_of(reader.node, url) as client:
        assert await vouch.compare(client, reader.database, new, now=clock_of(reader)) == 0
        with pytest.raises(VouchMalformed):
            await vouch.compare(client, reader.database, new, now=clock_of(reader))
        assert await reader.value("select count(*) from vouch") == 0
        assert await vouch.compare(client, reader.database, new, now=clock_of(reader)) == 1
    assert await shown(reader, old, new) == [home.node.operator.scid]


async def test_what_a_replaced_key_signed_counts_no_more_and_can_be_said_again(village: Village) -> None:
    home, reader, old, new = village.home, village.reader, village.old, village.new
    said = Vouch(home.node.operator.scid, old, new, "test", clock_of(home))
    await keep_unchecked(home, signed_by(reader, said))
    assert await shown(home, old, new) == []
    assert await vouched(home, old, new)
    assert await shown(home, old, new) == [home.node.operator.scid]


async def test_nobody_vouches_for_itself(village: Village) -> None:
    home = village.home
    own = home.node.operator.scid
    await claim(home, village.old, own)
    with pytest.raises(VouchForOneself):
        await vouched(home, village.old, own)


def clock_of(served: SyncNode) -> datetime:
    return served.node.clock()


async def keep_unchecked(served: SyncNode, note: bytes) -> None:
    """Put a statement into the table that no rule let in."""
    async with served.database.transaction() as connection:
        await connection.execute(
            """
            insert into vouch (successor_id, predecessor_id, operator_id, note, at, received_at)
            select new.id, old.id, (select operator_id from node_state), $1, now(), now()
            from participant new, participant old where new.slug = 'baru' and old.slug = 'lama'
            """,
            note,
        )
