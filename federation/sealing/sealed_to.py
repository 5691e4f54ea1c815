"""Seal bytes so that only the holder of one X25519 key can read them. Shell: the library draws an ephemeral key.

HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Base mode says nothing about who
sealed: whoever needs to know that signs besides. `info` binds what is sealed to its purpose and place.
"""

from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from domain.errors import GotongError

PUBLIC_KEY_BYTES = 32
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class SealBroken(GotongError):
    """Sealed bytes do not open: they were altered, or meant for another key or place."""

    code: ClassVar[str] = "SEAL_BROKEN"


def seal(public_key: bytes, data: bytes, info: bytes) -> bytes:
    """Return `data` sealed to a 32-byte X25519 key; raise SealBroken for bytes that are no usable key."""
    try:
        return _SUITE.encrypt(data, X25519PublicKey.from_public_bytes(public_key), info)
    except ValueError:
        raise SealBroken("nothing can be sealed to this key") from None


def unseal(private_key: X25519PrivateKey, sealed: bytes, info: bytes) -> bytes:
    """Return what was sealed to this key with this `info`, or raise SealBroken."""
    try:
        return _SUITE.decrypt(sealed, private_key, info)
    except (InvalidTag, ValueError):
        raise SealBroken("the sealed bytes do not open with this key") from None
