"""Issue and verify access tokens: signed, scoped, short-lived.

The format is RFC 9068 (`at+jwt`), signed with Ed25519, so that the tokens of the
OAuth server to come are these tokens. A token covers the organizations it
lists; nothing here asks a database.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from domain.errors import GotongError

TOKEN_LIFETIME_S_DEFAULT = 600
TOKEN_LIFETIME_S_MAX = 86_400
TOKEN_CHARS_MAX = 8_192
TOKEN_LEEWAY_S = 60
TOKENS_CACHED_MAX = 4_096
ALGORITHMS = ["Ed25519", "EdDSA"]
ORGANIZATIONS_CLAIM = "gotong_organizations"


class NotAuthenticated(GotongError):
    """The action needs an access token, and none was sent."""

    code: ClassVar[str] = "NOT_AUTHENTICATED"


class TokenInvalid(GotongError):
    """The access token is malformed, not signed by this node's key, or meant for somebody else."""

    code: ClassVar[str] = "TOKEN_INVALID"


class TokenExpired(GotongError):
    """The access token's time is over."""

    code: ClassVar[str] = "TOKEN_EXPIRED"


class TokenLifetimeOutOfRange(GotongError):
    """An access token may live for one second to one day."""

    code: ClassVar[str] = "TOKEN_LIFETIME_OUT_OF_RANGE"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who holds a token: a subject, the SCIDs of the organizations it acts for, what it may do, and until when."""

    subject: str
    organizations: frozenset[str]
    scopes: frozenset[str]
    expires_at: datetime


def issue(
    key: Ed25519PrivateKey,
    *,
    issuer: str,
    audience: str,
    subject: str,
    organizations: Iterable[str],
    scopes: Iterable[str],
    now: datetime,
    lifetime_s: int = TOKEN_LIFETIME_S_DEFAULT,
) -> str:
    """Return a signed access token, or raise TokenLifetimeOutOfRange. `organizations` are SCIDs."""
    if not 1 <= lifetime_s <= TOKEN_LIFETIME_S_MAX:
        raise TokenLifetimeOutOfRange(f"A token lives 1 to {TOKEN_LIFETIME_S_MAX} seconds.", lifetime_s=lifetime_s)
    issued_at = int(now.timestamp())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "client_id": subject,
        "iat": issued_at,
        "exp": issued_at + lifetime_s,
        "jti": secrets.token_urlsafe(16),
        "scope": " ".join(sorted(scopes)),
        ORGANIZATIONS_CLAIM: sorted(organizations),
    }
    private = OKPKey.import_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return jwt.encode({"alg": "Ed25519", "typ": "at+jwt"}, claims, private, algorithms=ALGORITHMS)


class TokenVerifier:
    """Checks tokens against the keys of one issuer; a token that was good is not checked again until it expires."""

    def __init__(self, keys: Sequence[Ed25519PublicKey], *, issuer: str, audience: str) -> None:
        self._keys = [
            OKPKey.import_key(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)) for key in keys
        ]
        self._issuer = issuer
        self._audience = audience
        self._good: OrderedDict[str, Viewer] = OrderedDict()

    def verify(self, token: str, now: datetime) -> Viewer:
        """Return who holds `token`, or raise TokenInvalid or TokenExpired."""
        viewer = self._good.get(token)
        if viewer is None:
            viewer = self._checked(token, now)
            self._good[token] = viewer
            if len(self._good) > TOKENS_CACHED_MAX:
                self._good.popitem(last=False)
        if viewer.expires_at <= now:
            self._good.pop(token, None)
            raise TokenExpired("The access token has expired; get a new one.")
        return viewer

    def _checked(self, token: str, now: datetime) -> Viewer:
        if len(token) > TOKEN_CHARS_MAX:
            raise TokenInvalid("The access token is too long.")
        claims = self._claims(token)
        audience = claims.get("aud")
        if claims.get("iss") != self._issuer or self._audience not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise TokenInvalid("The access token was made by or for another service.")
        issued_at, expires_at = _moment(claims, "iat", now), _moment(claims, "exp", now)
        if issued_at > now + timedelta(seconds=TOKEN_LEEWAY_S):
            raise TokenInvalid("The access token comes from the future; check the clocks.")
        organizations, subject, scope = claims.get(ORGANIZATIONS_CLAIM, []), claims.get("sub"), claims.get("scope", "")
        if not (isinstance(subject, str) and isinstance(scope, str) and _are_texts(organizations)):
            raise TokenInvalid("The access token's claims are malformed.")
        return Viewer(subject, frozenset(organizations), frozenset(scope.split()), expires_at)

    def _claims(self, token: str) -> Mapping[str, Any]:
        for key in self._keys:
            try:
                decoded = jwt.decode(token, key, algorithms=ALGORITHMS)
            except (JoseError, ValueError, TypeError, KeyError):
                continue
            if str(decoded.header.get("typ", "")).lower() in ("at+jwt", "application/at+jwt") and isinstance(
                decoded.claims, dict
            ):
                return decoded.claims
        raise TokenInvalid("The access token is malformed or not signed by this node.")


def _moment(claims: Mapping[str, Any], name: str, now: datetime) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid(f"The access token lacks {name}.")
    try:
        return datetime.fromtimestamp(value, now.tzinfo)
    except (ValueError, OverflowError, OSError):
        raise TokenInvalid(f"The access token's {name} is no moment.") from None


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(member, str) for member in value)
