"""The HTTP edge of a mirror: who joins, and what is deposited. Thin: bodies, signatures, statuses.

Both are signed. Who joins is not known yet: its key is in the DID log that comes along, and the code in it is what
counts. What is deposited goes where every copy goes (`federation.bundles.intake`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.callers import Callers, incoming
from api.errors import guarded
from api.federation import NO_STORE, body_of
from domain.errors import GotongError
from federation.did import webvh
from federation.log import service
from federation.log.entry import Network
from federation.mirror import join as mirror_join
from federation.mirror.deposit import DEPOSIT_BYTES_MAX, write_answer
from federation.mirror.deposits import Deposits
from federation.mirror.link import JOIN_BYTES_MAX, read_join, write
from store.database import Database

DEPOSITS_AT_ONCE_MAX = 4
"""Bodies that wait in memory for their signature to be checked, and what is verified at one time."""


class DepositsExhausted(GotongError):
    """As many deposits as this process takes at once are under way; come back in a moment."""

    code: ClassVar[str] = "DEPOSITS_EXHAUSTED"


@dataclass(frozen=True, slots=True)
class DepositEdge:
    """What the routes need."""

    database: Database
    network: Network
    clock: Callable[[], datetime]
    callers: Callers
    deposits: Deposits
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DEPOSITS_AT_ONCE_MAX))

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        return [
            Route("/federation/v1/deposit", guarded(self.deposit), methods=["POST"]),
            Route("/federation/v1/join", guarded(self.join), methods=["POST"]),
        ]

    async def deposit(self, request: Request) -> Response:
        heard, visit = await self.callers.known(request)
        if self.slots.locked():
            raise DepositsExhausted("too many deposits are under way", count_max=DEPOSITS_AT_ONCE_MAX)
        async with self.slots:
            body = await body_of(request, DEPOSIT_BYTES_MAX)
            caller = await self.callers.requests.accept(heard, body)
            held = await self.deposits.take(caller.scid, body)
        answer = visit.sent(write_answer(held))
        return Response(answer, headers={"cache-control": NO_STORE}, media_type="application/json")

    async def join(self, request: Request) -> Response:
        body = await body_of(request, JOIN_BYTES_MAX)
        visit = self.callers.stranger(request)
        joining = read_join(body)
        await mirror_join.require_code(self.database, joining.code, self.clock())
        lines = [line.encode() for line in joining.did_log]
        witness = None if joining.did_witness is None else joining.did_witness.encode()
        state = await asyncio.to_thread(webvh.verify, lines, now=self.clock(), witness=witness)
        service.require_gotong(state)
        await self.callers.requests.introduced(incoming(request), body, state)
        joined = await mirror_join.join(
            self.database,
            network=self.network,
            state=state,
            lines=lines,
            witness=witness,
            code=joining.code,
            now=self.clock(),
        )
        return Response(visit.sent(write(joined)), headers={"cache-control": NO_STORE}, media_type="application/json")
