"""What the federation's HTTP edge does with readers and writers that are slow, many, or make no sense."""

import asyncio
import gzip
import importlib
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

import api.errors
import api.federation
from domain.errors import GotongError, error_classes
from federation.sync.inflate import PIECE_BYTES_MAX, Inflater
from tests.house.source import modules
from tests.nodes import need_draft
from tests.sockets import http_client
from tests.sync.conftest import MakeNode, SyncNode
from tests.waiting import PATIENCE_S, eventually


async def connected(node: SyncNode, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a bare connection on which this request head was sent."""
    parts = urlsplit(node.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1_024)
    writer.write(head.encode())
    await writer.drain()
    return reader, writer


async def test_a_body_that_never_comes_is_given_up(make_node: MakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.federation, "BODY_TIMEOUT_S", 0.2)
    a = await make_node("a")
    reader, writer = await connected(a, "POST /federation/v1/pull HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    async with asyncio.timeout(PATIENCE_S):
        assert b" 408 " in await reader.readline()
    writer.close()


async def unread(node: SyncNode, origin: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection on which a pull of a log has begun to be answered, and is not read."""
    body = f'{{"logs":[{{"origin":"{origin}"}}]}}'
    head = f"POST /federation/v1/pull HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    reader, writer = await connected(node, head)
    await reader.readexactly(100)
    return reader, writer


async def test_pulls_that_nobody_reads_are_ended_and_others_are_told_to_wait(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.federation, "PULLS_AT_ONCE_MAX", 1)
    a = await make_node("a")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    long = [{"lang": "id", "text": "beras " * 600}]
    for _ in range(2):
        drafts = [need_draft(f"Beras {number}", description=long) for number in range(1_000)]
        await a.node.appender.append(guest.scid, drafts)

    async with http_client() as http:

        async def asked(origin: str) -> httpx.Response:
            return await http.post(f"{a.url}/federation/v1/pull", json={"logs": [{"origin": origin}]})

        async def is_served() -> bool:
            """Return whether there is a place, with a log so short that nobody has to wait for its reader."""
            return (await asked(a.node.operator.origin)).status_code == 200

        _, writer = await unread(a, guest.origin)
        refused = await asked(guest.origin)
        assert (refused.status_code, refused.json()["code"]) == (503, "PULLS_EXHAUSTED")
        assert int(refused.headers["retry-after"]) > 0
        writer.close()
        await eventually(is_served)
        monkeypatch.setattr(api.federation, "SEND_TIMEOUT_S", 0.5)
        _, writer = await unread(a, guest.origin)
        await eventually(is_served)
        writer.close()


@pytest.mark.parametrize("path", ["o/%00", "federation/v1/did/%00", "federation/v1/did/a%00b"])
async def test_a_name_with_a_nul_in_it_is_nobody_s(make_node: MakeNode, path: str) -> None:
    a = await make_node("a")
    async with http_client() as http:
        assert (await http.get(f"{a.url}/{path}/did.jsonl")).status_code == 404


async def test_a_reader_that_goes_away_frees_its_place(make_node: MakeNode) -> None:
    a = await make_node("a")
    body: Any = {"logs": [{"origin": a.node.operator.origin}]}
    async with http_client() as http:
        for _ in range(40):
            async with http.stream("POST", f"{a.url}/federation/v1/pull", json=body) as response:
                assert response.status_code == 200


def test_every_code_that_has_a_status_is_an_errors_code() -> None:
    for name, _ in modules("domain", "store", "auth", "federation", "schema", "api"):
        importlib.import_module(name)
    codes = {error.code for error in error_classes(GotongError)} | {"INTERNAL"}
    assert set(api.errors.STATUS) - codes == set()


def test_a_body_is_inflated_in_pieces_of_bounded_size() -> None:
    squeezed = gzip.compress(bytes(20_000_000))
    sizes = [len(piece) for piece in Inflater("gzip").feed(squeezed)]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= PIECE_BYTES_MAX
