"""Who may be seen follows the operator's word, whichever of both comes first and whoever writes the rows."""

from typing import Any

import orjson
import pytest

from schema.engine import Engine
from store import participants
from store.database import Database
from tests.schema.world import World, introduced_meanwhile, scid


async def _titles(engine: Engine) -> bytes | None:
    return (await engine.ask("{ needs { nodes { title publisher { id name } } } }")).data


@pytest.fixture
async def publisher(world: World) -> int:
    """A quarantined participant with a need."""
    publisher = await world.participant(1, trust="quarantined")
    await world.need(publisher, title=[{"lang": "id", "text": 'Buku "baru"'}])
    return publisher


async def test_what_is_shown_follows_every_change_of_trust(engine: Engine, database: Database, publisher: int) -> None:
    shown = b'{"needs":{"nodes":[{"title":"Buku \\"baru\\"","publisher":{"id":"gotong:%b","name":"Baca Yuk!"}}]}}'
    for trust, data in (
        ("quarantined", b'{"needs":{"nodes":[]}}'),
        ("allowed", shown % scid(1).encode()),
        ("blocked", b'{"needs":{"nodes":[]}}'),
        ("allowed", shown % scid(1).encode()),
    ):
        async with database.transaction() as connection:
            await participants.set_trust(connection, [publisher], trust, set_by="operator", tables={})
        assert await _titles(engine) == data


async def test_trust_that_is_not_committed_shows_nothing(engine: Engine, database: Database, publisher: int) -> None:
    async with database.acquire() as connection:
        change = connection.transaction()
        await change.start()
        await participants.set_trust(connection, [publisher], "allowed", set_by="operator", tables={})
        assert await _titles(engine) == b'{"needs":{"nodes":[]}}'
        await change.rollback()
    assert await _titles(engine) == b'{"needs":{"nodes":[]}}'


async def test_an_introduction_that_arrives_while_trust_changes_is_not_lost(
    engine: Engine, database: Database, publisher: int
) -> None:
    async with database.acquire() as connection:
        await connection.execute("create table kept as select * from organization; delete from organization")
        change = connection.transaction()
        await change.start()
        await participants.set_trust(connection, [publisher], "allowed", set_by="operator", tables={})
        await introduced_meanwhile(database, connection, change)
    assert scid(1).encode() in (await _titles(engine) or b"")


UNVERIFIED = """
query ($f: NeedFilter) {
  needs(filter: $f) { nodes { title unverified publisher { name } } totalCount hiddenByTrust { count critical } }
  needStats(filter: $f, groupBy: [URGENCY]) { urgency count }
}
"""


async def test_critical_needs_in_quarantine_can_be_asked_for_and_say_so(
    engine: Engine, database: Database, world: World, publisher: int
) -> None:
    await world.need(publisher, title=[{"lang": "id", "text": "Perahu"}], urgency="CRITICAL")
    blocked = await world.participant(2, trust="blocked")
    await world.need(blocked, title=[{"lang": "id", "text": "Penipu"}], urgency="CRITICAL")
    seen = await world.participant(3)
    await world.need(seen, title=[{"lang": "id", "text": "Beras"}])

    async def ask(**given: bool) -> dict[str, Any]:
        data: dict[str, Any] = orjson.loads((await engine.ask(UNVERIFIED, {"f": given})).data or b"")
        return data

    usual = await ask()
    assert [each["title"] for each in usual["needs"]["nodes"]] == ["Beras"]
    assert usual["needs"]["hiddenByTrust"] == {"count": 3, "critical": 2}

    asked = await ask(unverifiedCritical=True)
    assert sorted((each["title"], each["unverified"]) for each in asked["needs"]["nodes"]) == [
        ("Beras", False),
        ("Perahu", True),
    ]
    assert asked["needs"]["totalCount"] == 2
    assert asked["needs"]["hiddenByTrust"] == {"count": 2, "critical": 1}
    assert {each["urgency"]: each["count"] for each in asked["needStats"]}["CRITICAL"] == 1


async def test_a_successor_that_may_not_be_seen_is_not_named(engine: Engine, world: World, database: Database) -> None:
    old, heir = await world.participant(1), await world.participant(2)
    async with database.acquire() as connection:
        await connection.execute(
            "insert into succession (predecessor_id, successor_id, accepted_by) values ($1, $2, 'uji')", old, heir
        )
    question = f'{{ organization(id: "gotong:{scid(1)}") {{ succeededBy }} }}'
    named = b'{"organization":{"succeededBy":"gotong:%b"}}' % scid(2).encode()
    for trust, data in (("allowed", named), ("blocked", b'{"organization":{"succeededBy":null}}')):
        async with database.transaction() as connection:
            await participants.set_trust(connection, [heir], trust, set_by="operator", tables={})
        assert (await engine.ask(question)).data == data
