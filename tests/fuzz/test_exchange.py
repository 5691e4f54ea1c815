"""Whole exchanges with a peer whose every answer is spoilt at random: nothing but what was signed is ever held."""

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from domain.errors import GotongError
from federation.log.names import origin
from federation.moderation.trust import add_peer
from tests.clock import START
from tests.fuzz.mutations import INTERESTING
from tests.nodes import need_draft
from tests.sim.liars import LIES
from tests.sim.machine import Machine, WorldTime
from tests.sim.network import Network

ROUNDS = 250
SEED = 20_261_122
HELD = "select origin, index, leaf_hash from entry join log on log.id = log_id order by 1, 2"
SHOWN = "select title_text::text from need"


def spoil(body: bytes, chance: random.Random) -> bytes:
    """Return a body with a few edits anywhere, or with a frame out of place."""
    if not body:
        return body
    if chance.random() < 0.4:
        try:
            return LIES[chance.choice(sorted(LIES))](body, chance)
        except GotongError:
            return body
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(body) + 1)
        stop = min(len(body), start + chance.choice((0, 1, 4, 64, 1024)))
        put = chance.choice((chance.choice(INTERESTING), body[start:stop] * 2, b"", chance.randbytes(4)))
        body = body[:start] + put + body[stop:]
    return body


async def test_only_what_was_signed_is_held_whatever_a_peer_sends(
    new_database: Callable[[], Awaitable[str]], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    network, time = Network(chance), WorldTime(START)
    honest = Machine("jujur", await new_database(), tmp_path / "jujur", time, network, {})
    puller = Machine("b", await new_database(), tmp_path / "b", time, network, {})
    await honest.boot()
    _, guest = await honest.found(["ojol"])
    await puller.boot()
    own = {origin(each.scid, 0) for each in await puller.found(["ojol"])}
    await add_peer(puller.running.database, honest.url, trust="allowed", actor="test")

    def spoilt(_request: httpx.Request, body: bytes) -> bytes:
        return spoil(body, chance) if chance.random() < 0.7 else body

    codes: set[str] = set()
    network.tampers[honest.host] = spoilt
    for number in range(ROUNDS):
        await honest.running.appender.append(guest.scid, [need_draft(f"Beras {number}")])
        try:
            done = await puller.running.syncer.once(honest.url)
            codes |= set(done.refused.values())
        except GotongError as error:
            codes.add(error.code)
    assert len(codes) >= 5, sorted(codes)  # usually 10 to 12 rules; which of them, keys and salts decide
    assert "ENTRIES_NOT_STORED" not in codes
    signed, held = await _rows(honest, HELD), await _rows(puller, HELD)
    assert {row for row in held if row[0] not in own} <= set(signed)

    network.tampers.clear()
    done = await puller.running.syncer.once(honest.url)
    assert done.refused == {}
    assert {row for row in await _rows(puller, HELD) if row[0] not in own} == set(signed)
    assert sorted(await _rows(puller, SHOWN)) == sorted(await _rows(honest, SHOWN))
    for machine in (honest, puller):
        await machine.stop()


async def _rows(machine: Machine, query: str) -> list[tuple[object, ...]]:
    async with machine.running.database.acquire() as connection:
        return [tuple(row.values()) for row in await connection.fetch(query)]
