"""Decide whether a log of a later epoch goes on from the one before it. Pure.

After a theft the participant begins a new epoch: a log of its own under a new key, whose entry 0 is a new genesis and
which then repeats, byte for byte and in their places, the entries of the old log that count. What the old log says
beyond is history that nobody projects. The DID document states the head from which the epoch starts, so a reader needs
neither the old log nor its keys; one that holds the old log finds out whether it was rewritten.

Rules, with the error that answers each; every error has a vector under spec/vectors:
- L4.1 the genesis states the `from` (size, root, genesis) of the DID document; the first epoch states none:
  EPOCH_NOT_STATED.
- L4.2 a checkpoint of the epoch covers all that it copies: EPOCH_INCOMPLETE.
- L4.3 the tree of `from.genesis` and the leaves 1 to `from.size` - 1 has the root `from.root`: EPOCH_PREFIX_DIFFERS.
- L4.4 a reader that holds logs of earlier epochs finds in them the same entries below the sizes from which the epochs
  in between started: EPOCH_REWRITES_HISTORY.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from domain.errors import GotongError
from federation.log.entry import Entry, EpochStart, epoch_start
from federation.log.merkle import Edge


class EpochNotStated(GotongError):
    """The log starts from another head than the participant's DID document states."""

    code: ClassVar[str] = "EPOCH_NOT_STATED"


class EpochIncomplete(GotongError):
    """The checkpoint of a later epoch is of fewer entries than the epoch copies."""

    code: ClassVar[str] = "EPOCH_INCOMPLETE"


class EpochPrefixDiffers(GotongError):
    """The entries that a later epoch copies do not make the tree it says to start from."""

    code: ClassVar[str] = "EPOCH_PREFIX_DIFFERS"


class EpochRewritesHistory(GotongError):
    """A later epoch copies other entries than the earlier log held here has in these places."""

    code: ClassVar[str] = "EPOCH_REWRITES_HISTORY"


def require_stated(genesis: Entry, stated: EpochStart | None) -> None:
    """Return if entry 0 starts where the DID document says, else raise EpochNotStated or GenesisMalformed (L4.1)."""
    found = epoch_start(genesis)
    if found != stated:
        raise EpochNotStated(
            "the genesis and the DID document name different starts",
            stated=None if stated is None else stated.size,
            found=None if found is None else found.size,
        )


def require_whole(size: int, start: EpochStart | None) -> None:
    """Return if a checkpoint of this size covers what the epoch copies, else raise EpochIncomplete (rule L4.2)."""
    if start is not None and size < start.size:
        raise EpochIncomplete("the checkpoint ends inside the copy", size=size, copied=start.size)


def copied_edge(start: EpochStart) -> Edge:
    """Return the edge to which the leaf hashes of the copied entries, from index 1 on, are appended."""
    return Edge.EMPTY.appended([start.genesis])


def require_copied(start: EpochStart, edge: Edge) -> None:
    """Return if `copied_edge` with the copied leaves is the stated tree, else raise EpochPrefixDiffers (rule L4.3)."""
    if (edge.size, edge.root()) != (start.size, start.root):
        raise EpochPrefixDiffers("the copied entries make another tree", size=start.size)


def require_same(first: int, held: Sequence[bytes], copied: Sequence[bytes]) -> None:
    """Return if leaf hashes from index `first` on are the same in two logs, else raise EpochRewritesHistory (L4.4).

    In the place of entry 0 stands the old genesis: held here, and as the later epoch's `from` names it.
    """
    for index, (ours, theirs) in enumerate(zip(held, copied, strict=True), first):
        if ours != theirs:
            raise EpochRewritesHistory("an entry held here is another one in the new epoch", index=index)


def shared_size(epoch: int, later: int, starts: Mapping[int, EpochStart]) -> int:
    """Return up to which size the logs of two epochs of one participant hold the same entries, but for entry 0.

    `starts` is where each epoch between them starts, by epoch.
    """
    return min(starts[each].size for each in range(epoch + 1, later + 1))
