"""What is held of an identity stays held: whatever is remembered of it, whoever sends which of its lines."""

import json
from dataclasses import replace

import pytest

from federation.identity import states
from federation.identity.states import DidStates
from federation.lifecycle.custody import rotate
from federation.lifecycle.introduce import take_lines
from federation.sync import serve
from federation.sync.frames import Decoder, DidLine, End, Log
from federation.sync.messages import Pull, Wanted
from store import held as held_
from tests.nodes import need_body, seed_of
from tests.sync.conftest import MakeNode, Scene
from tests.sync.liar import lines, of_log
from tests.sync.raw import append_raw, hand_built

FIRST_LINE = """
    select line from did_line join participant on participant.id = participant_id where scid = $1 and version = 1
"""
LINES = """
    select line from did_line join participant on participant.id = participant_id where scid = $1 order by version
"""
HELD = "select did_version, size from participant join log on log.participant_id = participant.id where scid = $1"


async def test_logs_grow_although_their_identities_were_forgotten(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "STATES_CACHED_MAX", 1)
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    guests = [await a.node.participant(f"warga-{number}", host="a.gotong.test") for number in range(4)]
    for title in ("Beras", "Selimut"):
        for guest in guests:
            await a.node.publish_needs(guest.scid, title)
        done = await b.pull(a.url)
        assert (done.refused, done.records) == ({}, len(guests))


async def test_large_identities_are_remembered_as_far_as_there_is_room_for_them(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await make_node("a")
    guests = [await a.node.participant(f"warga-{number}", host="a.gotong.test") for number in range(4)]
    named = [(guest.scid, guest.origin) for guest in guests]
    async with a.database.acquire() as connection:
        held = list((await held_.held(connection, named)).values())
    one_bytes = max(len(line) for [line] in await a.rows("select line from did_line"))
    monkeypatch.setattr(states, "STATES_BYTES_MAX", 2 * one_bytes)
    for bytes_max in (1, 3 * one_bytes):
        monkeypatch.setattr(states, "READ_BYTES_MAX", bytes_max)
        remembered = DidStates()
        assert (await remembered.load(a.database, held)).keys() == {guest.scid for guest in guests}
        assert 0 < len(remembered._states) < len(guests)
        assert remembered._bytes <= 2 * one_bytes
        await (again := DidStates()).remember(a.database, held)
        assert 0 < len(again._states) < len(guests)
    unknown = replace(held[0], scid="nobody")
    assert (await DidStates().load(a.database, [unknown, *held])).keys() == {guest.scid for guest in guests}


async def test_an_identity_in_quarantine_counts_with_what_is_kept_of_its_participant(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url, trust="quarantined")
    await b.pull(a.url)
    [(counted, lines, rest)] = await b.rows(
        """
        select quarantined_bytes, (select sum(length(line)) from did_line where participant_id = participant.id),
               (select sum(length(data)) from entry where log_id = log.id)
                   + (select coalesce(sum(length(data)), 0) from payload where log_id = log.id)
        from log join participant on participant.id = participant_id where trust = 'quarantined'
        """
    )
    assert counted == lines + rest


async def test_an_identity_is_not_set_back_by_one_of_its_earlier_versions(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that was retired would sign again, and whoever has stolen it could write."""
    monkeypatch.setattr(states, "STATES_CACHED_MAX", 0)
    honest, guest = scene.honest, scene.guest
    first = DidLine(await honest.value(FIRST_LINE, guest.scid))
    assert (await scene.puller.pull(scene.url)).refused == {}
    now = honest.node.clock.advance(minutes=1)
    await rotate(honest.database, honest.node.keys, guest.scid, seed_of("ojol"), now=now)
    assert (await scene.puller.pull(scene.url)).refused == {}

    await append_raw(honest.node, guest, [hand_built(honest.node, 5, "need", need_body("Uang saja"))], key_number=0)
    scene.liar.frames = of_log(lambda frames: [frames[0], first, *frames[1:]])
    assert await scene.pull_code() == "DID_VERSION_OUT_OF_ORDER"
    assert await scene.puller.rows(HELD, guest.scid) == [(2, 5)]


async def test_another_layout_of_an_identity_keeps_nobody_from_its_next_lines(scene: Scene) -> None:
    honest, guest = scene.honest, scene.guest
    scene.liar.frames = lines(spelt_out)
    assert (await scene.puller.pull(scene.url)).refused == {}
    assert await scene.puller.value(FIRST_LINE, guest.scid) == await honest.value(FIRST_LINE, guest.scid)

    now = honest.node.clock.advance(minutes=1)
    await rotate(honest.database, honest.node.keys, guest.scid, seed_of("ojol"), now=now)
    whole = await honest.rows(LINES, guest.scid)
    body = b"\n".join([spelt_out(whole[0][0]).replace(b"\n", b" "), whole[1][0]])
    assert await take_lines(scene.puller.database, guest.scid, body, now=now) == 2
    assert await scene.puller.rows(LINES, guest.scid) == whole


async def test_an_answer_ends_where_identities_alone_reach_the_bytes_asked_for(make_node: MakeNode) -> None:
    a = await make_node("a")
    guests = [await a.node.participant(f"warga-{number}", host="a.gotong.test") for number in range(3)]
    asked = Pull([Wanted(guest.origin) for guest in guests], bytes_max=1)
    frames = Decoder().feed(b"".join([piece async for piece in serve.pull(a.database, asked)]))
    assert [frame.origin for frame in frames if isinstance(frame, Log)] == [guests[0].origin]
    assert frames[-1] == End()


def spelt_out(line: bytes) -> bytes:
    return json.dumps(json.loads(line), indent=2).encode()
