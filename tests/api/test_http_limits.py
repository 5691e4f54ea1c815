"""What one connection, and many, may cost: heads that do not end, that come slowly, that are too many."""

import asyncio
import contextlib
import itertools
import resource
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api import http_limits
from api.http_limits import HEAD_BYTES_MAX, WAITING_BYTES_MAX, WAITING_REQUESTS_MAX, LimitedProtocol, connections_max
from api.payer import client_address
from tests.api.edge import answering, port_of
from tests.waiting import PATIENCE_S, eventually

GET = b"GET / HTTP/1.1\r\nhost: a\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
HANDSHAKE = (
    b"host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LEFT = asyncio.Event()


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """Answer, below /read after the whole body, how long that was; /slow takes a while, /wait until the client goes."""
    size = 0
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.01)
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        LEFT.set()
    while scope["path"] == "/read":
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A port where `_application` answers over HttpProtocol."""
    async with answering(_application) as server:
        yield port_of(server)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a head be waited for half a second."""
    monkeypatch.setattr(LimitedProtocol, "head_timeout_s", 0.5)


async def _status(reader: asyncio.StreamReader) -> bytes:
    return (await reader.readuntil(b"\r\n")).split(b" ")[1]


async def _is_refused(port: int) -> bool:
    """Return whether one connection more ends without an answer to a whole request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(GET + b"\r\n")
            return await reader.read(1) == b""
    except ConnectionError:
        return True
    finally:
        writer.close()


async def _sent(port: int, begin: bytes, again: bytes, pause_s: float = 0.0) -> tuple[int, bytes]:
    """Return how many bytes were taken of `begin` and of `again` without end, and what was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(reader.read(4_096))
    sent = 0
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(begin)
            while not answer.done():
                writer.write(again)
                await writer.drain()
                sent += len(again)
                await asyncio.sleep(pause_s)
        return sent, await answer
    except ConnectionError:
        return sent, b""
    finally:
        answer.cancel()
        writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (GET, b"x-again: " + b"a" * 1_000 + b"\r\n"),
        (GET + b"x-long: ", b"a" * 1_000),
        (b"GET /", b"a" * 1_000),
    ],
    ids=["headers", "one header", "a path"],
)
async def test_a_head_without_end_is_refused_after_a_bounded_number_of_bytes(
    port: int, begin: bytes, again: bytes
) -> None:
    sent, answer = await _sent(port, begin, again)
    assert answer.startswith(b"HTTP/1.1 400 ") or not answer  # a refusal can be lost when the sender goes on
    assert sent < HEAD_BYTES_MAX + 8_000_000  # what the sockets between them hold


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"0\r\n", b"x-again: " + b"a" * 1_000 + b"\r\n"),
        (b"0\r\nx-long: ", b"a" * 1_000),
        (b"", b"000000001;" + b"a" * 1_000 + b"\r\nb\r\n"),
    ],
    ids=["trailers", "one trailer", "chunk extensions"],
)
async def test_what_surrounds_a_body_is_bounded_too(port: int, begin: bytes, again: bytes) -> None:
    head = POST.replace(b"/ ", b"/read ") + b"transfer-encoding: chunked\r\n\r\n"
    sent, answer = await _sent(port, head + begin, again)
    assert not answer
    assert sent < HEAD_BYTES_MAX + 8_000_000


async def test_a_large_head_and_a_large_body_are_taken(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b"a" * 5_000_000
    for _ in range(2):
        writer.write(POST.replace(b"/ ", b"/read ") + b"x-large: " + b"a" * 60_000)
        writer.write(b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(PATIENCE_S):
            assert await _status(reader) == b"200"
            assert (await reader.readuntil(b"%d" % len(body))).endswith(b"\r\n\r\n%d" % len(body))
    writer.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("begin", [b"", b"GET", GET, GET + b"x-slow: "], ids=["silence", "a method", "a line", "half"])
async def test_a_head_that_does_not_come_is_not_waited_for(port: int, begin: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
    writer.close()


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_comes_byte_by_byte_gains_nothing_by_it(port: int) -> None:
    _, answer = await _sent(port, GET + b"x-slow: ", b"a", 0.05)
    assert answer == b""


async def _flood(writer: asyncio.StreamWriter, requests: bytes) -> None:
    for _ in range(64):
        writer.write(requests)
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", [b"/slow", b"/wait"])
async def test_requests_that_wait_behind_one_are_bounded(port: int, path: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionError):
        await _flood(writer, b"GET %b HTTP/1.1\r\n\r\n" % path * 100)
    writer.close()


async def test_bodies_that_wait_behind_a_request_are_bounded(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b"a" * 3 * WAITING_BYTES_MAX
    head = b"POST /read HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    writer.write(b"GET /slow HTTP/1.1\r\n\r\n" * WAITING_REQUESTS_MAX + head + body)
    answered = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            while piece := await reader.read(4_096):
                answered += piece
    assert not answered.endswith(b"%d" % len(body))
    writer.close()


async def test_a_few_requests_in_one_packet_are_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    few = WAITING_REQUESTS_MAX + 1
    writer.write(b"GET /slow HTTP/1.1\r\n\r\n" * few)
    for _ in range(few):
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_who_leaves_while_requests_wait_behind_one_leaves_that_one(port: int) -> None:
    LEFT.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /wait HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    await writer.drain()
    writer.close()
    async with asyncio.timeout(PATIENCE_S):
        await LEFT.wait()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("before", "body"),
    [
        (b"", b"content-length: 5\r\n\r\nabcde"),
        (b"", b"transfer-encoding: chunked\r\n\r\n"),
        (b"GET /wait HTTP/1.1\r\n\r\n", b"\r\n"),
    ],
    ids=["a body", "chunks", "behind another request"],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_an_upgrade_that_nobody_would_answer_ends_the_connection(
    port: int, method: bytes, before: bytes, body: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(before + method + b" / HTTP/1.1\r\n" + HANDSHAKE + body)
    answer = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
    assert answer == b"" if before else answer.startswith(b"HTTP/1.1 400")
    writer.close()


async def test_a_body_that_goes_on_after_its_answer_ends_the_connection(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(POST + b"content-length: 1000000\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert await _status(reader) == b"200"
        with pytest.raises(ConnectionError):
            await _drip(writer)


@pytest.mark.usefixtures("impatient")
async def test_a_connection_is_kept_between_whole_requests(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(GET + b"\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert await _status(reader) == b"200"
            await reader.readuntil(b"\r\n\r\n0")
        await asyncio.sleep(0.7)  # longer than a head may take
    writer.close()


async def test_there_are_no_more_connections_than_files_for_them(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "CONNECTIONS_MAX", 3)
    addresses = itertools.count()
    monkeypatch.setattr(http_limits, "client_address", lambda *_: (str(next(addresses)), False))
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    assert await _is_refused(port)
    for each, its_writer in kept:
        its_writer.write(GET + b"\r\n")
        assert await _status(each) == b"200"
    for _, each_writer in kept:
        each_writer.close()


@pytest.mark.parametrize(("is_local", "places"), [(False, 4), (True, 7)], ids=["another machine", "this machine"])
async def test_one_address_has_half_of_the_connections_and_this_machine_leaves_some(
    port: int, monkeypatch: pytest.MonkeyPatch, is_local: bool, places: int
) -> None:
    monkeypatch.setattr(http_limits, "CONNECTIONS_MAX", 8)
    monkeypatch.setattr(http_limits, "client_address", lambda *_: ("an address", is_local))
    kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(places)]
    assert await _is_refused(port)
    monkeypatch.setattr(http_limits, "client_address", lambda *_: ("a second one", False))
    kept.append(await asyncio.open_connection("127.0.0.1", port))
    for each, writer in kept:
        writer.write(GET + b"connection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            assert (await each.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()

    async def is_noticed() -> bool:
        return not http_limits._of_address

    await eventually(is_noticed)


async def test_a_websocket_counts_as_long_as_it_is_open(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "CONNECTIONS_MAX", 8)
    monkeypatch.setattr(http_limits, "client_address", lambda *_: ("an address", False))
    kept = []
    for _ in range(4):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n" + HANDSHAKE + b"\r\n")
        assert await _status(reader) == b"101"
        kept.append(writer)
    assert await _is_refused(port)
    for writer in kept:
        writer.close()

    async def is_noticed() -> bool:
        return not http_limits._of_address

    await eventually(is_noticed)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
    ],
)
def test_a_customer_with_many_addresses_is_one(one: str, other: str, same: bool) -> None:
    assert (client_address(one, b"", ()) == client_address(other, b"", ())) == same


def test_files_are_left_for_the_database_and_the_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = {1_024: 768, 256: 128, 100_000: 8_192, resource.RLIM_INFINITY: 8_192}
    for files, connections in allowed.items():
        monkeypatch.setattr(resource, "getrlimit", lambda _which, files=files: (files, files))
        assert connections_max() == connections
