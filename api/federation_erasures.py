"""The HTTP edge of acknowledgements: what operators say of a log's erasures, to read and to bring. Thin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import NO_STORE, body_of, log_of
from federation.erasing import acknowledge
from federation.log.names import origin as origin_of
from store.database import Database


@dataclass(frozen=True, slots=True)
class ErasuresEdge:
    """The routes; what they give is public and proves itself, and what they take is believed for its signature."""

    database: Database
    callers: Callers
    clock: Callable[[], datetime]

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        path = "/federation/v1/erasures/{scid}/{epoch}"
        return [
            Route(path, guarded(self.read), methods=["GET"]),
            Route(path, guarded(self.take), methods=["POST"]),
        ]

    async def read(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        notes = await acknowledge.known(self.database, *log_of(request))
        data = visit.sent(acknowledge.write_list(notes))
        return Response(data, headers={"cache-control": NO_STORE}, media_type="application/json")

    async def take(self, request: Request) -> Response:
        origin = origin_of(*log_of(request))
        note = await body_of(request, acknowledge.ACKNOWLEDGEMENT_BYTES_MAX)
        await self.callers.visit(request, note)
        await acknowledge.take(self.database, note, origin=origin, now=self.clock())
        return Response(b"{}", media_type="application/json")
