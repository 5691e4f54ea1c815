"""Answers that everybody is given alike: entity tags, no second run, no cost, and never an old one."""

from typing import Any

import asyncpg
import httpx
import pytest

from api import graphql, shared
from store.version import version
from tests.api.conftest import Served
from tests.api.test_writing import PUBLISH, need

QUERY = "{ needs(first: 5) { nodes { title state } } }"
FROM_ELSEWHERE = {"accept": "application/graphql-response+json", "x-forwarded-for": "198.51.100.7"}


async def get(served: Served, query: str = QUERY, variables: str = "", **headers: str) -> httpx.Response:
    given = {**FROM_ELSEWHERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    params = {"query": query, **({"variables": variables} if variables else {})}
    return await served.http.get(served.url, params=params, headers=given)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions PostgreSQL is asked, without those for the version."""
    asked: list[str] = []
    fetch = asyncpg.Connection.fetch

    async def counted(connection: Any, sql: str, *args: Any, **more: Any) -> Any:
        if " from need t" in sql:
            asked.append(sql)
        return await fetch(connection, sql, *args, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetch", counted)
    return asked


async def test_an_answer_nobody_changed_is_neither_run_nor_sent_nor_paid_again(
    served: Served, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unchanged(_connection: Any) -> str:
        return "1"  # other tests write into other databases of this server, which a snapshot shows

    await served.ask(PUBLISH, served.token(), input=need(served))
    monkeypatch.setattr(graphql, "version", unchanged)
    statements.clear()
    first = await get(served)
    again = await get(served, if_none_match=first.headers["etag"])
    without_tag = await get(served)
    left = first.headers["x-ratelimit-remaining"]
    assert first.headers["cache-control"] == "public, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert again.headers["x-ratelimit-remaining"] == left
    assert (without_tag.status_code, without_tag.content) == (200, first.content)
    assert without_tag.headers["x-ratelimit-remaining"] == left
    assert len(statements) == 1


async def test_every_write_makes_another_version(served: Served) -> None:
    async with served.node.database.acquire() as connection:
        before = await version(connection)
        await connection.execute("update node_state set stream_id = stream_id")
        assert await version(connection) != before


async def test_what_was_written_is_in_the_next_answer(served: Served) -> None:
    empty = await get(served)
    await served.ask(PUBLISH, served.token(), input=need(served))
    changed = await get(served, if_none_match=empty.headers["etag"])
    assert changed.status_code == 200
    assert len(changed.json()["data"]["needs"]["nodes"]) == 1
    async with served.node.database.acquire() as connection:
        await connection.execute("update participant set trust = 'quarantined'")
    hidden = await get(served, if_none_match=changed.headers["etag"])
    assert hidden.json()["data"]["needs"]["nodes"] == []
    assert hidden.headers["etag"] == empty.headers["etag"]


async def test_a_tag_holds_when_something_else_was_written(served: Served, statements: list[str]) -> None:
    first = await get(served)
    async with served.node.database.acquire() as connection:
        await connection.execute("update node_state set stream_id = stream_id")
    again = await get(served, if_none_match=f'W/"x", {first.headers["etag"]}')
    assert again.status_code == 304
    assert len(statements) == 2


async def test_answers_are_told_apart_by_variables_language_and_operation(served: Served) -> None:
    texts = [{"text": "Buku", "lang": "id"}, {"text": "Books", "lang": "en"}]
    await served.ask(PUBLISH, served.token(), input=need(served, title=texts))
    query = "query A($n: Int) { needs(first: $n) { nodes { title } } } query B { needs { totalCount } }"
    answers = {}
    for name, variables, language in (
        ("A", '{"n":1}', "id"),
        ("A", '{"n":1}', "en"),
        ("A", '{"n":2}', "id"),
        ("B", '{"n":1}', "id"),
    ):
        params = {"query": query, "variables": variables, "operationName": name}
        for _ in range(2):
            response = await served.http.get(served.url, params=params, headers={"accept-language": language})
            answers[name, variables, language] = response.text
    assert len(set(answers.values())) == 4
    assert "Books" in answers["A", '{"n":1}', "en"]
    assert "Buku" in answers["A", '{"n":1}', "id"]


@pytest.mark.parametrize(
    "query",
    [
        "{ viewer { subject } }",
        "{ rateLimit { remaining } }",
        "{ thisNode { time } }",
        "{ needs(first: 0) { totalCount } }",
    ],
)
async def test_what_is_the_callers_own_or_wrong_is_kept_by_nobody(served: Served, query: str) -> None:
    response = await get(served, query)
    assert response.headers["cache-control"] == "private, no-store"
    assert "etag" not in response.headers
    assert not served.endpoint._shared._answers


async def test_with_a_token_nothing_is_shared(served: Served) -> None:
    response = await get(served, authorization=f"Bearer {served.token()}")
    assert response.headers["cache-control"] == "private, no-store"
    assert not served.endpoint._shared._answers


async def test_a_shared_answer_says_nothing_of_who_asked_first(served: Served) -> None:
    assert set((await get(served)).json()["extensions"]["cost"]) == {"requested", "max"}


async def test_a_database_that_is_away_is_told_also_where_an_answer_is_kept(served: Served) -> None:
    await get(served)
    await served.node.database.close()
    answer = (await get(served)).json()
    assert answer["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"


async def test_answers_kept_are_bounded_in_bytes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "KEPT_BYTES_MAX", 5 * (shared.ENTRY_BYTES + 200))
    for n in range(1, 30):
        await get(served, f"{{ needs(first: {n}) {{ nodes {{ id }} }} }}")
    assert len(served.endpoint._shared._answers) <= 6
    assert served.endpoint._shared._bytes <= shared.KEPT_BYTES_MAX
