"""The HTTP edge for restricted parts: one signed POST, answered to whom the owner allows. Thin."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import body_of
from federation.restricted.release import RestrictedParts
from federation.restricted.request import REQUEST_BYTES_MAX


@dataclass(frozen=True, slots=True)
class RestrictedEdge:
    """The route by which other nodes ask for restricted parts of records that are at home here."""

    parts: RestrictedParts
    callers: Callers

    def routes(self) -> list[Route]:
        """Return the route, to be added to any Starlette or FastAPI app."""
        return [Route("/federation/v1/restricted", guarded(self.restricted), methods=["POST"])]

    async def restricted(self, request: Request) -> Response:
        heard, visit = await self.callers.known(request)
        body = await body_of(request, REQUEST_BYTES_MAX)
        caller = await self.callers.requests.accept(heard, body)
        answer = visit.sent(await self.parts.answer(caller.scid, body))
        return Response(answer, headers={"cache-control": "no-store"}, media_type="application/json")
