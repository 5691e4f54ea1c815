"""A node whose GraphQL endpoint listens on a real socket."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.graphql import GraphQLEndpoint
from api.http_limits import LimitedSocket
from api.http_protocol import HttpProtocol
from api.payer import Payers
from auth.tokens import TokenVerifier, issue
from domain.regions import Regions, parse_regions
from federation.lifecycle.enroll import Enrolled
from federation.publish.append import Draft
from federation.restricted.asking import Asking
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import Releases
from federation.sync.client import PeerClient
from node import background
from schema.context import Services
from schema.engine import Engine
from schema.root import SCHEMA
from store.database import Database, connect
from store.peers import PeerRow
from store.wake import Wake
from tests.clock import FrozenClock
from tests.nodes import TestNode, fixed, start_test_node
from tests.schema.world import organization_body
from tests.sockets import http_client

REGIONS = Path(__file__).parents[2] / "domain" / "data" / "regions.csv"
ISSUER = "https://node.test"


@dataclass
class Served:
    """A running endpoint and who may write to it."""

    url: str
    http: httpx.AsyncClient
    node: TestNode
    guest: Enrolled
    key: Ed25519PrivateKey
    services: Services
    endpoint: GraphQLEndpoint

    @property
    def organization(self) -> str:
        """The id of the guest."""
        return f"gotong:{self.guest.scid}"

    def token(self, **changes: Any) -> str:
        """Return a token to write for the guest."""
        claims = {
            "issuer": ISSUER,
            "audience": ISSUER,
            "subject": "sari",
            "organizations": [self.guest.scid],
            "scopes": ["records:write"],
            "now": self.node.clock(),
        }
        return issue(self.key, **{**claims, **changes})

    async def ask(
        self,
        query: str,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        variables: dict[str, Any] | None = None,
        **more: Any,
    ) -> Any:
        """Return the JSON answer to a POSTed query."""
        sent = {"accept": "application/graphql-response+json", **(headers or {})}
        if token:
            sent["authorization"] = f"Bearer {token}"
        response = await self.http.post(
            self.url, json={"query": query, "variables": {**(variables or {}), **more}}, headers=sent
        )
        return response.json()


@pytest.fixture(scope="session")
def regions() -> Regions:
    """The whole code list."""
    with REGIONS.open(encoding="utf-8", newline="") as lines:
        return Regions(parse_regions(lines))


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    """A node with an operator."""
    return await start_test_node(database, tmp_path, clock)


@pytest.fixture
async def services(node: TestNode, regions: Regions) -> Services:
    """The services of one process."""
    key = Ed25519PrivateKey.generate()
    made = Services(
        database=node.database,
        appender=node.appender,
        asking=Asking(
            Releases(node.database, node.keys, node.appender.vault, node.clock),
            Mailbox(node.database, node.clock),
            unreachable,
            unreachable,
        ),
        regions=regions,
        wake=Wake(lambda: connect(node.database.dsn, statement_timeout_s=None)),
        verifier=TokenVerifier([key.public_key()], issuer=ISSUER, audience=ISSUER),
        base_url=ISSUER,
        network="test",
        node_name="pengurus",
        version="0",
        clock=node.clock,
    )
    _KEYS[id(made)] = key
    return made


def unreachable(_peer: PeerRow | str) -> PeerClient:
    """Return nothing: a node in these tests has no peers."""
    raise AssertionError("there is no peer to ask")


_KEYS: dict[int, Ed25519PrivateKey] = {}


@contextlib.asynccontextmanager
async def serving(services: Services, payers: Payers | None = None) -> AsyncIterator[tuple[str, GraphQLEndpoint]]:
    """Yield the URL of an endpoint as a process would run it, with its background tasks."""
    endpoint = GraphQLEndpoint(Engine(SCHEMA, services), payers)
    tasks = [
        asyncio.create_task(services.wake.run()),
        asyncio.create_task(background.sequence_events(services.database, services.wake)),
        asyncio.create_task(background.index_texts(services.database, services.wake)),
    ]
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            endpoint,
            loop="none",
            http=HttpProtocol,
            ws=LimitedSocket,
            ws_per_message_deflate=False,
            lifespan="off",
            proxy_headers=False,
            log_config=None,
            timeout_graceful_shutdown=1,
        )
    )
    async with endpoint:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/graphql", endpoint
        finally:
            await endpoint.__aexit__()
            server.should_exit = True
            await task
            for other in tasks:
                other.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def served(node: TestNode, services: Services) -> AsyncIterator[Served]:
    """A served node with one guest that has said who it is."""
    guest = await node.participant("baca-yuk")
    await node.appender.append(guest.scid, [Draft("organization", None, fixed(organization_body()))])
    async with node.database.acquire() as connection:
        await connection.execute("update participant set trust = 'allowed'")
    async with serving(services) as (url, endpoint), http_client() as http:
        yield Served(url, http, node, guest, _KEYS.pop(id(services)), services, endpoint)
