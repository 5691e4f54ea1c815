"""An answer leaves in one piece, and whole: whatever its size, order or the way its connection ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from api.http_protocol import GATHERED_BYTES_MAX, Gathering, HttpProtocol

LARGE_BYTES = 3_000_000
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Recorder(asyncio.Transport):
    """A transport that notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Any] = []

    def write(self, data: Any) -> None:
        self.done.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.done.append(b"".join(list_of_data))

    def close(self) -> None:
        self.done.append("closed")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.done.append(protocol)

    def is_closing(self) -> bool:
        return "closed" in self.done


@pytest.fixture
async def transport() -> Recorder:
    return Recorder()


@pytest.fixture
async def gathering(transport: Recorder) -> Gathering:
    return Gathering(transport, asyncio.get_running_loop())


async def test_head_and_body_are_one_write(transport: Recorder, gathering: Gathering) -> None:
    gathering.write(HEAD)
    gathering.write(b"body")
    assert transport.done == []
    await asyncio.sleep(0)
    assert transport.done == [HEAD + b"body"]
    gathering.write(b"next")
    await asyncio.sleep(0)
    assert transport.done == [HEAD + b"body", b"next"]


async def test_much_is_written_at_once_so_that_the_socket_can_slow_its_writer(
    transport: Recorder, gathering: Gathering
) -> None:
    gathering.write(HEAD)
    gathering.write(b"x" * GATHERED_BYTES_MAX)
    assert transport.done == [HEAD + b"x" * GATHERED_BYTES_MAX]
    await asyncio.sleep(0)
    assert len(transport.done) == 1


async def test_nothing_is_left_behind_by_who_closes_or_hands_over(transport: Recorder, gathering: Gathering) -> None:
    other = asyncio.Protocol()
    gathering.write(b"switching")
    gathering.set_protocol(other)
    gathering.write(b"bye")
    gathering.close()
    await asyncio.sleep(0)
    assert transport.done == [b"switching", other, b"bye", "closed"]
    assert gathering.is_closing()


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """Answer with as many bytes as the path says, in two pieces."""
    size_bytes = int(scope["path"][1:])
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size_bytes)]})
    await send({"type": "http.response.body", "body": b"a" * (size_bytes // 2), "more_body": True})
    await send({"type": "http.response.body", "body": b"z" * (size_bytes - size_bytes // 2)})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A port where `_application` answers over HttpProtocol."""
    config = uvicorn.Config(_application, http=HttpProtocol, lifespan="off", log_config=None, port=0)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    return await reader.readexactly(int(size.partition(b":")[2]))


async def test_requests_in_one_packet_are_answered_whole_and_in_order(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sizes = [7, LARGE_BYTES, 2, GATHERED_BYTES_MAX + 1, 1]
    writer.write(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % size for size in sizes))
    for size in sizes:
        assert await _answer(reader) == b"a" * (size // 2) + b"z" * (size - size // 2)
    writer.close()


async def test_a_connection_that_is_to_close_closes_after_its_answer(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /100000 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"a" * 50_000 + b"z" * 50_000)
    writer.close()
