"""An in-memory network: requests between simulated nodes, and everything that can happen to them on the way."""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import Enum

import httpx
from starlette.types import ASGIApp


class Fate(Enum):
    """What becomes of one exchange."""

    ARRIVES = "arrives"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    ANSWER_CUT = "answer cut"
    TWICE = "request arrives twice"
    LATE = "answer late"


Tamper = Callable[[httpx.Request, bytes], bytes]
"""What a liar makes of an answer it passes on; bodies come and go undecoded by gzip."""


@dataclass
class Network:
    """Who is reachable from where. `trouble` is the chance, from 0 to 1, that an exchange does not go well."""

    chance: random.Random
    trouble: float = 0.0
    apps: dict[str, ASGIApp] = field(default_factory=dict)
    relays: dict[str, str] = field(default_factory=dict)
    faces: dict[str, tuple[str, str]] = field(default_factory=dict)
    tampers: dict[str, Tamper] = field(default_factory=dict)
    islands: dict[str, int] = field(default_factory=dict)

    def transport(self, name: str) -> httpx.AsyncBaseTransport:
        """Return what the node `name` speaks through."""
        return _Wire(self, name)

    def is_open(self, one: str, other: str) -> bool:
        """Return whether the two are on one side of every cut."""
        return self.islands.get(one, 0) == self.islands.get(other, 0)

    def behind(self, host: str, caller: str) -> str:
        """Return the machine that answers for a host; a two-faced one has another face for every other caller."""
        if host in self.faces:
            return self.faces[host][sum(caller.encode()) % 2]
        return self.relays.get(host, host)

    def heal(self) -> None:
        """Make everybody reachable, and everything arrive."""
        self.islands.clear()
        self.trouble = 0.0

    def fate(self) -> Fate:
        """Return what becomes of the next exchange."""
        if self.chance.random() >= self.trouble:
            return Fate.ARRIVES
        return self.chance.choice([each for each in Fate if each is not Fate.ARRIVES])


class _Wire(httpx.AsyncBaseTransport):
    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        network, host = self._network, request.url.host
        app = network.apps.get(network.behind(host, self._name))
        if app is None or not network.is_open(self._name, host):
            raise httpx.ConnectError("nobody answers there")
        fate = network.fate()
        if fate is Fate.REQUEST_LOST:
            raise httpx.ConnectTimeout("the request was lost")
        if fate is Fate.TWICE:
            await _ask(app, request)
        status, headers, body = await _ask(app, request)
        if fate is Fate.LATE:
            await asyncio.sleep(0)
            await _ask(app, request)  # meanwhile the same was asked again; the first answer still comes
        if fate is Fate.ANSWER_LOST:
            raise httpx.ReadError("the answer was lost")
        tamper = network.tampers.get(host)
        if tamper is not None:
            body = _tampered(tamper, request, headers, body)
        pieces = [body]
        if fate is Fate.ANSWER_CUT:
            pieces = [body[: network.chance.randrange(len(body) + 1)]]
        return httpx.Response(status, headers=headers, stream=_Body(pieces, is_cut=fate is Fate.ANSWER_CUT))


def _tampered(tamper: Tamper, request: httpx.Request, headers: httpx.Headers, body: bytes) -> bytes:
    if headers.get("content-encoding") == "gzip":
        return gzip.compress(tamper(request, gzip.decompress(body)), 1)
    return tamper(request, body)


async def _ask(app: ASGIApp, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
    response = await httpx.ASGITransport(app, raise_app_exceptions=False).handle_async_request(request)
    body = b"".join([piece async for piece in response.aiter_raw()])
    headers = httpx.Headers([each for each in response.headers.raw if each[0].lower() != b"content-length"])
    return response.status_code, headers, body


class _Body(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes], *, is_cut: bool) -> None:
        self._pieces = pieces
        self._is_cut = is_cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._is_cut:
            raise httpx.ReadError("the connection was cut")
