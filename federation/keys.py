"""Private keys in files of the data directory, one a purpose: never in the database, never in its dumps.

Shell: it reads and writes files and draws randomness. It decides nothing about
which keys count; the DID documents do.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError


class KeyMissing(GotongError):
    """The private key that this action needs is not in the data directory's `keys` folder."""

    code: ClassVar[str] = "KEY_MISSING"


class KeyRing:
    """The Ed25519 private keys under `<data>/keys`, PKCS 8 PEM, mode 0600."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._load = lru_cache(maxsize=1024)(self._read)

    def save(self, name: str, key: Ed25519PrivateKey) -> None:
        """Store `key` durably under `name`; raise FileExistsError rather than replace one."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())

    def get(self, name: str) -> Ed25519PrivateKey:
        """Return the key stored under `name`, or raise KeyMissing."""
        return self._load(name)

    def get_or_create(self, name: str) -> Ed25519PrivateKey:
        """Return the key stored under `name`, creating it the first time; two processes agree on one."""
        key = Ed25519PrivateKey.generate()
        try:
            self.save(name, key)
        except FileExistsError:
            return self.get(name)
        return key

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.pem"

    def _read(self, name: str) -> Ed25519PrivateKey:
        try:
            key = serialization.load_pem_private_key(self._path(name).read_bytes(), password=None)
        except FileNotFoundError:
            raise KeyMissing(f"no private key named {name} in this data directory", key=name) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyMissing(f"the file of key {name} holds no Ed25519 key", key=name)
        return key


def log_key_name(scid: str, epoch: int, number: int) -> str:
    """Return the name of the key stated as `#log-<epoch>-<number>`, which signs the checkpoints of this log."""
    return f"log-{scid}-{epoch}-{number}"


def document_key_name(scid: str, fragment: str) -> str:
    """Return the name of the key stated as `fragment`: `#request-<n>` or `#cosign-<n>`."""
    purpose, _, number = fragment.removeprefix("#").rpartition("-")
    return f"{purpose}-{scid}-{number}"
