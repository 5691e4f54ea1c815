"""Share out the places of what lasts, so that nobody takes them all: pulls under way, open streams.

A caller has at most a quarter of them, strangers together at most half: whoever reads slowly, from many addresses,
keeps out other strangers and no peer. This machine itself has as many as there are.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator

from api.peer_budget import Purse

CALLER_SHARE = 4
STRANGERS_SHARE = 2


class Places:
    """The places of one process: `most` of them."""

    def __init__(self, most: int) -> None:
        self._shares = [max(1, most // CALLER_SHARE), max(1, most // STRANGERS_SHARE)]
        self._most = most
        self._taken = 0
        self._taken_from: Counter[int] = Counter()  # by the bucket that pays; whoever has a place keeps it alive

    def have_room(self, purse: Purse) -> bool:
        """Return whether who pays from this purse may have one more."""
        shares = zip(purse, self._shares, strict=False)
        return self._taken < self._most and all(self._taken_from[id(bucket)] < share for bucket, share in shares)

    @contextlib.contextmanager
    def taken(self, purse: Purse) -> Iterator[None]:
        """Hold a place while something lasts."""
        payers = [id(bucket) for bucket in purse]
        self._taken += 1
        self._taken_from.update(payers)
        try:
            yield
        finally:
            self._taken -= 1
            self._taken_from.subtract(payers)
            for payer in payers:
                if not self._taken_from[payer]:
                    del self._taken_from[payer]
