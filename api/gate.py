"""What every transport of GraphQL asks before it runs anything: is the document known, and is it paid for."""

from collections.abc import Mapping

from api.budget import Budget
from api.documents import Documents
from api.payer import Payers, Rates
from auth.tokens import Viewer
from schema.compile.cost import QUERY_COST_MAX
from schema.context import Charge
from schema.engine import Engine

RATES_DEFAULT = Rates(anonymous_per_min=12_000, token_per_min=120_000)
TRUSTED_PROXIES_DEFAULT = ("127.0.0.1", "::1")


class Gate:
    """The gate of one process."""

    def __init__(self, engine: Engine, payers: Payers | None = None) -> None:
        self.documents = Documents(lambda text: not engine.compiler.document(text).errors)
        self._payers = payers or Payers(RATES_DEFAULT, TRUSTED_PROXIES_DEFAULT)
        self._budget = Budget()
        self._clock = engine.services.clock

    def charge(self, peer: str | None, headers: Mapping[bytes, bytes], viewer: Viewer | None, cost: int) -> Charge:
        """Return what was taken for a question; raises RateLimited."""
        return self._budget.spend(self._payers.payer(peer, headers, viewer), cost, self._clock().timestamp())


def cost_json(charge: Charge, cost: int, *, shared: bool = False) -> bytes:
    """Return `extensions` of an answer; one that others get as well says nothing of the caller."""
    if shared:
        return b'{"cost":{"requested":%d,"max":%d}}' % (cost, QUERY_COST_MAX)
    return b'{"cost":{"requested":%d,"max":%d,"limit":%d,"remaining":%d}}' % (
        cost,
        QUERY_COST_MAX,
        charge.limit,
        charge.remaining,
    )
