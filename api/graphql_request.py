"""Read a GraphQL request out of an HTTP request (GraphQL over HTTP), and refuse what is none.

Every refusal says what is wrong, with a status of its own; nothing here
executes anything.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import orjson

from api.documents import Documents
from domain.errors import GotongError
from schema.engine import Request

BODY_BYTES_MAX = 128 * 1024
QUERY_STRING_BYTES_MAX = 64 * 1024
HEADER_BYTES_MAX = 1_024
HEADERS_CACHED_MAX = 256  # of each header: clients of one kind send the same
LANGUAGES_MAX = 8
GRAPHQL_JSON = "application/graphql-response+json"
JSON = "application/json"
HTML = "text/html"

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = Mapping[bytes, bytes]


class BadRequest(GotongError):
    """The HTTP request is no GraphQL request: its JSON, its encoding or a parameter's type is wrong."""

    code: ClassVar[str] = "BAD_REQUEST"


class RequestTooLarge(GotongError):
    """A request body has at most 128 KiB."""

    code: ClassVar[str] = "REQUEST_TOO_LARGE"


class MediaTypeUnsupported(GotongError):
    """A request body is JSON, and is declared so: `Content-Type: application/json`."""

    code: ClassVar[str] = "MEDIA_TYPE_UNSUPPORTED"


class NotAcceptable(GotongError):
    """The client accepts none of the media types an answer can have."""

    code: ClassVar[str] = "NOT_ACCEPTABLE"


class ClientGone(Exception):
    """The client left before its request was complete."""


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """Return the request's body; raises RequestTooLarge, ClientGone."""
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > BODY_BYTES_MAX:
        raise _too_large()
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes > BODY_BYTES_MAX:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(f"A request body has at most {BODY_BYTES_MAX} bytes.", body_bytes_max=BODY_BYTES_MAX)


def check_content_type(headers: Headers) -> None:
    """Raise MediaTypeUnsupported unless the body is declared to be JSON in UTF-8."""
    _check_content_type(headers.get(b"content-type", b"")[:HEADER_BYTES_MAX])


@lru_cache(HEADERS_CACHED_MAX)
def _check_content_type(declared: bytes) -> None:
    essence, _, parameters = declared.decode("latin-1").lower().partition(";")
    if essence.strip() != JSON:
        raise MediaTypeUnsupported("Send the request as `Content-Type: application/json`.")
    name, _, charset = parameters.strip().partition("=")
    if name.strip() == "charset" and charset.strip().strip('"') not in ("utf-8", "utf8"):
        raise MediaTypeUnsupported("JSON is UTF-8.")


def from_body(body: bytes, documents: Documents) -> Request:
    """Return the request in a JSON body; raises BadRequest and what `Documents.text` raises."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {str(error)[:200]}") from None
    if not isinstance(document, dict):
        raise BadRequest('The body is not a JSON object with a member "query".')
    return from_parameters(document, documents)


def from_query_string(query_string: bytes, documents: Documents) -> Request:
    """Return the request in a URL; raises BadRequest and what `Documents.text` raises."""
    if len(query_string) > QUERY_STRING_BYTES_MAX:
        raise BadRequest(f"A query string has at most {QUERY_STRING_BYTES_MAX} bytes; use POST.")
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", encoding="utf-8", max_num_fields=10
        )
    except ValueError:
        raise BadRequest("The query string is malformed.") from None
    parameters: dict[str, Any] = dict(pairs)
    for name in ("variables", "extensions"):
        if parameters.get(name):
            try:
                parameters[name] = orjson.loads(parameters[name])
            except orjson.JSONDecodeError:
                raise BadRequest(f"The parameter {name} is not JSON.") from None
        else:
            parameters.pop(name, None)
    return from_parameters(parameters, documents)


def from_parameters(parameters: Mapping[str, Any], documents: Documents) -> Request:
    """Return the request these parameters make; raises BadRequest for a missing one or a wrong type.

    The document is `query`, or the one that `documents` knows by the hash given instead.
    """
    query, name = documents.text(parameters), parameters.get("operationName")
    variables, extensions = parameters.get("variables"), parameters.get("extensions")
    if not isinstance(query, str):
        raise BadRequest("The parameter query is missing or not text.")
    if name is not None and not isinstance(name, str):
        raise BadRequest("The parameter operationName is not text.")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest("The parameter variables is not an object.")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadRequest("The parameter extensions is not an object.")
    return Request(query, variables or {}, name or None)


def media_type(headers: Headers) -> str:
    """Return the media type to answer with; raises NotAcceptable (GraphQL over HTTP, 6.1)."""
    accept = headers.get(b"accept")
    if accept is None or accept == b"*/*":
        return JSON
    return _media_type(accept[:HEADER_BYTES_MAX])


@lru_cache(HEADERS_CACHED_MAX)
def _media_type(accept: bytes) -> str:
    best, best_weight = "", 0.0
    for essence, weight in _weighted(accept):
        found = {
            GRAPHQL_JSON: GRAPHQL_JSON,
            JSON: JSON,
            "application/*": JSON,
            "*/*": JSON,
        }.get(essence, "")
        if found and weight > best_weight:
            best, best_weight = found, weight
    if not best:
        raise NotAcceptable(f"Answers are {GRAPHQL_JSON} or {JSON}.")
    return best


def accepts_html(headers: Headers) -> bool:
    """Return whether a browser asks: one that names HTML and neither of the JSON types."""
    essences = [essence for essence, _ in _weighted(headers.get(b"accept", b""))]
    return HTML in essences and GRAPHQL_JSON not in essences and JSON not in essences


def languages(headers: Headers) -> tuple[str, ...]:
    """Return the languages of Accept-Language, best first, in lower case; `*` and malformed ones are left out."""
    accepted = headers.get(b"accept-language")
    if not accepted:
        return ()
    return _languages(accepted[:HEADER_BYTES_MAX])


@lru_cache(HEADERS_CACHED_MAX)
def _languages(accepted: bytes) -> tuple[str, ...]:
    ordered = sorted(_weighted(accepted), key=lambda pair: -pair[1])
    tags = [tag for tag, weight in ordered if weight > 0 and tag != "*" and tag.replace("-", "").isalnum()]
    return tuple(tags[:LANGUAGES_MAX])


def _weighted(header: bytes) -> Sequence[tuple[str, float]]:
    """Return (value in lower case, weight) of a header such as Accept."""
    found = []
    for part in header[:HEADER_BYTES_MAX].decode("latin-1").lower().split(","):
        value, *parameters = (piece.strip() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = min(1.0, max(0.0, float(parameter[2:])))
                except ValueError:
                    weight = 0.0
        if value:
            found.append((value, weight))
    return found
