"""Read and write which logs a node asks a peer for: those of chosen regions. Pure.

Where a log belongs is written in its records, which the asker has not got yet. So the peer that relays it says so, and
that is a hint like all that heads say: it can withhold a log, which it could anyway, or name one that does not belong,
which the asker notices once it has its records.

Rules, with the error that answers each:
- S3.1 `region` names 1 to REGIONS_MAX region codes with commas between, each of 2, 4, 6 or 10 digits in groups
  (`32.03.28`): INTEREST_MALFORMED.
- S3.2 `scid` names up to SCIDS_MAX participants wanted wherever they are, likewise; it comes with `region`:
  INTEREST_MALFORMED.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from domain.errors import GotongError
from federation.log.names import parse_origin

REGIONS_MAX = 64
SCIDS_MAX = 64
_REGION: Final = re.compile(r"[0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{4})?)?)?")


class InterestMalformed(GotongError):
    """Heads are asked for by regions or participants that are none, or by too many."""

    code: ClassVar[str] = "INTEREST_MALFORMED"


@dataclass(frozen=True, slots=True)
class Interest:
    """Logs of these regions and of these participants; and always the operator's of whoever is asked."""

    regions: tuple[str, ...]
    scids: tuple[str, ...] = ()


def interest_of(choices: Sequence[str]) -> Interest | None:
    """Return the interest in region codes and SCIDs, None for all there is; raise InterestMalformed."""
    regions = tuple(sorted(each for each in choices if _REGION.fullmatch(each)))
    scids = tuple(sorted(set(choices) - set(regions)))
    return _checked(Interest(regions, scids)) if regions else None


def read_interest(region: str | None, scid: str | None) -> Interest | None:
    """Return what the query parameters of a heads request ask for, None for everything (rules S3)."""
    if region is None:
        if scid is not None:
            raise InterestMalformed("participants are named beside regions")
        return None
    return _checked(Interest(tuple(region.split(",")), tuple(scid.split(",")) if scid else ()))


def parameters(interest: Interest | None) -> dict[str, str]:
    """Return the query parameters that `read_interest` reads."""
    if interest is None:
        return {}
    scids = {"scid": ",".join(interest.scids)} if interest.scids else {}
    return {"region": ",".join(interest.regions), **scids}


def _checked(interest: Interest) -> Interest:
    if len(interest.regions) > REGIONS_MAX or len(interest.scids) > SCIDS_MAX:
        raise InterestMalformed("too many at once", regions_max=REGIONS_MAX, scids_max=SCIDS_MAX)
    for region in interest.regions:
        if not _REGION.fullmatch(region):
            raise InterestMalformed("a region is a code such as 32.03.28", region=region[:64])
    for scid in interest.scids:
        try:
            parse_origin(f"gotong/{scid}/0")
        except GotongError:
            raise InterestMalformed("a participant is named by its SCID", scid=scid[:64]) from None
    return interest
