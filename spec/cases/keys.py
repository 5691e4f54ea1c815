"""The keys, names and times all cases share. Made from seeds: good for vectors and for nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AT = datetime(2026, 3, 14, 9, 26, 53, 589_000, tzinfo=UTC)
SCID = "QmVectorsVectorsVectorsVectorsVectorsVectors12"
ORIGIN = f"gotong/{SCID}/0"
GENESIS_ID = UUID("019ced20-0000-7000-8000-000000000000")


@dataclass(frozen=True, slots=True)
class Case:
    """One vector: the function, whether and how it is refused, and its input."""

    function: str
    name: str
    about: str
    given: Mapping[str, Any]
    error: str | None = None


Cases = Iterable[Case]


def seed(name: str) -> bytes:
    """Return 32 bytes that belong to a name."""
    return sha256(f"gotong vectors: {name}".encode()).digest()


def private_key(name: str) -> Ed25519PrivateKey:
    """Return the key that belongs to a name."""
    return Ed25519PrivateKey.from_private_bytes(seed(name))


def public_key(name: str) -> bytes:
    """Return the raw public half of `private_key`."""
    return private_key(name).public_key().public_bytes_raw()


def salt(name: str) -> bytes:
    """Return 16 bytes that belong to a name."""
    return seed(f"salt {name}")[:16]


def record_id(number: int) -> UUID:
    """Return the UUIDv7 of the case's record `number`."""
    return UUID(f"019ced20-0000-7000-8000-{number + 1:012x}")


def valid(function: str, name: str, about: str, /, **given: Any) -> Case:
    """Return a case that is accepted."""
    return Case(function, name, about, given)


def refused(function: str, error: str, name: str, about: str, /, **given: Any) -> Case:
    """Return a case that is refused with `error`."""
    return Case(function, name, about, given, error)
