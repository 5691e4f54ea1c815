"""The HTTP edge for newer DID entries of participants known here. Thin; unsigned: they prove themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import body_of
from federation.lifecycle.introduce import take_lines
from federation.sync.sections import DID_BYTES_MAX
from store.database import Database


@dataclass(frozen=True, slots=True)
class IdentityEdge:
    """The route by which newer DID entries are brought."""

    database: Database
    clock: Callable[[], datetime]
    callers: Callers

    def routes(self) -> list[Route]:
        """Return the route, to be added to any Starlette or FastAPI app."""
        return [Route("/federation/v1/did/{scid}/did.jsonl", guarded(self.take), methods=["POST"])]

    async def take(self, request: Request) -> Response:
        visit = self.callers.stranger(request)
        body = await body_of(request, DID_BYTES_MAX)
        version = await take_lines(self.database, request.path_params["scid"], body, now=self.clock())
        answer = visit.sent(orjson.dumps({"did_version": version}))
        return Response(answer, headers={"cache-control": "no-store"}, media_type="application/json")
