"""Keys and hashes as text: base58btc, multihash, Multikey and did:key. No I/O.

Only Ed25519 keys and SHA-256 hashes exist here, and each has exactly one spelling: whatever would decode but not
encode back to the same text is refused, and so are the few public keys for which anyone can sign.

Rules, with the error that answers each:
- K1.1 a key is a Multikey: `z` and the base58btc of 0xed 0x01 and 32 bytes; another spelling or algorithm is refused:
  MULTIKEY_INVALID.
- K1.2 the 32 bytes encode a y below 2^255 - 19 that no point of small order has: MULTIKEY_INVALID. Whether a point has
  it shows when a signature is to hold.
- K1.3 in `did:key:<key>#<key>` both keys are the same: MULTIKEY_INVALID.
"""

import hashlib
from typing import ClassVar

from domain.errors import GotongError

BASE58_CHARS_MAX = 128
ED25519_PUBLIC_KEY_BYTES = 32

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {char: digit for digit, char in enumerate(_ALPHABET)}
_SHA2_256 = b"\x12\x20"  # multihash: algorithm 0x12, 32 bytes
_ED25519_PUB = b"\xed\x01"  # multicodec 0xed as a varint
_DID_KEY = "did:key:"

_FIELD_PRIME = 2**255 - 19
_SIGN_BIT_MASK = 2**255 - 1
# The y coordinates of the eight points of small order on edwards25519 (RFC 8032, section 5.1): with such a key a
# signature over one message is a signature over any message.
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y})


class MultikeyInvalid(GotongError):
    """A key, a hash or a did:key is misspelt, of another algorithm, or too weak to prove anything."""

    code: ClassVar[str] = "MULTIKEY_INVALID"


def base58_encode(data: bytes) -> str:
    """Return base58btc text; leading zero bytes become leading `1`s."""
    number = int.from_bytes(data)
    chars: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        chars.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(chars))


def base58_decode(text: str) -> bytes:
    """Return the bytes of base58btc text; raise MultikeyInvalid for other characters or too many of them."""
    if len(text) > BASE58_CHARS_MAX:
        raise MultikeyInvalid("too long for base58", chars=len(text), chars_max=BASE58_CHARS_MAX)
    number = 0
    for char in text:
        digit = _DIGITS.get(char)
        if digit is None:
            raise MultikeyInvalid("not base58btc", character=char)
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8)


def multihash_text(data: bytes) -> str:
    """Return base58btc(multihash(SHA-256(data))): the form of SCIDs, entry hashes and next-key hashes (`Qm...`)."""
    return base58_encode(_SHA2_256 + hashlib.sha256(data).digest())


def is_multihash_text(text: str) -> bool:
    """Return whether `text` spells a SHA-256 multihash."""
    try:
        raw = base58_decode(text)
    except MultikeyInvalid:
        return False
    return len(raw) == 34 and raw.startswith(_SHA2_256)


def multibase_encode(data: bytes) -> str:
    """Return `z` + base58btc: the multibase form of keys and proof values."""
    return "z" + base58_encode(data)


def multibase_decode(text: str) -> bytes:
    """Return the bytes of `z`-multibase text; raise MultikeyInvalid for other bases."""
    if not text.startswith("z"):
        raise MultikeyInvalid("not base58btc multibase: it starts with z")
    return base58_decode(text[1:])


def encode_multikey(public_key: bytes) -> str:
    """Return the Multikey text (`z6Mk...`) of a 32-byte Ed25519 public key; raise MultikeyInvalid for a weak one."""
    _require_strong(public_key)
    return multibase_encode(_ED25519_PUB + public_key)


def decode_multikey(text: str) -> bytes:
    """Return the 32-byte Ed25519 public key of a Multikey; raise MultikeyInvalid for anything else."""
    raw = multibase_decode(text)
    if not raw.startswith(_ED25519_PUB):
        raise MultikeyInvalid("not an Ed25519 public key")
    public_key = raw.removeprefix(_ED25519_PUB)
    _require_strong(public_key)
    return public_key


def did_key(public_key: bytes) -> str:
    """Return the did:key of an Ed25519 public key."""
    return _DID_KEY + encode_multikey(public_key)


def did_key_url(public_key: bytes) -> str:
    """Return the DID URL of a did:key's only verification method, `did:key:<key>#<key>`."""
    multikey = encode_multikey(public_key)
    return f"{_DID_KEY}{multikey}#{multikey}"


def parse_did_key(text: str) -> str:
    """Return the Multikey of a bare `did:key:<key>`; raise MultikeyInvalid otherwise."""
    multikey = text.removeprefix(_DID_KEY)
    if multikey == text:
        raise MultikeyInvalid("not a did:key")
    decode_multikey(multikey)
    return multikey


def parse_did_key_url(text: str) -> str:
    """Return the Multikey of `did:key:<key>#<key>`; raise MultikeyInvalid when the two differ.

    Whoever reads the key from one place and checks permission on the other can be given an attacker's key.
    """
    did, hash_sign, fragment = text.partition("#")
    multikey = parse_did_key(did)
    if not hash_sign or fragment != multikey:
        raise MultikeyInvalid("the fragment of a did:key names the same key as its body")
    return multikey


def _require_strong(public_key: bytes) -> None:
    if len(public_key) != ED25519_PUBLIC_KEY_BYTES:
        raise MultikeyInvalid("an Ed25519 public key has 32 bytes", bytes=len(public_key))
    y = int.from_bytes(public_key, "little") & _SIGN_BIT_MASK
    if y >= _FIELD_PRIME:
        raise MultikeyInvalid("not the one encoding of a point")
    if y in _SMALL_ORDER_Y:
        raise MultikeyInvalid("a key of small order signs everything")
