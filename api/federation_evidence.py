"""The HTTP edge for evidence: what this node knows of forks, for anyone to check and pass on. Thin."""

import re
from dataclasses import dataclass
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import IMMUTABLE, NO_STORE, plain_number
from domain.errors import GotongError
from federation.sync.messages import OfferedEvidence, write_evidence
from store import evidence
from store.database import Database

_ID = re.compile(r"[0-9a-f]{64}")


class EvidenceNotHeld(GotongError):
    """No such piece of evidence is here."""

    code: ClassVar[str] = "EVIDENCE_NOT_HELD"


@dataclass(frozen=True, slots=True)
class EvidenceEdge:
    """The routes that serve evidence."""

    database: Database
    callers: Callers

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        prefix = "/federation/v1/evidence"
        return [Route(prefix, guarded(self.listed)), Route(f"{prefix}/{{id}}", guarded(self.one))]

    async def listed(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        after = plain_number(request.query_params.get("after", "0"))
        async with self.database.acquire() as connection:
            rows = await evidence.listed(connection, after)
        offered = [OfferedEvidence(row.number, row.id.hex(), row.kind, row.scid, row.size) for row in rows]
        return Response(
            visit.sent(write_evidence(offered)), headers={"cache-control": NO_STORE}, media_type="application/json"
        )

    async def one(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        named = request.path_params["id"]
        data = None
        if _ID.fullmatch(named):
            async with self.database.acquire() as connection:
                data = await evidence.data(connection, bytes.fromhex(named))
        if data is None:
            raise EvidenceNotHeld("no such evidence is here")
        return Response(visit.sent(data), headers={"cache-control": IMMUTABLE}, media_type="application/json")
