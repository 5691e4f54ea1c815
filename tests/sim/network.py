"""An in-memory network: requests between simulated nodes, and everything that can happen to them on the way.

It hears everything. What was signed it may send again, elsewhere too; whom a node takes for a request's sender is
compared with who really sent it.
"""

import asyncio
import gzip
import random
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum

import httpx
from starlette.types import ASGIApp

from tests.sim.crash import Crashed

OVERHEARD_MAX = 32
PACKET_BYTES = 512
PUBLIC = ("/pull", "/add-checkpoint", "/did.jsonl")
"""A stranger may ask for these; whoever is not known there is not protected from what is changed on the way."""
_NONCE = re.compile(r';nonce="([^"]+)"')


class Fate(Enum):
    """What becomes of one exchange."""

    ARRIVES = "arrives"
    REQUEST_LOST = "request lost"
    REQUEST_CHANGED = "request changed, if a signature is needed"
    CHANGED_FIRST = "a changed one arrives before the request"
    ANSWER_LOST = "answer lost"
    ANSWER_CUT = "answer cut"
    TWICE = "request arrives twice"
    LATE = "answer late"


Tamper = Callable[[httpx.Request, bytes], bytes]
"""What a liar makes of an answer it passes on; bodies come and go undecoded by gzip."""


@dataclass(frozen=True)
class Signed:
    """A signed request as it was sent: by which machine, to which host, with which body."""

    sender: str
    host: str
    body: bytes


@dataclass
class Network:
    """Who is reachable from where. `trouble` is the chance, from 0 to 1, that an exchange does not go well.

    `operators` says who runs each machine; `wrongs` what was taken for what it was not. `meanwhile` is what happens
    between two messages of one exchange.
    """

    chance: random.Random
    trouble: float = 0.0
    apps: dict[str, ASGIApp] = field(default_factory=dict)
    relays: dict[str, str] = field(default_factory=dict)
    faces: dict[str, tuple[str, str]] = field(default_factory=dict)
    tampers: dict[str, Tamper] = field(default_factory=dict)
    islands: dict[str, int] = field(default_factory=dict)
    operators: dict[str, str] = field(default_factory=dict)
    sent: dict[str, Signed] = field(default_factory=dict)
    overheard: deque[httpx.Request] = field(default_factory=lambda: deque(maxlen=OVERHEARD_MAX))
    wrongs: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[None]] | None = None

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

    async def pass_a_moment(self) -> None:
        """Let something else happen while a message is on its way; what happens then is undisturbed itself."""
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
            self.meanwhile = happens

    def overhear(self, sender: str, request: httpx.Request) -> None:
        """Remember a request that is signed."""
        found = _NONCE.search(request.headers.get("signature-input", ""))
        if found is not None:
            self.sent[found[1]] = Signed(sender, request.url.host, request.content)
            self.overheard.append(request)

    def taken(self, host: str, scid: str, nonce: str, body: bytes) -> None:
        """Note if the machine `host` takes a request for what it is not."""
        sent = self.sent.get(nonce)
        if sent is None or sent.host != host or sent.body != body or self.operators.get(sent.sender) != scid:
            self.wrongs.append(f"{host} takes {sent} for {scid}'s, with {body!r}")

    async def replay(self) -> str | None:
        """Send something signed once more, there or elsewhere, perhaps changed; return where, None if there is nothing.

        What was lost on the way arrives now for the first time.
        """
        if not self.overheard or not self.apps:
            return None
        request = self.chance.choice(self.overheard)
        if self.chance.random() < 0.5:
            request = changed(request, self.chance)
        there = self.behind(request.url.host, "")
        host = there if there in self.apps and self.chance.random() < 0.7 else self.chance.choice(sorted(self.apps))
        try:
            await _ask(self.apps[host], request)
        except httpx.TransportError:
            return None
        return host


class _Wire(httpx.AsyncBaseTransport):
    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        network, host = self._network, request.url.host
        app = network.apps.get(network.behind(host, self._name))
        if app is None or not network.is_open(self._name, host):
            raise httpx.ConnectError("nobody answers there")
        network.overhear(self._name, request)
        await network.pass_a_moment()
        fate = network.fate()
        if fate is Fate.REQUEST_LOST:
            raise httpx.ConnectTimeout("the request was lost")
        if fate is Fate.TWICE:
            await _ask(app, request)
        if fate is Fate.CHANGED_FIRST:
            await _ask(app, changed(request, network.chance))
        if fate is Fate.REQUEST_CHANGED and not request.url.path.endswith(PUBLIC):
            request = changed(request, network.chance)
        status, headers, body = await _ask(app, request)
        if fate is Fate.LATE:
            await asyncio.sleep(0)
            await _ask(app, request)  # meanwhile the same was asked again; the first answer still comes
        await network.pass_a_moment()
        if fate is Fate.ANSWER_LOST:
            raise httpx.ReadError("the answer was lost")
        tamper = network.tampers.get(host)
        if tamper is not None:
            body = _tampered(tamper, request, headers, body)
        if fate is Fate.ANSWER_CUT:
            body = body[: network.chance.randrange(len(body) + 1)]
        return httpx.Response(status, headers=headers, stream=_Body(body, is_cut=fate is Fate.ANSWER_CUT))


def changed(request: httpx.Request, chance: random.Random) -> httpx.Request:
    """Return a request with one bit of its body changed, if it has one."""
    body = request.content
    if not body:
        return request
    at = chance.randrange(len(body))
    body = body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :]
    return httpx.Request(request.method, request.url, headers=request.headers, content=body)


def _tampered(tamper: Tamper, request: httpx.Request, headers: httpx.Headers, body: bytes) -> bytes:
    if headers.get("content-encoding") == "gzip":
        return gzip.compress(tamper(request, gzip.decompress(body)), 1)
    return tamper(request, body)


async def _ask(app: ASGIApp, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
    try:
        response = await httpx.ASGITransport(app, raise_app_exceptions=False).handle_async_request(request)
        body = b"".join([piece async for piece in response.aiter_raw()])
    except Crashed:
        raise httpx.ReadError("whoever was asked died") from None
    headers = httpx.Headers([each for each in response.headers.raw if each[0].lower() != b"content-length"])
    return response.status_code, headers, body


class _Body(httpx.AsyncByteStream):
    """An answer that comes in packets, so that what came first is stored while the rest is on its way."""

    def __init__(self, body: bytes, *, is_cut: bool) -> None:
        self._body = body
        self._is_cut = is_cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), PACKET_BYTES):
            yield self._body[start : start + PACKET_BYTES]
            await asyncio.sleep(0)
        if self._is_cut:
            raise httpx.ReadError("the connection was cut")
