"""Keep restricted parts unreadable to whoever has the database alone. Shell: it reads keys and draws nonces.

A part is sealed with AES-256-GCM under a key of its own, derived (HKDF-SHA256) from one of the node's numbered
secrets and from whose part it is and where. Salt and payload are sealed together: with the salt in the open, a phone
number could be found by trying all there are against the public commitment. The same goes for the digests by which
repeated requests are told, so those are blinded with a secret as well.

What is bound is the SCID and the index, not the epoch: a new epoch copies entries in their places. The commitment in
the entry is checked by whoever opens a part.
"""

import hmac
import secrets
from collections.abc import Collection
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.errors import GotongError
from federation.identity.keys import KeyRing
from federation.log.entry import SALT_BYTES
from store.logs import Sealed

NONCE_BYTES = 12
PREFIX: Final = "restricted-"
DIGEST_SECRET: Final = "digest-0"  # noqa: S105 - its name. Never changed: a repeated request must be told years later


class RestrictedUnreadable(GotongError):
    """A restricted part here cannot be opened: its key is gone, or the stored bytes were altered."""

    code: ClassVar[str] = "RESTRICTED_UNREADABLE"


class Vault:
    """Seals with the newest of the node's numbered secrets and opens with whichever one sealed."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._number = 0  # not known yet

    @property
    def number(self) -> int:
        """The newest secret's number, from 1; the first is drawn when it is needed."""
        if not self._number:
            found = [int(name.removeprefix(PREFIX)) for name in self._keys.secrets_named(PREFIX)]
            self._number = max(found, default=1)
            self._keys.secret_or_create(_name(self._number))
        while self._keys.has_secret(_name(self._number + 1)):  # another process made one
            self._number += 1
        return self._number

    def renew(self) -> int:
        """Return the number of a new secret, under which everything is sealed from now on."""
        self._keys.secret_or_create(_name(self.number + 1))
        return self.number

    def forget_before(self, number: int, *, keeping: Collection[int] = ()) -> None:
        """Destroy the secrets with lower numbers; what they sealed and is kept anywhere is gone with them."""
        for each in set(range(1, number)) - set(keeping):
            self._keys.forget_secret(_name(each))

    def seal(self, scid: str, index: int, salt: bytes, payload: bytes) -> Sealed:
        """Return the restricted part of this participant's entry, sealed."""
        number, nonce = self.number, secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher(number, scid, index).encrypt(nonce, salt + payload, _place(scid, index))
        return Sealed(number, nonce, sealed)

    def open(self, scid: str, index: int, sealed: Sealed) -> tuple[bytes, bytes]:
        """Return (salt, payload), or raise RestrictedUnreadable."""
        try:
            cipher = self._cipher(sealed.key_number, scid, index)
            opened = cipher.decrypt(sealed.nonce, sealed.data, _place(scid, index))
        except (InvalidTag, ValueError):
            raise RestrictedUnreadable("the stored bytes are not what was sealed", scid=scid, index=index) from None
        return opened[:SALT_BYTES], opened[SALT_BYTES:]

    def blinded(self, digest: bytes) -> bytes:
        """Return a digest by which equal contents are told, and which tells nothing to those without the secret."""
        return hmac.digest(self._keys.secret_or_create(DIGEST_SECRET), digest, "sha256")

    def _cipher(self, number: int, scid: str, index: int) -> AESGCM:
        try:
            secret = self._keys.secret(_name(number))
        except GotongError as error:
            raise RestrictedUnreadable(
                "the key of this restricted part is not in the data directory", scid=scid, key=error.details.get("key")
            ) from None
        return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=_place(scid, index)).derive(secret))


def _name(number: int) -> str:
    return f"{PREFIX}{number}"


def _place(scid: str, index: int) -> bytes:
    return f"gotong restricted part\n{scid}\n{index}".encode()
