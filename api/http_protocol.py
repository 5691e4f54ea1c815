"""Write a ready answer to the socket at once.

uvicorn takes an answer in two messages, checks each header with two regular expressions, and writes twice: two
system calls, and the reader is woken twice. That costs more than all the Python before it. An application that has
its whole answer finds `scope["extensions"][WHOLE]` and hands it over in one piece; to any other ASGI server it sends
the two messages.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from api.http_limits import LimitedProtocol

WHOLE: Final = "gotong.response.whole"

Header = tuple[bytes, bytes]
Whole = Callable[[int, Iterable[Header], bytes], bool]
"""Takes status, headers that nobody else chose, and body; returns whether they were written."""


class HttpProtocol(LimitedProtocol):
    """uvicorn's HTTP/1.1 over httptools, limited, with an extension for whole answers."""

    _answering: RequestResponseCycle  # of requests that came in one packet, `cycle` is the last

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        extensions: dict[str, Any] = {WHOLE: self._answer}
        cycle.scope["extensions"] = extensions
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection, and leave nothing that only the garbage collector would find."""
        super().connection_lost(exc)
        if self.cycle is not None:
            self.cycle.scope.pop("extensions", None)
            self._answering = self.cycle

    def _answer(self, status: int, headers: Iterable[Header], body: bytes) -> bool:
        """Write an answer; False where that is not simple: nothing of it is written then."""
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
