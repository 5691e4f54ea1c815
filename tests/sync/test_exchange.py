"""Honest nodes and what they tell each other."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from hashlib import sha256

import pytest

from federation.identity import identities
from federation.log import tiles
from federation.log.entry import parse as parse_entry
from federation.log.merkle import Edge, leaf_hash, verify_consistency
from federation.log.note import parse_checkpoint, parse_note
from federation.log.tiles import ENTRIES, TileId
from federation.moderation.trust import set_participant_trust, set_peer_trust
from federation.requests.addresses import TEST
from federation.sync import serve
from federation.sync.client import PeerClient
from federation.sync.messages import Heads
from federation.sync.plan import QUARANTINE_ENTRIES_MAX
from store.database import connect
from store.outbox import sequence
from tests.nodes import need_draft
from tests.sockets import http_client
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.raw import append_raw, hand_built
from tests.waiting import PATIENCE_S

NEEDS = "select title_text::text, state, revision, published_at from need order by log_id, index"


async def publish_many(served: SyncNode, scid: str, count: int) -> None:
    for start in range(0, count, 500):
        drafts = [need_draft(f"Kebutuhan {number}") for number in range(start, min(count, start + 500))]
        await served.node.appender.append(scid, drafts)


async def test_a_log_published_on_one_node_is_verified_and_shown_on_another(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air bersih", "Selimut")
    await b.add_peer(a.url)

    done = await b.pull(a.url)

    assert (done.entries, done.records, done.refused) == (5, 3, {})
    assert await a.rows(NEEDS) == await b.rows(NEEDS)
    checked = await b.node.check(guest.origin)
    assert (checked.size, checked.signed_size, checked.withheld) == (4, 4, 0)
    trust = "select slug, trust, trust_set_by, hosted from participant order by slug, host"
    assert await b.rows(trust) == [
        ("ojol", "allowed", "peer", False),
        ("pengurus", "allowed", "peer", False),
        ("pengurus", "allowed", "default", True),
    ]


async def test_a_second_exchange_brings_only_what_is_new(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    await b.pull(a.url)
    assert (await b.pull(a.url)).entries == 0
    await a.node.publish_needs(guest.scid, "Beras")
    done = await b.pull(a.url)
    assert (done.entries, done.records, done.logs) == (1, 1, 1)


async def test_a_long_log_comes_in_batches_with_proofs(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await publish_many(a, guest.scid, 2_600)
    await b.add_peer(a.url)

    done = await b.pull(a.url)

    assert (done.records, done.refused) == (2_600, {})
    assert await a.rows(NEEDS) == await b.rows(NEEDS)
    assert (await b.node.check(guest.origin)).signed_size == 2_601


async def test_a_relay_hands_on_what_it_verified_and_the_third_node_verifies_it_too(make_node: MakeNode) -> None:
    a, b, c = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air bersih")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await c.add_peer(b.url)

    done = await c.pull(b.url)

    assert done.refused == {}
    assert (await c.node.check(guest.origin)).signed_size == 3
    assert await c.rows("select trust from participant where scid = $1", guest.scid) == [("quarantined",)]
    assert await c.value("select count(*) from outbox") == 0
    assert await set_participant_trust(c.database, guest.scid, "allowed", actor="test")
    assert await c.value("select count(*) from outbox where type = 'need'") == 2
    assert await a.rows(NEEDS) == await c.rows(NEEDS)


async def test_what_is_in_quarantine_is_not_handed_on(make_node: MakeNode) -> None:
    a, b, c = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url, "quarantined")
    await b.pull(a.url)
    assert await b.value("select count(*) from participant where scid = $1", guest.scid) == 1
    await c.add_peer(b.url)
    await c.pull(b.url)
    assert await c.value("select count(*) from participant where scid = $1", guest.scid) == 0
    await set_peer_trust(b.database, a.url, "allowed", actor="test")
    await c.pull(b.url)
    assert await c.value("select count(*) from participant where scid = $1", guest.scid) == 1


async def test_allowing_a_peer_shows_its_participants_and_tells_followers_once(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air bersih")
    await b.add_peer(a.url, "quarantined")
    await b.pull(a.url)
    assert await b.value("select count(*) from outbox") == 0

    assert await set_peer_trust(b.database, a.url, "allowed", actor="budi") == 2
    assert await set_peer_trust(b.database, a.url, "allowed", actor="budi") == 0
    assert await b.value("select count(*) from outbox where type = 'need'") == 2
    async with b.database.acquire() as connection:
        await sequence(connection)
    await set_peer_trust(b.database, a.url, "blocked", actor="budi")
    assert await b.value("select count(*) from outbox") == 0
    assert (await b.pull(a.url)).entries == 0
    audit = await b.rows("select actor, action, details ->> 'trust' from audit where action = 'peer.trust' order by id")
    assert audit == [("budi", "peer.trust", each) for each in ("allowed", "allowed", "blocked")]


async def test_what_an_operator_decided_about_a_participant_outlives_its_peer(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await set_participant_trust(b.database, guest.scid, "blocked", actor="test")
    await set_peer_trust(b.database, a.url, "quarantined", actor="test")
    await set_peer_trust(b.database, a.url, "allowed", actor="test")
    assert await b.value("select trust from participant where scid = $1", guest.scid) == "blocked"
    await a.node.publish_needs(guest.scid, "Beras")
    assert (await b.pull(a.url)).entries == 0


async def test_a_stranger_is_kept_up_to_the_quota_and_the_rest_comes_when_allowed(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await publish_many(a, guest.scid, QUARANTINE_ENTRIES_MAX + 500)
    await b.add_peer(a.url, "quarantined")

    done = await b.pull(a.url)

    size = "select size from log where origin = $1"
    assert done.over_quota == 1
    assert await b.value(size, guest.origin) == QUARANTINE_ENTRIES_MAX
    assert await b.value("select checkpoint_size from log where origin = $1", guest.origin) == 0
    assert (await b.pull(a.url)).entries == 0
    await set_participant_trust(b.database, guest.scid, "allowed", actor="test")
    assert (await b.pull(a.url)).entries == 501
    assert (await b.node.check(guest.origin)).signed_size == QUARANTINE_ENTRIES_MAX + 501
    assert await a.rows(NEEDS) == await b.rows(NEEDS)


async def test_records_of_a_newer_program_are_kept_and_handed_on_and_shown_after_an_upgrade(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    from domain.records.registry import RECORDS, Registry
    from federation.projection.project import make_known_types_due, settle
    from tests.nodes import need_body

    a, b, c = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    newer = [
        hand_built(a.node, 1, "future-thing", {"anything": "goes"}),
        hand_built(a.node, 2, "need", need_body("Dari versi baru"), v=99),
    ]
    await append_raw(a.node, guest, newer)
    for node, source in ((b, a), (c, b)):
        await node.add_peer(source.url)
        await node.pull(source.url)
        assert (await node.node.check(guest.origin)).size == 3
        kept = await node.rows("select reason, type, v from unprojected order by index")
        assert kept == [("UNKNOWN_TYPE", "future-thing", 1), ("UNKNOWN_TYPE", "need", 99)]
        assert await node.rows(NEEDS) == []

    need = next(each for each in RECORDS if each.name == "need")
    others = [each for each in RECORDS if each.name != "need"]
    monkeypatch.setattr(
        "federation.projection.project.RECORDS", Registry([*others, dataclasses.replace(need, version=99)])
    )
    async with c.database.transaction() as connection:
        await make_known_types_due(connection, as_of=c.node.clock())
    async with c.database.transaction() as connection:
        await settle(connection, guest.origin, as_of=c.node.clock())
    assert [row[0] for row in await c.rows("select title_text -> 0 ->> 'text' from need")] == ["Dari versi baru"]


async def test_extreme_numbers_of_a_newer_program_stop_no_log(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await append_raw(a.node, guest, [hand_built(a.node, 1, "future-thing", {"x": 1}, v=2**53 - 1)])
    await b.add_peer(a.url)
    assert (await b.pull(a.url)).refused == {}
    assert (await b.node.check(guest.origin)).size == 2


async def settled(client: PeerClient) -> Heads:
    """Return all heads with a hint after which nothing has changed.

    A hint is held back by whatever writes on the same PostgreSQL, other tests' databases included.
    """
    async with asyncio.timeout(PATIENCE_S):
        while (await client.heads((everything := await client.heads()).since)).logs:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return everything


async def test_a_writer_in_another_database_makes_heads_say_more_and_never_less(
    make_node: MakeNode, new_database: Callable[[], Awaitable[str]]
) -> None:
    foreign = await connect(await new_database())
    writing = foreign.transaction()
    await writing.start()
    await foreign.execute("select pg_current_xact_id()")
    try:
        a = await make_node("a")
        guest = await a.node.participant("ojol", host="a.gotong.test")
        async with PeerClient(a.url, reach=TEST) as client:
            everything = await client.heads()
            assert {head.origin for head in (await client.heads(everything.since)).logs} >= {guest.origin}
            await a.node.publish_needs(guest.scid, "Beras")
            changed = await client.heads(everything.since)
            assert (guest.origin, 2) in [(head.origin, head.size) for head in changed.logs]
            await writing.rollback()
            assert len((await settled(client)).logs) == 2
    finally:
        await foreign.close()


async def test_heads_are_tiny_when_nothing_changed_and_a_strange_hint_gives_all(make_node: MakeNode) -> None:
    a = await make_node("a")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    async with PeerClient(a.url, reach=TEST) as client:
        everything = await settled(client)
        assert len(everything.logs) == 2
        await a.node.publish_needs(guest.scid, "Beras")
        changed = await client.heads(everything.since)
        assert [(head.origin, head.size) for head in changed.logs] == [(guest.origin, 2)]
        for strange in ("", "x", "x:1", everything.since[:-1] + "z", everything.since + "999999", "é" * 90):
            assert len((await client.heads(strange)).logs) == 2
        assert everything.at == a.node.clock()


async def test_the_static_files_make_a_tree_that_the_checkpoint_signs(make_node: MakeNode) -> None:
    a = await make_node("a")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await publish_many(a, guest.scid, 700)
    base = f"{a.url}/federation/v1/log/{guest.scid}/0"
    async with http_client() as http:
        note = parse_note((await http.get(f"{base}/checkpoint")).content)
        head = parse_checkpoint(note.text)
        leaves: list[bytes] = []
        for path in ("tile/entries/000", "tile/entries/001", f"tile/entries/002.p/{head.size - 512}"):
            answer = await http.get(f"{base}/{path}")
            assert "immutable" in answer.headers["cache-control"]
            leaves += [leaf_hash(data) for data in tiles.parse_bundle(tiles.parse_tile_path(path), answer.content)]
        assert Edge.EMPTY.appended(leaves).root() == head.root
        needed = tiles.consistency_tiles(300, head.size)
        held = {tile: (await http.get(f"{base}/{tiles.tile_path(tile)}")).content for tile in needed}
        proof = tiles.prove_consistency(300, head.size, held)
        verify_consistency(300, Edge.EMPTY.appended(leaves[:300]).root(), head.size, head.root, proof)

        payloads = (await http.get(f"{base}/payloads?from=0&n=2")).content
        bundle = tiles.parse_bundle(TileId(ENTRIES, 0), (await http.get(f"{base}/tile/entries/000")).content)
        length = int.from_bytes(payloads[4:8], "big")
        assert payloads[:4] == bytes(4)  # the genesis has no body
        assert len(payloads) == 8 + length
        assert sha256(payloads[8:]).digest() == parse_entry(bundle[1]).body

        did = (await http.get(f"{a.url}/o/ojol/did.jsonl")).content
        assert did == (await http.get(f"{a.url}/federation/v1/did/{guest.scid}/did.jsonl")).content
        for path, status, code in (
            (f"{base}/tile/0/003", 404, "TILE_MISSING"),
            (f"{base}/tile/0/002", 404, "TILE_MISSING"),
            (f"{base}/tile/0/2", 404, "TILE_PATH_MALFORMED"),
            (f"{base}/payloads?from=9999&n=1", 416, "PAYLOADS_RANGE_INVALID"),
            (f"{base}/payloads?from=0&n=x", 422, "NUMBER_MALFORMED"),
            (f"{a.url}/federation/v1/log/nobody/0/checkpoint", 404, "ORIGIN_MALFORMED"),
            (f"{a.url}/federation/v1/log/{guest.scid}/1/checkpoint", 404, "LOG_NOT_HELD"),
            (f"{a.url}/o/nobody/did.jsonl", 404, "LOG_NOT_HELD"),
            (f"{a.url}/federation/v1/did/{guest.scid}/did-witness.json", 404, "LOG_NOT_HELD"),
        ):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (status, code), path


async def test_a_pull_request_that_makes_no_sense_is_told_so(make_node: MakeNode) -> None:
    a = await make_node("a")
    url = f"{a.url}/federation/v1/pull"
    twice = {"origin": a.node.operator.origin}
    async with http_client() as http:
        for body in (b"", b"{", b"[]", b'{"logs":[]}', b'{"logs":[{"origin":"x"}]}', b'{"logs":[{"origin":7}]}'):
            answer = await http.post(url, content=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "PULL_MALFORMED"), body
        answer = await http.post(url, json={"logs": [twice, twice]})
        assert answer.json()["code"] == "PULL_MALFORMED"
        answer = await http.post(url, content=b" " * 300_000)
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


async def test_a_new_did_line_travels_without_new_entries(make_node: MakeNode) -> None:
    from federation.did import webvh as did
    from federation.identity import cards
    from federation.identity.create import Place, public_key, update
    from store import participants
    from tests.nodes import seed_of

    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    await b.pull(a.url)
    async with a.database.transaction() as connection:
        lines = await participants.did_lines(connection, guest.participant_id)
        state = did.verify(lines, now=a.node.clock())
        line = update(
            state,
            update_key=cards.update_key(seed_of("ojol"), 1),
            next_public_key=public_key(cards.update_key(seed_of("ojol"), 2)),
            now=a.node.clock.advance(hours=1),
            place=Place("baru.gotong.test", None, "ojol"),
        )
        await identities.extend(connection, guest.participant_id, did.extend(state, [line], now=a.node.clock()), [line])
    assert (await b.pull(a.url)).refused == {}
    row = await b.rows("select host, did_version from participant where scid = $1", guest.scid)
    assert row == [("baru.gotong.test", 2)]
    await a.node.publish_needs(guest.scid, "Beras")
    assert (await b.pull(a.url)).records == 1


async def test_a_page_is_cut_by_bytes_and_still_ends_with_a_proof(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await make_node("a"), await make_node("b")
    guests = [await a.node.participant(f"warga-{number}", host="a.gotong.test") for number in range(4)]
    for guest in guests:
        await publish_many(a, guest.scid, 30)
    monkeypatch.setattr(serve, "PAGE_BYTES_MAX", 4_000)
    monkeypatch.setattr(serve, "IDENTITIES_PER_PAGE", 2)
    await b.add_peer(a.url)
    done = await b.pull(a.url)
    assert (done.refused, done.records) == ({}, 120)
    for guest in guests:
        assert (await b.node.check(guest.origin)).signed_size == 31
