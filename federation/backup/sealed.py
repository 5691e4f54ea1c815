"""Decide the form of a backup that a peer keeps: sealed chunks, and a manifest signed by the participant's log. Pure.

The keeper can read nothing. It cannot put another backup in this one's place: the manifest is signed. It can keep back
a newer one; whoever restores sees that from the log itself, which commits to every restricted part there should be.

The two secrets follow from the seed on the cards (HKDF-SHA256 without salt, 32 bytes): the X25519 private key has the
info `gotong backup key`, the word by which a restorer asks for the backup has `gotong backup reader`. The node that
makes backups has the public key and the hash of the word, and can read none of them itself.

Rules, with the error that answers each:
- Z1.1 a manifest has at most MANIFEST_BYTES_MAX bytes and is canonical JSON with exactly the members of `Manifest`,
  each of its form; a chunk has at most CHUNK_BYTES_MAX and CHUNK_SEAL_BYTES bytes: BACKUP_MALFORMED.
- Z1.2 `signature` is Ed25519 over the line `gotong backup` and the canonical manifest without `signature`, by a key
  that the DID document states for that log; a retired one only up to the size it was retired at: BACKUP_UNPROVEN. Who
  keeps it checks this as well, before anything of it is kept, and keeps none of an identity that it does not hold.
- Z1.3 chunk n has the SHA-256 that the manifest lists, and all chunks together at most the bytes it states:
  BACKUP_DAMAGED.
- Z1.4 `erased` is one more than the index of the newest entry that erases restricted parts in that log, 0 if there is
  none. When a backup is complete the keeper drops those before it, of another log or a size below `erased`; no error.
- Z2.1 `key` is a 32-byte key sealed by HPKE (X2.1) to the participant's backup key, its info the lines
  `gotong backup key`, SCID and version. Chunk n opens with it: ChaCha20-Poly1305, its nonce n as 12 bytes, big-endian:
  BACKUP_DAMAGED.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from msgspec import Meta

from domain.errors import GotongError
from federation.encoding import statement
from federation.encoding.statement import Statement
from federation.log.merkle import TREE_SIZE_MAX
from federation.log.service import LogKey

MANIFEST_BYTES_MAX = 128 * 1024
CHUNK_BYTES_MAX = 512 * 1024
CHUNK_SEAL_BYTES = 16
CHUNKS_MAX = 1_024
VERSION_MAX = 2**53 - 1
_SIGNED: Final = b"gotong backup\n"


class BackupMalformed(GotongError):
    """A backup's manifest or chunk is not of the form that the protocol gives it."""

    code: ClassVar[str] = "BACKUP_MALFORMED"


class BackupUnproven(GotongError):
    """A backup's manifest is not signed by the participant's log, as far as whoever was to keep or use it knows it."""

    code: ClassVar[str] = "BACKUP_UNPROVEN"


class BackupDamaged(GotongError):
    """A chunk of a backup is not the one that was deposited, or does not open with these cards."""

    code: ClassVar[str] = "BACKUP_DAMAGED"


class Manifest(Statement, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a backup is of (the log at that size), how it is cut and sealed, and the hash of what fetches it.

    Backups of the log at a size below `erased` hold what was erased since; 0 where nothing was.
    """

    scid: statement.Scid
    version: Annotated[int, Meta(ge=1, le=VERSION_MAX)]
    at: Annotated[str, Meta(max_length=32)]
    origin: Annotated[str, Meta(max_length=128)]
    size: Annotated[int, Meta(ge=1, le=TREE_SIZE_MAX)]
    bytes: Annotated[int, Meta(ge=1, le=CHUNKS_MAX * (CHUNK_BYTES_MAX + CHUNK_SEAL_BYTES))]
    chunks: Annotated[list[statement.Hash], Meta(min_length=1, max_length=CHUNKS_MAX)]
    key: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})+\Z", max_length=256)]
    reader: statement.Hash
    erased: Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)]


def sign_manifest(manifest: Manifest, log_key: Ed25519PrivateKey) -> bytes:
    """Return the bytes of the manifest, signed by the participant's log key."""
    return statement.sign(manifest, _SIGNED, log_key)


def read_manifest(data: bytes) -> Manifest:
    """Return a manifest, its signature not checked yet, or raise BackupMalformed (rule Z1.1)."""
    return statement.read(data, Manifest, bytes_max=MANIFEST_BYTES_MAX, refusal=BackupMalformed)


def check_manifest(manifest: Manifest, keys: Sequence[LogKey]) -> None:
    """Raise BackupUnproven unless one of the log's keys signed the manifest (rule Z1.2)."""
    for key in keys:
        counts = key.retired is None or manifest.size <= key.retired.size
        if counts and statement.is_signed_by(manifest, _SIGNED, key.public_key):
            return
    raise BackupUnproven("no key of the participant's log signed this backup", version=manifest.version)


def holds_erased(earlier: Manifest, newer: Manifest) -> bool:
    """Return whether `earlier` may hold what was erased before `newer` was made (rule Z1.4)."""
    return newer.erased > 0 and (earlier.origin != newer.origin or earlier.size < newer.erased)


def check_chunk(manifest: Manifest, number: int, data: bytes, *, others_bytes: int = 0) -> None:
    """Raise BackupMalformed or BackupDamaged unless this is chunk `number`, counted from 0 (rules Z1.1, Z1.3).

    `others_bytes` is what the other chunks here take.
    """
    if len(data) > CHUNK_BYTES_MAX + CHUNK_SEAL_BYTES:
        raise BackupMalformed("the chunk is too large", bytes=len(data), bytes_max=CHUNK_BYTES_MAX + CHUNK_SEAL_BYTES)
    if not 0 <= number < len(manifest.chunks):
        raise BackupMalformed("the manifest lists no such chunk", chunk=number, chunks=len(manifest.chunks))
    if hash_of(data) != manifest.chunks[number]:
        raise BackupDamaged("this is not the chunk that the manifest lists", chunk=number)
    if others_bytes + len(data) > manifest.bytes:
        raise BackupDamaged("the chunks are larger than the manifest says", chunk=number, bytes_max=manifest.bytes)


def seal_chunks(data: bytes, key: bytes) -> Iterator[bytes]:
    """Yield the sealed chunks of `data`; `key` is used for this one backup only, so counting nonces never repeat."""
    cipher = ChaCha20Poly1305(key)
    for number, start in enumerate(range(0, len(data), CHUNK_BYTES_MAX)):
        yield cipher.encrypt(_nonce(number), data[start : start + CHUNK_BYTES_MAX], None)


def open_chunk(number: int, data: bytes, key: bytes) -> bytes:
    """Return what a chunk holds, or raise BackupDamaged (rule Z2.1)."""
    try:
        return ChaCha20Poly1305(key).decrypt(_nonce(number), data, None)
    except (InvalidTag, ValueError):
        raise BackupDamaged("a chunk does not open", chunk=number) from None


def key_info(scid: str, version: int) -> bytes:
    """Return what the sealed key of a backup is bound to."""
    return f"gotong backup key\n{scid}\n{version}".encode()


def hash_of(data: bytes) -> str:
    """Return the hash under which a chunk, or the word that fetches a backup, is known."""
    return hashlib.sha256(data).hexdigest()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12)
