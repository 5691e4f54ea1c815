"""Decide who may have the restricted part of a record: contact, exact place. Pure; closed unless a rule opens it.

The facts are gathered by others and each stands for itself, so a new kind of fact (an accepted pledge, an attestation)
is one more field here and one more line in `decide`. Nothing here knows how a request came or was proven.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Rule(StrEnum):
    """Why a request was granted or refused. The last three are no policy: nothing was there to decide about."""

    OWNER = "OWNER"
    CHOSEN = "CHOSEN"
    PLEDGE_ACCEPTED = "PLEDGE_ACCEPTED"
    ATTESTED = "ATTESTED"
    NOT_ALLOWED = "NOT_ALLOWED"
    BLOCKED = "BLOCKED"
    NOT_PROVEN = "NOT_PROVEN"
    REVISED = "REVISED"
    GONE = "GONE"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the owner's node knows about the one who asks."""

    is_owner: bool = False
    is_blocked: bool = False
    is_chosen: bool = False
    has_accepted_pledge: bool = False
    is_attested: bool = False


class Decision(NamedTuple):
    """The answer and the rule that gave it."""

    is_released: bool
    rule: Rule


def decide(facts: Facts) -> Decision:
    """Return whether the restricted part may be given; blocking counts more than anything but ownership."""
    if facts.is_owner:
        return Decision(True, Rule.OWNER)
    if facts.is_blocked:
        return Decision(False, Rule.BLOCKED)
    opened = (
        (facts.is_chosen, Rule.CHOSEN),
        (facts.has_accepted_pledge, Rule.PLEDGE_ACCEPTED),
        (facts.is_attested, Rule.ATTESTED),
    )
    for is_so, rule in opened:
        if is_so:
            return Decision(True, rule)
    return Decision(False, Rule.NOT_ALLOWED)
