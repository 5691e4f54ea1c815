"""Read and write what a depositor and its mirror tell each other. Pure; the logs themselves travel as frames.

Rules, with the error that answers each:
- G1.1 a mirror answers a deposit with `logs`: of each log in it, in that order, `origin`, the `size` and `did_version`
  that are held now, and `refused`, the code of what kept the rest out (null: nothing): DEPOSIT_ANSWER_MALFORMED.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from domain.errors import GotongError
from federation.did.webvh import VERSIONS_MAX
from federation.log.merkle import TREE_SIZE_MAX
from federation.sync.frames import ORIGIN_BYTES_MAX, End, EndOfLog, EndReason, Log, encode

DEPOSIT_BYTES_MAX = 8 * 1024 * 1024
"""Of a deposit's body as it travels; it is kept whole until its signature is checked."""
DEPOSIT_LOGS_MAX = 256
DEPOSIT_ANSWER_BYTES_MAX = 256 * 1024


class DepositAnswerMalformed(GotongError):
    """A mirror's answer to a deposit is not of the form that the protocol gives it."""

    code: ClassVar[str] = "DEPOSIT_ANSWER_MALFORMED"


class Deposited(msgspec.Struct, frozen=True):
    """What the mirror holds of one log now, and the code of what kept the rest out."""

    origin: Annotated[str, Meta(max_length=ORIGIN_BYTES_MAX)]
    size: Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)]
    did_version: Annotated[int, Meta(ge=0, le=VERSIONS_MAX)]
    refused: Annotated[str, Meta(max_length=64)] | None = None


class _Answer(msgspec.Struct, frozen=True):
    logs: Annotated[list[Deposited], Meta(max_length=DEPOSIT_LOGS_MAX)]


_answer = msgspec.json.Decoder(_Answer)


def write_answer(logs: Sequence[Deposited]) -> bytes:
    """Return the bytes of an answer."""
    return msgspec.json.encode(_Answer(list(logs)))


def read_answer(data: bytes, asked: Sequence[str]) -> list[Deposited]:
    """Return what the mirror holds of the logs in the deposit, or raise DepositAnswerMalformed (rule G1.1)."""
    try:
        logs = _answer.decode(data).logs
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DepositAnswerMalformed(f"not an answer to a deposit: {error}"[:200]) from None
    if [each.origin for each in logs] != list(asked):
        raise DepositAnswerMalformed("the answer is about other logs than the deposit")
    return logs


def question(origins: Iterable[str]) -> bytes:
    """Return the frames of a deposit that brings nothing and so only asks what is held of these logs."""
    sections = (encode(Log(origin)) + encode(EndOfLog(EndReason.BOUNDED)) for origin in origins)
    return b"".join([*sections, encode(End())])
