"""Write GraphQL answers and refusals as HTTP responses: statuses, headers, caching."""

import math
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, ClassVar

import orjson

from api.budget import RateLimited
from api.documents import PersistedDocumentNotFound, PersistedQueryNotFound
from api.graphql_request import GRAPHQL_JSON, BadRequest, Headers, MediaTypeUnsupported, NotAcceptable, RequestTooLarge
from api.http_protocol import WHOLE, Header, Whole
from auth.tokens import TokenExpired, TokenInvalid
from domain.errors import GotongError
from schema import errors
from schema.compile.plan import RequestRefused
from schema.context import Charge

METHODS = b"GET, POST, OPTIONS"
PUBLIC = [(b"access-control-allow-origin", b"*"), (b"x-content-type-options", b"nosniff")]
PREFLIGHT = [
    *PUBLIC,
    (b"access-control-allow-methods", METHODS),
    (
        b"access-control-allow-headers",
        b"content-type, authorization, idempotency-key, accept-language, if-none-match, x-client-id, last-event-id",
    ),
    (b"access-control-max-age", b"86400"),
]
EXPOSED = (
    b"access-control-expose-headers",
    b"etag, retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset",
)
VARY = (b"vary", b"accept, accept-language, authorization")
SHARED = (b"cache-control", b"public, no-cache")  # anybody may keep it, and asks whether it is still so
PRIVATE = (b"cache-control", b"private, no-store")

Response = tuple[int, bytes, list[Header]]
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class MethodNotAllowed(GotongError):
    """The HTTP method cannot do this: mutations need POST, subscriptions a stream."""

    code: ClassVar[str] = "METHOD_NOT_ALLOWED"


class RequestTimedOut(GotongError):
    """The request's body did not arrive in time."""

    code: ClassVar[str] = "REQUEST_TIMED_OUT"


_STATUSES: dict[type[GotongError], int] = {
    BadRequest: 400,
    RequestTooLarge: 413,
    MediaTypeUnsupported: 415,
    NotAcceptable: 406,
    TokenInvalid: 401,
    TokenExpired: 401,
    MethodNotAllowed: 405,
    RequestTimedOut: 408,
    RateLimited: 429,
}
_REFUSALS_OF_GRAPHQL = (PersistedDocumentNotFound, PersistedQueryNotFound)


def rate_headers(charge: Charge) -> list[Header]:
    """Return what the caller may still ask; `reset` in seconds since 1970."""
    return [
        (b"x-ratelimit-limit", b"%d" % charge.limit),
        (b"x-ratelimit-remaining", b"%d" % charge.remaining),
        (b"x-ratelimit-reset", b"%d" % math.ceil(charge.full_at_s)),
    ]


def refusal(error: GotongError | RequestRefused, accepted: str) -> Response:
    """Return the response to a request that is not executed; `accepted` is the media type it asked for."""
    status_of_graphql = 400 if accepted == GRAPHQL_JSON else 200
    if isinstance(error, RequestRefused):
        return status_of_graphql, orjson.dumps({"errors": error.errors}), []
    status = status_of_graphql if isinstance(error, _REFUSALS_OF_GRAPHQL) else _STATUSES.get(type(error), 400)
    more: list[Header] = []
    if status == 401:
        more.append((b"www-authenticate", b'Bearer error="invalid_token"'))
    if isinstance(error, MethodNotAllowed):
        more.append((b"allow", b"POST" if "mutation" in error.message else METHODS))
    if isinstance(error, RateLimited):
        more += [(b"retry-after", b"%d" % error.retry_after_s), *rate_headers(error.charge)]
    return status, orjson.dumps({"errors": [errors.formatted(error)]}), more


def whole_of(scope: Scope) -> Whole | None:
    """Return what takes a whole answer and has a whole body at hand, where the server offers that."""
    whole: Whole | None = scope["extensions"].get(WHOLE) if "extensions" in scope else None
    return whole


async def send_response(
    scope: Scope, send: Send, status: int, body: bytes, content_type: bytes, more: Sequence[Header], request: Headers
) -> None:
    """Send a whole response."""
    headers = [*PUBLIC, VARY, *more]
    if status not in (204, 304):
        headers += [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    if b"origin" in request:
        headers.append(EXPOSED)
    whole = whole_of(scope)
    if whole is None or not whole.write(status, headers, body):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
