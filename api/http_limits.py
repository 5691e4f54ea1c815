"""Bound what a connection may cost before anybody answers: bytes of a head, time without a whole one, their number.

uvicorn keeps whatever a client sends as a head, for as long as it likes, on as many connections as there are files.
Refused here, without a word to the application:

* more than HEAD_BYTES_MAX that are no body: request line, headers, trailers, chunk sizes;
* a connection on which a request was begun, or none at all, and not one is whole after HEAD_TIMEOUT_S; likewise a body
  that still comes after its answer has gone. Between whole requests uvicorn's keep-alive counts, and how long a body
  may take before it is answered is for whoever reads it;
* requests behind one that is not answered yet, more than WAITING_REQUESTS_MAX of them or WAITING_BYTES_MAX of their
  bodies: uvicorn reads on with each answer, and what a client sends faster than that would grow without end;
* more connections than files can be opened, with some left for the database, peers and keys; of one address more than
  half of them, WebSockets included. This machine itself, where a proxy may be, has all but an eighth: no program here
  takes every place from those who come from outside. An address is what one customer has at the least: of IPv6 the
  first 64 bits.
"""

import asyncio
import resource
from collections import Counter
from typing import Final

from uvicorn._types import HTTPScope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.payer import client_address

HEAD_BYTES_MAX: Final = 64 * 1024
HEAD_TIMEOUT_S: Final = 20.0
WAITING_REQUESTS_MAX: Final = 32
WAITING_BYTES_MAX: Final = 1024 * 1024
CONNECTIONS_MAX: Final = 8_192
FILES_KEPT: Final = 256
ADDRESS_SHARE: Final = 1 / 2
LOCAL_SHARE: Final = 7 / 8


def connections_max() -> int:
    """Return how many connections this process takes, by how many files it may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, max(files - FILES_KEPT, files // 2))


def allow_many_files() -> None:
    """Let this process, and those that it starts, open files for CONNECTIONS_MAX if the system permits as many."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + FILES_KEPT
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if files != resource.RLIM_INFINITY and files < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


_of_address: Counter[str] = Counter()
"""Connections of this process, WebSockets too."""


def _counted(client: tuple[str, int] | None) -> tuple[str, bool]:
    """Count one connection more; return the address that it counts for, and whether that is this machine."""
    address, is_local = client_address(client[0], b"", ()) if client else ("", True)
    _of_address[address] += 1
    return address, is_local


def _counted_no_more(address: str) -> None:
    _of_address[address] -= 1
    if _of_address[address] <= 0:
        del _of_address[address]


class TooManyWaiting(Exception):
    """More requests wait on one connection than may; ends the reading of what came in the same packet."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 over httptools, within these limits."""

    head_timeout_s = HEAD_TIMEOUT_S

    _address = ""
    _no_body_bytes = 0
    _giving_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, or end it where there are too many."""
        super().connection_made(transport)
        self._address, is_local = _counted(self.client)
        most = connections_max()
        is_greedy = _of_address[self._address] > int(most * (LOCAL_SHARE if is_local else ADDRESS_SHARE))
        if is_greedy or len(self.connections) > most:
            transport.abort()
        else:
            self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection; what still waits on it will not be answered."""
        self._await_no_more()
        _counted_no_more(self._address)
        self.pipeline.clear()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a LimitedSocket, which counts it.

        Refused is what would be answered by nobody, or beside the answer to a request before it.
        """
        _, cycle = self._begun()
        if cycle is not None and not cycle.response_complete:
            self.transport.abort()
            return
        if any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        ):
            self.send_400_response("A WebSocket is opened by a request without a body.")
            return
        _counted_no_more(self._address)
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Take the next bytes; refuse them where what they begin does not end."""
        self._no_body_bytes += len(data)
        super().data_received(data)
        if self.pipeline and sum(len(cycle.body) for cycle, _ in self.pipeline) > WAITING_BYTES_MAX:
            self.transport.abort()
        if not self._no_body_bytes and self._giving_up is None and "method" in self.scope:
            return  # it ended where a request did, as nearly always
        if self._no_body_bytes > HEAD_BYTES_MAX:
            self._refuse()
        elif self._is_incomplete():
            self._await()
        elif self._giving_up is not None:
            self._await_no_more()

    def on_headers_complete(self) -> None:
        """Take a head; raises TooManyWaiting where enough of them wait already."""
        if len(self.pipeline) >= WAITING_REQUESTS_MAX:
            self.transport.abort()
            raise TooManyWaiting
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body: how large one may be is for its reader to say."""
        self._no_body_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._no_body_bytes = 0
        super().on_message_complete()

    def _is_incomplete(self) -> bool:
        """Return whether the end of a head, or of a body that was answered already, is still to come."""
        scope, cycle = self._begun()
        if scope is None or "method" not in scope:
            return True
        return cycle is not None and cycle.response_complete and cycle.more_body

    def _begun(self) -> tuple[HTTPScope | None, RequestResponseCycle | None]:
        """Return the last head and the last whole one; before the first request uvicorn has neither."""
        return self.scope, self.cycle

    def _await(self) -> None:
        if self._giving_up is None:
            self._giving_up = self.loop.call_later(self.head_timeout_s, self.transport.abort)

    def _await_no_more(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        _, cycle = self._begun()
        if cycle is None or cycle.response_complete:
            self.send_400_response("The head of the request is too large.")
        else:
            self.transport.abort()  # the answer to a request before this one has begun


class LimitedSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSockets, counted among the connections of their address."""

    _address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection."""
        super().connection_made(transport)
        self._address, _ = _counted(self.client)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        _counted_no_more(self._address)
        super().connection_lost(exc)
