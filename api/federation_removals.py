"""The HTTP edge for requests for removal that wait for the home of the record. Thin."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import NO_STORE, body_of
from federation.erasing.removal import ASKED_BYTES_MAX, read_fetch
from federation.erasing.removal_mail import RemovalMail


@dataclass(frozen=True, slots=True)
class RemovalsEdge:
    """The route on which homes fetch what was asked here."""

    mail: RemovalMail
    callers: Callers

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        return [Route("/federation/v1/removals", guarded(self.removals), methods=["POST"])]

    async def removals(self, request: Request) -> Response:
        heard, visit = await self.callers.known(request)
        body = await body_of(request, ASKED_BYTES_MAX)
        caller = await self.callers.requests.accept(heard, body)
        given = await self.mail.give(caller.peer_id, read_fetch(body), body)
        return Response(visit.sent(given), headers={"cache-control": NO_STORE}, media_type="application/json")
