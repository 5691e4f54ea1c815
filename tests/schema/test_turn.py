"""Pages of one plan that are asked for at one moment share a round trip, and nothing else."""

import asyncio
from typing import Any

import orjson
import pytest

from schema.compile.turn import CHARS_MAX
from schema.engine import Engine
from store.database import STATEMENT_CACHED_CHARS_MAX
from tests.schema.test_statements import counting, endless_statements
from tests.schema.world import World
from tests.waiting import PATIENCE_S

QUERY = """query ($category: String!) { needs(filter: {categories: [$category]}, first: 2) {
    nodes { title } pageInfo { hasNextPage } } }"""
CATEGORIES = ("food.rice", "water.drinking", "health.medicine", "food.rice", "education.books", "shelter.tents")


async def page_of(engine: Engine, category: str, query: str = QUERY) -> Any:
    answer = await engine.ask(query, {"category": category})
    assert answer.errors == []
    assert answer.data is not None
    return orjson.loads(answer.data)["needs"]


async def villages(world: World) -> None:
    community = await world.participant(1)
    for number in range(10, 28):
        category = CATEGORIES[number % 5]
        title = [{"lang": "id", "text": f"Kebutuhan {number}"}]
        await world.need(community, number=number, category=category, title=title)


async def test_each_is_answered_as_if_alone(engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await villages(world)
    alone = [await page_of(engine, category) for category in CATEGORIES]
    assert len({orjson.dumps(each) for each in alone}) == 5
    asked = counting(monkeypatch)
    for count in range(1, 8):
        asked.clear()
        wanted = [place % len(CATEGORIES) for place in range(count)]
        found = await asyncio.gather(*(page_of(engine, CATEGORIES[place]) for place in wanted))
        assert found == [alone[place] for place in wanted]
        assert len(asked) == (0, 1, 1, 2, 1, 2, 2, 3)[count]


async def test_searches_counts_and_nested_pages_are_asked_alone(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    for query in (
        QUERY.replace("categories: [$category]", "text: $category"),
        QUERY.replace("pageInfo { hasNextPage }", "totalCount"),
        QUERY.replace("title", "title updates(first: 2) { nodes { text } }"),
    ):
        await page_of(engine, "beras", query)
        asked = counting(monkeypatch)
        await asyncio.gather(page_of(engine, "beras", query), page_of(engine, "buku", query))
        assert len(asked) == 2


async def test_pages_that_would_make_a_large_statement_are_asked_alone(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    titles = " ".join(f't{number}: title(lang: "id")' for number in range(20))
    for selected, statements in (("title", 1), (titles, 4)):
        query = QUERY.replace("title", selected)
        await page_of(engine, CATEGORIES[0], query)
        asked = counting(monkeypatch)
        await asyncio.gather(*(page_of(engine, category, query) for category in CATEGORIES[:4]))
        assert len(asked) == statements
        assert all(len(sql) <= CHARS_MAX < STATEMENT_CACHED_CHARS_MAX for sql in asked)


async def test_who_leaves_takes_nobody_along_and_the_last_one_stops_the_statement(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    alone = await page_of(engine, CATEGORIES[1])
    leaving, staying = (asyncio.create_task(page_of(engine, each)) for each in CATEGORIES[:2])
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == alone
    started, stopped = endless_statements(monkeypatch)
    tasks = [asyncio.create_task(page_of(engine, category)) for category in CATEGORIES[:2]]
    async with asyncio.timeout(PATIENCE_S):
        await started.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stopped.wait()
