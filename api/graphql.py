"""GraphQL over HTTP as raw ASGI: statuses, media types, the page for browsers, and who is asking.

Follows the GraphQL-over-HTTP draft. What a request means is `schema.engine`'s
business; WebSockets are handed to `api.graphql_ws`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from importlib import resources
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
from graphql import OperationType

from api.graphql_request import (
    GRAPHQL_JSON,
    HTML,
    BadRequest,
    ClientGone,
    Headers,
    MediaTypeUnsupported,
    NotAcceptable,
    Receive,
    RequestTooLarge,
    accepts_html,
    check_content_type,
    from_body,
    from_query_string,
    languages,
    media_type,
    read_body,
)
from api.graphql_ws import SocketEndpoint
from auth.tokens import TokenExpired, TokenInvalid, Viewer
from domain.errors import GotongError
from schema import errors
from schema.compile.plan import RequestRefused
from schema.context import Caller
from schema.engine import Engine, Operation, Request

BODY_TIMEOUT_S = 15.0
WATCH_AFTER_S = 0.05
METHODS = b"GET, POST, OPTIONS"
_STATUSES = {
    BadRequest: 400,
    RequestTooLarge: 413,
    MediaTypeUnsupported: 415,
    NotAcceptable: 406,
    TokenInvalid: 401,
    TokenExpired: 401,
}
_PUBLIC = [(b"access-control-allow-origin", b"*"), (b"x-content-type-options", b"nosniff")]
_PREFLIGHT = [
    *_PUBLIC,
    (b"access-control-allow-methods", METHODS),
    (b"access-control-allow-headers", b"content-type, authorization, idempotency-key, accept-language"),
    (b"access-control-max-age", b"86400"),
]
_PAGE_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")


class MethodNotAllowed(GotongError):
    """The HTTP method cannot do this: mutations need POST, subscriptions a WebSocket."""

    code = "METHOD_NOT_ALLOWED"


class RequestTimedOut(GotongError):
    """The request's body did not arrive in time."""

    code = "REQUEST_TIMED_OUT"


class GraphQLEndpoint:
    """The endpoint: use it as an async context, it runs what followers of subscriptions need."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sockets = SocketEndpoint(engine)
        self._page = resources.files("api").joinpath("graphiql.html").read_bytes()

    async def __aenter__(self) -> Self:
        await self._sockets.open()
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self._sockets.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or serve one WebSocket until it closes."""
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
            return
        try:
            await self._answer(scope, receive, send)
        except ClientGone:
            return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, headers = scope["method"], dict(scope["headers"])
        if method == "OPTIONS":
            await _send(send, 204, b"", b"", _PREFLIGHT)
            return
        if method == "GET" and not scope["query_string"] and accepts_html(headers):
            policy = (b"content-security-policy", _PAGE_POLICY)
            await _send(send, 200, self._page, f"{HTML}; charset=utf-8".encode(), [policy])
            return
        accepted = GRAPHQL_JSON
        try:
            accepted = media_type(headers)
            request = await self._read(scope, headers, receive)
            caller = self._caller(headers)
            operation = self._engine.operation(request)
            _check_method(method, operation)
        except GotongError as error:
            await _refuse(send, _status(error), accepted, [errors.formatted(error)], error)
            return
        except RequestRefused as refused:
            await _refuse(send, 400 if accepted == GRAPHQL_JSON else 200, accepted, refused.errors)
            return
        answer = await self._execute(operation, caller, receive)
        status = 200 if answer.data is not None or accepted != GRAPHQL_JSON else 500
        await _send(send, status, answer.json(), f"{accepted}; charset=utf-8".encode(), _PUBLIC)

    async def _read(self, scope: Scope, headers: Headers, receive: Receive) -> Request:
        if scope["method"] == "GET":
            return from_query_string(scope["query_string"])
        if scope["method"] != "POST":
            raise MethodNotAllowed("GraphQL is asked by GET or POST.")
        check_content_type(headers)
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return from_body(await read_body(headers, receive))
        except TimeoutError:
            raise RequestTimedOut("The request's body did not arrive in time.") from None

    def _caller(self, headers: Headers) -> Caller:
        key = headers.get(b"idempotency-key")
        return Caller(
            viewer=self._viewer(headers.get(b"authorization")),
            languages=languages(headers),
            idempotency_key=key.decode("latin-1") if key else None,
        )

    def _viewer(self, authorization: bytes | None) -> Viewer | None:
        if not authorization:
            return None
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenInvalid("Send the access token as `Authorization: Bearer <token>`.")
        services = self._engine.services
        return services.verifier.verify(token.strip(), services.clock())

    async def _execute(self, operation: Operation, caller: Caller, receive: Receive) -> Any:
        running = self._engine.execute(operation, caller)
        if operation.kind is OperationType.MUTATION:
            return await running  # what was asked to be written is written, whoever waits
        return await _while_connected(running, receive)


def _check_method(method: str, operation: Operation) -> None:
    if operation.kind is OperationType.SUBSCRIPTION:
        raise MethodNotAllowed("Subscriptions are followed over a WebSocket: protocol graphql-transport-ws.")
    if method == "GET" and operation.kind is OperationType.MUTATION:
        raise MethodNotAllowed("A mutation needs POST.")


def _status(error: GotongError) -> int:
    if isinstance(error, MethodNotAllowed):
        return 405
    if isinstance(error, RequestTimedOut):
        return 408
    return _STATUSES.get(type(error), 400)


async def _while_connected(running: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Return what `running` gives; cancel it when the client leaves meanwhile.

    Most answers are ready before it is worth a task to watch for that.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    watchers: list[asyncio.Task[None]] = []
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    timer = loop.call_later(WATCH_AFTER_S, lambda: watchers.append(loop.create_task(watch())))
    try:
        return await running
    except asyncio.CancelledError:
        if gone and task.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        timer.cancel()
        for watcher in watchers:
            watcher.cancel()


async def _refuse(
    send: Send, status: int, accepted: str, found: list[errors.Formatted], error: GotongError | None = None
) -> None:
    more = list(_PUBLIC)
    if status == 401:
        more.append((b"www-authenticate", b'Bearer error="invalid_token"'))
    if status == 405:
        more.append((b"allow", b"POST" if "mutation" in str(error) else METHODS))
    body = orjson.dumps({"errors": found})
    await _send(send, status, body, f"{accepted}; charset=utf-8".encode(), more)


async def _send(send: Send, status: int, body: bytes, content_type: bytes, more: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", content_type), *more] if content_type else list(more)
    headers += [(b"content-length", str(len(body)).encode()), (b"vary", b"accept, accept-language, authorization")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
