"""The HTTP edge for other nodes: /federation/v1 and did.jsonl. Thin: paths, headers, body limits, streams.

Every answer is public and unsigned; what a caller gets proves itself. Nothing
here decides what is served (`federation.sync.serve` and `store.relay` do) or who
calls and how often (`api.callers`).
"""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from api.callers import Callers, Visit
from api.errors import guarded
from api.peer_budget import Purse
from api.places import Places
from domain.errors import GotongError
from federation.log import static
from federation.log.entry import Network
from federation.log.tiles import parse_tile_path
from federation.sync import serve
from federation.sync.announce import LISTENERS_MAX, HeadFeed, ListenersExhausted, MailFeed, Told
from federation.sync.client import FRAMES_TYPE
from federation.sync.interest import read_interest
from federation.sync.messages import PULL_REQUEST_BYTES_MAX, SINCE_CHARS_MAX, PullMalformed, read_pull
from store.database import Database

HEARTBEAT_S = 15.0
PULLS_AT_ONCE_MAX = 32
SEND_TIMEOUT_S = 120.0
"""How long a page may take to be read: a page of a pull at the slowest rate that pullers accept themselves."""
BODY_TIMEOUT_S = 20.0
GZIP_LEVEL = 6
IMMUTABLE = "public, max-age=31536000, immutable"
SHORT_LIVED = "public, max-age=5"
NO_STORE = "no-store"
_GZIP = 16 + zlib.MAX_WBITS


class BodyTooLarge(GotongError):
    """A request's body is larger than this endpoint takes."""

    code: ClassVar[str] = "BODY_TOO_LARGE"


class NumberMalformed(GotongError):
    """A number in a path or query is not a plain decimal number."""

    code: ClassVar[str] = "NUMBER_MALFORMED"


class PullsExhausted(GotongError):
    """As many pulls as this process serves are under way; come back later."""

    code: ClassVar[str] = "PULLS_EXHAUSTED"


class BodyTooSlow(GotongError):
    """A request's body takes longer to come than this endpoint waits."""

    code: ClassVar[str] = "BODY_TOO_SLOW"


class _PullResponse(StreamingResponse):
    """A pull's stream: it holds a place while it lasts, and ends when its reader stops reading."""

    def __init__(self, frames: AsyncIterator[bytes], headers: dict[str, str], places: Places, purse: Purse) -> None:
        super().__init__(frames, headers=headers, media_type=FRAMES_TYPE)
        self._places = places
        self._purse = purse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(message)

        with self._places.taken(self._purse), contextlib.suppress(ClientDisconnect, TimeoutError):
            await super().__call__(scope, receive, send_in_time)


@dataclass(frozen=True, slots=True)
class FederationEdge:
    """What the routes need; `stopping` ends open streams when the process shuts down.

    `mail_of` says how much waits here for a peer (`federation.restricted.mailbox`), `mail_feed` when there is more.
    """

    database: Database
    network: Network
    feed: HeadFeed
    clock: Callable[[], datetime]
    stopping: asyncio.Event
    callers: Callers
    is_listed: bool = False
    mail_of: Callable[[int], Awaitable[int]] | None = None
    mail_feed: MailFeed | None = None
    pulls: Places = field(default_factory=lambda: Places(PULLS_AT_ONCE_MAX))
    streams: Places = field(default_factory=lambda: Places(LISTENERS_MAX))

    def routes(self) -> list[Route]:
        """Return the routes, to be added to any Starlette or FastAPI app."""
        v1 = "/federation/v1"
        log = f"{v1}/log/{{scid}}/{{epoch}}"
        return [
            Route(f"{v1}/heads", guarded(self.heads)),
            Route(f"{v1}/pull", guarded(self.pull), methods=["POST"]),
            Route(f"{v1}/stream", guarded(self.stream)),
            Route(f"{log}/checkpoint", guarded(self.checkpoint)),
            Route(f"{log}/payloads", guarded(self.payloads)),
            Route(f"{log}/{{path:path}}", guarded(self.tile)),
            Route(f"{v1}/did/{{scid}}/did.jsonl", guarded(self.did_log)),
            Route(f"{v1}/did/{{scid}}/did-witness.json", guarded(self.did_witness)),
            Route("/o/{slug}/did.jsonl", guarded(self.did_log_of_slug)),
        ]

    async def heads(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        since = request.query_params.get("since")
        if since is not None and len(since) > SINCE_CHARS_MAX:
            since = None
        interest = read_interest(request.query_params.get("region"), request.query_params.get("scid"))
        mail = 0
        if self.mail_of is not None and visit.caller is not None:
            mail = await self.mail_of(visit.caller.peer_id)
        body = await serve.heads(
            self.database, self.network, since, self.clock(), interest=interest, listed=self.is_listed, mail=mail
        )
        headers = {"cache-control": NO_STORE, "vary": "accept-encoding"}
        if _takes_gzip(request):
            headers["content-encoding"] = "gzip"
            body = await asyncio.to_thread(zlib.compress, body, GZIP_LEVEL, _GZIP)
        return Response(visit.sent(body), headers=headers, media_type="application/json")

    async def pull(self, request: Request) -> Response:
        body = await body_of(request, PULL_REQUEST_BYTES_MAX)
        visit = await self.callers.visit(request, body)
        asked = read_pull(body)
        if not self.pulls.have_room(visit.purse):
            raise PullsExhausted("too many pulls are under way", count_max=PULLS_AT_ONCE_MAX)
        frames = serve.pull(self.database, asked)
        headers = {"cache-control": NO_STORE}
        if _takes_gzip(request):
            headers["content-encoding"] = "gzip"
            frames = _gzipped(frames)
        return _PullResponse(_paid(frames, visit), headers, self.pulls, visit.purse)

    async def stream(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        if not self.streams.have_room(visit.purse):
            raise ListenersExhausted("too many streams are open", count_max=LISTENERS_MAX)
        events = self._events(request.headers.get("last-event-id"), visit)
        await anext(events)  # a refusal is an HTTP answer, not an empty stream
        headers = {"cache-control": NO_STORE, "x-accel-buffering": "no"}
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")

    async def checkpoint(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        note = await static.checkpoint(self.database, *log_of(request))
        return Response(
            visit.sent(note), headers={"cache-control": SHORT_LIVED}, media_type="text/plain; charset=utf-8"
        )

    async def tile(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        path = request.path_params["path"]
        parse_tile_path(path)
        data = await static.tile(self.database, *log_of(request), path)
        return Response(visit.sent(data), headers={"cache-control": IMMUTABLE}, media_type="application/octet-stream")

    async def payloads(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        start, count = plain_number(request.query_params.get("from")), plain_number(request.query_params.get("n"))
        data = await static.payloads(self.database, *log_of(request), start, count)
        return Response(visit.sent(data), headers={"cache-control": NO_STORE}, media_type="application/octet-stream")

    async def did_log(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        return _did_log(visit.sent(await static.did_log(self.database, request.path_params["scid"])))

    async def did_log_of_slug(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        return _did_log(visit.sent(await static.did_log_of_slug(self.database, request.path_params["slug"])))

    async def did_witness(self, request: Request) -> Response:
        visit = await self.callers.visit(request)
        data = visit.sent(await static.did_witness(self.database, request.path_params["scid"]))
        return Response(data, headers={"cache-control": SHORT_LIVED}, media_type="application/json")

    async def _events(self, since: str | None, visit: Visit) -> AsyncIterator[bytes]:
        with self.streams.taken(visit.purse), contextlib.ExitStack() as stack:
            async with self.feed.listen(since) as listener:
                if self.mail_feed is not None and visit.caller is not None:
                    stack.enter_context(self.mail_feed.listen(listener, visit.caller.peer_id))
                yield b""
                yield b": listening\n\n"
                while not self.stopping.is_set():
                    taking = asyncio.ensure_future(listener.take(HEARTBEAT_S))
                    stopping = asyncio.ensure_future(self.stopping.wait())
                    try:
                        await asyncio.wait((taking, stopping), return_when=asyncio.FIRST_COMPLETED)
                        if not taking.done():
                            return
                        told = taking.result()
                    finally:
                        taking.cancel()
                        stopping.cancel()
                    yield _sse(told) or b": still here\n\n"


def _sse(told: Told) -> bytes:
    """Return an event for mail, and one a log; the last of these carries the id to resume from."""
    mail = b"event: mail\ndata: {}\n\n" if told.mail else b""
    events = [
        b"event: head\ndata: " + orjson.dumps({"origin": origin, "size": size}) + b"\n"
        for origin, size in told.sizes.items()
    ]
    return mail + (b"\n".join(events) + f"id: {told.position}\n\n".encode() if events else b"")


def _did_log(data: bytes) -> Response:
    return Response(data, headers={"cache-control": SHORT_LIVED}, media_type="text/jsonl")


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "").lower()


async def _gzipped(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    async for piece in frames:
        yield await asyncio.to_thread(lambda data: gzip.compress(data) + gzip.flush(zlib.Z_SYNC_FLUSH), piece)
    yield gzip.flush()


async def _paid(pieces: AsyncIterator[bytes], visit: Visit) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield visit.sent(piece)


async def body_of(request: Request, bytes_max: int) -> bytes:
    """Return the request's body, or raise BodyTooLarge as soon as it is, or BodyTooSlow."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > bytes_max:
                    raise BodyTooLarge("the body is too large", bytes_max=bytes_max)
    except TimeoutError:
        raise BodyTooSlow("the body takes too long to come", timeout_s=round(BODY_TIMEOUT_S)) from None
    except ClientDisconnect:
        raise PullMalformed("the body was cut off") from None
    return bytes(body)


def log_of(request: Request) -> tuple[str, int]:
    """Return the SCID and the epoch that a path names, or raise NumberMalformed."""
    return request.path_params["scid"], plain_number(request.path_params["epoch"])


def plain_number(text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 16 or text != str(int(text)):
        raise NumberMalformed("a plain decimal number is needed here")
    return int(text)
