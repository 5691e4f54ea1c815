"""Notice that somebody else reads the logs of this node: from then on it has to be sure of what it holds. Thin."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.errors import GotongError

Handler = Callable[[Request], Awaitable[Response]]


def noticed(routes: Iterable[Route], mark: Callable[[], Awaitable[None]]) -> list[Route]:
    """Return the routes with `mark` called before each answer; an answer is not held up by a mark that fails."""
    return [Route(each.path, _noticing(each.endpoint, mark), methods=list(each.methods or ())) for each in routes]


def _noticing(handler: Handler, mark: Callable[[], Awaitable[None]]) -> Handler:
    async def notice(request: Request) -> Response:
        with contextlib.suppress(GotongError):  # the database is away, and with it what would be answered
            await mark()
        return await handler(request)

    return notice
