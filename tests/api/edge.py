"""An application behind this program's HTTP, and nothing else of it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from api.http_limits import LimitedSocket
from api.http_protocol import HttpProtocol


@contextlib.asynccontextmanager
async def answering(application: Any) -> AsyncIterator[uvicorn.Server]:
    """Yield a server on a free port where `application` answers over HttpProtocol."""
    config = uvicorn.Config(application, http=HttpProtocol, ws=LimitedSocket, lifespan="off", log_config=None, port=0)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server
    finally:
        await server.shutdown()


def port_of(server: uvicorn.Server) -> int:
    """Return the port that it listens on."""
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
