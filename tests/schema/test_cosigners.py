"""Who has cosigned the head that proves a record now: named as organizations, when they are shown here."""

from typing import Any

import pytest

from schema.context import Caller
from schema.engine import Engine
from store.cosignatures import SERVED_MAX
from store.database import Database
from tests.schema.test_moderation import asked
from tests.schema.test_statements import counting
from tests.schema.world import World, scid

ASK = "{ needs { nodes { provenance { cosigners { id name needs(first: 1) { nodes { id } } } } } } }"


@pytest.fixture
async def signer(world: World) -> int:
    """A participant whose one need is entry 10 of a log signed at 12 entries."""
    signer = await world.participant(1)
    await world.need(signer, number=10)
    await world.sign(signer, 12)
    return signer


async def names(engine: Engine) -> list[str]:
    [need] = (await asked(engine, ASK, Caller()))["needs"]["nodes"]
    return [each["id"] for each in need["provenance"]["cosigners"]]


async def test_cosigners_are_those_of_other_hosts_on_the_very_head_newest_first(
    engine: Engine, world: World, signer: int
) -> None:
    before = await world.participant(2, host="b.test")
    later = await world.participant(3, host="c.test")
    guest = await world.participant(4)  # at home where the log is at home
    earlier_head = await world.participant(5, host="d.test")
    await world.cosign(signer, before, 12, at_s=1_000)
    await world.cosign(signer, later, 12, at_s=2_000)
    await world.cosign(signer, guest, 12, at_s=3_000)
    await world.cosign(signer, earlier_head, 11, at_s=4_000)
    assert await names(engine) == [f"gotong:{scid(3)}", f"gotong:{scid(2)}"]
    await world.sign(signer, 11)  # another head, other cosigners
    assert await names(engine) == [f"gotong:{scid(5)}"]
    await world.sign(signer, 10)  # which does not hold the entry
    assert await names(engine) == []


async def test_a_cosigner_that_may_not_be_seen_is_not_named(
    engine: Engine, world: World, signer: int, database: Database
) -> None:
    cosigner = await world.participant(2, host="b.test", trust="quarantined")
    await world.cosign(signer, cosigner, 12)
    assert await names(engine) == []
    async with database.acquire() as connection:
        await connection.execute("update participant set trust = 'allowed' where id = $1", cosigner)
    assert await names(engine) == [f"gotong:{scid(2)}"]


async def test_cosigners_are_bounded_and_come_with_the_one_statement_of_their_page(
    engine: Engine, world: World, signer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2, SERVED_MAX + 4):
        cosigner = await world.participant(number, host=f"h{number}.test")
        await world.cosign(signer, cosigner, 12, at_s=number)
    for number in range(7):
        await world.need(signer, number=number + 2)
    statements = counting(monkeypatch)
    page: dict[str, Any] = (await asked(engine, ASK, Caller()))["needs"]
    assert {len(need["provenance"]["cosigners"]) for need in page["nodes"]} == {SERVED_MAX}
    assert len(statements) == 1
    statements.clear()
    await asked(engine, ASK.replace("cosigners { id name needs(first: 1) { nodes { id } } }", "asOf"), Caller())
    assert "c_t" not in statements[0]  # who does not ask pays for nothing
