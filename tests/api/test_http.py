"""GraphQL over HTTP: statuses, media types, limits, and what becomes of bad input."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api import patience
from api.graphql_request import BODY_BYTES_MAX
from tests.api.conftest import Served, serving
from tests.api.test_writing import PUBLISH, need
from tests.waiting import PATIENCE_S

STRICT = {"accept": "application/graphql-response+json"}


async def post(served: Served, content: bytes | str, **headers: str) -> httpx.Response:
    sent = {
        "content-type": "application/json",
        **STRICT,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return await served.http.post(served.url, content=content, headers=sent)


async def test_a_query_is_answered_by_get_and_by_post(served: Served) -> None:
    by_get = await served.http.get(served.url, params={"query": "{ thisNode { name network } }"}, headers=STRICT)
    assert by_get.json()["data"] == {"thisNode": {"name": "pengurus", "network": "test"}}
    assert by_get.headers["content-type"] == "application/graphql-response+json; charset=utf-8"
    by_post = await post(served, b'{"query":"{ thisNode { name network } }"}')
    assert by_post.json()["data"] == by_get.json()["data"]


async def test_a_mutation_by_get_is_refused(served: Served) -> None:
    response = await served.http.get(
        served.url, params={"query": 'mutation { withdrawNeed(input: {id: "x"}) { __typename } }'}
    )
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_browser_gets_a_page_that_names_no_other_host(served: Served) -> None:
    response = await served.http.get(served.url, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "http" not in response.text.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "BAD_REQUEST"),
        (b"{", 400, "BAD_REQUEST"),
        (b"[]", 400, "BAD_REQUEST"),
        (b"7", 400, "BAD_REQUEST"),
        (b"null", 400, "BAD_REQUEST"),
        (b'"x"', 400, "BAD_REQUEST"),
        (b"{}", 400, "BAD_REQUEST"),
        (b'{"query":7}', 400, "BAD_REQUEST"),
        (b'{"query":"{ __typename }","variables":[]}', 400, "BAD_REQUEST"),
        (b'{"query":"{ __typename }","operationName":{}}', 400, "BAD_REQUEST"),
        (b'{"query":"{ \xff }"}', 400, "BAD_REQUEST"),
        (b'{"query":"{ __typename }","variables":' + b"[" * 60_000 + b"]" * 60_000 + b"}", 400, "BAD_REQUEST"),
        (b'{"query":"{"}', 400, "GRAPHQL_PARSE_FAILED"),
        (b'{"query":"{ nonsense }"}', 400, "GRAPHQL_VALIDATION_FAILED"),
        (b'{"query":"{ needs(first: \\"x\\") { totalCount } }"}', 400, "GRAPHQL_VALIDATION_FAILED"),
        (b'{"query":"{ needs(first: 99999999999) { totalCount } }"}', 400, "GRAPHQL_VALIDATION_FAILED"),
        (
            b'{"query":"query ($n: Int) { needs(first: $n) { totalCount } }","variables":{"n":"x"}}',
            400,
            "BAD_USER_INPUT",
        ),
        (
            b'{"query":"query ($n: Int) { needs(first: $n) { totalCount } }","variables":{"n":1e30}}',
            400,
            "BAD_USER_INPUT",
        ),
        (b'{"query":"query A { __typename } query B { __typename }"}', 400, "OPERATION_UNCLEAR"),
        (b'{"query":"query A { __typename }","operationName":"C"}', 400, "OPERATION_UNCLEAR"),
        (b'{"query":"subscription { needPublished { cursor } }"}', 405, "METHOD_NOT_ALLOWED"),
        (b"{" + b" " * BODY_BYTES_MAX + b"}", 413, "REQUEST_TOO_LARGE"),
    ],
)
async def test_a_request_that_is_none_is_told_why(served: Served, body: bytes, status: int, code: str) -> None:
    response = await post(served, body)
    answer = response.json()
    assert (response.status_code, answer["errors"][0]["extensions"]["code"]) == (status, code)
    assert "data" not in answer
    assert "Traceback" not in response.text


async def test_a_body_that_is_not_declared_json_is_refused(served: Served) -> None:
    assert (await post(served, b"{}", content_type="text/plain")).status_code == 415
    assert (await post(served, b"{}", content_type="application/json; charset=utf-16")).status_code == 415


async def test_a_client_that_accepts_nothing_we_have_is_told(served: Served) -> None:
    assert (await post(served, b'{"query":"{ __typename }"}', accept="image/png")).status_code == 406


@pytest.mark.parametrize(
    "authorization", ["Bearer x", "Bearer", "Basic eDp5", "Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30."]
)
async def test_a_bad_token_is_refused_even_for_reading(served: Served, authorization: str) -> None:
    response = await post(served, b'{"query":"{ __typename }"}', authorization=authorization)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["errors"][0]["extensions"]["code"] == "TOKEN_INVALID"


async def test_tokens_of_others_and_expired_ones_are_refused(served: Served) -> None:
    for changes, code in (
        ({"issuer": "https://other.test"}, "TOKEN_INVALID"),
        ({"audience": "https://other.test"}, "TOKEN_INVALID"),
    ):
        response = await post(served, b'{"query":"{ __typename }"}', authorization=f"Bearer {served.token(**changes)}")
        assert response.json()["errors"][0]["extensions"]["code"] == code
    token = served.token()
    assert (await served.ask("{ viewer { subject } }", token))["data"]["viewer"] == {"subject": "sari"}
    served.node.clock.advance(minutes=11)
    assert (await served.ask("{ viewer { subject } }", token))["errors"][0]["extensions"]["code"] == "TOKEN_EXPIRED"


def deep(levels: int) -> str:
    return '{ organization(slug: "x") ' + "{ publisher " * levels + "{ id }" + " }" * levels + " }"


@pytest.mark.parametrize(
    "query",
    [
        deep(25),
        deep(3_000),
        "{ needs { " + " ".join(f"a{n}: totalCount" for n in range(200)) + " } }",
        "{ " + " ".join(f"a{n}: __typename" for n in range(50)) + " }",
        "{ needs { totalCount " + "@include(if: true) " * 300 + " } }",
        "#" * 60_000 + "\n{ __typename }",
        "# x\n" * 600 + "{ __typename }",
        "{ __typename " + "needs { totalCount } " * 3_000 + " }",
        "fragment f0 on Query { __typename } "
        + " ".join(f"fragment f{n} on Query {{ ...f{n - 1} ...f{n - 1} }}" for n in range(1, 30))
        + " { ...f29 }",
    ],
)
async def test_what_would_cost_much_is_refused_at_once(served: Served, query: str) -> None:
    start = time.process_time()
    answer = await served.ask(query)
    assert "errors" in answer or query.startswith("#" * 100)
    assert time.process_time() - start < 0.5


async def test_a_client_that_leaves_cancels_its_query(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    began, left = asyncio.Event(), asyncio.Event()

    async def forever(*_: Any) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            left.set()
            raise

    monkeypatch.setattr(served.endpoint._engine, "execute", forever)
    asking = asyncio.create_task(served.http.post(served.url, json={"query": "{ __typename }"}))
    async with asyncio.timeout(PATIENCE_S):
        await began.wait()
        asking.cancel()
        await left.wait()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_stopped_database_is_an_error_with_a_code(served: Served) -> None:
    await served.node.database.close()
    answer = await served.ask("{ needs { totalCount } }")
    assert answer["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
    written = await served.ask(PUBLISH, served.token(), input=need(served))
    assert written["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"


async def test_an_accident_is_told_by_its_number_only(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(served.node.appender, "append", broken)
    answer = await served.ask(PUBLISH, served.token(), input=need(served))
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in str(answer)


async def test_the_languages_asked_for_decide_texts(served: Served) -> None:
    texts = [{"text": "Buku", "lang": "id"}, {"text": "Books", "lang": "en"}]
    await served.ask(PUBLISH, served.token(), input=need(served, title=texts))
    query = '{ needs { nodes { title su: title(lang: "su") id: title(lang: "id-ID") category { name } } } }'
    answer = await served.ask(query, headers={"accept-language": "fr;q=0.9, en-GB"})
    assert answer["data"]["needs"]["nodes"] == [
        {"title": "Books", "su": "Buku", "id": "Buku", "category": {"name": "Books and reading corners"}}
    ]


async def test_a_body_that_does_not_come_in_time_is_not_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "BODY_TIMEOUT_S", 0.1)

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"query":'
        await asyncio.sleep(5)
        yield b'"{ __typename }"}'

    headers = {"content-type": "application/json", **STRICT}
    async with (
        serving(served.services) as (url, _),
        served.http.stream("POST", url, content=slowly(), headers=headers) as response,
    ):
        answer = json.loads(await response.aread())
    assert (response.status_code, answer["errors"][0]["extensions"]["code"]) == (408, "REQUEST_TIMED_OUT")
