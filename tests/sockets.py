"""Serve an ASGI app on a real socket for the length of a test, and ask it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn

from tests.waiting import PATIENCE_S


def open_socket() -> socket.socket:
    """Return a listening socket on a free port, for an app that has to know its address before it serves."""
    return socket.create_server(("127.0.0.1", 0))


def url_of(listening: socket.socket) -> str:
    """Return the base URL under which an app on this socket answers."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


def http_client(**options: Any) -> httpx.AsyncClient:
    """Return a client that waits as long as tests do, and that no proxy of this machine diverts."""
    return httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False, verify=False, **options)  # whom it asks has no TLS


@contextlib.asynccontextmanager
async def serving(app: Any, listening: socket.socket | None = None) -> AsyncIterator[str]:
    """Yield the base URL under which `app` answers, on a socket of `open_socket` or on one of its own."""
    listening = listening or open_socket()
    config = uvicorn.Config(
        app, log_level=None, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        yield url_of(listening)
    finally:
        server.should_exit = True
        await task
        listening.close()
