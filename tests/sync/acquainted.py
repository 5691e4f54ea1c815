"""Two nodes that know each other, and the requests that one signs for the other."""

from dataclasses import dataclass

import httpx

from federation.requests.signer import Signer
from tests.sockets import http_client
from tests.sync.conftest import MakeNode, SyncNode

HEADS = "/federation/v1/heads"
PULL = "/federation/v1/pull"
JSON = {"content-type": "application/json"}


@dataclass
class Acquainted:
    """Two nodes that have added each other and hold each other's DID logs; `b` asks, `a` is asked."""

    a: SyncNode
    b: SyncNode

    async def signed(self, request: httpx.Request, skew_ms: int = 0) -> httpx.Request:
        """Return the request, signed by `b`."""
        node = self.b.node
        assert await Signer(node.database, node.keys, node.clock).sign(request, skew_ms)
        return request

    async def pull_request(self, body: bytes = b"", url: str = "") -> httpx.Request:
        """Return a pull of `b` from `a`, signed."""
        body = body or f'{{"logs":[{{"origin":"{self.a.node.operator.origin}"}}]}}'.encode()
        return await self.signed(httpx.Request("POST", f"{url or self.a.url}{PULL}", content=body, headers=JSON))

    async def heard(self) -> int:
        """Return how many requests of `b` are remembered by `a`."""
        scid = self.b.node.operator.scid
        count: int = await self.a.value("select count(*) from request_nonce where scid = $1", scid)
        return count


async def become_acquainted(make_node: MakeNode) -> Acquainted:
    """Return two nodes that are peers of each other; nothing of how they became so is remembered."""
    a, b = await make_node("a"), await make_node("b")
    await a.add_peer(b.url)
    await b.add_peer(a.url)
    await a.pull(b.url)
    await b.pull(a.url)
    await a.value("truncate request_nonce")
    return Acquainted(a, b)


async def answer(request: httpx.Request) -> tuple[int, str | None]:
    """Return the status and, of an error, the code."""
    async with http_client() as http:
        response = await http.send(request)
    return response.status_code, None if response.is_success else response.json()["code"]
