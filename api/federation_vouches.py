"""The HTTP edge of vouching: which operators vouch for a successor, to read and to bring. Thin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import NO_STORE, body_of
from domain.ids import parse_scid
from federation.identity.vouching import VOUCH_BYTES_MAX
from federation.lifecycle import vouch
from store.database import Database


@dataclass(frozen=True, slots=True)
class VouchesEdge:
    """The routes; what they give is public and proves who said it, and what they take is believed for its signature."""

    database: Database
    callers: Callers
    clock: Callable[[], datetime]

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        path = "/federation/v1/vouches/{scid}"
        return [
            Route(path, guarded(self.read), methods=["GET"]),
            Route(path, guarded(self.take), methods=["POST"]),
        ]

    async def read(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        notes = await vouch.known(self.database, parse_scid(request.path_params["scid"]))
        data = visit.sent(vouch.write_list(notes))
        return Response(data, headers={"cache-control": NO_STORE}, media_type="application/json")

    async def take(self, request: Request) -> Response:
        note = await body_of(request, VOUCH_BYTES_MAX)
        await self.callers.visit(request, note)
        successor = parse_scid(request.path_params["scid"])
        await vouch.take(self.database, note, successor=successor, now=self.clock())
        return Response(b"{}", media_type="application/json")
