"""The HTTP edge of the directory: who may be named to whoever looks for a region's communities. Thin."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import SHORT_LIVED
from federation.sync.directory import LISTED_MAX, REGIONS_MAX, Listing, write_directory
from federation.sync.interest import read_interest
from store import directory
from store.database import Database


@dataclass(frozen=True, slots=True)
class DirectoryEdge:
    """What the route needs; `is_listed`: this node may be named, under `url`."""

    database: Database
    callers: Callers
    url: str
    is_listed: bool

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        return [Route("/federation/v1/directory", guarded(self.directory))]

    async def directory(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        region = request.query_params.get("region")
        read_interest(region, None)  # one code or several is the same question of form
        async with self.database.acquire() as connection:
            rows = await directory.listed(
                connection, own=self.is_listed, region=region, limit=LISTED_MAX, regions_max=REGIONS_MAX
            )
        nodes = [
            Listing(row.url or self.url, row.operator, (row.name or "")[:200], row.regions, row.participants)
            for row in rows
        ]
        body = visit.sent(write_directory(nodes))
        return Response(body, headers={"cache-control": SHORT_LIVED}, media_type="application/json")
