"""A whole answer leaves in one piece: whatever its size or order, and however its connection ends."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.http_protocol import WHOLE
from tests.api.edge import answering, port_of
from tests.waiting import eventually

LARGE_BYTES = 3_000_000


async def _echo(scope: Any, receive: Any) -> None:
    """Answer with how the body came, and the body; one that is taken is not received again."""
    whole = scope["extensions"][WHOLE]
    body = whole.take_body()
    how = b"received " if body is None else b"taken "
    if body is None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
    else:
        assert whole.take_body() == b""
    answer = how + body
    assert whole.write(200, [(b"content-length", b"%d" % len(answer))], answer)


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """Answer with as many bytes as the path says: in one piece, or below /parts in the two messages of ASGI."""
    if scope["path"] == "/echo":
        await _echo(scope, receive)
        return
    *parts, size = scope["path"][1:].split("/")
    body = b"a" * int(size)
    headers = [(b"content-length", b"%d" % len(body))]
    await receive()
    if parts or not scope["extensions"][WHOLE].write(200, [*headers, (b"x-whole", b"yes")], body):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A port where `_application` answers over HttpProtocol."""
    async with answering(_application) as server:
        server.server_state.default_headers = [(b"date", b"now")]
        yield port_of(server)


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return head, await reader.readexactly(int(size.partition(b":")[2]))


async def test_requests_in_one_packet_are_answered_whole_and_in_order(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    paths = ["/7", f"/{LARGE_BYTES}", "/parts/2", "/65537", "/parts/1", "/0"]
    writer.write(b"".join(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode() for path in paths))
    for path in paths:
        _, body = await _answer(reader)
        assert body == b"a" * int(path.rpartition("/")[2])
    writer.close()


def _post(body: bytes) -> bytes:
    return b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def test_a_body_that_came_with_its_head_is_taken_and_every_other_is_received(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_post(b"satu") + _post(b"") + _post(b"tiga"))
    assert [(await _answer(reader))[1] for _ in range(3)] == [b"taken satu", b"taken ", b"taken tiga"]
    head, rest = _post(b"empat")[:-3], _post(b"empat")[-3:]
    writer.write(head)
    await asyncio.sleep(0.05)
    writer.write(rest)
    assert (await _answer(reader))[1] == b"received empat"
    large = b"a" * 200_000
    writer.write(_post(large))
    assert (await _answer(reader))[1] == b"received " + large
    writer.close()


async def test_an_answer_in_one_piece_has_the_server_s_headers_too(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /2 HTTP/1.1\r\nhost: a\r\n\r\n")
    head, _ = await _answer(reader)
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: now\r\n")
    assert b"\r\nx-whole: yes\r\n" in head
    writer.close()


@pytest.mark.parametrize("path", ["/100000", "/parts/100000"])
async def test_a_connection_that_is_to_close_closes_after_its_answer(port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\n" + b"a" * 100_000)
    writer.close()


async def test_a_head_has_no_body(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HEAD /5 HTTP/1.1\r\nhost: a\r\n\r\nGET /1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    first, second = (await reader.read()).split(b"\r\n\r\n", 1)
    assert b"content-length: 5" in first
    assert second.startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_who_reads_slowly_slows_the_writer(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
    writer.write(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % LARGE_BYTES * 4)
    await asyncio.sleep(0.2)
    for _ in range(4):
        _, body = await _answer(reader)
        assert len(body) == LARGE_BYTES
    writer.close()


async def test_a_connection_leaves_nothing_to_the_garbage_collector(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cycles: list[weakref.ref[Any]] = []
    init = RequestResponseCycle.__init__

    def noting(cycle: RequestResponseCycle, *args: Any, **named: Any) -> None:
        cycles.append(weakref.ref(cycle))
        init(cycle, *args, **named)

    async def is_gone() -> bool:
        return cycles[-1]() is None

    monkeypatch.setattr(RequestResponseCycle, "__init__", noting)
    gc.disable()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /2 HTTP/1.1\r\nhost: a\r\n\r\n")
            await _answer(reader)
        assert [cycle() is None for cycle in cycles] == [True, True, False]
        writer.close()
        await writer.wait_closed()
        await eventually(is_gone)
    finally:
        gc.enable()
