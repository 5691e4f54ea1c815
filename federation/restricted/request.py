"""Write and read what is exchanged when one participant asks another for a restricted part. Pure.

The request is a statement of the asking participant, signed by the key of its log: only its host has that key. It
names the node that carries it, so nobody else can use it, and a fresh key to which the answer is sealed, so nothing
between the two nodes can read it. The answer is signed by the key of the owner's log, a refusal too, so nothing between
them can make one up. The HTTP request around it is signed by the asking node's operator (rules V).

Rules, with the error that answers each:
- X1.1 a request has at most REQUEST_BYTES_MAX bytes and is canonical JSON with exactly the members of `Asked`, each of
  its form: RESTRICTED_REQUEST_MALFORMED.
- X1.2 `node` is the operator that signed the HTTP request: RESTRICTED_REQUEST_UNPROVEN.
- X1.3 `signature` is Ed25519 over the line `gotong restricted request` and the canonical request without `signature`,
  by a key of the asker's log that its newest DID document states and does not retire: RESTRICTED_REQUEST_UNPROVEN.
- X1.4 `until` is an instant (E1.7) ahead of the reader's clock, by at most LIFETIME_S_MAX:
  RESTRICTED_REQUEST_UNTIMELY.
- X2.1 an answer is JSON of `sealed` and `signature`: RESTRICTED_ANSWER_MALFORMED. `sealed` is HPKE (RFC 9180, base
  mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305) to the request's `key`; its info is the line
  `gotong restricted answer` and the SHA-256 of the request.
- X2.2 `signature` is Ed25519 over the line `gotong restricted answer`, the SHA-256 of the request and the sealed bytes,
  by a key of the owner's log that its newest DID document states and, unless the owner has ended, does not retire:
  RESTRICTED_ANSWER_UNPROVEN.
- X2.3 what is sealed is the salt in hex, a newline and the payload, or `refused`, a space, a code and a newline; then
  zero bytes up to a multiple of PAD_BYTES: RESTRICTED_ANSWER_MALFORMED.
- X2.4 a part is what the entry commits to (rules E3).
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from domain.errors import GotongError
from federation.encoding import statement
from federation.encoding.statement import Statement
from federation.log.entry import PAYLOAD_BYTES_MAX, SALT_BYTES, InstantMalformed, instant, parse_instant
from federation.log.service import LogKey

REQUEST_BYTES_MAX = 4_096
LIFETIME_S_MAX = 8 * 86_400
PAD_BYTES = 1_024
"""Who carries an answer learns no more from its size than how many of these it has."""
SEALED_BYTES_MAX = PAYLOAD_BYTES_MAX + 4 * PAD_BYTES
ANSWER_BYTES_MAX = 2 * SEALED_BYTES_MAX + 1_024
_REQUEST: Final = b"gotong restricted request\n"
_ANSWER: Final = b"gotong restricted answer\n"
_REFUSED = re.compile(rb"refused ([A-Z][A-Z_]{1,63})\n")


class RequestMalformed(GotongError):
    """A request for a restricted part is not of the form that the protocol gives it."""

    code: ClassVar[str] = "RESTRICTED_REQUEST_MALFORMED"


class RequestUnproven(GotongError):
    """A request for a restricted part is not signed by the participant it names, or came through another node."""

    code: ClassVar[str] = "RESTRICTED_REQUEST_UNPROVEN"


class RequestUntimely(GotongError):
    """A request for a restricted part is over, or lasts longer than a request may; look at both nodes' clocks."""

    code: ClassVar[str] = "RESTRICTED_REQUEST_UNTIMELY"


class AnswerMalformed(GotongError):
    """The answer to a request for a restricted part is not of the form that the protocol gives it."""

    code: ClassVar[str] = "RESTRICTED_ANSWER_MALFORMED"


class AnswerUnproven(GotongError):
    """The answer to a request for a restricted part is not signed by the owner's home for that request; ask again."""

    code: ClassVar[str] = "RESTRICTED_ANSWER_UNPROVEN"


class Asked(Statement, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who asks through which node's operator for which revision of which record, until when, the key for the answer."""

    asker: statement.Scid
    node: statement.Scid
    record: Annotated[str, Meta(max_length=160)]
    leaf: statement.Hash
    key: statement.Hash
    until: Annotated[str, Meta(max_length=24)]

    @property
    def until_at(self) -> datetime:
        """When the request is over; its form was checked on reading."""
        return parse_instant(self.until)


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a home answers: sealed to the request's key, signed by the owner's log key."""

    sealed: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*\Z", max_length=2 * SEALED_BYTES_MAX)]
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class _Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    waiting: bool


WAITING: Final = msgspec.json.encode(_Waiting(True))
"""What a mirror answers while the home has not: the request waits for it."""

# ---- requests --------------------------------------------------------------------------------------------------------


def write_request(
    *, asker: str, node: str, record: str, leaf: bytes, key: bytes, until: datetime, log_key: Ed25519PrivateKey
) -> bytes:
    """Return the bytes of a request, signed by the key of the asker's log."""
    asked = Asked(asker=asker, node=node, record=record, leaf=leaf.hex(), key=key.hex(), until=instant(until))
    return statement.sign(asked, _REQUEST, log_key)


def read_request(data: bytes) -> Asked:
    """Return what is asked, not proven yet, or raise RequestMalformed (rule X1.1)."""
    asked = statement.read(data, Asked, bytes_max=REQUEST_BYTES_MAX, refusal=RequestMalformed)
    try:
        parse_instant(asked.until)
    except InstantMalformed as error:
        raise RequestMalformed(error.message) from None
    return asked


def check_request(asked: Asked, *, node: str, keys: Sequence[LogKey]) -> None:
    """Raise RequestUnproven unless this participant asks through this node (rules X1.2, X1.3).

    `node` is the operator that signed the HTTP request, `keys` are those of the asker's log.
    """
    if asked.node != node:
        raise RequestUnproven("the request was made for another node", node=asked.node, found=node)
    if not any(key.retired is None and statement.is_signed_by(asked, _REQUEST, key.public_key) for key in keys):
        raise RequestUnproven("no key of the asker's log signed this", asker=asked.asker)


def check_time(asked: Asked, now: datetime) -> None:
    """Raise RequestUntimely for a request that is over, or lasts too long (rule X1.4)."""
    if not now < asked.until_at <= now + timedelta(seconds=LIFETIME_S_MAX):
        raise RequestUntimely("the request is over, or lasts too long", until=asked.until, time=instant(now))


# ---- answers ---------------------------------------------------------------------------------------------------------


def request_hash(request: bytes) -> bytes:
    """Return the name of a request: the SHA-256 of its bytes."""
    return hashlib.sha256(request).digest()


def answer_info(request: bytes) -> bytes:
    """Return what the sealed answer to these request bytes is bound to."""
    return _ANSWER + request_hash(request)


def granted(salt: bytes, payload: bytes) -> bytes:
    """Return what is sealed to give a part."""
    return _padded(salt.hex().encode() + b"\n" + payload)


def refused(code: str) -> bytes:
    """Return what is sealed to refuse one."""
    return _padded(f"refused {code}\n".encode())


def sign_answer(sealed: bytes, *, request: bytes, log_key: Ed25519PrivateKey) -> Answer:
    """Return an answer to a request, signed by the key of the owner's log."""
    signature = log_key.sign(_signed(request_hash(request), sealed))
    return Answer(sealed.hex(), signature.hex())


def write_answer(answer: Answer) -> bytes:
    """Return the bytes of an answer."""
    return msgspec.json.encode(answer)


def read_answer(data: bytes) -> Answer | None:
    """Return an answer, not proven yet, None while the home has not answered; raise AnswerMalformed (rule X2.1)."""
    try:
        if msgspec.json.decode(data, type=dict[str, object]).get("waiting") is True:
            return None
        return msgspec.json.decode(data, type=Answer)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise AnswerMalformed(f"not an answer: {error}"[:200]) from None


def check_answer(answer: Answer, *, hashed: bytes, keys: Sequence[LogKey], has_ended: bool = False) -> bytes:
    """Return what is sealed in the answer to the request of this hash, or raise AnswerUnproven (rule X2.2).

    `keys` are those of the owner's log; once it `has_ended`, all of them are retired.
    """
    sealed, signature = bytes.fromhex(answer.sealed), bytes.fromhex(answer.signature)
    signed = _signed(hashed, sealed)
    if not any((key.retired is None or has_ended) and _holds(key.public_key, signature, signed) for key in keys):
        raise AnswerUnproven("no key of the owner's log signed this answer to this request")
    return sealed


def read_content(opened: bytes) -> tuple[bytes, bytes] | str:
    """Return the (salt, payload) that an opened answer gives, or the code it refuses with; AnswerMalformed (X2.3)."""
    content = opened.rstrip(b"\0")
    if refusal := _REFUSED.fullmatch(content):
        return refusal[1].decode()
    line, newline, payload = content.partition(b"\n")
    try:
        salt = bytes.fromhex(line.decode("ascii"))
    except ValueError:
        salt = b""
    if len(opened) % PAD_BYTES or not newline or len(salt) != SALT_BYTES or line != salt.hex().encode():
        raise AnswerMalformed("what is sealed is neither a part nor a refusal")
    return salt, payload


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % PAD_BYTES)


def _signed(hashed: bytes, sealed: bytes) -> bytes:
    return _ANSWER + hashed + sealed


def _holds(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True
