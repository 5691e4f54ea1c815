"""Decide whether a request between nodes is signed as the protocol asks. Pure: bytes, a key and the time come in.

The profile of RFC 9421 (HTTP Message Signatures) with RFC 9530 (Content-Digest) is narrow: one algorithm, one list of
what is covered. It parses by the rules of RFC 9651; it looks up no key and remembers no nonce (see `caller`).

Rules, with the error that answers each, checked in this order:
- V1.1 Signature-Input and Signature are Dictionaries of at most SIGNATURE_BYTES_MAX bytes, without a repeated key, and
  one label whose tag is "gotong" stands in both, as an inner list and as 64 bytes. Labels of other tags are left alone:
  SIGNATURE_MALFORMED.
- V1.2 it covers exactly "@method" "@authority" "@path" "@query", in a POST followed by "content-digest"
  "content-type", both of which the request has; the digest has a SHA-256 of 32 bytes; values are printable ASCII:
  SIGNATURE_MALFORMED.
- V1.3 its parameters are created, expires, nonce, keyid, tag and, if it likes, alg "ed25519": seconds since 1970,
  expires 1 to LIFETIME_S_MAX after created; a nonce of 16 to 64 letters, digits, "-", "_"; the keyid is the DID URL of
  a request key (`did:webvh:...#request-<n>`): SIGNATURE_MALFORMED.
- V1.4 the reader's clock stands between SKEW_S_MAX before created and SKEW_S_MAX after expires. The refusal says by how
  much the signer's clock is ahead: SIGNATURE_SKEW.
- V1.5 the Ed25519 signature holds over the signature base, in which @authority is a name that the reader's own
  operator gave it, whatever the request says: SIGNATURE_INVALID.
- V1.6 the body has the SHA-256 that Content-Digest says: DIGEST_MISMATCH.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

import http_sf
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import GotongError
from federation.did.errors import DidSyntaxInvalid
from federation.did.syntax import DID_CHARS_MAX, parse

TAG = "gotong"
LABEL = "gotong"
SIGNATURE_BYTES_MAX = 4_096
SIGNATURE_BYTES = 64
LIFETIME_S_MAX = 300
SKEW_S_MAX = 60
CREATED_S_MAX = 2**53 - 1

COVERED: Final = ("@method", "@authority", "@path", "@query")
COVERED_OF_BODY: Final = (*COVERED, "content-digest", "content-type")
_PARAMETERS: Final = {"created": int, "expires": int, "nonce": str, "keyid": str, "tag": str}
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_REQUEST_KEY = re.compile(r"request-(?:0|[1-9][0-9]{0,8})")


class SignatureMalformed(GotongError):
    """A request's signature is not of the form that requests between nodes have."""

    code: ClassVar[str] = "SIGNATURE_MALFORMED"


class SignatureSkew(GotongError):
    """A request was signed too long ago or in the future; `skew_ms` says how far its clock is ahead of this one."""

    code: ClassVar[str] = "SIGNATURE_SKEW"


class SignatureInvalid(GotongError):
    """A request's signature does not hold: another key, another request, or meant for another node."""

    code: ClassVar[str] = "SIGNATURE_INVALID"


class DigestMismatch(GotongError):
    """A request's body is not the one that its signature covers."""

    code: ClassVar[str] = "DIGEST_MISMATCH"


@dataclass(frozen=True, slots=True)
class Message:
    """What of a request is covered. `query` is without its question mark; the last two are None without a body."""

    method: str
    authority: str
    path: str
    query: str
    content_digest: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a signature says of itself; seconds since 1970."""

    created: int
    expires: int
    nonce: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature of the right form, not verified yet; `base` is what it signs."""

    parameters: Parameters
    scid: str
    fragment: str
    base: bytes
    signature: bytes
    digest: bytes | None


def authority_of(url: str) -> str:
    """Return host[:port] of a URL as requests to it are signed for: in lower case, the scheme's own port left out."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    own_port = {"http": 80, "https": 443}.get(parts.scheme)
    return host if parts.port in (None, own_port) else f"{host}:{parts.port}"


def content_digest(body: bytes) -> str:
    """Return the Content-Digest header of a body (RFC 9530)."""
    return http_sf.ser({"sha-256": hashlib.sha256(body).digest()})


def sign(message: Message, parameters: Parameters, key: Ed25519PrivateKey) -> dict[str, str]:
    """Return the headers that sign the request: signature-input and signature."""
    stated = {
        "created": parameters.created,
        "expires": parameters.expires,
        "nonce": parameters.nonce,
        "keyid": parameters.key_id,
        "tag": TAG,
    }
    values = _values(message)
    covered: Any = ([(name, {}) for name, _ in values], stated)
    signature = key.sign(signature_base(values, http_sf.ser([covered])))
    return {"signature-input": http_sf.ser({LABEL: covered}), "signature": http_sf.ser({LABEL: signature})}


def signature_base(values: Sequence[tuple[str, str]], parameters: str) -> bytes:
    """Return what is signed (RFC 9421, section 2.5): a line a component, then @signature-params.

    Raises SignatureMalformed for a value that would not stay within its line, or is not ASCII.
    """
    lines = [f'"{name}": {value}' for name, value in [*values, ("@signature-params", parameters)]]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise SignatureMalformed("what is covered is printable ASCII")
    return "\n".join(lines).encode()


def read(message: Message, signature_input: str | None, signature: str | None) -> Signed | None:
    """Return a request's signature, None if it has none of ours, or raise SignatureMalformed (rules V1.1 to V1.3)."""
    if signature_input is None and signature is None:
        return None
    inputs, signatures = _dictionary(signature_input), _dictionary(signature)
    ours = [label for label, member in inputs.items() if _tag(member) == TAG]
    if not ours:
        return None
    if len(ours) > 1:
        raise SignatureMalformed("a request has one signature of ours", found=len(ours))
    covered, stated = cast("tuple[list[Any], dict[str, Any]]", inputs[ours[0]])
    value, _ = cast("tuple[Any, Any]", signatures.get(ours[0], (None, None)))
    if not isinstance(value, bytes) or len(value) != SIGNATURE_BYTES:
        raise SignatureMalformed("a signature is 64 bytes under the label of its input", label=ours[0])
    values = _values(message)
    if covered != [(name, {}) for name, _ in values]:
        raise SignatureMalformed("it covers exactly " + " ".join(name for name, _ in values))
    parameters = _parameters(stated)
    scid, fragment = _key_id(parameters.key_id)
    digest = None if message.content_digest is None else _sha256_of(message.content_digest)
    base = signature_base(values, http_sf.ser([(covered, stated)]))
    return Signed(parameters, scid, fragment, base, value, digest)


def check_window(signed: Signed, now: datetime) -> None:
    """Raise SignatureSkew unless the request was signed for about now (rule V1.4)."""
    now_ms = round(now.timestamp() * 1000)
    created_ms, expires_ms = signed.parameters.created * 1000, signed.parameters.expires * 1000
    if created_ms - SKEW_S_MAX * 1000 <= now_ms <= expires_ms + SKEW_S_MAX * 1000:
        return
    raise SignatureSkew(
        "the request was signed at another time than now",
        skew_ms=created_ms - now_ms,
        time=now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def check_signature(signed: Signed, public_key: bytes) -> None:
    """Raise SignatureInvalid unless the key signed this request to this node (rule V1.5)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signed.signature, signed.base)
    except (InvalidSignature, ValueError):
        raise SignatureInvalid("the signature does not hold", key=signed.parameters.key_id) from None


def check_digest(signed: Signed, body: bytes) -> None:
    """Raise DigestMismatch unless the body is the one that was signed (rule V1.6)."""
    found = None if signed.digest is None and not body else hashlib.sha256(body).digest()
    if found != signed.digest:
        raise DigestMismatch("the body is not the one that was signed", bytes=len(body))


def _values(message: Message) -> list[tuple[str, str]]:
    """Return the components that this request's signature covers, in their order, with their values."""
    values = [
        ("@method", message.method),
        ("@authority", message.authority),
        ("@path", message.path or "/"),
        ("@query", f"?{message.query}"),
    ]
    if message.method != "POST":
        return values
    if message.content_digest is None or message.content_type is None:
        raise SignatureMalformed("a signed POST has Content-Digest and Content-Type")
    return [*values, ("content-digest", message.content_digest), ("content-type", message.content_type)]


def _dictionary(header: str | None) -> dict[str, Any]:
    if header is None or not header.isascii() or len(header) > SIGNATURE_BYTES_MAX:
        raise SignatureMalformed("Signature and Signature-Input come together", bytes_max=SIGNATURE_BYTES_MAX)
    try:
        parsed = http_sf.parse(header.encode(), tltype="dictionary", on_duplicate_key=_refuse_repeated)
    except (ValueError, OverflowError) as error:
        raise SignatureMalformed(f"not a Dictionary: {error}"[:200]) from None
    return cast("dict[str, Any]", parsed)


def _refuse_repeated(key: str, _where: str) -> None:
    raise SignatureMalformed("a key is repeated", key=key[:64])


def _tag(member: Any) -> Any:
    return member[1].get("tag") if isinstance(member[0], list) else None


def _parameters(stated: dict[str, Any]) -> Parameters:
    names = dict(stated)
    if names.pop("alg", "ed25519") != "ed25519":
        raise SignatureMalformed("the algorithm is ed25519")
    if {name: type(value) for name, value in names.items()} != _PARAMETERS:
        raise SignatureMalformed("its parameters are created, expires, nonce, keyid and tag")
    found = Parameters(names["created"], names["expires"], names["nonce"], names["keyid"])
    if not 0 <= found.created <= CREATED_S_MAX:
        raise SignatureMalformed("created is a time since 1970")
    if not 1 <= found.expires - found.created <= LIFETIME_S_MAX:
        raise SignatureMalformed("it expires after it was created, and soon", seconds_max=LIFETIME_S_MAX)
    if not _NONCE.fullmatch(found.nonce):
        raise SignatureMalformed("a nonce has 16 to 64 letters, digits, - and _")
    return found


def _key_id(key_id: str) -> tuple[str, str]:
    """Return the SCID and the fragment, with its #, that a key id names."""
    did, _, fragment = key_id.partition("#")
    if len(did) > DID_CHARS_MAX or not _REQUEST_KEY.fullmatch(fragment):
        raise SignatureMalformed("a key id is did:webvh:...#request-<n>")
    try:
        return parse(did).scid, f"#{fragment}"
    except DidSyntaxInvalid as error:
        raise SignatureMalformed(f"a key id names a did:webvh: {error.message}"[:200]) from None


def _sha256_of(header: str) -> bytes:
    value, _ = cast("tuple[Any, Any]", _dictionary(header).get("sha-256", (None, None)))
    if not isinstance(value, bytes) or len(value) != hashlib.sha256().digest_size:
        raise SignatureMalformed("Content-Digest has a sha-256 of 32 bytes")
    return value
