"""A new epoch needs no log that nobody contradicts, but an identity of which nothing newer can be lost here."""

from pathlib import Path
from typing import Any

import pytest

from federation.identity.writing import writable_head
from federation.lifecycle.custody import renew_kit
from federation.peers.exchange import Exchange
from federation.publish.guard import Guard, PublicationWaits
from tests.nodes import seed_of
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.test_forks import HEAD, roll_back
from tests.sync.test_guard import begun, ended, publishes

__all__ = ["ended"]  # a fixture: what a test begins ends with it


async def test_what_a_thief_signed_stops_a_log_and_not_its_identity(make_node: MakeNode, tmp_path: Path) -> None:
    a, b = await make_node("a"), await make_node("b")
    await a.node.publish_needs(a.node.operator.scid, "Beras")
    [before] = await a.rows(HEAD, a.node.operator.origin)
    await a.node.publish_needs(a.node.operator.scid, "Kirim uang")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await roll_back(a, a.node.operator.origin, before)
    await a.add_peer(b.url)
    await b.value("update payload set data = '{}'")  # it cannot be taken back
    await a.pull(b.url)
    process = await begun(a, tmp_path)
    assert not await knows_identity(a, process)
    await a.pull(b.url)
    assert await knows_identity(a, process)
    assert not await publishes(a)


async def test_a_peer_that_names_more_of_an_identity_than_comes_from_it_confirms_nothing(
    make_node: MakeNode, tmp_path: Path
) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    await a.add_peer(b.url)
    await roll_back_identity(a, b)
    lines = await b.rows("select version, line from did_line")
    await b.value("update did_line set line = '{}' where version = 2")
    process = await begun(a, tmp_path)
    assert not await knows_identity(a, process)
    await a.pull(b.url)
    assert not await knows_identity(a, process)
    for version, line in lines:
        await b.value("update did_line set line = $2 where version = $1 and line = '{}'", version, line)
    a.node.clock.advance(hours=1)
    await a.pull(b.url)
    assert await a.value("select did_version from participant where hosted") == 2
    assert await knows_identity(a, process)


async def test_an_identity_that_may_be_older_is_confirmed_when_the_exchange_is_over(
    make_node: MakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is asked has said what it has before it hands it out; somebody else may look at the database meanwhile."""
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    [before] = await a.rows(HEAD, guest.origin)
    await a.node.publish_needs(guest.scid, "Beras")
    await b.add_peer(a.url)
    await a.add_peer(b.url)
    await roll_back_identity(a, b)
    await roll_back(a, guest.origin, before)
    process = await begun(a, tmp_path)
    assert not await knows_identity(a, process)
    knew: list[bool] = []
    heal = Exchange._heal

    async def looked_at(self: Exchange, *given: Any) -> None:
        await heal(self, *given)
        knew.append(await knows_identity(a, process))

    monkeypatch.setattr(Exchange, "_heal", looked_at)
    assert (await a.pull(b.url)).healed == [guest.origin]
    assert knew == [False]
    assert await knows_identity(a, process)


async def roll_back_identity(node: SyncNode, reader: SyncNode) -> None:
    """Put the operator's identity back to before new cards were made, of which a reader has heard."""
    person, scid = "select did_version, did_hash from participant where scid = $1", node.node.operator.scid
    [(version, hash_)] = await node.rows(person, scid)
    seed, new_seed = seed_of("a.gotong.test"), seed_of("kartu baru")
    now = node.node.clock.advance(minutes=1)
    await renew_kit(node.database, node.node.keys, scid, seed, new_seed=new_seed, now=now)
    await reader.pull(node.url)
    assert (await reader.rows(person, scid))[0][0] == version + 1
    await node.value(
        "delete from did_line using participant p where p.id = participant_id and scid = $1 and version > $2",
        scid,
        version,
    )
    await node.value("update participant set did_version = $2, did_hash = $3 where scid = $1", scid, version, hash_)


async def knows_identity(node: SyncNode, process: Guard) -> bool:
    async with node.database.transaction() as connection:
        log = await writable_head(connection, node.node.operator.scid, frozen_too=True)
        try:
            await process.check_identity(connection, log)
        except PublicationWaits:
            return False
    return True
