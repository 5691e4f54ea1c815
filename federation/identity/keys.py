"""Private keys in files of the data directory, one a purpose: never in the database, never in its dumps.

Shell: it reads and writes files and draws randomness. It decides nothing about
which keys count; the DID documents do.
"""

import contextlib
import os
import secrets
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError


class KeyMissing(GotongError):
    """The private key that this action needs is not in the data directory's `keys` folder."""

    code: ClassVar[str] = "KEY_MISSING"


SECRET_BYTES = 32


class KeyRing:
    """What is secret under `<data>/keys`, mode 0600: Ed25519 keys (`.pem`, PKCS 8) and symmetric ones (`.key`, hex)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._load = lru_cache(maxsize=1024)(self._read)
        self._load_secret = lru_cache(maxsize=64)(self._read_secret)

    def save(self, name: str, key: Ed25519PrivateKey) -> None:
        """Store `key` durably under `name`; raise FileExistsError rather than replace one."""
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._write(self._path(name), pem)

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

    def secret(self, name: str) -> bytes:
        """Return the 32 bytes stored under `name`, or raise KeyMissing."""
        return self._load_secret(name)

    def has_secret(self, name: str) -> bool:
        """Return whether 32 bytes are stored under `name`, by whichever process."""
        return self._secret_path(name).exists()

    def secrets_named(self, prefix: str) -> list[str]:
        """Return the names of stored secrets that begin so."""
        return sorted(path.stem for path in self._directory.glob(f"{prefix}*.key"))

    def secret_or_create(self, name: str) -> bytes:
        """Return the 32 bytes stored under `name`, drawn the first time; two processes agree on them."""
        if not self.has_secret(name):
            with contextlib.suppress(FileExistsError):
                self._write(self._secret_path(name), secrets.token_bytes(SECRET_BYTES).hex().encode())
        return self.secret(name)

    def forget_secret(self, name: str) -> None:
        """Destroy the 32 bytes stored under `name`, if they are there."""
        self._secret_path(name).unlink(missing_ok=True)
        self._load_secret.cache_clear()

    def _write(self, path: Path, data: bytes) -> None:
        """Put a whole file there durably, or raise FileExistsError: nobody ever reads half a key."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=self._directory, prefix=".unfinished-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(unfinished, path)
        finally:
            Path(unfinished).unlink()
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.pem"

    def _secret_path(self, name: str) -> Path:
        return self._directory / f"{name}.key"

    def _read_secret(self, name: str) -> bytes:
        try:
            secret = bytes.fromhex(self._secret_path(name).read_text(encoding="ascii"))
        except FileNotFoundError:
            raise KeyMissing(f"no secret named {name} in this data directory", key=name) from None
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise KeyMissing(f"the file of secret {name} does not hold one", key=name)
        return secret

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
