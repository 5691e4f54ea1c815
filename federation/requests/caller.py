"""Decide who sent a signed request: the operator of a peer that this node's operator added, or nobody. Shell.

A key counts because its DID log is held here and an operator here added the peer; a stranger's key id makes this node
fetch nothing. Whoever is not known is answered as a stranger where no signature is needed.

Rules, checked after V1.5 and V1.6, with the error that answers each:
- V3.1 the key id names the operator of a peer that was added here and is not blocked, whose DID log is held here, and a
  key that its newest DID document lists under `authentication`. Else the sender is a stranger: CALLER_UNKNOWN where a
  signature is needed. Where a rule says so a participant that is allowed here will do, whether a peer or not.
- V3.2 a nonce is heard once from a participant, by any process of the node. It is remembered after the signature and
  the digest were found good: SIGNATURE_REPLAYED.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from domain.errors import GotongError
from federation.did.state import DidState
from federation.identity.states import DidStates
from federation.log.service import request_keys
from federation.requests import signatures
from federation.requests.signatures import SKEW_S_MAX, Message, Signed
from store import nonces, peers
from store.database import Database
from store.peers import CallerRow

NONCES_KEPT_S = 3_600
"""How long a nonce is kept after its request expired: so far may a clock be set back without hearing it again."""


class SignatureReplayed(GotongError):
    """A signed request was heard before."""

    code: ClassVar[str] = "SIGNATURE_REPLAYED"


class SignatureRequired(GotongError):
    """This is answered only if the request is signed."""

    code: ClassVar[str] = "SIGNATURE_REQUIRED"


class CallerUnknown(GotongError):
    """The request is signed by a key not known here: the operator has not added that peer, or blocked it."""

    code: ClassVar[str] = "CALLER_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Caller:
    """The operator participant that signed a request, and the peer it is the operator of; 0 if it is none here."""

    scid: str
    peer_id: int
    trust: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came: `path` and `query` still encoded, `headers` by lower-case name, repeated ones joined."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Heard:
    """A request whose signature holds; not yet whether for this body, nor for the first time. Rules V1.6, V3.2."""

    caller: Caller
    signed: Signed


@dataclass(frozen=True, slots=True)
class Requests:
    """Knows callers. `authorities` are the names (host[:port]) of this node, as its operator says."""

    database: Database
    authorities: Sequence[str]
    clock: Callable[[], datetime]
    states: DidStates = field(default_factory=DidStates)

    async def caller(self, incoming: Incoming, body: bytes = b"") -> Caller | None:
        """Return who signed the request with this body, None for a stranger; raise for what is wrong with it."""
        heard = await self.heard(incoming)
        return None if heard is None else await self.accept(heard, body)

    async def heard(self, incoming: Incoming, *, peers_only: bool = True) -> Heard | None:
        """Return whose signature it is, None for a stranger's or none; raise for rules V1.1 to V1.5.

        Unless `peers_only`, whoever is allowed here is no stranger. What it says of the body is for `accept`, so that a
        large body need not be read for a bad signature.
        """
        signed = signatures.read(
            self._message(incoming), incoming.headers.get("signature-input"), incoming.headers.get("signature")
        )
        if signed is None:
            return None
        signatures.check_window(signed, self.clock())
        async with self.database.acquire() as connection:
            row = await peers.caller(connection, signed.scid)
            if row is None and not peers_only:
                row = await peers.allowed_caller(connection, signed.scid)
        key = None if row is None else await self._key(signed, row)
        if row is None or key is None:
            return None
        signatures.check_signature(signed, key)
        return Heard(Caller(signed.scid, row.peer_id, row.trust), signed)

    async def accept(self, heard: Heard, body: bytes) -> Caller:
        """Return the caller, or raise DigestMismatch or SignatureReplayed; from now on its nonce is used."""
        signatures.check_digest(heard.signed, body)
        parameters = heard.signed.parameters
        until = datetime.fromtimestamp(parameters.expires, UTC) + timedelta(seconds=SKEW_S_MAX)
        async with self.database.acquire() as connection:
            is_new = await nonces.use(connection, heard.caller.scid, parameters.nonce, until)
        if not is_new:
            raise SignatureReplayed("this request was heard before", nonce=parameters.nonce)
        return heard.caller

    async def introduced(self, incoming: Incoming, body: bytes, state: DidState) -> None:
        """Return if a request key of this identity, which came along, signed the request; else raise as `caller` does.

        Raises also SignatureRequired and CallerUnknown.
        """
        signed = signatures.read(
            self._message(incoming), incoming.headers.get("signature-input"), incoming.headers.get("signature")
        )
        if signed is None:
            raise SignatureRequired("a request of this kind is signed")
        signatures.check_window(signed, self.clock())
        key = {key.id: key.public_key for key in request_keys(state)}.get(signed.fragment)
        if key is None or signed.scid != state.scid or state.deactivated:
            raise CallerUnknown("no request key of the identity that came along signed this")
        signatures.check_signature(signed, key)
        await self.accept(Heard(Caller(state.scid, 0, "quarantined"), signed), body)

    def _message(self, incoming: Incoming) -> Message:
        return Message(
            incoming.method,
            self._authority(incoming.headers.get("host", "")),
            incoming.path,
            incoming.query,
            incoming.headers.get("content-digest"),
            incoming.headers.get("content-type"),
        )

    def _authority(self, host: str) -> str:
        """Return the name that the request must have been signed for: Host only chooses among our own names."""
        return host.lower() if host.lower() in self.authorities else self.authorities[0]

    async def _key(self, signed: Signed, row: CallerRow) -> bytes | None:
        state = await self.states.of(self.database, signed.scid, row.did_version)
        if state is None or state.deactivated:
            return None
        return {key.id: key.public_key for key in request_keys(state)}.get(signed.fragment)


async def forget_nonces(database: Database, now: datetime) -> None:
    """Forget the nonces of requests that cannot be replayed any more."""
    async with database.acquire() as connection:
        await nonces.forget(connection, now - timedelta(seconds=NONCES_KEPT_S))
