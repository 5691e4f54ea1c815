"""Connect to peers, to the address that was checked and to no other. Shell: resolves names, opens connections.

A name is resolved once; what it leads to is judged (`addresses`) and connected to by number, so that a name
that changes its mind between the two finds nobody listening. The Host header and the name that a certificate is checked
for stay those of the URL.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from ssl import SSLContext

import httpx

from federation.requests.addresses import Address, Reach, permitted

ADDRESSES_TRIED_MAX = 4
ADDRESSES_KEPT_S = 30.0
RESOLVE_S = 10.0
CONNECTIONS_MAX = 6
"""Of one client: news, three pulls of an exchange, and what is followed beside it."""

Resolve = Callable[[str], Awaitable[Sequence[Address]]]


async def resolve(host: str) -> list[Address]:
    """Return the addresses of a host, as the system prefers them; raises OSError, also for what is no name."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long
        raise OSError("not the name of a host") from error
    return list(dict.fromkeys(ip_address(each[4][0]) for each in found))


async def check(url: str, reach: Reach) -> None:
    """Raise PeerAddressPrivate or PeerAddressRefused if that is where a URL leads now; an unknown name passes."""
    try:
        addresses = await resolve(httpx.URL(url).host)
    except OSError:
        return
    permitted(url, addresses, reach)


class OutboundTransport(httpx.AsyncBaseTransport):
    """The transport of one peer's client: follows the rules above for every request."""

    def __init__(self, reach: Reach, *, resolve: Resolve = resolve, verify: SSLContext | bool = True) -> None:
        self._reach = reach
        self._resolve = resolve
        self._inner = httpx.AsyncHTTPTransport(
            verify=verify, trust_env=False, limits=httpx.Limits(max_connections=CONNECTIONS_MAX)
        )
        self._known: dict[str, tuple[float, list[Address]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer of the first address that lets itself be connected to; raises as httpx does, and V2."""
        host = request.url.host
        failure: httpx.TransportError = httpx.ConnectError("the name leads to no address", request=request)
        for address in (await self._addresses(host))[:ADDRESSES_TRIED_MAX]:
            try:
                return await self._inner.handle_async_request(_aimed(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        self._known.pop(host, None)
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    async def _addresses(self, host: str) -> list[Address]:
        now_s = asyncio.get_running_loop().time()
        until_s, addresses = self._known.get(host, (0.0, []))
        if now_s >= until_s:
            addresses = permitted(host, await self._resolve(host), self._reach)
            self._known = {host: (now_s + ADDRESSES_KEPT_S, addresses)}
        return addresses


def _aimed(request: httpx.Request, host: str, address: Address) -> httpx.Request:
    """Return the request, to be sent to this address as if its URL's host had been resolved to it."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )
