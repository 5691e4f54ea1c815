"""Who follows or polls is told how much is hidden, and can find out by no filter what the hidden says."""

from typing import Any

import orjson
import pytest

from schema.context import Caller
from schema.engine import Engine, Request
from store.database import Database
from tests.schema.test_changes import FILTERS, numbered
from tests.schema.test_oracle import peopled, suppressed
from tests.schema.world import World, scid, uuid

PAGE = """
query ($f: ChangeFilter) {
  changes(filter: $f, first: 100) {
    hiddenByTrust { count critical }
    nodes { hiddenByTrust { __typename count critical } }
  }
}
"""
NEEDS = "subscription ($f: NeedFilter) { needChanged(filter: $f) { kind hiddenByTrust { count critical } } }"
HIDDEN = """
select ev.type, p.scid, r.exercise, r.region_path, r.critical from (
    select 'need' as type, publisher_id, record_id, exercise, region_path, urgency = 3 as critical from need
    union all select 'activity', publisher_id, record_id, exercise, region_path, false from activity
    union all select 'update', u.publisher_id, u.record_id, u.exercise, o.region_path, false
              from update_post u left join organization o using (publisher_id)
    union all select 'organization', publisher_id, record_id, exercise, region_path, false from organization
) r join lateral (select r.type) ev on true join participant p on p.id = r.publisher_id
where p.trust <> 'allowed' or exists (
    select from suppression s
    where (s.publisher_id, s.type, s.record_id) = (r.publisher_id, r.type, r.record_id)
)
"""


async def hidden(database: Database) -> list[Any]:
    async with database.acquire() as connection:
        return [dict(row) for row in await connection.fetch(HIDDEN)]


async def followed(engine: Engine, database: Database, query: str, **variables: Any) -> list[Any]:
    """Return the events a follower of all there ever was would get."""
    plan, asking = engine.follow(engine.operation(Request(query, variables)), Caller())
    async with database.acquire() as connection:
        stream_id = str(await connection.fetchval("select stream_id from node_state"))
    events, _ = await plan.read(asking, stream_id, 0, 100_000)
    return [next(iter(orjson.loads(event.data).values())) for event in events]


# Of kinds of events a count of records knows nothing.
ABOUT_RECORDS = [(f, fits) for f, fits in FILTERS if "kinds" not in f]


@pytest.mark.parametrize(("f", "fits"), ABOUT_RECORDS, ids=[str(f) for f, _ in ABOUT_RECORDS])
async def test_a_poller_is_told_how_many_records_its_copy_lacks(
    engine: Engine, world: World, database: Database, f: dict[str, Any], fits: Any
) -> None:
    await peopled(world)
    await suppressed(world)
    await numbered(database)
    unseen = [row for row in await hidden(database) if fits(row)]
    expected = {"count": len(unseen), "critical": sum(row["critical"] for row in unseen)}
    answer = await engine.ask(PAGE, {"f": f})
    assert answer.errors == []
    assert answer.data is not None
    page = orjson.loads(answer.data)["changes"]
    assert page["hiddenByTrust"] == expected
    assert [each["hiddenByTrust"] for each in page["nodes"]] == [
        {"__typename": "HiddenByTrust", **expected} for _ in page["nodes"]
    ]


async def test_kinds_of_events_do_not_narrow_what_is_hidden(engine: Engine, world: World, database: Database) -> None:
    await peopled(world)
    await numbered(database)
    asked = "query ($f: ChangeFilter) { changes(filter: $f) { hiddenByTrust { count } } }"
    counts = {(await engine.ask(asked, {"f": f})).json() for f in ({}, {"kinds": ["REVISED"]}, {"kinds": ["ERASED"]})}
    assert len(counts) == 1


@pytest.mark.parametrize("trust", ["quarantined", "allowed"])
async def test_followers_cannot_find_out_what_a_hidden_record_says(
    engine: Engine, world: World, database: Database, trust: str
) -> None:
    seen, unseen = await world.participant(1), await world.participant(2, trust=trust)
    said: dict[str, Any] = {
        "title": [{"lang": "id", "text": "Jalan Melati 7"}],
        "externalIds": [{"scheme": "nik", "value": "3203"}],
    }
    await world.need(unseen, number=11, urgency="CRITICAL", **said)
    if trust == "allowed":
        await world.suppress("need", 11)
    for number, title in enumerate(("melati", "mawar")):
        await world.need(seen, number=20 + number, title=[{"lang": "id", "text": title}])
    await numbered(database)
    async with database.acquire() as connection:
        await connection.execute("update event set kind = 'REVISED'")
    told = set()
    for probe in (
        *({"text": words} for words in ("melati", "mawar", "mel", "jalan or mawar")),
        *({"externalId": {"scheme": "nik", "value": value}} for value in ("3203", "3204")),
        *({"near": {"lat": -6.75, "lon": lon, "radiusKm": 1}} for lon in (107, 108)),
        {},
    ):
        told |= {orjson.dumps(event["hiddenByTrust"]) for event in await followed(engine, database, NEEDS, f=probe)}
    assert told == {b'{"count":1,"critical":1}'}


async def test_a_follower_of_some_sorts_of_needs_is_told_of_those_that_are_gone(
    engine: Engine, world: World, database: Database
) -> None:
    """What sort it was nobody knows any more: `kinds` of needs are not those of events."""
    publisher = await world.participant(1)
    await world.need(publisher, number=10)
    await numbered(database)
    async with database.acquire() as connection:
        await connection.execute("update event set kind = 'ERASED' where record_id = $1", uuid(10))
        await connection.execute("delete from need where record_id = $1", uuid(10))
    for f in ({"kinds": ["GOODS"]}, {"kinds": ["MONEY"]}, {"publishers": [f"gotong:{scid(1)}"]}, {}):
        assert [event["kind"] for event in await followed(engine, database, NEEDS, f=f)] == ["ERASED"]
    assert await followed(engine, database, NEEDS, f={"publishers": [f"gotong:{scid(2)}"]}) == []


async def test_nobody_pays_for_a_count_that_is_not_asked_for(engine: Engine) -> None:
    plan, _ = engine.follow(engine.operation(Request("subscription { needPublished { cursor } }", {})), Caller())
    asked, _ = engine.follow(engine.operation(Request(NEEDS, {})), Caller())
    assert "trust <> 'allowed'" not in plan.sql
    assert "trust <> 'allowed'" in asked.sql
