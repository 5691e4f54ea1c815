"""Decide what is a did:webvh DID, and which of them a Gotong participant may have. No I/O.

Source: did:webvh 1.0, "Method-Specific Identifier". Stricter in one point: a host is written in ASCII (an
internationalised name as its `xn--` form), so that a host never has to be percent-decoded.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from federation.did.errors import DidHostRefused, DidSyntaxInvalid
from federation.encoding.multikey import is_multihash_text, multihash_text

DID_CHARS_MAX = 512
HOST_CHARS_MAX = 253
LABEL_CHARS_MAX = 63
PORT_MAX = 65535
SLUG_CHARS_MAX = 63

_PREFIX = "did:webvh:"
_PATH_ROOT = "o"
_HOST = re.compile(r"(?P<name>[A-Za-z0-9.-]+)(?:%3[Aa](?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(rf"[A-Za-z0-9](?:[A-Za-z0-9-]{{0,{LABEL_CHARS_MAX - 2}}}[A-Za-z0-9])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+")
_SLUG = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{SLUG_CHARS_MAX - 2}}}[a-z0-9])?")
_ESCAPED_BYTES_REFUSED = frozenset(b"\0./\\")
_ANY_SCID = multihash_text(b"")  # stands in for a SCID that is not known yet


@dataclass(frozen=True, slots=True)
class DidParts:
    """A did:webvh DID taken apart; `path` holds the segments as they stand in the DID."""

    scid: str
    host: str
    port: int | None
    path: tuple[str, ...]

    @property
    def slug(self) -> str:
        """The last path segment: the participant's short name on its host (Gotong DIDs only)."""
        return self.path[-1]


def parse(did: str) -> DidParts:
    """Return the parts of a bare did:webvh DID; raise DidSyntaxInvalid for DID URLs and everything else."""
    if len(did) > DID_CHARS_MAX:
        raise DidSyntaxInvalid("too long", chars=len(did), chars_max=DID_CHARS_MAX)
    if not did.startswith(_PREFIX):
        raise DidSyntaxInvalid("not a did:webvh", did=did)
    scid, *rest = did.removeprefix(_PREFIX).split(":")
    if not is_multihash_text(scid):
        raise DidSyntaxInvalid("the part after did:webvh: is a SCID, a SHA-256 multihash", did=did)
    if not rest:
        raise DidSyntaxInvalid("a host must follow the SCID", did=did)
    host, port = _host(rest[0], did)
    for segment in rest[1:]:
        _require_safe_segment(segment, did)
    return DidParts(scid, host, port, tuple(rest[1:]))


def compose(scid: str, host: str, port: int | None, slug: str) -> str:
    """Return the DID of a Gotong participant; raise DidSyntaxInvalid or DidHostRefused when there is none.

    `scid` may be the placeholder `{SCID}` while a DID is being created.
    """
    authority = host if port is None else f"{host}%3A{port}"
    tail = f"{authority}:{_PATH_ROOT}:{slug}"
    require_gotong_place(parse(f"{_PREFIX}{_ANY_SCID}:{tail}"))
    return f"{_PREFIX}{scid}:{tail}"


def require_gotong_place(parts: DidParts) -> None:
    """Raise DidHostRefused unless the DID is `did:webvh:<SCID>:<host>[%3A<port>]:o:<slug>` in lower case."""
    if parts.host != parts.host.lower():
        raise DidHostRefused("hosts are written in lower case", host=parts.host)
    if len(parts.path) != 2 or parts.path[0] != _PATH_ROOT:
        raise DidHostRefused("the path is o:<slug>", path=":".join(parts.path))
    if not _SLUG.fullmatch(parts.slug):
        raise DidHostRefused("a slug is lower-case letters, digits and inner hyphens, at most 63", slug=parts.slug)


def _host(text: str, did: str) -> tuple[str, int | None]:
    match = _HOST.fullmatch(text)
    if match is None:
        raise DidSyntaxInvalid("not a host name with an optional %3A<port>", did=did)
    name, port = match["name"], match["port"]
    labels = name.split(".")
    if len(name) > HOST_CHARS_MAX or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)):
        raise DidSyntaxInvalid("a host has two or more labels of letters, digits and inner hyphens", did=did)
    # As URL parsers do: a last label that is a number makes the whole name an IPv4 address.
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise DidSyntaxInvalid("a host is never an IP address", did=did)
    if port is not None and (port.startswith("0") or int(port) > PORT_MAX):
        raise DidSyntaxInvalid("not a port", did=did)
    return name, None if port is None else int(port)


def _require_safe_segment(segment: str, did: str) -> None:
    if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
        raise DidSyntaxInvalid("not a path segment", did=did)
    escaped = unquote_to_bytes("".join(re.findall("%..", segment)))
    if _ESCAPED_BYTES_REFUSED.intersection(escaped):
        raise DidSyntaxInvalid("a percent-encoded dot, slash, backslash or NUL could climb out of the path", did=did)
    try:
        decoded = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise DidSyntaxInvalid("a path segment is not UTF-8", did=did) from None
    if decoded != decoded.strip():
        raise DidSyntaxInvalid("a path segment begins or ends with white space", did=did)
