"""Budgets over HTTP and over sockets: what is told, and what happens when nothing is left."""

import math
from collections.abc import AsyncIterator

import httpx
import pytest

from api.payer import CROWD_CLIENTS, Payers, Rates
from schema.compile.cost import QUERY_COST_MAX
from schema.context import UNMETERED, Services
from tests.api.conftest import Served, serving
from tests.api.test_following import opened
from tests.sockets import http_client

PAGE = "{ needs(first: 99) { nodes { id } } }"
STRICT = {"accept": "application/graphql-response+json", "x-forwarded-for": "198.51.100.7", "x-client-id": "phone"}


@pytest.fixture
async def limited(services: Services) -> AsyncIterator[str]:
    """The URL of an endpoint where each client may spend 1,000 a minute and each token 2,000."""
    async with serving(services, Payers(Rates(1_000, 2_000), ["127.0.0.1"])) as (url, _):
        yield url


async def ask(url: str, query: str = PAGE, **headers: str) -> httpx.Response:
    given = {**STRICT, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with http_client() as http:
        return await http.post(url, json={"query": query}, headers=given)


async def test_every_answer_says_what_it_cost_and_what_is_left(limited: str, services: Services) -> None:
    response = await ask(limited)
    assert response.json()["extensions"] == {
        "cost": {"requested": 100, "max": QUERY_COST_MAX, "limit": 1_000, "remaining": 900}
    }
    assert response.headers["x-ratelimit-limit"] == "1000"
    assert response.headers["x-ratelimit-remaining"] == "900"
    assert int(response.headers["x-ratelimit-reset"]) == math.ceil(services.clock().timestamp() + 6)


async def test_a_question_can_ask_what_is_left(limited: str) -> None:
    await ask(limited)
    response = await ask(limited, "{ needs(first: 9) { nodes { id } } rateLimit { limit cost remaining resetAt } }")
    rate = response.json()["data"]["rateLimit"]
    assert {**rate, "resetAt": None} == {"limit": 1_000, "cost": 10, "remaining": 890, "resetAt": None}
    assert rate["resetAt"].endswith("Z")


async def test_who_has_spent_everything_is_told_when_to_come_back(limited: str) -> None:
    for _ in range(10):
        assert (await ask(limited)).status_code == 200
    for accept in ("application/graphql-response+json", "application/json"):
        response = await ask(limited, accept=accept)
        assert (response.status_code, response.headers["retry-after"]) == (429, "6")
        assert response.headers["x-ratelimit-remaining"] == "0"
        assert response.json()["errors"][0]["extensions"] == {
            "code": "RATE_LIMITED",
            "requested": 100,
            "limit": 1_000,
            "remaining": 0,
            "retry_after_s": 6,
        }
    assert (await ask(limited, x_client_id="another phone")).status_code == 200


async def test_clients_that_do_not_name_themselves_share_half_of_what_their_address_has(limited: str) -> None:
    response = await ask(limited, x_client_id="")
    assert response.json()["extensions"]["cost"]["limit"] == 1_000 * CROWD_CLIENTS


async def test_a_program_of_this_machine_is_not_limited(served: Served) -> None:
    answer = await served.ask("{ rateLimit { limit remaining } }")
    assert answer["data"]["rateLimit"]["limit"] == UNMETERED


async def test_what_costs_too_much_is_refused_before_the_database_is_asked(served: Served) -> None:
    await served.node.database.close()
    query = "{ needs(first: 100) { nodes { updates(first: 100) { nodes { id } } } } }"
    for accept, status in (("application/graphql-response+json", 400), ("application/json", 200)):
        response = await served.http.post(served.url, json={"query": query}, headers={"accept": accept})
        assert response.status_code == status
        assert response.json()["errors"][0]["extensions"]["code"] == "QUERY_TOO_COSTLY"


async def test_a_socket_pays_as_well(limited: str) -> None:
    async with opened(limited, init={}, headers=STRICT) as client:
        for n in range(11):
            await client.send(type="subscribe", id=str(n), payload={"query": PAGE})
        taken = [await client.take() for _ in range(21)]
    assert [message["type"] for message in taken].count("next") == 10
    refused = next(message for message in taken if message["type"] == "error")
    assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
