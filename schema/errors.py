"""How refusals and accidents look in a GraphQL answer. The only module that knows.

A `GotongError` keeps its sentence, its code and its details. Anything else is
an accident: logged under an id, and told by that id alone.
"""

import secrets
from collections.abc import Sequence
from typing import Any

import structlog
from graphql import GraphQLError
from graphql.language import get_location

from domain.errors import GotongError

INTERNAL = "INTERNAL"
BAD_USER_INPUT = "BAD_USER_INPUT"
GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
INCIDENT_BYTES = 6

_log = structlog.get_logger()

Formatted = dict[str, Any]


def formatted(error: BaseException, path: Sequence[str | int] = (), nodes: Sequence[Any] = ()) -> Formatted:
    """Return `error` as a member of `errors`: what is wrong, its code, where; never anything from inside."""
    if isinstance(error, GotongError):
        answer: Formatted = {"message": error.message, "extensions": {**error.details, "code": error.code}}
    elif isinstance(error, GraphQLError):
        answer = {"message": error.message, "extensions": {"code": BAD_USER_INPUT, **(error.extensions or {})}}
        if error.locations and not nodes:
            answer["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    else:
        answer = _accident(error)
    locations = [
        {"line": place.line, "column": place.column}
        for node in nodes
        if node.loc
        for place in [get_location(node.loc.source, node.loc.start)]
    ]
    if locations:
        answer["locations"] = locations
    if path:
        answer["path"] = list(path)
    return answer


def refused(message: str, code: str, **details: Any) -> Formatted:
    """Return a request error that has no exception."""
    return {"message": message, "extensions": {"code": code, **details}}


def with_code(error: GraphQLError, code: str) -> Formatted:
    """Return an error of parsing or validation under `code`."""
    answer = formatted(error)
    answer["extensions"]["code"] = code
    return answer


def _accident(error: BaseException) -> Formatted:
    incident = secrets.token_hex(INCIDENT_BYTES)
    _log.error("graphql_incident", incident=incident, exc_info=error)
    return {
        "message": f"Something went wrong here. Tell the operator of this node: incident {incident}.",
        "extensions": {"code": INTERNAL, "incident": incident},
    }
