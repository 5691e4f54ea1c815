"""Write and read what a mirror and a home exchange about requests for restricted parts that wait there. Pure.

A home that nobody can connect to is asked through its mirror. In one POST it brings what it has answered and is given
what waits. Requests and answers are the very bytes that would pass directly, so the mirror can keep them from arriving
and nothing else.

Rules, with the error that answers each:
- X3.1 what is brought is JSON of `answers`, at most EXCHANGED_MAX, each an `answer` (X2.1) and `request`, the SHA-256
  of the request that it answers; what is given is JSON of `requests`, at most EXCHANGED_MAX, each the text of a
  request: RESTRICTED_MAIL_MALFORMED.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from domain.errors import GotongError
from federation.restricted.request import ANSWER_BYTES_MAX, REQUEST_BYTES_MAX, Answer

EXCHANGED_MAX = 16
BROUGHT_BYTES_MAX = EXCHANGED_MAX * (ANSWER_BYTES_MAX + 256)
GIVEN_BYTES_MAX = EXCHANGED_MAX * (2 * REQUEST_BYTES_MAX + 64)
"""Quotation marks in a text take two bytes."""


class MailMalformed(GotongError):
    """What a home and its mirror exchange about waiting requests is not of the form that the protocol gives it."""

    code: ClassVar[str] = "RESTRICTED_MAIL_MALFORMED"


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer, and the hash of the request that it answers."""

    request: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    answer: Answer


class _Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    answers: Annotated[list[Brought], Meta(max_length=EXCHANGED_MAX)]


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    requests: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=REQUEST_BYTES_MAX)]], Meta(max_length=EXCHANGED_MAX)
    ]


def write_brought(answers: Sequence[tuple[bytes, Answer]]) -> bytes:
    """Return the bytes of (hash of a request, answer to it) as a home brings them."""
    return msgspec.json.encode(_Brought([Brought(hashed.hex(), each) for hashed, each in answers]))


def read_brought(data: bytes) -> list[Brought]:
    """Return what a home brings, or raise MailMalformed (rule X3.1); whose answers they are is not looked at."""
    try:
        return msgspec.json.decode(data, type=_Brought).answers
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MailMalformed(f"not what a home brings: {error}"[:200]) from None


def write_given(requests: Sequence[bytes]) -> bytes:
    """Return the bytes of requests as a mirror gives them."""
    return msgspec.json.encode(_Given([each.decode() for each in requests]))


def read_given(data: bytes) -> list[bytes]:
    """Return the requests that a mirror gives, or raise MailMalformed (rule X3.1); nothing of them is believed."""
    try:
        return [each.encode() for each in msgspec.json.decode(data, type=_Given).requests]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MailMalformed(f"not what a mirror gives: {error}"[:200]) from None
