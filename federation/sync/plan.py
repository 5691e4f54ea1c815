"""Decide what to pull from a peer: its heads against ours. Pure.

A head is only a hint. What it leads to proves itself or is refused later; what
this module refuses are heads that cannot be acted on, and what it marks as
doubtful are heads that contradict what is held, to be checked with the log's keys.

Rules, with the error that answers each:
- H1.1 a head names a log: ORIGIN_MALFORMED.
- H1.2 the key of a log hosted here is here, so nobody else can have more of it: OWN_LOG_LONGER (once its
  signature was checked; until then it is doubtful).
- H1.3 two checkpoints of one size have one root: LOG_FORKED (likewise).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from domain.errors import GotongError
from federation.did.state import DidState
from federation.log.cosigners import same_text
from federation.log.names import OriginMalformed, parse_origin
from federation.log.service import log_service
from federation.log.verify import check_checkpoint
from federation.sync.messages import HeadOfLog, Wanted
from store.alerts import Quotas
from store.held import Held, Quarantine

QUARANTINE_ENTRIES_MAX = 1_000
"""Entries kept of a participant that no operator has looked at yet."""
QUARANTINED_PARTICIPANTS_MAX = 2_000
"""Participants kept in quarantine; beyond it no new ones are met until an operator has decided on some."""

QUARANTINE_BYTES_MAX = 8 * 1024 * 1024
"""Bytes of entries and payloads kept of one such participant; the pull that crosses it is the last."""
QUARANTINE_TOTAL_BYTES_MAX = 1024 * 1024 * 1024
"""The same, of all of them together."""

LOGS_PER_PULL = 256
LONG_ENTRIES_MIN = 4_096
"""What lacks more takes seconds: it is pulled by itself, and last."""

QUOTAS = Quotas(QUARANTINE_ENTRIES_MAX, QUARANTINE_BYTES_MAX)

BLOCKED = "blocked"
QUARANTINED = "quarantined"


class OwnLogLonger(GotongError):
    """A peer shows a signed checkpoint of a log hosted here that is longer than the log here: history was lost."""

    code: ClassVar[str] = "OWN_LOG_LONGER"


class LogForked(GotongError):
    """Two signed checkpoints of one log state different trees of the same size."""

    code: ClassVar[str] = "LOG_FORKED"


@dataclass(slots=True)
class Plan:
    """What to ask for, in order; which heads to look at closer or refuse; how many wait because of a quota."""

    wanted: list[Wanted] = field(default_factory=list)
    doubtful: list[HeadOfLog] = field(default_factory=list)
    refused: list[tuple[HeadOfLog, GotongError]] = field(default_factory=list)
    over_quota: int = 0


def plan(
    heads: Sequence[HeadOfLog],
    held: Mapping[str, Held],
    *,
    operator_scid: str,
    quarantine: Quarantine,
    leave_out: Collection[str] = (),
) -> Plan:
    """Return what to do about a peer's heads; `held` is by origin, `quarantine` says how full quarantine is.

    Order: the peer's operator first (its DID says which host is the peer's own), then what people already see here,
    then the rest; within these the shortest rest first, so that one long log does not hold up a thousand short ones.
    """
    made = Plan()
    ranked: list[tuple[bool, bool, int, Wanted]] = []
    participants = quarantine.participants
    is_full = quarantine.bytes >= QUARANTINE_TOTAL_BYTES_MAX
    for head in _operator_first(heads, operator_scid):
        if head.origin in leave_out:
            continue
        try:
            scid, epoch = parse_origin(head.origin)
        except OriginMalformed as error:
            made.refused.append((head, error))
            continue
        ours = held.get(head.origin)
        if ours is not None and epoch < ours.epoch:
            continue  # history: whoever has the key of a past epoch can make it as long as they like
        if ours is None:
            participants += 1
            if participants > QUARANTINED_PARTICIPANTS_MAX or is_full:
                made.over_quota += 1
                continue
        wanted = _wanted(head, ours, made, is_full=is_full)
        if wanted is not None:
            is_seen = ours is not None and ours.trust != QUARANTINED
            ranked.append((scid != operator_scid, not is_seen, head.size - wanted.size, wanted))
    made.wanted = [each[-1] for each in sorted(ranked, key=lambda each: each[:-1])]
    return made


def in_parts(wanted: Sequence[Wanted], sizes: Mapping[str, int]) -> list[list[Wanted]]:
    """Return what to pull together, in order, where the peer has these sizes.

    What is pulled together is taken one after the other, and none of it by anybody else meanwhile.
    """
    long = [each for each in wanted if _missing(each, sizes.get(each.origin, 0)) > LONG_ENTRIES_MIN]
    apart = {each.origin for each in long}
    short = [each for each in wanted if each.origin not in apart]
    parts = [short[start : start + LOGS_PER_PULL] for start in range(0, len(short), LOGS_PER_PULL)]
    return parts + [[each] for each in long]


def _missing(wanted: Wanted, size: int) -> int:
    return (size if wanted.upto is None else min(size, wanted.upto)) - wanted.size


def _operator_first(heads: Sequence[HeadOfLog], operator_scid: str) -> list[HeadOfLog]:
    """Return the heads, the operator's first: without its identity nobody is at home there, and all stay strangers."""
    return sorted(heads, key=lambda head: not (operator_scid and f"/{operator_scid}/" in head.origin))


def asked_again(origins: Sequence[str], held: Mapping[str, Held], quarantine: Quarantine) -> list[Wanted]:
    """Return how to ask for logs that an earlier exchange left undone and of which the peer says nothing new."""
    wanted: list[Wanted] = []
    participants = quarantine.participants
    is_full = quarantine.bytes >= QUARANTINE_TOTAL_BYTES_MAX
    for origin in origins:
        ours = held.get(origin)
        if ours is None:
            participants += 1
            if participants <= QUARANTINED_PARTICIPANTS_MAX and not is_full:
                wanted.append(Wanted(origin, upto=QUARANTINE_ENTRIES_MAX))
        elif not ours.hosted and ours.trust != BLOCKED and parse_origin(origin).epoch >= ours.epoch:
            upto = _upto(ours, is_full=is_full)
            wanted.append(Wanted(origin, ours.size, ours.did_version, upto))
    return wanted


def grown(sizes: Mapping[str, int], held: Mapping[str, Held]) -> tuple[list[Wanted], bool]:
    """Return how to pull logs that a peer says have grown, and whether these are all: of others its heads have to tell.

    Who is met for the first time has a home to be found, who is in quarantine a quota; a log that is no longer there
    than here may be another one.
    """
    wanted: list[Wanted] = []
    is_all = True
    for origin, size in sizes.items():
        ours = held.get(origin)
        is_plain = ours is not None and not ours.hosted and ours.trust != QUARANTINED and ours.frozen_size is None
        if ours is None or not is_plain or size <= ours.size:
            is_all = False
        elif ours.trust != BLOCKED:
            wanted.append(Wanted(origin, ours.size, ours.did_version))
    return wanted, is_all


def _wanted(head: HeadOfLog, ours: Held | None, made: Plan, *, is_full: bool) -> Wanted | None:
    if ours is None:
        return Wanted(head.origin, upto=QUARANTINE_ENTRIES_MAX)
    if ours.trust == BLOCKED:
        return None
    if ours.hosted and head.did_version > ours.did_version:
        return Wanted(head.origin, ours.size, ours.did_version, ours.size)  # the cards were used elsewhere
    if ours.hosted:
        if head.size > ours.size or _contradicts(head, ours):
            made.doubtful.append(head)
        return None
    if _contradicts(head, ours):
        made.doubtful.append(head)
    upto = _upto(ours, is_full=is_full)
    has_entries = head.size > ours.size
    if has_entries and upto is not None and upto <= ours.size:
        made.over_quota += ours.frozen_size is None
        has_entries = False
    if not has_entries and head.did_version <= ours.did_version:
        return None
    return Wanted(head.origin, ours.size, ours.did_version, upto)


def _upto(ours: Held, *, is_full: bool) -> int | None:
    """Return the size up to which a log is taken, None: all of it; within its quotas, frozen no further."""
    ends = [] if ours.frozen_size is None else [ours.frozen_size]
    if ours.trust == QUARANTINED:
        ends.append(ours.size if is_full or is_over_quota(ours) else QUARANTINE_ENTRIES_MAX)
    return min(ends, default=None)


def is_over_quota(ours: Held) -> bool:
    """Return whether no more is kept of a log whose publisher is in quarantine."""
    return ours.size >= QUARANTINE_ENTRIES_MAX or ours.quarantined_bytes >= QUARANTINE_BYTES_MAX


def _contradicts(head: HeadOfLog, ours: Held) -> bool:
    """Return whether the head may state another tree of our checkpoint's size."""
    return (
        ours.checkpoint is not None
        and head.size == ours.checkpoint_size
        and not same_text(head.checkpoint.encode(), ours.checkpoint)
    )


def contradiction(head: HeadOfLog, ours: Held, state: DidState | None) -> GotongError | None:
    """Return what a doubtful head of the identity `state` breaks, None where it turns out to say nothing else."""
    if state is None:
        return None
    keys = log_service(state).keys
    try:
        theirs = check_checkpoint(head.checkpoint.encode(), head.origin, keys)
        if ours.hosted and theirs.size > ours.size:
            return OwnLogLonger("a longer version of our own log", held=ours.size, found=theirs.size)
        held = check_checkpoint(ours.checkpoint or b"", head.origin, keys)
    except GotongError as error:
        return error
    if theirs.size == held.size and theirs.root != held.root:
        return LogForked("two trees of one size", origin=head.origin, size=held.size)
    return None
