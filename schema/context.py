"""What resolvers and compiled questions are given: the services of this process, and who asks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from auth.tokens import TokenVerifier, Viewer
from domain.regions import Regions
from federation.publish.append import Appender
from federation.restricted.asking import Asking
from store.database import Database
from store.wake import Wake

REPLY_KEY_CHARS_MAX = 255
UNMETERED = 2**31 - 1  # the largest Int of GraphQL


@dataclass(frozen=True, slots=True)
class Services:
    """What one process has at hand. `clock` gives aware UTC instants; `proofs` builds bundles for provenance."""

    database: Database
    appender: Appender
    asking: Asking
    regions: Regions
    wake: Wake
    verifier: TokenVerifier
    base_url: str
    network: str
    node_name: str
    version: str
    clock: Callable[[], datetime]


class Charge(msgspec.Struct, frozen=True):
    """What a request took from its caller's budget, and what is left; `full_at_s` are seconds since 1970."""

    cost: int = 0
    limit: int = UNMETERED
    remaining: int = UNMETERED
    full_at_s: float = 0.0


NO_CHARGE = Charge()


class Caller(msgspec.Struct, frozen=True):
    """Who asks, and what the transport said beside the document."""

    viewer: Viewer | None = None
    languages: tuple[str, ...] = ()
    idempotency_key: str | None = None
    charge: Charge = NO_CHARGE
