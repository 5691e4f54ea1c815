"""Sign and open signed notes, checkpoints and cosignatures: C2SP signed-note, tlog-checkpoint, tlog-cosignature v1.

Pure: keys, times and texts are arguments. It decides whether bytes are a note,
whether a trusted key signed it and what tree head it states; not which keys are
to be trusted, nor whether one tree head extends another (`verify`, `merkle`).

Rules, with the error that answers each:
- N1.1 a note has at most NOTE_BYTES_MAX bytes and SIGNATURES_MAX signatures: NOTE_MALFORMED.
- N1.2 a note is UTF-8 without control characters but newline: text, empty line, signature lines: NOTE_MALFORMED.
- N1.3 a signature line is "— <name> <base64>": no Unicode space or plus in the name, base64 in its one canonical
  spelling, a 4-byte key id and at least one more byte: NOTE_MALFORMED.
- N1.4 signatures of unknown keys are ignored; the signature of a known key must hold, and at least one must be there:
  NOTE_SIGNATURE_INVALID (for a checkpoint CHECKPOINT_SIGNATURE_INVALID, for a cosignature COSIGNATURE_INVALID).
- N1.5 a verifier key is `<name>+<key id, 8 lowercase hex digits>+<base64 of type and key>`, and the id fits:
  VKEY_MALFORMED.
- N2.1 a checkpoint's text is three lines: origin, size without leading zeros (at most 2**53 - 1), root in canonical
  base64 of 32 bytes; the empty tree has the empty root: CHECKPOINT_MALFORMED.
- N2.2 Gotong logs state no extension lines (tlog-checkpoint advises against them): CHECKPOINT_MALFORMED.
- N2.3 the origin is the expected one, and the log's key is named by it: CHECKPOINT_WRONG_ORIGIN.
- N3.1 a cosignature is type 0x04: a u64 time in POSIX seconds below 2**63, and Ed25519 over the two lines
  `cosignature/v1`, `time <seconds>` and the checkpoint's text: COSIGNATURE_INVALID.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import GotongError
from federation.encoding import base64text
from federation.log.merkle import EMPTY_ROOT, HASH_BYTES, TREE_SIZE_MAX

NOTE_BYTES_MAX = 128 * 1024
SIGNATURES_MAX = 64
"""The specification asks for 16 at least."""
COSIGNATURE_TIME_S_MAX = 2**63 - 1

_KEY_ID_BYTES = 4
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_SIGNATURE_PREFIX = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_DECIMAL = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_VKEY = re.compile(r"(?P<name>[^+]+)\+(?P<key_id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/=]+)")


class NoteMalformed(GotongError):
    """The bytes are not a signed note, or one beyond the limits of size and number of signatures."""

    code: ClassVar[str] = "NOTE_MALFORMED"


class NoteSignatureInvalid(GotongError):
    """No trusted key signed the note, or a trusted key's signature does not hold."""

    code: ClassVar[str] = "NOTE_SIGNATURE_INVALID"


class VkeyMalformed(GotongError):
    """A verifier key's text or a key's name is not what the signed-note specification writes."""

    code: ClassVar[str] = "VKEY_MALFORMED"


class CheckpointMalformed(GotongError):
    """The text is not a checkpoint of exactly origin, size and root."""

    code: ClassVar[str] = "CHECKPOINT_MALFORMED"


class CheckpointSignatureInvalid(GotongError):
    """No key of the log signed the checkpoint, or a signature of one of its keys does not hold."""

    code: ClassVar[str] = "CHECKPOINT_SIGNATURE_INVALID"


class CheckpointWrongOrigin(GotongError):
    """The checkpoint belongs to another log or epoch than the one asked for."""

    code: ClassVar[str] = "CHECKPOINT_WRONG_ORIGIN"


class CosignatureInvalid(GotongError):
    """The checkpoint carries no valid cosignature of that cosigner."""

    code: ClassVar[str] = "COSIGNATURE_INVALID"


class KeyType(IntEnum):
    """What a key signs: the signed-note signature types that Gotong speaks."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that is trusted under a name: `public` is the raw 32-byte Ed25519 key."""

    name: str
    public: bytes
    type: KeyType = KeyType.ED25519

    def __post_init__(self) -> None:
        if not is_key_name(self.name) or len(self.public) != _KEY_BYTES:
            raise VkeyMalformed("a key has 32 bytes, a name and no spaces, plus or controls in it")

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that a signature line names the key by."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:_KEY_ID_BYTES]

    def vkey(self) -> str:
        """Return the key as text: `<name>+<key id>+<base64>`."""
        return f"{self.name}+{self.key_id.hex()}+{base64text.encode(bytes([self.type]) + self.public)}"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that signs under a name."""

    name: str
    private: Ed25519PrivateKey
    type: KeyType = KeyType.ED25519

    def verifier(self) -> Verifier:
        """Return the public half."""
        return Verifier(self.name, self.private.public_key().public_bytes_raw(), self.type)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who says to have signed, by which key id, and the signature's bytes, verified or not."""

    name: str
    key_id: bytes
    data: bytes

    def line(self) -> str:
        """Return the line of a note, newline included."""
        return f"{_SIGNATURE_PREFIX}{self.name} {base64text.encode(self.key_id + self.data)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart, nothing verified: `text` ends with a newline."""

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """Return the note's bytes."""
        return (self.text + "\n" + "".join(each.line() for each in self.signatures)).encode()


@dataclass(frozen=True, slots=True)
class Opened:
    """A note that trusted keys signed: its text, and the verifiers whose signatures hold, in the order of the note."""

    text: str
    signed_by: tuple[Verifier, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree: `size` leaves with the 32-byte `root`, of the log named `origin`."""

    origin: str
    size: int
    root: bytes


# ---- notes ----------------------------------------------------------------------------------------------------------


def is_key_name(name: str) -> bool:
    """Return whether a key may be named so: not empty, no Unicode space, plus or control character."""
    return bool(name) and "+" not in name and not any(each.isspace() or each < " " for each in name)


def parse_vkey(text: str) -> Verifier:
    """Return the verifier a vkey text names, or raise VkeyMalformed (rule N1.5)."""
    found = _VKEY.fullmatch(text)
    key = base64text.decode(found["key"]) if found else None
    if found is None or key is None or len(key) != 1 + _KEY_BYTES or key[0] not in list(KeyType):
        raise VkeyMalformed("not an Ed25519 verifier key")
    verifier = Verifier(found["name"], key[1:], KeyType(key[0]))
    if verifier.key_id.hex() != found["key_id"]:
        raise VkeyMalformed("the key id is not that of the key and its name")
    return verifier


def sign(text: str, signer: Signer) -> bytes:
    """Return the note of `text` (which ends with a newline) with one Ed25519 signature; raises NoteMalformed (N1.2)."""
    _check_text(text)
    verifier = signer.verifier()
    return Note(text, (Signature(verifier.name, verifier.key_id, signer.private.sign(text.encode())),)).to_bytes()


def parse_note(data: bytes) -> Note:
    """Return the note taken apart, its signatures unverified, or raise NoteMalformed (rules N1.1 to N1.3)."""
    if len(data) > NOTE_BYTES_MAX:
        raise NoteMalformed("the note is too large", bytes=len(data), bytes_max=NOTE_BYTES_MAX)
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise NoteMalformed("the note is not UTF-8") from None
    cut = whole.rfind("\n\n")
    if cut < 0 or not whole.endswith("\n"):
        raise NoteMalformed("a note is text, an empty line and signature lines")
    text, lines = whole[: cut + 1], whole[cut + 2 :].split("\n")[:-1]
    _check_text(text)
    if not 1 <= len(lines) <= SIGNATURES_MAX:
        raise NoteMalformed("a note has 1 to 64 signatures", signatures=len(lines))
    return Note(text, tuple(_parse_signature(line) for line in lines))


def verify(data: bytes, verifiers: Sequence[Verifier]) -> Opened:
    """Return the text and the keys that signed it, or raise NoteMalformed, NoteSignatureInvalid (rule N1.4)."""
    return _open(parse_note(data), verifiers, NoteSignatureInvalid)


def with_signatures(data: bytes, signatures: Sequence[Signature]) -> bytes:
    """Return the note with further signature lines, each once, or raise NoteMalformed; verifies none of them."""
    note = parse_note(data)
    merged = tuple(dict.fromkeys((*note.signatures, *signatures)))
    if len(merged) > SIGNATURES_MAX:
        raise NoteMalformed("a note has 1 to 64 signatures", signatures=len(merged))
    return Note(note.text, merged).to_bytes()


def _parse_signature(line: str) -> Signature:
    if _CONTROL.search(line):
        raise NoteMalformed("a signature line holds a control character")
    name, space, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    data = base64text.decode(encoded)
    if not line.startswith(_SIGNATURE_PREFIX) or not space or not is_key_name(name):
        raise NoteMalformed("a signature line is a dash, a key's name and base64")
    if data is None or len(data) <= _KEY_ID_BYTES:
        raise NoteMalformed("a signature is the base64 of a key id and more")
    return Signature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteMalformed("a note's text ends with a newline and holds no other control character")


def _open(note: Note, verifiers: Sequence[Verifier], refusal: type[GotongError]) -> Opened:
    known = {(each.name, each.key_id): each for each in verifiers}
    signed_by: dict[Verifier, None] = {}
    for signature in note.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None:
            continue
        if not _is_signed(verifier, signature.data, note.text.encode()):
            raise refusal("the signature of a trusted key does not hold", name=signature.name)
        signed_by[verifier] = None
    if not signed_by:
        raise refusal("no trusted key signed the note")
    return Opened(note.text, tuple(signed_by))


def _is_signed(verifier: Verifier, signature: bytes, text: bytes) -> bool:
    if verifier.type is KeyType.COSIGNATURE_V1:
        at_s = int.from_bytes(signature[:_TIME_BYTES], "big")
        signature = signature[_TIME_BYTES:]
        if at_s > COSIGNATURE_TIME_S_MAX:
            return False
        text = _cosigned_text(text, at_s)
    if len(signature) != _SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(verifier.public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the three lines that get signed (tlog-checkpoint, "Note text")."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{base64text.encode(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return what a note's text states, or raise CheckpointMalformed (rules N2.1, N2.2); says nothing of signatures."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or _CONTROL.search(lines[0]):
        raise CheckpointMalformed("a checkpoint is exactly the lines origin, size and root")
    origin, size_text, root_text, _ = lines
    size = int(size_text) if len(size_text) <= 16 and _DECIMAL.fullmatch(size_text) else -1
    if not 0 <= size <= TREE_SIZE_MAX:
        raise CheckpointMalformed("the size is not a plain number of at most 2**53 - 1")
    root = base64text.decode(root_text)
    if root is None or len(root) != HASH_BYTES:
        raise CheckpointMalformed("the root is not the base64 of 32 bytes")
    if size == 0 and root != EMPTY_ROOT:
        raise CheckpointMalformed("the empty tree has the empty root")
    return Checkpoint(origin, size, root)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Return the signed checkpoint; raises CheckpointWrongOrigin unless the key is named by the origin (rule N2.3)."""
    if signer.name != checkpoint.origin:
        raise CheckpointWrongOrigin("a log's key is named by its origin", origin=checkpoint.origin, name=signer.name)
    text = checkpoint_text(checkpoint)
    parse_checkpoint(text)
    return sign(text, signer)


def verify_checkpoint(note: bytes, origin: str, public_keys: Sequence[bytes]) -> Checkpoint:
    """Return the checkpoint that one of the log's keys signed, or raise for the first rule it breaks.

    NoteMalformed, CheckpointMalformed, CheckpointWrongOrigin, CheckpointSignatureInvalid, in this order.
    `public_keys` are raw 32-byte Ed25519 keys; signatures by others (cosigners) are ignored.
    """
    return checkpoint_and_keys(note, origin, public_keys)[0]


def checkpoint_and_keys(note: bytes, origin: str, public_keys: Sequence[bytes]) -> tuple[Checkpoint, list[bytes]]:
    """Return the checkpoint and those of `public_keys` that signed it, or raise as `verify_checkpoint` does."""
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    if checkpoint.origin != origin:
        raise CheckpointWrongOrigin("the checkpoint is of another log", expected=origin, found=checkpoint.origin)
    opened = _open(parsed, [Verifier(origin, key) for key in public_keys], CheckpointSignatureInvalid)
    return checkpoint, [each.public for each in opened.signed_by]


# ---- cosignatures ---------------------------------------------------------------------------------------------------


def cosign(text: str, signer: Signer, at_s: int) -> Signature:
    """Return a cosignature over a checkpoint's text, made at POSIX second `at_s`; raises as `parse_checkpoint`."""
    parse_checkpoint(text)
    if not 0 <= at_s <= COSIGNATURE_TIME_S_MAX:
        raise CosignatureInvalid("a time is 0 to 2**63 - 1 seconds", at_s=at_s)
    key_id = Verifier(signer.name, signer.private.public_key().public_bytes_raw(), KeyType.COSIGNATURE_V1).key_id
    signature = signer.private.sign(_cosigned_text(text.encode(), at_s))
    return Signature(signer.name, key_id, at_s.to_bytes(_TIME_BYTES, "big") + signature)


def verify_cosignature(note: bytes, name: str, public: bytes) -> int:
    """Return the newest POSIX second at which that cosigner signed the checkpoint, or raise CosignatureInvalid (N3.1).

    The note and its text are checked too (NoteMalformed, CheckpointMalformed); whether the time is plausible is not.
    """
    parsed = parse_note(note)
    parse_checkpoint(parsed.text)
    verifier = Verifier(name, public, KeyType.COSIGNATURE_V1)
    _open(parsed, [verifier], CosignatureInvalid)
    times = [
        int.from_bytes(each.data[:_TIME_BYTES], "big")
        for each in parsed.signatures
        if (each.name, each.key_id) == (name, verifier.key_id)
    ]
    return max(times)


def _cosigned_text(text: bytes, at_s: int) -> bytes:
    return b"cosignature/v1\ntime %d\n%b" % (at_s, text)
