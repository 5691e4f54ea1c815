"""Requests that share a statement: nobody's answer depends on who else asked, and nobody is held up by the others."""

import asyncio
import random
from functools import partial
from typing import Any

import asyncpg
import pytest

from schema.compile import gathering
from schema.context import Caller
from schema.engine import Engine
from tests.schema.test_oracle import LANGS, TIMES, peopled, suppressed
from tests.schema.test_statements import counting
from tests.schema.world import World, scid, uuid
from tests.waiting import eventually

Question = tuple[str, dict[str, Any], tuple[str, ...]]

BY_ID = "query ($id: ID!) { node(id: $id) { id ... on Need { title publisher { name } } } }"
PAGE = "query ($kinds: [NeedKind!]) { needs(filter: {kinds: $kinds}, first: 3) { nodes { id title } } }"
PAGES = (
    """query ($region: String!, $lang: String!) { needs(filter: {region: $region}, orderBy: URGENCY) {
        edges { cursor node { id title(lang: $lang) urgency publisher { id name(lang: $lang) } } }
        pageInfo { hasNextPage hasPreviousPage endCursor } } }""",
    """query ($publishers: [ID!], $kinds: [NeedKind!], $time: DateTime) {
        needs(filter: {publishers: $publishers, kinds: $kinds, receivedAfter: $time}, first: 4) {
        nodes { id title category { name } place { region { name } } receivedAt } pageInfo { startCursor } } }""",
    """query ($time: DateTime, $external: String!) { needs(last: 5, filter: {neededBefore: $time,
        externalId: {scheme: "sheet", value: $external}}) { nodes { __typename id description } } }""",
    """query ($region: String!, $lang: String!) { organizations(filter: {region: $region}, orderBy: NAME) {
        nodes { name(lang: $lang) description slug } } }""",
    """query ($id: ID!) { node(id: $id) { id __typename ... on Need { title state publisher { name slug } }
        ... on Organization { name } ... on Activity { title status } } }""",
    "query ($id: ID!, $lang: String!) { node(id: $id) { ... on Need { title(lang: $lang) } } }",
)
IDS = [f"gotong:{scid((1, 2, 1, 3, 2, 4)[number % 6])}/need/{uuid(100 + number)}" for number in range(24)]  # as peopled
CROWDS: dict[str, list[Question]] = {
    "pages": [(PAGE, {"kinds": kinds}, ()) for kinds in (["GOODS"], ["MONEY"], ["SPACE"], ["GOODS", "MONEY"])],
    "records by id": [(BY_ID, {"id": uri}, ()) for uri in IDS[:4]],
}


@pytest.fixture(params=CROWDS)
def crowd(request: pytest.FixtureRequest) -> list[Question]:
    """Four questions that share a statement."""
    return CROWDS[request.param]


def drawn(rng: random.Random) -> Question:
    """Return a random question with all values that any of them takes, and the languages of who asks."""
    values = {
        "region": rng.choice(["32", "36", "34", "36.02", "11"]),
        "lang": rng.choice(LANGS),
        "time": rng.choice(TIMES),
        "external": f"row:{rng.randrange(5)}",
        "kinds": rng.sample(["GOODS", "MONEY", "SPACE"], rng.randrange(1, 4)),
        "publishers": [f"gotong:{scid(rng.randrange(1, 5))}"],
        "id": rng.choice([*IDS, *(f"gotong:{scid(number)}" for number in range(1, 5))]),
    }
    query = rng.choice(PAGES)
    taken = {name: value for name, value in values.items() if f"${name}" in query}
    return query, taken, tuple(rng.sample(LANGS, rng.randrange(3)))


async def asked_by(engine: Engine, question: Question) -> bytes:
    query, values, languages = question
    answer = await engine.ask(query, values, Caller(languages=languages))
    assert answer.errors == []
    return answer.json()


async def test_a_crowd_is_answered_as_each_would_be_alone(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await peopled(world)
    await suppressed(world)
    rng = random.Random(47)
    questions = [drawn(rng) for _ in range(160)]
    alone = [await asked_by(engine, question) for question in questions]
    assert len(set(alone)) > 25  # so that an answer in another one's place would be seen
    asked = counting(monkeypatch)
    for size in (7, 33, 160):
        asked.clear()
        crowd = rng.sample(range(len(questions)), size)
        found = await asyncio.gather(*(asked_by(engine, questions[place]) for place in crowd))
        assert found == [alone[place] for place in crowd]
    assert len(asked) < 100


async def test_what_fails_together_is_asked_alone(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch, crowd: list[Question]
) -> None:
    await peopled(world)
    alone = [await asked_by(engine, question) for question in crowd]
    fetch, asked = asyncpg.Connection.fetch, []

    async def fails_once(connection: Any, sql: str, *values: Any, **more: Any) -> Any:
        asked.append(sql)
        if len(asked) == 1:
            raise asyncpg.QueryCanceledError
        return await fetch(connection, sql, *values, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetch", fails_once)
    assert await asyncio.gather(*(asked_by(engine, question) for question in crowd)) == alone
    assert len(asked) == 1 + len(crowd)


async def test_a_long_one_holds_the_others_up_for_a_moment_only(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch, crowd: list[Question]
) -> None:
    await peopled(world)
    alone = [await asked_by(engine, question) for question in crowd]
    fetch, cut, asked = asyncpg.Connection.fetch, asyncio.Event(), []

    async def long_once(connection: Any, sql: str, *values: Any, **more: Any) -> Any:
        if cut.is_set():
            asked.append(sql)
            return await fetch(connection, sql, *values, **more)
        try:
            return await fetch(connection, "select pg_sleep(600)", **more)
        except TimeoutError:
            cut.set()
            raise

    monkeypatch.setattr(gathering, "SHARED_S_MAX", 0.05)
    monkeypatch.setattr(asyncpg.Connection, "fetch", long_once)
    for _ in range(2):
        assert await asyncio.gather(*(asked_by(engine, question) for question in crowd)) == alone
        assert cut.is_set()
        assert len(asked) == len(crowd)
        asked.clear()
    monkeypatch.setattr(gathering, "ALONE_S", 0)
    cut.clear()
    engine.compiler._plans.clear()
    for statements in (len(crowd), 1):
        assert await asyncio.gather(*(asked_by(engine, question) for question in crowd)) == alone
        assert len(asked) == statements
        asked.clear()


async def test_who_leaves_after_a_failure_stops_a_statement_of_its_own(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch, crowd: list[Question]
) -> None:
    await peopled(world)
    for question in crowd:
        await asked_by(engine, question)
    begun, running = 0, 0

    async def endless_after_a_failure(*_: Any, **__: Any) -> Any:
        nonlocal begun, running
        begun += 1
        if begun == 1:
            raise asyncpg.QueryCanceledError
        running += 1
        try:
            await asyncio.Event().wait()
        finally:
            running -= 1

    async def are_running(count: int) -> bool:
        return running == count

    monkeypatch.setattr(asyncpg.Connection, "fetch", endless_after_a_failure)
    tasks = [asyncio.create_task(asked_by(engine, question)) for question in crowd]
    for still_there in range(len(tasks), 0, -1):
        await eventually(partial(are_running, still_there))
        tasks[still_there - 1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await eventually(partial(are_running, 0))
