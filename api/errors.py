"""Translate broken rules into HTTP: the only module that knows which code is which status.

A code that is not listed is a request that breaks a rule: 422. Whatever is not
a GotongError is a fault of this program: 500, logged, and told to nobody.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

import orjson
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import GotongError

RETRY_AFTER_S = 5
STATUS_DEFAULT = 422
DETAILS_OF_500: Final = {"code": "INTERNAL", "message": "Something went wrong on this node.", "details": {}}

STATUS: Final[dict[str, int]] = {
    "PULL_MALFORMED": 400,
    "TILE_PATH_MALFORMED": 404,
    "ORIGIN_MALFORMED": 404,
    "TILE_MISSING": 404,
    "PATH_UNKNOWN": 404,
    "LOG_NOT_HELD": 404,
    "EVIDENCE_NOT_HELD": 404,
    "RECORD_NOT_FOUND": 404,
    "PARTICIPANT_NOT_HOSTED": 404,
    "PAYLOADS_RANGE_INVALID": 416,
    "REVISION_CONFLICT": 409,
    "IDEMPOTENCY_KEY_REUSED": 409,
    "SIGNATURE_MALFORMED": 401,
    "SIGNATURE_SKEW": 401,
    "SIGNATURE_INVALID": 401,
    "DIGEST_MISMATCH": 401,
    "SIGNATURE_REPLAYED": 401,
    "SIGNATURE_REQUIRED": 401,
    "CALLER_UNKNOWN": 403,
    "RESTRICTED_REQUEST_MALFORMED": 400,
    "RESTRICTED_REQUEST_UNPROVEN": 403,
    "RESTRICTED_REQUEST_UNTIMELY": 403,
    "RESTRICTED_MAIL_MALFORMED": 400,
    "REMOVALS_MALFORMED": 400,
    "RESTRICTED_MAIL_FULL": 429,
    "COSIGNATURES_MALFORMED": 400,
    "BACKUP_MALFORMED": 400,
    "DID_LINES_UNKNOWN": 404,
    "BACKUP_NOT_ALLOWED": 403,
    "BACKUP_NOT_KEPT": 404,
    "BACKUP_OUTDATED": 409,
    "BACKUP_TOO_LARGE": 413,
    "PEER_BUDGET_SPENT": 429,
    "BODY_TOO_LARGE": 413,
    "MEDIA_TYPE_UNSUPPORTED": 415,
    "BODY_TOO_SLOW": 408,
    "STREAM_LISTENERS_EXHAUSTED": 503,
    "DEPOSIT_NOT_INVITED": 403,
    "MIRROR_LINK_UNKNOWN": 403,
    "JOIN_MALFORMED": 400,
    "INTEREST_MALFORMED": 400,
    "IDENTITY_DIFFERS": 409,
    "DEPOSIT_QUOTA_SPENT": 429,
    "DEPOSITS_EXHAUSTED": 503,
    "PULLS_EXHAUSTED": 503,
    "DATABASE_UNAVAILABLE": 503,
    "DATABASE_BUSY": 503,
    "STATEMENT_TIMED_OUT": 503,
    "APPEND_OUTCOME_UNKNOWN": 503,
    "CLOCK_OFF": 503,
    "PUBLICATION_WAITS": 503,
    "DISK_FULL": 507,
    "STORED_BYTES_DIFFER": 500,
    "INTERNAL": 500,
}

_log = structlog.get_logger()


class PathUnknown(GotongError):
    """Nothing is served under that path, or not by that method."""

    code: ClassVar[str] = "PATH_UNKNOWN"


def status_of(code: str) -> int:
    """Return the HTTP status that answers an error code."""
    return STATUS.get(code, STATUS_DEFAULT)


def error_response(error: GotongError) -> Response:
    """Return the response that tells a client which rule it broke: {code, message, details}."""
    status = status_of(error.code)
    headers = {"cache-control": "no-store"}
    if status in (429, 503):
        headers["retry-after"] = str(error.details.get("retry_after_s", RETRY_AFTER_S))
    body = {"code": error.code, "message": error.message, "details": error.details}
    return _json(status, body, headers)


def install(app: Starlette) -> None:
    """Have `app` answer every error in the one form."""
    app.add_exception_handler(GotongError, _on_gotong_error)
    app.add_exception_handler(HTTPException, _on_routing_error)
    app.add_exception_handler(Exception, _on_other_error)


async def _on_gotong_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, GotongError)
    return error_response(error)


async def _on_routing_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = error_response(PathUnknown("nothing is served under that path, or not by that method"))
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


async def _on_other_error(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return _json(500, DETAILS_OF_500, {"cache-control": "no-store"})


def _json(status: int, body: object, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


Handler = Callable[[Request], Awaitable[Response]]


def guarded(handler: Handler) -> Handler:
    """Return the handler with its errors answered in the one form, whatever app it is mounted in."""

    async def guard(request: Request) -> Response:
        try:
            if "\0" in request.scope["path"]:  # no name holds one, and the database takes none
                raise PathUnknown("nothing is served under that path")
            return await handler(request)
        except GotongError as error:
            return error_response(error)

    guard.__name__ = getattr(handler, "__name__", "guard")
    return guard
