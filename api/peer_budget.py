"""Keep what each peer and each stranger may still ask of the federation's routes: requests and bytes a minute.

Buckets in this process, approximate and bounded in number (docs/adr/0014 says the same of questions). Bytes are taken
when they are sent, so a bucket may owe; the next request waits until it does not.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from domain.errors import GotongError

BUCKETS_MAX = 20_000
FILLED_IN_S = 60.0
STRANGER_ADDRESSES = 10
"""All strangers together may spend as much as this many addresses."""
_STRANGERS = "strangers"


class PeerBudgetSpent(GotongError):
    """A node has asked for as much as it may within a minute; `retry_after_s` says when to go on."""

    code: ClassVar[str] = "PEER_BUDGET_SPENT"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be spent a minute."""

    requests: int
    size_bytes: int

    def times(self, number: int) -> "Allowance":
        """Return so many times this."""
        return Allowance(self.requests * number, self.size_bytes * number)


@dataclass(frozen=True, slots=True)
class PeerRates:
    """What a peer that signs its requests may spend, and what one address of strangers may."""

    peer: Allowance
    stranger: Allowance


@dataclass(slots=True)
class _Bucket:
    allowance: Allowance
    requests: float
    size_bytes: float
    at_s: float


Purse = tuple[_Bucket, ...]
"""The buckets that a request is paid from; none for this machine itself."""


class PeerBudgets:
    """The buckets of one process."""

    def __init__(self, rates: PeerRates) -> None:
        self._rates = rates
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def of_peer(self, peer_id: int, now_s: float) -> Purse:
        """Return what a peer pays from."""
        return (self._filled(f"p {peer_id}", self._rates.peer, now_s),)

    def of_stranger(self, address: str, now_s: float) -> Purse:
        """Return what a stranger at this address pays from."""
        own = self._filled(f"a {address}", self._rates.stranger, now_s)
        return own, self._filled(_STRANGERS, self._rates.stranger.times(STRANGER_ADDRESSES), now_s)

    def _filled(self, key: str, allowance: Allowance, now_s: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = _Bucket(allowance, allowance.requests, allowance.size_bytes, now_s)
            self._buckets[key] = bucket
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(key)
        share = max(0.0, now_s - bucket.at_s) / FILLED_IN_S
        bucket.requests = min(allowance.requests, bucket.requests + share * allowance.requests)
        bucket.size_bytes = min(allowance.size_bytes, bucket.size_bytes + share * allowance.size_bytes)
        bucket.at_s = now_s
        return bucket


def spend_request(purse: Purse) -> None:
    """Take one request from each bucket, or raise PeerBudgetSpent and take nothing."""
    wait_s = max((_wait_s(bucket) for bucket in purse), default=0.0)
    if wait_s:
        retry_after_s = max(1, math.ceil(wait_s))
        raise PeerBudgetSpent("the budget of this minute is spent", retry_after_s=retry_after_s)
    for bucket in purse:
        bucket.requests -= 1


def spend_bytes(purse: Purse, size_bytes: int) -> None:
    """Take what is sent; a bucket may owe."""
    for bucket in purse:
        bucket.size_bytes -= size_bytes


def _wait_s(bucket: _Bucket) -> float:
    lacking_requests = max(0.0, 1 - bucket.requests) / bucket.allowance.requests
    owed_bytes = max(0.0, -bucket.size_bytes) / bucket.allowance.size_bytes
    return max(lacking_requests, owed_bytes) * FILLED_IN_S
