"""Requests that nodes sign: over real sockets, what each breach costs, and what several processes remember of them."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from api.callers import incoming
from federation.moderation.trust import set_peer_trust
from federation.requests.caller import NONCES_KEPT_S, Requests, SignatureReplayed, forget_nonces
from federation.requests.signatures import SKEW_S_MAX, authority_of
from federation.requests.signer import LIFETIME_S
from federation.sync.client import PeerProtocolError
from store.database import Database
from tests.clock import FrozenClock
from tests.sockets import http_client, serving
from tests.sync.acquainted import HEADS, PULL, Acquainted, answer, become_acquainted
from tests.sync.conftest import MakeNode, client_of

CLOCK_OF_2010 = FrozenClock(datetime(2010, 1, 1, tzinfo=UTC))
AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
async def acquainted(make_node: MakeNode) -> Acquainted:
    return await become_acquainted(make_node)


# ---- who is heard ----------------------------------------------------------------------------------------------------


async def test_a_peer_that_was_added_is_known_by_its_signature(acquainted: Acquainted) -> None:
    await acquainted.b.node.publish_needs(acquainted.b.node.operator.scid, "Beras")
    await acquainted.b.pull(acquainted.a.url)
    assert await acquainted.heard() >= 1


async def test_a_listener_signs_as_well(acquainted: Acquainted) -> None:
    async with client_of(acquainted.b.node, acquainted.a.url) as client, contextlib.aclosing(client.news()) as news:
        assert (await anext(news)).sizes == {}
    assert await acquainted.heard() == 1


async def test_an_unsigned_request_is_answered(acquainted: Acquainted) -> None:
    assert await answer(httpx.Request("GET", f"{acquainted.a.url}{HEADS}")) == (200, None)


async def test_a_stranger_is_answered_and_nothing_of_it_is_looked_up_or_kept(make_node: MakeNode) -> None:
    a, c = await make_node("a"), await make_node("c")
    await c.add_peer(a.url)
    assert (await c.pull(a.url)).refused == {}
    assert await a.value("select count(*) from request_nonce") == 0
    assert await a.value("select count(*) from participant") == 1


async def test_a_blocked_peer_is_a_stranger(acquainted: Acquainted) -> None:
    await set_peer_trust(acquainted.a.database, acquainted.b.url, "blocked", actor="test")
    assert await answer(await acquainted.pull_request()) == (200, None)
    assert await acquainted.heard() == 0


async def test_a_key_that_the_newest_document_does_not_list_is_a_strangers(acquainted: Acquainted) -> None:
    request = await acquainted.pull_request()
    request.headers["signature-input"] = request.headers["signature-input"].replace("#request-0", "#request-1")
    assert await answer(request) == (200, None)
    assert await acquainted.heard() == 0


# ---- what is refused -------------------------------------------------------------------------------------------------


def other_body(request: httpx.Request) -> httpx.Request:
    changed = request.content.replace(b"}", b" ", 1)
    return httpx.Request("POST", request.url, content=changed, headers=request.headers)


def other_query(request: httpx.Request) -> httpx.Request:
    return httpx.Request("POST", f"{request.url}?x", content=request.content, headers=request.headers)


def with_header(name: str, change: Callable[[str], str]) -> Callable[[httpx.Request], httpx.Request]:
    def changed(request: httpx.Request) -> httpx.Request:
        request.headers[name] = change(request.headers[name])
        return request

    return changed


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (other_body, "DIGEST_MISMATCH"),
        (other_query, "SIGNATURE_INVALID"),
        (with_header("content-type", lambda _text: "text/plain"), "SIGNATURE_INVALID"),
        (with_header("signature", lambda _text: f"gotong=:{'A' * 86}==:"), "SIGNATURE_INVALID"),
        (with_header("signature", lambda _text: "gotong=:AAAA:"), "SIGNATURE_MALFORMED"),
        (with_header("signature-input", lambda text: text.replace(";created", ";x;created")), "SIGNATURE_MALFORMED"),
        (with_header("signature-input", lambda text: text[:-1]), "SIGNATURE_MALFORMED"),
    ],
    ids=["body", "query", "type", "signature", "signature's length", "parameter", "form"],
)
async def test_a_broken_signature_of_a_known_peer_is_refused_and_its_nonce_not_used(
    acquainted: Acquainted, spoil: Callable[[httpx.Request], httpx.Request], code: str
) -> None:
    request = await acquainted.pull_request()
    spoilt = spoil(httpx.Request("POST", request.url, content=request.content, headers=request.headers))
    assert await answer(spoilt) == (401, code)
    assert await acquainted.heard() == 0
    assert await answer(request) == (200, None)
    assert await acquainted.heard() == 1


async def test_the_host_header_does_not_say_who_we_are(acquainted: Acquainted) -> None:
    request = await acquainted.pull_request()
    request.headers["host"] = "desa.example.org"
    assert await answer(request) == (200, None)


async def test_what_was_signed_for_one_node_is_no_use_at_another(acquainted: Acquainted, make_node: MakeNode) -> None:
    """The other node is told the right Host, and still knows its own name better."""
    c = await make_node("c")
    await c.add_peer(acquainted.b.url)
    await c.pull(acquainted.b.url)
    request = await acquainted.pull_request()
    forwarded = httpx.Request("POST", f"{c.url}{PULL}", content=request.content, headers=request.headers)
    assert forwarded.headers["host"] == authority_of(acquainted.a.url)
    assert await answer(forwarded) == (401, "SIGNATURE_INVALID")


async def test_an_operator_may_name_the_node_twice(acquainted: Acquainted) -> None:
    requests = Requests(acquainted.a.database, ["desa.example.org", "desa.lan:81"], acquainted.a.node.clock)
    for url, is_ours in (("http://desa.lan:81", True), ("http://desa.example.org", True), ("http://lain.org", False)):
        request = await acquainted.pull_request(url=url)
        heard = requests.heard(as_incoming(request))
        if is_ours:
            assert await heard
        else:
            with pytest.raises(Exception, match="SIGNATURE_INVALID"):
                await heard


async def test_an_old_request_is_told_how_old_it_is(acquainted: Acquainted) -> None:
    request = await acquainted.signed(httpx.Request("GET", f"{acquainted.a.url}{HEADS}"))
    acquainted.a.node.clock.advance(seconds=LIFETIME_S + SKEW_S_MAX + 1)
    async with http_client() as http:
        told = (await http.send(request)).json()
    assert told["code"] == "SIGNATURE_SKEW"
    assert -122_000 < told["details"]["skew_ms"] < -120_000
    assert told["details"]["time"].startswith(acquainted.a.node.clock().strftime("%Y-%m-%dT%H:%M:%S."))


# ---- once, whichever process hears it --------------------------------------------------------------------------------


def as_incoming(request: httpx.Request) -> Any:
    """Return a request as the server sees it."""
    names = ("host", "content-type", "content-digest", "signature", "signature-input")
    headers = [(name.encode(), request.headers[name].encode()) for name in names]
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.url.path,
        "headers": headers,
        "query_string": b"",
    }
    return incoming(Request(scope))


async def test_a_request_is_heard_once_by_all_processes(acquainted: Acquainted) -> None:
    """Twenty copies reach two processes at the same time: one of them is taken."""
    request = await acquainted.pull_request()
    async with Database(acquainted.a.database.dsn, connections=4) as other:
        first = acquainted.a.callers.requests
        second = replace(first, database=other)
        came = as_incoming(request)
        done = await asyncio.gather(
            *(each.caller(came, request.content) for each in (first, second) * 10), return_exceptions=True
        )
        assert sum(isinstance(each, SignatureReplayed) for each in done) == 19
        (taken,) = [each for each in done if not isinstance(each, BaseException)]
        assert taken is not None
        assert taken.scid == acquainted.b.node.operator.scid
    assert await answer(request) == (401, "SIGNATURE_REPLAYED")


async def test_nonces_are_forgotten_when_they_cannot_come_again(acquainted: Acquainted) -> None:
    await answer(await acquainted.pull_request())
    clock = acquainted.a.node.clock
    clock.advance(seconds=LIFETIME_S + SKEW_S_MAX + NONCES_KEPT_S - 1)
    await forget_nonces(acquainted.a.database, clock())
    assert await acquainted.heard() == 1
    await forget_nonces(acquainted.a.database, clock.advance(seconds=2))
    assert await acquainted.heard() == 0


# ---- clocks that differ ----------------------------------------------------------------------------------------------


async def test_a_node_whose_clock_says_2010_is_heard(acquainted: Acquainted) -> None:
    b = replace(acquainted.b.node, clock=FrozenClock(datetime(2010, 1, 1, tzinfo=UTC)))
    before = b.clock()
    async with client_of(b, acquainted.a.url) as client:
        await client.heads()
        assert await acquainted.heard() == 1
        behind_s = (before - acquainted.a.node.clock()).total_seconds()
        assert abs(client.skew_ms / 1000 - behind_s) < 2
        await client.heads()
        assert await acquainted.heard() == 2
    assert b.clock() == before


async def test_how_far_clocks_are_apart_is_remembered_with_the_peer(acquainted: Acquainted) -> None:
    """Also when nothing else came of it."""
    b = acquainted.b
    b.syncer.clock = CLOCK_OF_2010
    b.node.clock = CLOCK_OF_2010
    await b.value("update peer set operator_scid = 'somebody else', skew_ms = null")
    with pytest.raises(Exception, match="PEER_OPERATOR_CHANGED"):
        await b.pull(acquainted.a.url)
    assert await acquainted.heard() == 1
    assert await b.value("select skew_ms from peer") < -500_000_000_000


async def test_a_peer_that_never_agrees_about_the_time_is_asked_twice_and_then_without_a_signature(
    acquainted: Acquainted,
) -> None:
    asked: list[bool] = []

    async def moving(request: Request) -> Response:
        asked.append("signature" in request.headers)
        if asked[-1]:
            return JSONResponse({"code": "SIGNATURE_SKEW", "details": {"skew_ms": 100_000}}, 401)
        return JSONResponse(
            {"network": "test", "operator": "", "time": "2026-01-01T00:00:00.000Z", "since": "", "logs": []}
        )

    async with (
        serving(Starlette(routes=[Route(HEADS, moving)])) as url,
        client_of(acquainted.b.node, url) as client,
    ):
        await client.heads()
        await client.heads()
    assert asked == [True, True, False, False]


@pytest.mark.parametrize("skew_ms", ["1", True, 1e12, 10**18, None])
async def test_nonsense_about_the_time_is_not_followed(acquainted: Acquainted, skew_ms: Any) -> None:
    async def nonsense(_request: Request) -> Response:
        return JSONResponse({"code": "SIGNATURE_SKEW", "details": {"skew_ms": skew_ms}}, 401)

    async with (
        serving(Starlette(routes=[Route(HEADS, nonsense)])) as url,
        client_of(acquainted.b.node, url) as client,
    ):
        with pytest.raises(PeerProtocolError):
            await client.heads()
        assert client.skew_ms == 0
