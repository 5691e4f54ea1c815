"""Hand a request that came at once to the application in one piece, and take its answer in one piece.

uvicorn takes an answer in two messages, checks each header with two regular expressions, and writes twice: two
system calls, and the reader is woken twice. It gives a body, though all of it is there, through an event to be
awaited. That costs more than all the Python between. An application finds `scope["extensions"][WHOLE]`, a `Whole`;
to any other ASGI server, and where things are not that simple, it speaks in messages.
"""

from collections.abc import Iterable
from typing import Any, Final, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from api.http_limits import LimitedProtocol

WHOLE: Final = "gotong.response.whole"

Header = tuple[bytes, bytes]


class Whole(Protocol):
    """One exchange of a request and its answer."""

    def take_body(self) -> bytes | None:
        """Return the request's body, once; None where not all of it is here yet, or it is large: ask `receive`."""

    def write(self, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Write an answer with headers that nobody else chose; False where nothing of it was written: `send` it."""


class HttpProtocol(LimitedProtocol):
    """uvicorn's HTTP/1.1 over httptools, limited, with an extension for whole answers."""

    _answering: RequestResponseCycle  # of requests that came in one packet, `cycle` is the last

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        extensions: dict[str, Any] = {WHOLE: self}
        cycle.scope["extensions"] = extensions
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection, and leave nothing that only the garbage collector would find."""
        super().connection_lost(exc)
        if self.cycle is not None:
            if not self._answering.response_complete:  # uvicorn tells only the last request, which may wait behind it
                self._answering.disconnected = True
                self._answering.message_event.set()
            self.cycle.scope.pop("extensions", None)
            self._answering = self.cycle

    def take_body(self) -> bytes | None:
        """Return the body of the request that is being answered, see `Whole`."""
        cycle = self._answering
        if cycle.more_body or cycle.disconnected or len(cycle.body) > HIGH_WATER_LIMIT:
            return None
        self.flow.resume_reading()  # as `receive` does, so that who leaves is noticed
        body = bytes(cycle.body)
        cycle.body = bytearray()
        return body

    def write(self, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Write the answer to that request, see `Whole`."""
        cycle = self._answering
        if cycle.disconnected or cycle.response_started or self.flow.write_paused or cycle.scope["method"] == "HEAD":
            return False
        parts = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", body) if cycle.keep_alive else (b"connection: close\r\n\r\n", body)
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self.transport.write(b"".join(parts))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True
