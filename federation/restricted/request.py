"""Write and read what is exchanged when one participant asks another for a restricted part. Pure.

The request is a statement of the asking participant, signed by the key of its log: only its host has that key. It
names the node that carries it, so nobody else can use it, and a fresh key to which the answer is sealed, so nothing
between the two nodes can read it. The HTTP request around it is signed by that node's operator (rules V).

Rules, with the error that answers each:
- X1.1 a request has at most REQUEST_BYTES_MAX bytes and is canonical JSON with exactly the members of `Asked`, each of
  its form: RESTRICTED_REQUEST_MALFORMED.
- X1.2 `node` is the operator that signed the HTTP request: RESTRICTED_REQUEST_UNPROVEN.
- X1.3 `signature` is Ed25519 over the line `gotong restricted request` and the canonical request without `signature`,
  by a key of the asker's log that its newest DID document states and does not retire: RESTRICTED_REQUEST_UNPROVEN.
- X2.1 an answer is JSON of `sealed`, which is HPKE (RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
  ChaCha20-Poly1305) to the request's `key` of 16 salt bytes and the payload; its info is the line
  `gotong restricted answer` and the SHA-256 of the request: RESTRICTED_ANSWER_MALFORMED.
- X2.2 what it holds is what the entry commits to (rules E3).
"""

import hashlib
from typing import Annotated, ClassVar, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta

from domain.errors import GotongError
from federation.did.service import LogKey
from federation.encoding import statement
from federation.encoding.statement import Statement
from federation.log.entry import PAYLOAD_BYTES_MAX, SALT_BYTES

REQUEST_BYTES_MAX = 4_096
ANSWER_BYTES_MAX = 4 * (PAYLOAD_BYTES_MAX + 1_024)
_SIGNED: Final = b"gotong restricted request\n"
_SEALED: Final = b"gotong restricted answer\n"


class RequestMalformed(GotongError):
    """A request for a restricted part is not of the form that the protocol gives it."""

    code: ClassVar[str] = "RESTRICTED_REQUEST_MALFORMED"


class RequestUnproven(GotongError):
    """A request for a restricted part is not signed by the participant it names, or came through another node."""

    code: ClassVar[str] = "RESTRICTED_REQUEST_UNPROVEN"


class AnswerMalformed(GotongError):
    """The answer to a request for a restricted part is not of the form that the protocol gives it."""

    code: ClassVar[str] = "RESTRICTED_ANSWER_MALFORMED"


class Asked(Statement, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who asks through which node's operator for which revision of which record, and the key for the answer."""

    asker: statement.Scid
    node: statement.Scid
    record: Annotated[str, Meta(max_length=160)]
    leaf: statement.Hash
    key: statement.Hash


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sealed: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*\Z", max_length=ANSWER_BYTES_MAX)]


def write_request(*, asker: str, node: str, record: str, leaf: bytes, key: bytes, log_key: Ed25519PrivateKey) -> bytes:
    """Return the bytes of a request, signed by the key of the asker's log."""
    asked = Asked(asker=asker, node=node, record=record, leaf=leaf.hex(), key=key.hex())
    return statement.sign(asked, _SIGNED, log_key)


def read_request(data: bytes) -> Asked:
    """Return what is asked, not proven yet, or raise RequestMalformed (rule X1.1)."""
    return statement.read(data, Asked, bytes_max=REQUEST_BYTES_MAX, refusal=RequestMalformed)


def check_request(asked: Asked, *, node: str, keys: tuple[LogKey, ...]) -> None:
    """Raise RequestUnproven unless this participant asks through this node (rules X1.2, X1.3).

    `node` is the operator that signed the HTTP request, `keys` are those of the asker's log.
    """
    if asked.node != node:
        raise RequestUnproven("the request was made for another node", node=asked.node, found=node)
    if not any(key.retired is None and statement.is_signed_by(asked, _SIGNED, key.public_key) for key in keys):
        raise RequestUnproven("no key of the asker's log signed this", asker=asked.asker)


def answer_info(request: bytes) -> bytes:
    """Return what the sealed answer to these request bytes is bound to."""
    return _SEALED + hashlib.sha256(request).digest()


def write_answer(sealed: bytes) -> bytes:
    """Return the bytes of an answer."""
    return msgspec.json.encode(_Answer(sealed.hex()))


def read_answer(data: bytes) -> bytes:
    """Return what is sealed in an answer, or raise AnswerMalformed (rule X2.1)."""
    try:
        return bytes.fromhex(msgspec.json.decode(data, type=_Answer).sealed)
    except (msgspec.DecodeError, ValueError) as error:
        raise AnswerMalformed(f"not an answer: {error}"[:200]) from None


def split_part(opened: bytes) -> tuple[bytes, bytes]:
    """Return (salt, payload) of what an answer held, or raise AnswerMalformed."""
    if len(opened) < SALT_BYTES:
        raise AnswerMalformed("the answer holds no salt")
    return opened[:SALT_BYTES], opened[SALT_BYTES:]
