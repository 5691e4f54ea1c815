"""Write and read the names of things: a log's origin and a record's URI. Pure.

Neither says where something is to be found: hosts change, names do not.

Rules, with the error that answers each:
- R1.1 an SCID is 46 base58btc characters (did:webvh 1.0: a SHA-256 multihash): ORIGIN_MALFORMED, URI_MALFORMED.
- R1.2 an origin is `gotong/<SCID>/<epoch>`, the epoch without leading zeros, below 2**31: ORIGIN_MALFORMED.
- R1.3 a record's URI is `gotong:<SCID>/<type>/<uuid>`, an organization's own `gotong:<SCID>`: URI_MALFORMED.
"""

import re
import uuid
from typing import ClassVar, NamedTuple

from domain.errors import GotongError

EPOCH_MAX = 2**31 - 1

_SCID = r"(?P<scid>[1-9A-HJ-NP-Za-km-z]{46})"
_ORIGIN = re.compile(rf"gotong/{_SCID}/(?P<epoch>0|[1-9][0-9]{{0,9}})")
_URI = re.compile(
    rf"gotong:{_SCID}(?:/(?P<type>[a-z][a-z0-9-]{{0,31}})"
    r"/(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}))?"
)


class OriginMalformed(GotongError):
    """A log's name is not `gotong/<SCID>/<epoch>`."""

    code: ClassVar[str] = "ORIGIN_MALFORMED"


class UriMalformed(GotongError):
    """A reference is not `gotong:<SCID>` or `gotong:<SCID>/<type>/<uuid>`."""

    code: ClassVar[str] = "URI_MALFORMED"


class LogName(NamedTuple):
    """Whose log, and the how-manieth of that participant."""

    scid: str
    epoch: int


class RecordName(NamedTuple):
    """Whose record, of what type and id; both None for the organization itself."""

    scid: str
    type: str | None
    id: uuid.UUID | None


def origin(scid: str, epoch: int) -> str:
    """Return the name of a participant's log, or raise OriginMalformed (rules R1.1, R1.2)."""
    text = f"gotong/{scid}/{epoch}"
    parse_origin(text)
    return text


def parse_origin(text: str) -> LogName:
    """Return the SCID and epoch an origin names, or raise OriginMalformed (rules R1.1, R1.2)."""
    found = _ORIGIN.fullmatch(text)
    if found is None or int(found["epoch"]) > EPOCH_MAX:
        raise OriginMalformed("not the name of a Gotong log")
    return LogName(found["scid"], int(found["epoch"]))


def uri(scid: str, type: str | None = None, id: uuid.UUID | None = None) -> str:  # noqa: A002
    """Return the URI of a record, or of the organization when neither type nor id is given; raises UriMalformed."""
    text = f"gotong:{scid}" if type is None and id is None else f"gotong:{scid}/{type}/{id}"
    parse_uri(text)
    return text


def parse_uri(text: str) -> RecordName:
    """Return what a URI names, or raise UriMalformed (rules R1.1, R1.3)."""
    found = _URI.fullmatch(text)
    if found is None:
        raise UriMalformed("not the URI of a Gotong record")
    return RecordName(found["scid"], found["type"], uuid.UUID(found["id"]) if found["id"] else None)
