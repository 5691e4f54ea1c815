"""Keep answers that everybody without a token is given alike, for as long as the database stays as it is.

Whether it did is asked of the database itself (`store.version`), so an answer
is never older than the request for it, whichever process wrote since.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from schema.engine import Request

KEPT_BYTES_MAX = 8 * 1024 * 1024
ANSWER_BYTES_MAX = 256 * 1024
ENTRY_BYTES = 512  # what an entry takes beside its body
ETAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """A response body, its entity tag, and the version of the database it is of."""

    version: str
    etag: bytes
    body: bytes


class SharedAnswers:
    """The answers one process keeps, the most recent ones."""

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, SharedAnswer] = OrderedDict()
        self._bytes = 0

    def find(self, key: bytes, version: str) -> SharedAnswer | None:
        """Return the answer kept under `key`, unless the database changed since."""
        answer = self._answers.get(key)
        if answer is None or answer.version != version:
            return None
        self._answers.move_to_end(key)
        return answer

    def keep(self, key: bytes, answer: SharedAnswer) -> None:
        """Keep an answer, if it is not too large, in place of those not asked for longest."""
        self._forget(key)
        if len(answer.body) > ANSWER_BYTES_MAX:
            return
        self._answers[key] = answer
        self._bytes += len(answer.body) + ENTRY_BYTES
        while self._bytes > KEPT_BYTES_MAX:
            self._forget(next(iter(self._answers)))

    def _forget(self, key: bytes) -> None:
        forgotten = self._answers.pop(key, None)
        if forgotten is not None:
            self._bytes -= len(forgotten.body) + ENTRY_BYTES


def key_of(request: Request, languages: Sequence[str]) -> bytes:
    """Return what tells requests apart whose answers may differ."""
    parts = (request.query, request.operation_name, request.variables, languages)
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).digest()


def etag_of(body: bytes) -> bytes:
    """Return the entity tag of a body (RFC 9110, 8.8.3)."""
    return b'"%b"' % hashlib.sha256(body).hexdigest()[: 2 * ETAG_BYTES].encode()


def matches(if_none_match: bytes | None, etag: bytes) -> bool:
    """Return whether a client that sent this header has the body of `etag` (RFC 9110, 13.1.2)."""
    if not if_none_match:
        return False
    given = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return etag in given or given == [b"*"]
