"""Write and read the name of a log: its origin. Records and participants are named in `domain.ids`. Pure.

Neither says where something is to be found: hosts change, names do not.

Rules, with the error that answers each:
- R1.1 an SCID is `Qm` and 44 base58btc characters (did:webvh 1.0: a SHA-256 multihash): ORIGIN_MALFORMED, ID_MALFORMED.
- R1.2 an origin is `gotong/<SCID>/<epoch>`, the epoch without leading zeros, below 2**31: ORIGIN_MALFORMED.
- R1.3 a record's URI is `gotong:<SCID>/<type>/<uuid>`, an organization's own `gotong:<SCID>`: ID_MALFORMED.
"""

import re
from typing import ClassVar, NamedTuple

from domain.errors import GotongError
from domain.ids import SCID_SYNTAX

EPOCH_MAX = 2**31 - 1

_ORIGIN = re.compile(rf"gotong/(?P<scid>{SCID_SYNTAX})/(?P<epoch>0|[1-9][0-9]{{0,9}})")


class OriginMalformed(GotongError):
    """A log's name is not `gotong/<SCID>/<epoch>`."""

    code: ClassVar[str] = "ORIGIN_MALFORMED"


class LogName(NamedTuple):
    """Whose log, and the how-manieth of that participant."""

    scid: str
    epoch: int


def origin(scid: str, epoch: int) -> str:
    """Return the name of a participant's log, or raise OriginMalformed (rules R1.1, R1.2)."""
    text = f"gotong/{scid}/{epoch}"
    parse_origin(text)
    return text


def is_origin(text: str) -> bool:
    """Return whether `parse_origin` takes it."""
    try:
        parse_origin(text)
    except OriginMalformed:
        return False
    return True


def parse_origin(text: str) -> LogName:
    """Return the SCID and epoch an origin names, or raise OriginMalformed (rules R1.1, R1.2)."""
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found["epoch"]) > EPOCH_MAX:
        raise OriginMalformed("not the name of a Gotong log")
    return LogName(found["scid"], int(found["epoch"]))
