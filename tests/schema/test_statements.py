"""How often PostgreSQL is asked, and what quarantine changes: nothing but the count of what is hidden."""

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest

from schema.engine import Engine
from tests.schema.test_oracle import peopled
from tests.schema.world import NOW, World, scid, uuid

EVERYTHING = """
{
  needs(first: 50) {
    totalCount totalAtLeast pageInfo { hasNextPage endCursor }
    edges { cursor node {
      id title category { name } place { region { name } } provenance { log index proof cosigners { id name } }
      publisher { name needs(first: 3) { nodes { title updates { nodes { text about { id } } } } } }
      updates(first: 2) { totalCount nodes { text publisher { name } } }
    } }
  }
}
"""


def endless_statements(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Have no statement end by itself from here on; return what is set when one began, and when it was stopped."""
    started, stopped = asyncio.Event(), asyncio.Event()

    async def endless(*_: Any, **__: Any) -> Any:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    monkeypatch.setattr(asyncpg.Connection, "fetch", endless)
    return started, stopped


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    fetch = asyncpg.Connection.fetch

    async def counted(connection: Any, sql: str, *args: Any, **more: Any) -> Any:
        asked.append(sql)
        return await fetch(connection, sql, *args, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetch", counted)
    return asked


async def test_a_root_connection_is_one_statement_however_much_is_nested(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peopled(world)
    asked = counting(monkeypatch)
    answer = await engine.ask(EVERYTHING.replace("proof", ""))
    assert answer.errors == []
    assert len(asked) == 1


async def test_counts_do_not_mind_where_a_page_begins(engine: Engine, world: World) -> None:
    await peopled(world)
    first = await engine.ask("{ needs(first: 5) { totalCount pageInfo { endCursor } } }")
    assert first.data is not None
    page = orjson.loads(first.data)["needs"]
    query = "query ($c: String) { needs(after: $c, filter: {kinds: [GOODS, MONEY]}) { totalCount suggestions } }"
    answer = await engine.ask(query, {"c": page["pageInfo"]["endCursor"]})
    assert answer.errors == []
    assert answer.data == b'{"needs":{"totalCount":%d,"suggestions":[]}}' % page["totalCount"]


async def test_two_requests_of_one_shape_share_a_plan(engine: Engine, world: World) -> None:
    await world.participant(1)
    query = "query ($f: NeedFilter, $n: Int) { needs(filter: $f, first: $n) { nodes { id } } }"
    for word in ("beras", "buku", "air"):
        await engine.ask(query, {"f": {"text": word, "kinds": ["GOODS"]}, "n": 3})
    assert len(engine.compiler._plans) == 1
    await engine.ask(query, {"f": {"text": "beras"}, "n": 3})
    assert len(engine.compiler._plans) == 2


STRANGER = f"gotong:{scid(9)}"
QUESTIONS = [
    "{ needs(first: 100) { totalCount nodes { publisher { needs { totalCount } } updates { nodes { id } } } } }",
    f'{{ needs(filter: {{publishers: ["{STRANGER}"]}}) {{ totalCount nodes {{ id }} }} }}',
    f'{{ node(id: "{STRANGER}/need/{uuid(900)}") {{ id }} }}',
    f'{{ nodes(ids: ["{STRANGER}", "{STRANGER}/need/{uuid(900)}"]) {{ id }} }}',
    f'{{ _entities(representations: [{{__typename: "Need", id: "{STRANGER}/need/{uuid(900)}"}}, '
    f'{{__typename: "Organization", id: "{STRANGER}"}}]) {{ __typename }} }}',
    "{ organizations { totalCount nodes { id } } communities { nodes { id updates { totalCount } } } }",
    '{ organization(slug: "org-9") { id } }',
    "{ updates(first: 100) { nodes { id about { id } } } activities { totalCount } }",
    '{ needs(filter: {text: "rahasia"}) { nodes { id } } }',
    "{ thisNode { logs { origin } } }",
    "{ needStats(groupBy: [REGION_PROVINCE, CATEGORY, STATE]) { regionCode state count quantities { value unit } } }",
    "{ needStats(groupBy: []) { count } }",
    '{ needs(filter: {text: "rahasya"}) { suggestions totalCount } }',
    "{ needs(filter: {near: {lat: -6.75, lon: 107, radiusKm: 50}}) { totalCount nodes { id } } }",
    "{ organizations(orderBy: NAME) { nodes { id } pageInfo { endCursor } } }",
]


async def test_a_quarantined_publisher_changes_no_byte_of_any_answer(engine: Engine, world: World) -> None:
    await peopled(world)
    before = [(await engine.ask(question)).json() for question in QUESTIONS]
    stranger = await world.participant(9, trust="quarantined", name=[{"lang": "id", "text": "rahasia"}])
    await world.need(stranger, number=900, title=[{"lang": "id", "text": "rahasia"}], received=NOW, urgency="CRITICAL")
    await world.record(
        "update",
        stranger,
        {"about": {"uri": f"gotong:{scid(1)}"}, "text": [{"lang": "id", "text": "rahasia"}]},
        number=901,
    )
    assert [(await engine.ask(question)).json() for question in QUESTIONS] == before
    hidden = "{ needs(filter: {kinds: [GOODS], publishers: [%s]}) { hiddenByTrust { count critical } } }"
    answer = await engine.ask(hidden % f'"gotong:{scid(9)}"')
    assert answer.data == b'{"needs":{"hiddenByTrust":{"count":1,"critical":1}}}'


@pytest.mark.parametrize("trust", ["quarantined", "allowed"])
async def test_what_a_hidden_record_says_cannot_be_found_out_by_counting(
    engine: Engine, world: World, trust: str
) -> None:
    hidden = await world.participant(1, trust=trust)
    await world.need(
        hidden,
        number=11,
        title=[{"lang": "id", "text": "Jalan Melati 7"}],
        externalIds=[{"scheme": "nik", "value": "3203"}],
    )
    if trust == "allowed":
        await world.suppress("need", 11)
    counts = set()
    for probe in (
        *(f'text: "{words}"' for words in ("melati", "mawar", "mel", "maw")),
        *(f'externalId: {{scheme: "nik", value: "{value}"}}' for value in ("3203", "3204")),
        *(f"near: {{lat: -6.75, lon: {lon}, radiusKm: 1}}" for lon in (107, 108)),
    ):
        everywhere = "{ needs(filter: {%s}) { hiddenByTrust { count critical } suggestions totalCount } }"
        counts.add((await engine.ask(everywhere % probe)).json())
        nested = '{ organization(id: "gotong:%s") { needs(filter: {%s}) { hiddenByTrust { count critical } } } }'
        counts.add((await engine.ask(nested % (scid(1), probe))).json())
    assert len(counts) == 2  # one answer to each question, whatever is guessed
    assert b'"count":1' in b"".join(counts)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("buku", True),
        ("bukunya", True),
        ("story", True),
        ("stories", True),
        ("chil", True),
        ("cerita an", True),
        ('"buku cerita"', True),
        ('"cerita buku"', False),
        ("buku -cerita", False),
        ("beras or buku", True),
        ("beras", False),
        ("", False),
        ("'; drop table need --", False),
        ("a & | ! ( ) : * \\ '", False),
    ],
)
async def test_words_are_found_in_their_forms(engine: Engine, world: World, text: str, found: bool) -> None:
    await world.need(await world.participant(1))
    answer = await engine.ask("query ($t: String) { needs(filter: {text: $t}) { totalCount } }", {"t": text})
    assert answer.errors == []
    assert answer.data == b'{"needs":{"totalCount":%d}}' % found


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("bukku", ["buku"]),
        ("BÚKKU", ["buku"]),
        ("storiez", ["story"]),
        ("cherita anak", ["cerita"]),
        ("buku", []),
        ("buku -cerita", []),
        ("xylophone", []),
        ("bu", []),
        ("' \\\" \u0001 %s", []),
        ("", []),
    ],
)
async def test_a_search_that_finds_nothing_suggests_words(
    engine: Engine, world: World, text: str, suggested: list[str]
) -> None:
    first = await world.participant(1)
    await world.need(first)
    hidden = await world.participant(2, trust="quarantined")
    await world.need(hidden, title=[{"lang": "id", "text": "bukkuh xylophones"}])
    query = """query ($t: String) {
        needs(filter: {text: $t, kinds: [%s]}) { suggestions }
        organizations { nodes { needs(filter: {text: $t}) { suggestions } } }
    }"""
    answer = await engine.ask(query % "GOODS", {"t": text})
    assert answer.errors == []
    assert answer.data is not None
    found = orjson.loads(answer.data)
    assert found["needs"]["suggestions"] == suggested
    assert [each["needs"]["suggestions"] for each in found["organizations"]["nodes"]] == [suggested]
    elsewhere = await engine.ask(query % "MONEY", {"t": text})
    assert elsewhere.data is not None
    assert orjson.loads(elsewhere.data)["needs"]["suggestions"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('after: "x"', "CURSOR_INVALID"),
        ('after: ""', "CURSOR_INVALID"),
        ('after: "MSBuZWVkLlBVQkxJU0hFRCAxLHg"', "CURSOR_OTHER_ORDER"),
        ('after: "MSBuZWVkLlJFQ0VJVkVEIHgseQ"', "CURSOR_INVALID"),
        (
            'before: "MSBuZWVkLlJFQ0VJVkVEIDk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LDAxOGJjZmU1LTY4MGEtNzAwMC04MDAwLTAwMDA"',
            "CURSOR_INVALID",
        ),
        ("first: 0", "PAGE_SIZE_OUT_OF_RANGE"),
        ("first: 101", "PAGE_SIZE_OUT_OF_RANGE"),
        ("last: -1", "PAGE_SIZE_OUT_OF_RANGE"),
        ("first: 1, last: 1", "PAGE_SIZE_OUT_OF_RANGE"),
        ('filter: {region: "99"}', "REGION_UNKNOWN"),
        ("filter: {near: {lat: 0, lon: 0, radiusKm: 0}}", "RADIUS_OUT_OF_RANGE"),
        ("filter: {near: {lat: 0, lon: 0, radiusKm: -1}}", "RADIUS_OUT_OF_RANGE"),
        ("filter: {near: {lat: 0, lon: 0, radiusKm: 500.1}}", "RADIUS_OUT_OF_RANGE"),
        ("filter: {near: {lat: 0, lon: 0, radiusKm: 1e308}}", "RADIUS_OUT_OF_RANGE"),
        ("filter: {near: {lat: 90.1, lon: 0, radiusKm: 1}}", "POINT_OUT_OF_RANGE"),
        ("filter: {near: {lat: 0, lon: -180.1, radiusKm: 1}}", "POINT_OUT_OF_RANGE"),
        (
            'filter: {publishedAfter: "2026-11-22T07:00:00Z", publishedBefore: "2026-11-22T07:00:00Z"}',
            "FILTER_CONTRADICTORY",
        ),
        ('filter: {text: "%s"}' % ("x" * 10_000), "FILTER_TOO_LARGE"),
        ('filter: {region: "x"}', "REGION_CODE_MALFORMED"),
        ('filter: {publishers: ["x"]}', "ID_MALFORMED"),
        ('filter: {text: "%s"}' % ("x" * 201), "FILTER_TOO_LARGE"),
        ('filter: {text: "\\u0000"}', "TEXT_INVALID"),
        ('filter: {categories: ["\\u0000"]}', "TEXT_INVALID"),
        ('filter: {externalId: {scheme: "a", value: "\\u0000"}}', "TEXT_INVALID"),
    ],
)
async def test_a_wrong_argument_is_told_in_its_own_path(engine: Engine, arguments: str, code: str) -> None:
    answer = await engine.ask(f"{{ x: needs({arguments}) {{ totalCount }} }}")
    assert answer.data == b"null"
    assert [(error["path"], error["extensions"]["code"]) for error in answer.errors] == [(["x"], code)]
    nested = await engine.ask(f"{{ organizations {{ nodes {{ needs({arguments}) {{ totalCount }} }} }} }}")
    assert nested.errors[0]["path"] == ["organizations", "nodes", "needs"]
    assert nested.errors[0]["extensions"]["code"] == code


@pytest.mark.parametrize(
    "time", ["2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "yesterday", "99999-01-01T00:00:00Z"]
)
async def test_a_time_that_is_none_is_refused(engine: Engine, time: str) -> None:
    answer = await engine.ask("query ($t: DateTime) { needs(filter: {receivedAfter: $t}) { totalCount } }", {"t": time})
    assert answer.errors[0]["extensions"]["code"] == "BAD_USER_INPUT"
