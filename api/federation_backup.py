"""The HTTP edge for backups: deposited by signed requests of peers, fetched by who has the cards. Thin."""

import re
from dataclasses import dataclass, field

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import body_of, plain_number
from federation.backup import keeping
from federation.backup.keeping import BackupNotKept
from federation.backup.sealed import CHUNK_BYTES_MAX, CHUNK_SEAL_BYTES, CHUNKS_MAX, MANIFEST_BYTES_MAX
from federation.identity.states import DidStates
from store.database import Database

NO_STORE = {"cache-control": "no-store"}
_READER = re.compile(r"Gotong-Backup ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class BackupEdge:
    """The routes by which peers deposit backups and restorers fetch them."""

    database: Database
    callers: Callers
    states: DidStates = field(default_factory=DidStates)

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        path = "/federation/v1/backup"
        chunk = f"{path}/{{scid}}/{{version}}/{{number}}"
        return [
            Route(path, guarded(self.take_manifest), methods=["POST"]),
            Route(path, guarded(self.manifests), methods=["GET"]),
            Route(f"{path}/{{scid}}", guarded(self.newest), methods=["GET"]),
            Route(chunk, guarded(self.take_chunk), methods=["POST"]),
            Route(chunk, guarded(self.chunk), methods=["GET"]),
        ]

    async def take_manifest(self, request: Request) -> Response:
        heard, _ = await self.callers.known(request)
        body = await body_of(request, MANIFEST_BYTES_MAX)
        caller = await self.callers.requests.accept(heard, body)
        return _missing(await keeping.take_manifest(self.database, self.states, caller.peer_id, body))

    async def take_chunk(self, request: Request) -> Response:
        heard, _ = await self.callers.known(request)
        body = await body_of(request, CHUNK_BYTES_MAX + CHUNK_SEAL_BYTES)
        caller = await self.callers.requests.accept(heard, body)
        return _missing(await keeping.take_chunk(self.database, caller.peer_id, *_place(request), body))

    async def newest(self, request: Request) -> Response:
        heard, visit = await self.callers.known(request)
        caller = await self.callers.requests.accept(heard, b"")
        version = await keeping.newest(self.database, caller.peer_id, request.path_params["scid"])
        body = orjson.dumps({"version": version})
        return Response(visit.sent(body), headers=NO_STORE, media_type="application/json")

    async def manifests(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        found = await keeping.manifests(self.database, _reader(request))
        body = orjson.dumps({"manifests": [manifest.decode() for manifest in found]})
        return Response(visit.sent(body), headers=NO_STORE, media_type="application/json")

    async def chunk(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        data = await keeping.chunk(self.database, _reader(request), *_place(request))
        return Response(visit.sent(data), headers=NO_STORE, media_type="application/octet-stream")


def _missing(numbers: list[int]) -> Response:
    return Response(orjson.dumps({"missing": numbers}), headers=NO_STORE, media_type="application/json")


def _place(request: Request) -> tuple[str, int, int]:
    given = request.path_params
    version, number = plain_number(given["version"]), plain_number(given["number"])
    if number >= CHUNKS_MAX:
        raise BackupNotKept("no backup has so many chunks", count_max=CHUNKS_MAX)
    return given["scid"], version, number


def _reader(request: Request) -> bytes:
    found = _READER.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise BackupNotKept("a backup is fetched with `Authorization: Gotong-Backup <64 hex digits>`")
    return bytes.fromhex(found[1])
