"""What a node's routes make of who calls: what is not for strangers, and whose budget pays."""

import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded, install
from api.federation import FederationEdge, body_of
from api.payer import networks
from api.peer_budget import Allowance, PeerBudgets, PeerRates
from federation.requests.caller import Requests
from federation.requests.signatures import authority_of
from federation.sync.client import PeerClient, PeerProtocolError
from tests.sockets import http_client, serving
from tests.sync.acquainted import HEADS, JSON, PULL, Acquainted, answer, become_acquainted
from tests.sync.conftest import MakeNode, SyncNode, callers_of, client_of

FOREIGN = {"x-forwarded-for": "203.0.113.7"}


@pytest.fixture
async def acquainted(make_node: MakeNode) -> Acquainted:
    return await become_acquainted(make_node)


# ---- what is not for strangers ---------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def private_route(node: SyncNode) -> AsyncIterator[str]:
    """Yield the address of a node's route that only known peers are answered by."""

    async def whoami(request: Request) -> Response:
        heard, visit = await callers.known(request)
        caller = await callers.requests.accept(heard, await body_of(request, 1_000))
        return Response(visit.sent(caller.scid.encode()), media_type="text/plain")

    app = Starlette(routes=[Route("/federation/v1/whoami", guarded(whoami), methods=["POST"])])
    async with serving(app) as url:
        callers = callers_of(node.node, url)
        yield url


async def ask(client: PeerClient) -> bytes:
    data: bytes = await client.post(
        "whoami", b"{}", content_type="application/json", answer_type="text/plain", bytes_max=99
    )
    return data


async def test_what_is_not_public_is_answered_to_a_known_peer_alone(
    acquainted: Acquainted, make_node: MakeNode
) -> None:
    c = await make_node("c")
    async with private_route(acquainted.a) as url:
        async with client_of(acquainted.b.node, url) as client:
            assert await ask(client) == acquainted.b.node.operator.scid.encode()
        async with client_of(c.node, url) as client:
            with pytest.raises(PeerProtocolError) as refused:
                await ask(client)
        assert refused.value.details == {"status": 403, "cause": "CALLER_UNKNOWN"}
        unsigned = httpx.Request("POST", f"{url}/federation/v1/whoami", content=b"{}", headers=JSON)
        assert await answer(unsigned) == (401, "SIGNATURE_REQUIRED")


async def test_what_is_not_public_is_never_asked_for_unsigned(acquainted: Acquainted) -> None:
    """The peer knows itself under another name: what is public is asked for without a signature, the rest is not."""
    a = acquainted.a
    elsewhere = callers_of(a.node, "http://another.example.org")
    edge = FederationEdge(a.database, "test", a.feed, a.node.clock, a.stopping, elsewhere)
    app = Starlette(routes=edge.routes())
    install(app)
    async with serving(app) as url, client_of(acquainted.b.node, url) as client:
        assert (await client.heads()).operator == a.node.operator.scid
        with pytest.raises(PeerProtocolError) as refused:
            await ask(client)
    assert refused.value.details["status"] == 404
    assert await acquainted.heard() == 0


# ---- budgets ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def budgeted(node: SyncNode, rates: PeerRates) -> AsyncIterator[str]:
    """Yield the address of a node's federation routes with small budgets; the proxy before it is trusted."""
    now_s = [0.0]
    requests = Requests(node.database, [authority_of(node.url)], node.node.clock)
    callers = Callers(requests, PeerBudgets(rates), networks(["127.0.0.1"]), lambda: now_s[0])
    edge = FederationEdge(node.database, "test", node.feed, node.node.clock, node.stopping, callers)
    app = Starlette(routes=edge.routes())
    install(app)
    async with serving(app) as url:
        yield url


async def test_a_known_peer_has_a_budget_of_its_own(acquainted: Acquainted) -> None:
    rates = PeerRates(peer=Allowance(4, 2**30), stranger=Allowance(2, 2**30))
    async with budgeted(acquainted.a, rates) as url, http_client() as http:
        for _ in range(2):
            assert (await http.get(f"{url}{HEADS}", headers=FOREIGN)).status_code == 200
        response = await http.get(f"{url}{HEADS}", headers=FOREIGN)
        assert response.status_code == 429
        assert response.json()["code"] == "PEER_BUDGET_SPENT"
        assert int(response.headers["retry-after"]) == response.json()["details"]["retry_after_s"] == 30
        for status in (200, 200, 200, 200, 429):
            signed = await acquainted.signed(httpx.Request("GET", f"{acquainted.a.url}{HEADS}"))
            response = await http.get(f"{url}{HEADS}", headers=dict(signed.headers) | FOREIGN)
            assert response.status_code == status
        other = {"x-forwarded-for": "203.0.113.8"}
        assert (await http.get(f"{url}{HEADS}", headers=other)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/federation/v1/did/{scid}/did.jsonl", "/federation/v1/did/{scid}/did-witness.json", "/o/desa/did.jsonl"]
)
async def test_identities_are_read_within_the_budget_as_well(acquainted: Acquainted, path: str) -> None:
    rates = PeerRates(peer=Allowance(1, 2**30), stranger=Allowance(2, 2**30))
    url_of = path.format(scid=acquainted.a.node.operator.scid)
    async with budgeted(acquainted.a, rates) as url, http_client() as http:
        statuses = [(await http.get(f"{url}{url_of}", headers=FOREIGN)).status_code for _ in range(3)]
    assert statuses[2] == 429
    assert set(statuses[:2]) <= {200, 404}


async def test_a_proxy_that_adds_a_line_of_its_own_is_believed_and_not_what_the_client_wrote(
    acquainted: Acquainted,
) -> None:
    rates = PeerRates(peer=Allowance(1, 2**30), stranger=Allowance(2, 2**30))
    async with budgeted(acquainted.a, rates) as url, http_client() as http:
        for forged, status in (("127.0.0.1", 200), ("198.51.100.1", 200), ("127.0.0.1", 429), ("198.51.100.2", 429)):
            lines = [("x-forwarded-for", forged), ("x-forwarded-for", "203.0.113.9")]
            assert (await http.get(f"{url}{HEADS}", headers=lines)).status_code == status


async def test_a_bad_signature_is_paid_for_by_its_address_not_by_the_peer_it_names(acquainted: Acquainted) -> None:
    rates = PeerRates(peer=Allowance(1, 2**30), stranger=Allowance(2, 2**30))
    async with budgeted(acquainted.a, rates) as url, http_client() as http:
        for status in (401, 401, 429):
            signed = await acquainted.signed(httpx.Request("GET", f"{acquainted.a.url}{HEADS}?x"))
            response = await http.get(f"{url}{HEADS}", headers=dict(signed.headers) | FOREIGN)
            assert response.status_code == status
        signed = await acquainted.signed(httpx.Request("GET", f"{acquainted.a.url}{HEADS}"))
        assert (await http.get(f"{url}{HEADS}", headers=dict(signed.headers) | FOREIGN)).status_code == 200


async def test_bytes_are_paid_for_after_they_were_sent(acquainted: Acquainted) -> None:
    rates = PeerRates(peer=Allowance(100, 100), stranger=Allowance(100, 1_000))
    body = f'{{"logs":[{{"origin":"{acquainted.a.node.operator.origin}"}}]}}'.encode()
    async with budgeted(acquainted.a, rates) as url, http_client() as http:
        pulled = await http.post(f"{url}{PULL}", content=body, headers=JSON | FOREIGN)
        assert pulled.status_code == 200
        assert len(pulled.content) > 1_000
        again = await http.post(f"{url}{PULL}", content=body, headers=JSON | FOREIGN)
        assert again.status_code == 429


async def test_this_machine_itself_pays_nothing(acquainted: Acquainted) -> None:
    async with budgeted(acquainted.a, PeerRates(Allowance(1, 1), Allowance(1, 1))) as url:
        for _ in range(3):
            assert await answer(httpx.Request("GET", f"{url}{HEADS}")) == (200, None)
