"""Read and write the link by which a mirror invites a node, and what a node sends to join. Pure.

The link is pasted from a chat: an address of the mirror and, behind `#`, what the other side has to know. What stands
behind `#` is never sent by browsers or proxies.

Rules, with the error that answers each:
- J1.1 a link is `<address>/federation/v1/join#` followed by `v=1`, `network`, `operator` (an SCID), `host` (as in the
  DIDs made there), `slug` (may be left out) and `code`, each once, in form encoding: MIRROR_LINK_MALFORMED.
- J1.2 a code is 32 characters of base32 in lower case: MIRROR_LINK_MALFORMED.
- J2.1 what joins sends `code`, `did_log` (its operator's, 1 to 4096 lines) and, if there is one, `did_witness`:
  JOIN_MALFORMED.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, cast
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Meta

from domain.errors import GotongError
from federation.did.syntax import compose
from federation.did.webvh import LINE_BYTES_MAX, PLACEHOLDER, VERSIONS_MAX
from federation.did.witness import WITNESS_FILE_BYTES_MAX
from federation.identity.create import Place
from federation.log.entry import Network
from federation.log.names import parse_origin

LINK_CHARS_MAX = 1_024
JOIN_BYTES_MAX = 1024 * 1024
JOIN_ANSWER_BYTES_MAX = 16 * 1024
CODE_BYTES = 20
JOIN_PATH = "/federation/v1/join"
_CODE = re.compile(r"[a-z2-7]{32}")
_ADDRESS = re.compile(r"https?://[!-~]{1,512}")


class MirrorLinkMalformed(GotongError):
    """The text is no invitation of a mirror; perhaps a part of it was lost on the way."""

    code: ClassVar[str] = "MIRROR_LINK_MALFORMED"


class JoinMalformed(GotongError):
    """What a node sends to join a mirror is not of the form that the protocol gives it."""

    code: ClassVar[str] = "JOIN_MALFORMED"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to deposit at the mirror under `url`; `place` is where an identity made for it lives."""

    url: str
    network: Network
    operator_scid: str
    host: str
    slug: str | None
    code: str

    def place(self) -> Place | None:
        """Return where the identity of whoever is invited lives, None if the invitation reserves no name."""
        if self.slug is None:
            return None
        name, _, port = self.host.partition(":")
        return Place(name, int(port) if port else None, self.slug)


class Join(msgspec.Struct, frozen=True, omit_defaults=True):
    """What joins: a one-time code and the DID log of the operator that signs the request."""

    code: Annotated[str, Meta(min_length=32, max_length=32)]
    did_log: Annotated[
        list[Annotated[str, Meta(max_length=LINE_BYTES_MAX)]], Meta(min_length=1, max_length=VERSIONS_MAX)
    ]
    did_witness: Annotated[str, Meta(max_length=WITNESS_FILE_BYTES_MAX)] | None = None


class Joined(msgspec.Struct, frozen=True):
    """A mirror's answer: who it is, and how it sees what joined."""

    network: Literal["live", "test"]
    operator: Annotated[str, Meta(max_length=64)]
    trust: Annotated[str, Meta(max_length=16)]


_join = msgspec.json.Decoder(Join)
_joined = msgspec.json.Decoder(Joined)


def new_code(random: bytes) -> str:
    """Return CODE_BYTES random bytes as a code."""
    return base64.b32encode(random).decode().lower()


def code_hash(code: str) -> bytes:
    """Return what is stored of a code: it has enough entropy that a plain hash gives nothing away."""
    return hashlib.sha256(code.encode()).digest()


def write_link(invitation: Invitation) -> str:
    """Return the link that `parse_link` reads."""
    members = {
        "v": "1",
        "network": invitation.network,
        "operator": invitation.operator_scid,
        "host": invitation.host,
        **({} if invitation.slug is None else {"slug": invitation.slug}),
        "code": invitation.code,
    }
    return f"{invitation.url}{JOIN_PATH}#{urlencode(members)}"


def parse_link(text: str) -> Invitation:
    """Return the invitation in a link, or raise MirrorLinkMalformed (rules J1)."""
    address, _, fragment = text.strip().partition(f"{JOIN_PATH}#")
    if len(text) > LINK_CHARS_MAX or not _ADDRESS.fullmatch(address) or any(each in address for each in "?#@\\"):
        raise MirrorLinkMalformed("an invitation is a link that a mirror's operator made", chars_max=LINK_CHARS_MAX)
    try:
        pairs = parse_qsl(fragment, keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError:
        raise MirrorLinkMalformed("the link is not complete") from None
    members = dict(pairs)
    needed = {"v", "network", "operator", "host", "code"}
    if len(members) != len(pairs) or not needed <= members.keys() <= needed | {"slug"}:
        raise MirrorLinkMalformed("the link is not complete, or of another version")
    if members["v"] != "1" or members["network"] not in ("live", "test") or not _CODE.fullmatch(members["code"]):
        raise MirrorLinkMalformed("a part of the link is not what it should be")
    invitation = Invitation(
        address.rstrip("/"),
        cast("Network", members["network"]),
        members["operator"],
        members["host"],
        members.get("slug"),
        members["code"],
    )
    _check_place(invitation)
    return invitation


def read_join(data: bytes) -> Join:
    """Return what a node sends to join, or raise JoinMalformed (rule J2.1)."""
    try:
        join = _join.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise JoinMalformed(f"not a request to join: {error}"[:200]) from None
    if not _CODE.fullmatch(join.code):
        raise JoinMalformed("a code is 32 characters of base32")
    return join


def read_joined(data: bytes) -> Joined:
    """Return a mirror's answer, or raise JoinMalformed."""
    try:
        return _joined.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise JoinMalformed(f"not an answer to who joins: {error}"[:200]) from None


def write(message: Join | Joined) -> bytes:
    """Return the bytes of a message."""
    return msgspec.json.encode(message)


def _check_place(invitation: Invitation) -> None:
    name, colon, port = invitation.host.partition(":")
    is_port = port.isascii() and port.isdecimal() if colon else True
    try:
        parse_origin(f"gotong/{invitation.operator_scid}/0")
        compose(PLACEHOLDER, name, int(port) if colon and is_port else None, invitation.slug or "any")
    except GotongError as error:
        raise MirrorLinkMalformed("no identity can live where the link says", cause=error.code) from None
    if not is_port:
        raise MirrorLinkMalformed("no identity can live where the link says")
