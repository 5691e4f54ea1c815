"""Keep what each caller may still ask: token buckets in this process, approximate and bounded in number.

A bucket is full at first, holds what may be spent at once, and fills again
within a minute. Several processes each have their own, so a node's callers
may spend up to that many times as much. A bucket forgotten for want of room
is a full one again: forgetting never refuses anybody.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

from api.payer import Payer
from domain.errors import GotongError
from schema.context import Charge

BUCKETS_MAX = 50_000
FILLED_IN_S = 60.0


class RateLimited(GotongError):
    """The caller has spent its budget; `retry_after_s` says when this question can be asked again."""

    code: ClassVar[str] = "RATE_LIMITED"

    def __init__(self, message: str, charge: Charge, retry_after_s: int) -> None:
        super().__init__(
            message,
            requested=charge.cost,
            limit=charge.limit,
            remaining=charge.remaining,
            retry_after_s=retry_after_s,
        )
        self.charge = charge
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Bucket:
    size: int
    held: float
    at_s: float


class Budget:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, payer: Payer, cost: int, now_s: float) -> Charge:
        """Return what was taken and what is left; raises RateLimited, and takes nothing, when a bucket lacks `cost`.

        A question that costs more than a bucket holds when full may be asked of a full one, which then owes.
        """
        buckets = [self._filled(key, size, now_s) for key, size in payer.buckets]
        wait_s = 0.0
        for bucket in buckets:
            lacking = min(cost, bucket.size) - bucket.held
            if lacking > 0:
                wait_s = max(wait_s, lacking / bucket.size * FILLED_IN_S)
        if wait_s:
            retry_after_s = max(1, math.ceil(wait_s))
            raise RateLimited(
                f"You have spent your budget. Ask again in {retry_after_s} s, for smaller pages, or with a token.",
                _charge(buckets, cost, now_s),
                retry_after_s,
            )
        for bucket in buckets:
            bucket.held -= cost
        return _charge(buckets, cost, now_s)

    def _filled(self, key: str, size: int, now_s: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(size, size, now_s)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(key)
        if now_s > bucket.at_s:
            bucket.held = min(size, bucket.held + (now_s - bucket.at_s) / FILLED_IN_S * size)
        bucket.at_s = now_s
        return bucket


def _charge(buckets: list[_Bucket], cost: int, now_s: float) -> Charge:
    """Return the charge as the caller's own bucket has it, with no more left than any of them has."""
    own = buckets[0]
    left, lacking = own.held, (own.size - own.held) / own.size
    for bucket in buckets[1:]:
        left = min(left, bucket.held)
        lacking = max(lacking, (bucket.size - bucket.held) / bucket.size)
    return Charge(cost, own.size, max(0, int(left)), now_s + lacking * FILLED_IN_S)
