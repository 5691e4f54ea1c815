"""Write an answer's head and body to the socket at once.

uvicorn writes them one after the other: two system calls, and the reader is woken twice. For an answer that is
ready that costs more than all its Python. Here what is written within one turn of the event loop leaves in one
piece at its end, or at once when it is much.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GATHERED_BYTES_MAX = 64 * 1024  # beyond it the socket's own flow control has to see the bytes


class Gathering:
    """A transport that gathers what is written until the loop's next turn; everything else is the transport's own."""

    __slots__ = ("_loop", "_parts", "_size_bytes", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep `data` until the loop's next turn, or until there is much of it."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)
        self._size_bytes += len(data)
        if self._size_bytes > GATHERED_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        parts, self._parts, self._size_bytes = self._parts, [], 0
        if len(parts) == 1:
            self._transport.write(parts[0])
        elif parts:
            self._transport.writelines(parts)

    def close(self) -> None:
        """Write what was gathered, then close."""
        self.flush()
        self._transport.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Write what was gathered, then hand the connection over."""
        self.flush()
        self._transport.set_protocol(protocol)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 over httptools, with a gathering transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a connection."""
        super().connection_made(cast("asyncio.Transport", Gathering(transport, self.loop)))
