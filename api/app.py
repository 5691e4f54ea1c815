"""One ASGI app: /graphql on a road of its own, everything else through FastAPI.

The GraphQL endpoint is called as raw ASGI because routing and request objects
cost more than a compiled answer. What serves is made by the `open_edge`
context at start-up and closed at shutdown.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute

from api import errors
from domain.errors import GotongError

GRAPHQL_PATH = "/graphql"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Edge:
    """What serves: the GraphQL endpoint, the federation's routes, and a question that fails when the node cannot."""

    graphql: AsgiApp
    routes: Sequence[BaseRoute]
    check_ready: Callable[[], Awaitable[None]]


OpenEdge = Callable[[], contextlib.AbstractAsyncContextManager[Edge]]


class App:
    """The node's HTTP and WebSocket edge."""

    def __init__(self, open_edge: OpenEdge) -> None:
        self._open_edge = open_edge
        self._edge: Edge | None = None
        self._web = FastAPI(lifespan=self._lifespan, docs_url=None, redoc_url=None, openapi_url=None)
        errors.install(self._web)
        self._web.add_api_route("/healthz", self._healthz, methods=["GET"])
        self._web.add_api_route("/readyz", self._readyz, methods=["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._edge is not None and scope["type"] != "lifespan" and scope["path"] == GRAPHQL_PATH:
            await self._edge.graphql(scope, receive, send)
        else:
            await self._web(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, web: FastAPI) -> AsyncIterator[None]:
        async with self._open_edge() as edge:
            self._edge = edge
            web.router.routes.extend(edge.routes)
            try:
                yield
            finally:
                self._edge = None

    async def _healthz(self) -> JSONResponse:
        """Answer that the process is alive, whatever its database does."""
        return JSONResponse({"status": "ok"})

    async def _readyz(self) -> JSONResponse:
        """Answer whether the node can serve: 200, or 503 with the code of what is missing."""
        try:
            assert self._edge is not None
            await self._edge.check_ready()
        except GotongError as error:
            return JSONResponse({"status": "unavailable", "code": error.code}, status_code=503)
        return JSONResponse({"status": "ready"})
