"""Write and read what nodes exchange about requests for removal on their way to a record's home. Pure.

Anybody may ask the operator of any node to have a record removed; only its author can erase it everywhere. So the home
fetches what was asked elsewhere, by a connection that it opens itself. Why somebody asks may be about that person: it
is sealed on the way, and how to reach the person stays with the operator who was asked.

Rules, with the error that answers each:
- A4.1 who fetches sends JSON of `key`, an X25519 key made for this one time, and `taken`, at most EXCHANGED_MAX letters
  that it has; what it is given is JSON of `sealed`: JSON of `requests`, at most EXCHANGED_MAX, each of the form of
  `Letter`, no reason with a NUL: REMOVALS_MALFORMED.
- A4.2 what is given is sealed to `key` (X2.1) and bound to the SHA-256 of what was sent: SEAL_BROKEN.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from domain.errors import GotongError

EXCHANGED_MAX = 16
REASON_CHARS_MAX = 2_000
ASKED_BYTES_MAX = 2_048
GIVEN_BYTES_MAX = 2 * EXCHANGED_MAX * (6 * REASON_CHARS_MAX + 1_024)
"""Hexadecimal, and a character may take six bytes in JSON."""
_INFO = b"gotong removal requests\n"


class RemovalsMalformed(GotongError):
    """What nodes exchange about requests for removal is not of the form that the protocol gives it."""

    code: ClassVar[str] = "REMOVALS_MALFORMED"


_Name = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Fetch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a home sends: the key to seal to, and the letters it has taken."""

    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    taken: Annotated[list[_Name], Meta(max_length=EXCHANGED_MAX)]


class Letter(msgspec.Struct, frozen=True):
    """One request: its name, the record, and why."""

    letter: _Name
    record: Annotated[str, Meta(min_length=1, max_length=256)]
    reason: Annotated[str, Meta(pattern=r"^[^\x00]+\Z", max_length=REASON_CHARS_MAX)]


class _Given(msgspec.Struct, frozen=True):
    sealed: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})+\Z", max_length=GIVEN_BYTES_MAX)]


class _Letters(msgspec.Struct, frozen=True):
    requests: Annotated[list[Letter], Meta(max_length=EXCHANGED_MAX)]


def write_fetch(key: bytes, taken: Sequence[str]) -> bytes:
    """Return the bytes with which a home fetches."""
    return msgspec.json.encode(Fetch(key.hex(), list(taken)))


def read_fetch(data: bytes) -> Fetch:
    """Return what a home fetches with, or raise RemovalsMalformed (rule A4.1)."""
    try:
        return msgspec.json.decode(data, type=Fetch)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RemovalsMalformed(f"not what a home fetches with: {error}"[:200]) from None


def fetch_info(fetch: bytes) -> bytes:
    """Return what the sealed answer to these bytes is bound to (rule A4.2)."""
    return _INFO + hashlib.sha256(fetch).digest()


def write_given(sealed: bytes) -> bytes:
    """Return the bytes of what is given."""
    return msgspec.json.encode(_Given(sealed.hex()))


def read_given(data: bytes) -> bytes:
    """Return what is sealed in an answer, or raise RemovalsMalformed (rule A4.1)."""
    try:
        return bytes.fromhex(msgspec.json.decode(data, type=_Given).sealed)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RemovalsMalformed(f"not what a home is given: {error}"[:200]) from None


def write_letters(letters: Sequence[Letter]) -> bytes:
    """Return the bytes that are sealed."""
    return msgspec.json.encode(_Letters(list(letters)))


def read_letters(data: bytes) -> list[Letter]:
    """Return the requests that were sealed, or raise RemovalsMalformed (rule A4.1); nothing of them is believed."""
    try:
        return msgspec.json.decode(data, type=_Letters).requests
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RemovalsMalformed(f"no requests for removal: {error}"[:200]) from None
