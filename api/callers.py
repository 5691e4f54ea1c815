"""Tell the routes of nodes who calls and whose budget pays: signature, peer, address. The one dependency for both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from api.payer import Networks, client_address
from api.peer_budget import PeerBudgets, Purse, spend_bytes, spend_request
from domain.errors import GotongError
from federation.requests.caller import Caller, CallerUnknown, Heard, Incoming, Requests, SignatureRequired


@dataclass(frozen=True, slots=True)
class Visit:
    """A request whose sender may be answered: `caller` is None for a stranger."""

    caller: Caller | None
    purse: Purse

    def sent(self, data: bytes) -> bytes:
        """Return `data`, paid for."""
        spend_bytes(self.purse, len(data))
        return data


@dataclass(frozen=True, slots=True)
class Callers:
    """Knows callers and their budgets. `trusted` are the proxies whose word about an address is taken."""

    requests: Requests
    budgets: PeerBudgets
    trusted: Networks = ()
    now_s: Callable[[], float] = time.monotonic

    async def visit(self, request: Request, body: bytes = b"") -> Visit:
        """Return who calls with this body, a stranger too; raises what is wrong with a signature, PeerBudgetSpent.

        A bad signature costs its sender's address as much as a stranger's request.
        """
        try:
            caller = await self.requests.caller(incoming(request), body)
        except GotongError:
            spend_request(self._stranger(request))
            raise
        purse = self._stranger(request) if caller is None else self._purse(request, caller)
        spend_request(purse)
        return Visit(caller, purse)

    async def known(self, request: Request, *, peers_only: bool = True) -> tuple[Heard, Visit]:
        """Return who calls, before its body is read; raises also SignatureRequired and CallerUnknown.

        Unless `peers_only`, whoever is allowed here is known too, and has the budget of a stranger.
        `Requests.accept(heard, body)` must follow before anything is done with the body.
        """
        try:
            heard = await self.requests.heard(incoming(request), peers_only=peers_only)
        except GotongError:
            spend_request(self._stranger(request))
            raise
        if heard is None:
            spend_request(self._stranger(request))
            if "signature-input" not in request.headers:
                raise SignatureRequired("a request of this kind is signed")
            raise CallerUnknown("no peer known here signed this request")
        purse = self._purse(request, heard.caller) if heard.caller.peer_id else self._stranger(request)
        spend_request(purse)
        return heard, Visit(heard.caller, purse)

    def stranger(self, request: Request) -> Visit:
        """Return a visit that a stranger pays for, whoever it is; raises PeerBudgetSpent."""
        purse = self._stranger(request)
        spend_request(purse)
        return Visit(None, purse)

    def _stranger(self, request: Request) -> Purse:
        address, is_local = self._address(request)
        return () if is_local else self.budgets.of_stranger(address, self.now_s())

    def _purse(self, request: Request, caller: Caller) -> Purse:
        _, is_local = self._address(request)
        return () if is_local else self.budgets.of_peer(caller.peer_id, self.now_s())

    def _address(self, request: Request) -> tuple[str, bool]:
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")).encode("latin-1")  # proxies may add a line
        return client_address(request.client.host if request.client else None, forwarded, self.trusted)


def incoming(request: Request) -> Incoming:
    """Return what a signature may cover of a request, as it came over the wire."""
    names = ("host", "content-type", "content-digest", "signature", "signature-input")
    found = {name: ", ".join(request.headers.getlist(name)) for name in names if name in request.headers}
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    query = request.scope.get("query_string") or b""
    return Incoming(request.method, path.decode("latin-1"), query.decode("latin-1"), found)
