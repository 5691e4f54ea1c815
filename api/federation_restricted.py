"""The HTTP edge for restricted parts: asking for one, and fetching what waits here. Thin."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import NO_STORE, body_of
from federation.restricted.mail import BROUGHT_BYTES_MAX, read_brought, write_given
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import Releases
from federation.restricted.request import REQUEST_BYTES_MAX


@dataclass(frozen=True, slots=True)
class RestrictedEdge:
    """The routes for what is at home here, and for what is at home at a node that deposits here."""

    releases: Releases
    mailbox: Mailbox
    callers: Callers

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        return [
            Route("/federation/v1/restricted", guarded(self.restricted), methods=["POST"]),
            Route("/federation/v1/restricted/mail", guarded(self.mail), methods=["POST"]),
        ]

    async def restricted(self, request: Request) -> Response:
        heard, visit = await self.callers.known(request, peers_only=False)
        body = await body_of(request, REQUEST_BYTES_MAX)
        caller = await self.callers.requests.accept(heard, body)
        answer = await self.releases.answer(caller.scid, body)
        if answer is None:
            answer = await self.mailbox.take(caller.scid, body)
        return _json(visit.sent(answer))

    async def mail(self, request: Request) -> Response:
        heard, visit = await self.callers.known(request)
        body = await body_of(request, BROUGHT_BYTES_MAX)
        caller = await self.callers.requests.accept(heard, body)
        return _json(visit.sent(write_given(await self.mailbox.exchange(caller.scid, read_brought(body)))))


def _json(body: bytes) -> Response:
    return Response(body, headers={"cache-control": NO_STORE}, media_type="application/json")
