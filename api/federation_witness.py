"""The HTTP edge of the witness: `add-checkpoint` as C2SP tlog-witness writes it, statuses and bodies included. Thin.

Refusals here are those of that specification, so that its other clients understand them: the body of a 409 is the
size to prove from, everything else says in one line what was wrong.
"""

import re
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers
from api.errors import guarded
from api.federation import NO_STORE, body_of
from domain.errors import GotongError
from federation.log.add_checkpoint import REQUEST_BYTES_MAX, WitnessAtOtherSize
from federation.log.static import LogNotHeld
from federation.witness.brought import BROUGHT_BYTES_MAX, read_brought, write_kept
from federation.witness.cosigning import Witness

SIZE_TYPE: Final = "text/x.tlog.size"
NOTE_TYPE: Final = "text/plain; charset=utf-8"
STATUS: Final = {
    "ADD_CHECKPOINT_MALFORMED": 400,
    "CHECKPOINT_MALFORMED": 400,
    "NOTE_SIGNATURE_INVALID": 403,
    "CHECKPOINT_SIGNATURE_INVALID": 403,
    "CHECKPOINT_KEY_RETIRED": 403,
    "LOG_NOT_HELD": 404,
    "ORIGIN_MALFORMED": 404,
    "WITNESS_AT_OTHER_SIZE": 409,
    "CHECKPOINT_NOT_EXTENDING": 422,
    "LOG_FROZEN": 422,
}
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class WitnessEdge:
    """The routes of this node's witness: one prefix to submit to and to read from."""

    witness: Witness
    callers: Callers

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        prefix = "/federation/v1"
        return [
            Route(f"{prefix}/add-checkpoint", guarded(self.add_checkpoint), methods=["POST"]),
            Route(f"{prefix}/{{origin_hash}}/checkpoint", guarded(self.checkpoint)),
            Route(f"{prefix}/cosignatures", guarded(self.cosignatures), methods=["POST"]),
        ]

    async def add_checkpoint(self, request: Request) -> Response:
        self.callers.stranger(request)  # unsigned, as the specification has it
        body = await body_of(request, REQUEST_BYTES_MAX)
        try:
            lines = await self.witness.add_checkpoint(body)
        except WitnessAtOtherSize as error:
            headers = {"content-type": SIZE_TYPE}  # as a media type it would gain a charset
            return Response(f"{error.details['size']}\n", STATUS[error.code], headers)
        except GotongError as error:
            if error.code not in STATUS:
                raise
            return Response(f"{error.code}: {error.message}\n", STATUS[error.code], media_type=NOTE_TYPE)
        return Response(lines, media_type=NOTE_TYPE)

    async def cosignatures(self, request: Request) -> Response:
        """Keep cosignatures that a node which nobody can connect to brings of its own accord."""
        heard, visit = await self.callers.known(request, peers_only=False)
        body = await body_of(request, BROUGHT_BYTES_MAX)
        caller = await self.callers.requests.accept(heard, body)
        kept = await self.witness.take(caller.scid, read_brought(body))
        answer = visit.sent(write_kept(kept))
        return Response(answer, headers={"cache-control": NO_STORE}, media_type="application/json")

    async def checkpoint(self, request: Request) -> Response:
        self.callers.stranger(request)
        found = request.path_params["origin_hash"]
        if not _HASH.fullmatch(found):
            raise LogNotHeld("a log is asked for by the SHA-256 of its origin, in lower-case hex")
        return Response(await self.witness.checkpoint(bytes.fromhex(found)), media_type=NOTE_TYPE)
