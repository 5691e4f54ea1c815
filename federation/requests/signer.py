"""Sign this node's requests to its peers. Shell: reads the clock, draws nonces, sends.

A peer whose clock is another one says by how much, and is asked again as its clock wants it. What is public is asked
for without a signature of a peer that does not take ours: it knows us under another key, or itself under another name.

The key is the newest request key of the operator's DID document whose private half is in the key ring. A request is
signed for the peer's clock, as far as it is known how far apart the clocks are; the node's own clock is never moved.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.did.errors import DidError
from federation.identity import identities
from federation.identity.keys import KeyMissing, KeyRing, document_key_name
from federation.identity.rekey import key_number
from federation.log.service import request_keys
from federation.requests.refusal import Refusal, read_refusal
from federation.requests.signatures import Message, Parameters, authority_of, content_digest, sign
from store import participants
from store.database import Database

LIFETIME_S = 60
NONCE_BYTES = 18
KEY_KEPT_S = 30.0
"""How long a key is used without looking whether the document names a newer one."""
SKEW_MS_MAX = 100 * 366 * 86_400_000
"""A clock that starts at 1970 or 2000 is understood; a peer that says more is not believed."""
UNSIGNED_FOR_S = 3_600.0
"""How long a peer that does not take our signatures is asked for what is public without them."""
SIGNATURE_HEADERS = ("signature-input", "signature", "content-digest")


_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A private key and the DID URL others know it by."""

    id: str
    private: Ed25519PrivateKey


class Signer:
    """Signs for the node's operator participant."""

    def __init__(self, database: Database, keys: KeyRing, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._key: RequestKey | None = None
        self._looked_at: datetime | None = None

    async def sign(self, request: httpx.Request, skew_ms: int) -> bool:
        """Add a signature to the request, `skew_ms` being how far our clock is ahead of the peer's.

        Return False, and leave it unsigned, when this node has no request key.
        """
        key = await self._current()
        if key is None:
            return False
        now = self._clock()
        created = max(0, round(now.timestamp() - skew_ms / 1000))
        parameters = Parameters(created, created + LIFETIME_S, secrets.token_urlsafe(NONCE_BYTES), key.id)
        if request.method == "POST":
            request.headers["content-digest"] = content_digest(request.content)
        request.headers.update(sign(message_of(request), parameters, key.private))
        return True

    async def _current(self) -> RequestKey | None:
        now = self._clock()
        if self._looked_at is None or abs((now - self._looked_at).total_seconds()) > KEY_KEPT_S:
            self._key = await self._look_up()
            self._looked_at = now
        return self._key

    async def _look_up(self) -> RequestKey | None:
        async with self._database.acquire() as connection:
            operator = await participants.operator(connection)
            if operator is None:
                return None
            try:
                state = await identities.load(connection, operator.id, operator.scid)
            except DidError:  # reported where identities are checked; what is public can be asked for all the same
                return None
        for stated in sorted(request_keys(state), key=key_number, reverse=True):
            try:
                private = self._keys.get(document_key_name(operator.scid, stated.id))
            except KeyMissing:
                continue
            if private.public_key().public_bytes_raw() == stated.public_key:
                return RequestKey(f"{operator.did}{stated.id}", private)
        return None


class Sender:
    """Sends requests to one peer, signed if there is a signer; `skew_ms` says how far our clock is ahead of its."""

    def __init__(self, http: httpx.AsyncClient, signer: Signer | None, skew_ms: int) -> None:
        self._http = http
        self._signer = signer
        self._unsigned_until_s = 0.0
        self.skew_ms = skew_ms

    async def send(self, request: httpx.Request, *, is_public: bool) -> tuple[httpx.Response, Refusal | None]:
        """Return the response, its body unread, or a refused one with what it says; raises as httpx does, KeyMissing.

        What is not public is never sent unsigned.
        """
        now_s = asyncio.get_running_loop().time()
        if is_public and now_s < self._unsigned_until_s:
            return await self._http.send(request, stream=True), None
        if not await self._sign(request):
            if is_public:
                return await self._http.send(request, stream=True), None
            raise KeyMissing("this node has no key to sign requests with")
        response, refusal = await self._ask(request)
        if refusal is not None and self._correct(refusal):
            await self._sign(request)
            response, refusal = await self._ask(request)
        if refusal is not None and is_public:
            _log.warning("signature_refused", peer=str(request.url.copy_with(query=None)), code=refusal.code)
            self._unsigned_until_s = now_s + UNSIGNED_FOR_S
            for name in SIGNATURE_HEADERS:
                request.headers.pop(name, None)
            return await self._http.send(request, stream=True), None
        return response, refusal

    async def _sign(self, request: httpx.Request) -> bool:
        return self._signer is not None and await self._signer.sign(request, self.skew_ms)

    async def _ask(self, request: httpx.Request) -> tuple[httpx.Response, Refusal | None]:
        response = await self._http.send(request, stream=True)
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return response, None
        return response, await read_refusal(response)

    def _correct(self, refusal: Refusal) -> bool:
        """Take the peer's word about its own clock; return whether it gave one that can be."""
        told = refusal.skew_ms
        if told is None or abs(self.skew_ms + told) > SKEW_MS_MAX:
            return False
        self.skew_ms += told
        return True


def message_of(request: httpx.Request) -> Message:
    """Return what a signature covers of a request that is about to be sent."""
    path, _, query = request.url.raw_path.decode("latin-1").partition("?")
    return Message(
        request.method,
        authority_of(str(request.url)),
        path,
        query,
        request.headers.get("content-digest"),
        request.headers.get("content-type"),
    )
