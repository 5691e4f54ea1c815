"""A poller that keeps one cursor sees every event once, in order, and nothing that is hidden."""

from typing import Any

import orjson
import pytest

from schema.compile import events, stream
from schema.context import Caller
from schema.engine import Engine, Request
from schema.root import SCHEMA
from store.database import Database
from tests.schema.test_oracle import peopled
from tests.schema.world import World, scid, uuid

PAGE = """
query ($f: ChangeFilter, $after: String, $n: Int) {
  changes(filter: $f, after: $after, first: $n) {
    nodes { cursor kind at record { __typename id publisher { id } ... on Need { title } ... on Update { text } } }
    edges { cursor node { cursor } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
NUMBERED = """
insert into event (seq, kind, type, publisher_id, record_id, revision)
select row_number() over (order by md5(record_id::text || publisher_id)) + (select coalesce(max(seq), 0) from event),
       case when record_id::text > '018bcfe5-6880' then 'REVISED' else 'PUBLISHED' end,
       type, publisher_id, record_id, revision
from (
    select 'need' as type, publisher_id, record_id, revision from need
    union all select 'activity', publisher_id, record_id, revision from activity
    union all select 'update', publisher_id, record_id, revision from update_post
    union all select 'organization', publisher_id, record_id, revision from organization
) every where $1::int is null or publisher_id = $1
"""
SHOWN = """
select ev.seq, ev.kind, ev.type, ev.record_id, p.scid, r.exercise, r.region_path
from event ev join participant p on p.id = ev.publisher_id and p.trust = 'allowed' join (
    select publisher_id, record_id, exercise, region_path from need
    union all select publisher_id, record_id, exercise, region_path from activity
    union all select u.publisher_id, u.record_id, u.exercise, o.region_path
              from update_post u join organization o using (publisher_id)
    union all select publisher_id, record_id, exercise, region_path from organization
) r using (publisher_id, record_id) order by ev.seq
"""


async def numbered(database: Database, publisher: int | None = None) -> None:
    async with database.acquire() as connection:
        await connection.execute("insert into node_state (network) values ('test') on conflict do nothing")
        await connection.execute(NUMBERED, publisher)


async def shown(database: Database) -> list[Any]:
    async with database.acquire() as connection:
        return [dict(row) for row in await connection.fetch(SHOWN)]


async def page(engine: Engine, **variables: Any) -> Any:
    answer = await engine.ask(PAGE, variables)
    assert answer.errors == []
    assert answer.data is not None
    return orjson.loads(answer.data)["changes"]


async def polled(engine: Engine, size: int, **variables: Any) -> tuple[list[Any], str]:
    """Return all events from page to page, and the last cursor."""
    found: list[Any] = []
    while True:
        answer = await page(engine, n=size, **variables)
        assert [edge["cursor"] for edge in answer["edges"]] == [node["cursor"] for node in answer["nodes"]]
        assert [edge["node"]["cursor"] for edge in answer["edges"]] == [node["cursor"] for node in answer["nodes"]]
        found += answer["nodes"]
        variables["after"] = answer["pageInfo"]["endCursor"]
        if not answer["pageInfo"]["hasNextPage"]:
            return found, variables["after"]


def seqs(found: list[Any]) -> list[int]:
    return [stream.parse(event["cursor"])[1] for event in found]


FILTERS: list[tuple[dict[str, Any], Any]] = [
    ({}, lambda row: not row["exercise"]),
    ({"exercise": True}, lambda row: row["exercise"]),
    ({"types": ["UPDATE", "NEED"]}, lambda row: not row["exercise"] and row["type"] in ("update", "need")),
    ({"types": []}, lambda _: False),
    ({"kinds": ["REVISED"]}, lambda row: not row["exercise"] and row["kind"] == "REVISED"),
    ({"publishers": [f"gotong:{scid(2)}"]}, lambda row: not row["exercise"] and row["scid"] == scid(2)),
    ({"region": "36"}, lambda row: not row["exercise"] and "36" in row["region_path"]),
]


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(("f", "fits"), FILTERS, ids=[str(f) for f, _ in FILTERS])
async def test_a_poller_meets_every_event_that_fits_once_and_in_order(
    engine: Engine, world: World, database: Database, f: dict[str, Any], fits: Any, size: int
) -> None:
    await peopled(world)
    await numbered(database)
    found, _ = await polled(engine, size, f=f)
    expected = [row for row in await shown(database) if fits(row)]
    assert seqs(found) == [row["seq"] for row in expected]
    assert [event["kind"] for event in found] == [row["kind"] for row in expected]
    assert [event["record"]["__typename"].lower() for event in found] == [row["type"] for row in expected]
    assert [event["record"]["publisher"]["id"] for event in found] == [f"gotong:{row['scid']}" for row in expected]


async def test_a_short_scan_loses_nothing(
    engine: Engine, world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peopled(world)
    await numbered(database)
    monkeypatch.setattr("schema.compile.changes.EVENTS_SCANNED_MAX", 3)
    found, _ = await polled(engine, 100, f={"types": ["ACTIVITY"]})
    expected = [row["seq"] for row in await shown(database) if row["type"] == "activity"]
    assert seqs(found) == expected
    assert events.EVENTS_SCANNED_MAX > 3


async def test_a_cursor_passes_what_does_not_fit_and_meets_what_comes_later(
    engine: Engine, world: World, database: Database
) -> None:
    first = await world.participant(1)
    await numbered(database)
    _, cursor = await polled(engine, 10, f={"types": ["NEED"]})
    assert stream.parse(cursor)[1] == 1  # the organization's event, which does not fit
    again = await page(engine, after=cursor)
    assert again["nodes"] == []
    assert again["pageInfo"]["endCursor"] == cursor
    await world.need(first, number=10)
    await numbered(database)
    found, _ = await polled(engine, 10, f={"types": ["NEED"]}, after=cursor)
    assert [event["record"]["id"] for event in found] == [f"gotong:{scid(1)}/need/{uuid(10)}"]


async def test_what_is_hidden_moves_no_cursor(engine: Engine, world: World, database: Database) -> None:
    await peopled(world)
    await numbered(database)
    before = (await engine.ask(PAGE, {"n": 100})).json()
    stranger = await world.participant(9, trust="quarantined")
    await world.need(stranger, number=900)
    await numbered(database, stranger)
    assert (await engine.ask(PAGE, {"n": 100})).json() == before


async def test_what_becomes_of_a_suppressed_record_moves_no_cursor(
    engine: Engine, world: World, database: Database
) -> None:
    await peopled(world)
    await numbered(database)
    await world.suppress("need", 100)
    before = (await engine.ask(PAGE, {"n": 100})).json()
    revised = "insert into event select max(seq) + 1, $1, 'need', $2, $3, 1, now() from event"
    async with database.acquire() as connection:
        publisher = await connection.fetchval("select publisher_id from need where record_id = $1", uuid(100))
        await connection.execute(revised, "REVISED", publisher, uuid(100))
        assert (await engine.ask(PAGE, {"n": 100})).json() == before
        await connection.execute(revised, "SUPPRESSED", publisher, uuid(100))
    told = (await engine.ask(PAGE, {"n": 100})).json()
    assert told != before  # that it is hidden is told, so that copies are dropped


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('after: "x"', "CURSOR_INVALID"),
        ('after: "eCAx"', "STREAM_CHANGED"),
        ('after: "eCAtMQ"', "CURSOR_INVALID"),
        ('after: "eCA5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"', "CURSOR_INVALID"),
        ("first: 0", "PAGE_SIZE_OUT_OF_RANGE"),
        ("first: 101", "PAGE_SIZE_OUT_OF_RANGE"),
        ('filter: {region: "99"}', "REGION_UNKNOWN"),
        ('filter: {publishers: ["x"]}', "ID_MALFORMED"),
    ],
)
async def test_a_wrong_argument_of_a_poller_is_told(
    engine: Engine, database: Database, arguments: str, code: str
) -> None:
    await numbered(database)
    answer = await engine.ask(f"{{ x: changes({arguments}) {{ nodes {{ cursor }} }} }}")
    assert [(error["path"], error["extensions"]["code"]) for error in answer.errors] == [(["x"], code)]


async def test_after_a_restore_the_cursor_says_so(engine: Engine, world: World, database: Database) -> None:
    await world.participant(1)
    await numbered(database)
    _, cursor = await polled(engine, 10)
    async with database.acquire() as connection:
        await connection.execute("update node_state set stream_id = gen_random_uuid()")
    answer = await engine.ask(PAGE, {"after": cursor})
    assert answer.errors[0]["extensions"]["code"] == "STREAM_CHANGED"


async def test_a_cursor_beyond_the_last_event_is_none(engine: Engine, world: World, database: Database) -> None:
    await world.participant(1)
    await numbered(database)
    _, cursor = await polled(engine, 10)
    answer = await engine.ask(PAGE, {"after": stream.encode(stream.parse(cursor)[0], 99)})
    assert answer.errors[0]["extensions"]["code"] == "CURSOR_INVALID"


def test_who_follows_shares_an_answer_with_those_alone_who_asked_the_same_words() -> None:
    """Also when the document is forgotten and another one is made in its place in memory."""
    engine = Engine(SCHEMA, None)  # type: ignore[arg-type]

    def key(query: str, **variables: object) -> tuple[object, ...]:
        plan, _ = engine.follow(engine.operation(Request(query, variables)), Caller())
        engine.compiler._documents.clear()
        return plan.key

    asked = "subscription ($after: String) { needPublished(after: $after) { need { %s } } }"
    assert key(asked % "id", after=None) == key(asked % "id", after="MDAwIDE")
    assert len({key(asked % field) for field in ("id", "title", "urgency") for _ in range(20)}) == 3
