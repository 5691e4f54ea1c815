"""GraphQL over HTTP as raw ASGI: statuses, media types, the page for browsers, and who is asking.

Follows the GraphQL-over-HTTP draft. What a request means is `schema.engine`'s
business; WebSockets are handed to `api.graphql_ws`.
"""

from importlib import resources
from types import TracebackType
from typing import Self

from graphql import OperationType

from api.gate import Gate, cost_json
from api.graphql_request import (
    GRAPHQL_JSON,
    HTML,
    ClientGone,
    Headers,
    Receive,
    accepts_html,
    check_content_type,
    from_body,
    from_query_string,
    languages,
    media_type,
)
from api.graphql_response import (
    PREFLIGHT,
    PRIVATE,
    SHARED,
    MethodNotAllowed,
    Response,
    Scope,
    Send,
    rate_headers,
    refusal,
    send_response,
    whole_of,
)
from api.graphql_ws import SocketEndpoint
from api.patience import Patience, Task, running_task
from api.payer import Payers
from api.shared import SharedAnswer, SharedAnswers, etag_of, key_of, matches
from auth.tokens import TokenInvalid, Viewer
from domain.errors import GotongError
from schema.compile.plan import Answer, RequestRefused
from schema.context import Caller, Charge
from schema.engine import Engine, Operation, Prepared, Request
from store.version import version

_PAGE_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class GraphQLEndpoint:
    """The endpoint: use it as an async context, it runs what followers of subscriptions need."""

    def __init__(self, engine: Engine, payers: Payers | None = None) -> None:
        self._engine = engine
        self._gate = Gate(engine, payers)
        self._shared = SharedAnswers()
        self._patience = Patience()
        self._sockets = SocketEndpoint(engine, self._gate)
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
            await send_response(scope, send, 204, b"", b"", PREFLIGHT, headers)
            return
        if method == "GET" and not scope["query_string"] and accepts_html(headers):
            policy = (b"content-security-policy", _PAGE_POLICY)
            await send_response(scope, send, 200, self._page, f"{HTML}; charset=utf-8".encode(), [policy], headers)
            return
        accepted = GRAPHQL_JSON
        try:
            accepted = media_type(headers)
            status, body, more = await self._respond(scope, headers, receive, accepted)
        except (GotongError, RequestRefused) as error:
            status, body, more = refusal(error, accepted)
        await send_response(scope, send, status, body, f"{accepted}; charset=utf-8".encode(), more, headers)

    async def _respond(self, scope: Scope, headers: Headers, receive: Receive, accepted: str) -> Response:
        """Return the response to a request that is one; raises GotongError or RequestRefused for others."""
        method, task = scope["method"], running_task()
        request = await self._read(scope, headers, receive, task)
        viewer = self._viewer(headers.get(b"authorization"))
        operation = self._engine.operation(request)
        _check_method(method, operation)
        spoken = languages(headers)
        prepared = self._engine.prepare(operation, spoken)
        is_shared = method == "GET" and viewer is None and prepared.plan.shared
        key = key_of(request, spoken) if is_shared else b""
        seen = await self._version() if is_shared else None
        peer = scope["client"][0] if scope.get("client") else None
        kept = self._shared.find(key, seen) if seen is not None else None
        if kept is not None:
            return _cached(kept, headers, self._gate.charge(peer, headers, None, 0))
        charge = self._gate.charge(peer, headers, viewer, prepared.cost)
        given = headers.get(b"idempotency-key")
        caller = Caller(viewer, spoken, given.decode("latin-1") if given else None, charge)
        answer = await self._execute(prepared, caller, receive, task)
        body = answer.json(cost_json(charge, prepared.cost, shared=is_shared))
        if seen is not None and not answer.errors:
            fresh = SharedAnswer(seen, etag_of(body), body)
            self._shared.keep(key, fresh)
            return _cached(fresh, headers, charge)
        more = [*rate_headers(charge), PRIVATE] if method == "GET" else rate_headers(charge)
        return 200 if answer.data is not None or accepted != GRAPHQL_JSON else 500, body, more

    async def _version(self) -> str | None:
        """Return what tells this state of the database from others, None when it does not say."""
        try:
            async with self._engine.services.database.acquire() as connection:
                return await version(connection)
        except GotongError:
            return None  # the question itself will be told why

    async def _read(self, scope: Scope, headers: Headers, receive: Receive, task: Task) -> Request:
        if scope["method"] == "GET":
            return from_query_string(scope["query_string"], self._gate.documents)
        if scope["method"] != "POST":
            raise MethodNotAllowed("GraphQL is asked by GET or POST.")
        check_content_type(headers)
        whole = whole_of(scope)
        body = whole.take_body() if whole is not None else None
        if body is None:
            body = await self._patience.body(task, headers, receive)
        return from_body(body, self._gate.documents)

    def _viewer(self, authorization: bytes | None) -> Viewer | None:
        if not authorization:
            return None
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenInvalid("Send the access token as `Authorization: Bearer <token>`.")
        services = self._engine.services
        return services.verifier.verify(token.strip(), services.clock())

    async def _execute(self, prepared: Prepared, caller: Caller, receive: Receive, task: Task) -> Answer:
        running = self._engine.execute(prepared, caller)
        if prepared.operation.kind is OperationType.MUTATION:
            return await running  # what was asked to be written is written, whoever waits
        return await self._patience.while_connected(task, running, receive)


def _cached(answer: SharedAnswer, headers: Headers, charge: Charge) -> Response:
    """Return the response that says what everybody is told, or that it is what the client has."""
    more = [(b"etag", answer.etag), SHARED, *rate_headers(charge)]
    if matches(headers.get(b"if-none-match"), answer.etag):
        return 304, b"", more
    return 200, answer.body, more


def _check_method(method: str, operation: Operation) -> None:
    if operation.kind is OperationType.SUBSCRIPTION:
        raise MethodNotAllowed("Subscriptions are followed over a WebSocket: protocol graphql-transport-ws.")
    if method == "GET" and operation.kind is OperationType.MUTATION:
        raise MethodNotAllowed("A mutation needs POST.")
