"""Keys and hashes as text have one spelling each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.encoding import multikey
from federation.encoding.multikey import (
    MultikeyInvalid,
    base58_decode,
    base58_encode,
    decode_multikey,
    encode_multikey,
    multihash_text,
    parse_did_key,
    parse_did_key_url,
)

KEY = "z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG"
OTHER = "z6MkkHK1RWHkK3Exv6VUuK6foNUKia5nRyfbRgupcxN9HhW8"
PRIME = 2**255 - 19


@given(st.binary(max_size=64))
def test_base58_round_trips(data: bytes) -> None:
    assert base58_decode(base58_encode(data)) == data


@given(st.text(alphabet=multikey._ALPHABET, max_size=60))
def test_base58_text_has_one_spelling(text: str) -> None:
    assert base58_encode(base58_decode(text)) == text


def test_base58_agrees_with_the_bitcoin_vectors() -> None:
    assert base58_encode(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    assert base58_decode("111233QC4") == bytes.fromhex("000000287fb4cd")


@pytest.mark.parametrize("text", ["0", "O", "I", "l", " ", "é", "1" * 129])
def test_other_text_is_not_base58(text: str) -> None:
    with pytest.raises(MultikeyInvalid):
        base58_decode(text)


@given(st.binary(min_size=32, max_size=32))
def test_a_public_key_round_trips_or_is_refused_as_weak(public_key: bytes) -> None:
    y = int.from_bytes(public_key, "little") % 2**255
    if y >= PRIME or y in multikey._SMALL_ORDER_Y:
        with pytest.raises(MultikeyInvalid):
            encode_multikey(public_key)
    else:
        assert decode_multikey(encode_multikey(public_key)) == public_key


def test_the_next_key_hash_is_over_the_text_of_the_key() -> None:
    """From the published pre-rotation logs: private key 2 as a Multikey, and what nextKeyHashes says of it."""
    key = "z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf"
    assert multihash_text(key.encode()) == "Qmf2V5jB2UwPcFL5bvmKed7VvY3CSQ1RXyDdtip7ufpQ3R"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "z",
        KEY[1:],
        KEY[:-1],
        KEY + "1",
        "z1" + KEY[1:],
        "u7QEJkK",
        "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",  # secp256k1
    ],
)
def test_what_is_not_an_ed25519_multikey_is_refused(text: str) -> None:
    with pytest.raises(MultikeyInvalid):
        decode_multikey(text)


def test_the_refused_keys_are_the_points_of_small_order() -> None:
    """Eight times each refused point is the neutral element: computed on the curve, not copied from a list."""
    for y in multikey._SMALL_ORDER_Y:
        point = (_x_of(y), y)
        for _ in range(3):
            point = _sum(point, point)
        assert point == (0, 1)


_D = -121665 * pow(121666, -1, PRIME) % PRIME


def _x_of(y: int) -> int:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    return x if (x * x - square) % PRIME == 0 else x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME


def _sum(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    product = _D * a[0] * b[0] * a[1] * b[1]
    return (
        (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, PRIME) % PRIME,
        (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, PRIME) % PRIME,
    )


def test_a_key_of_small_order_or_with_a_second_spelling_is_refused() -> None:
    for weak in (bytes(32), (1).to_bytes(32, "little"), (PRIME + 3).to_bytes(32, "little"), b"\xff" * 32):
        with pytest.raises(MultikeyInvalid):
            encode_multikey(weak)


def test_a_did_key_names_one_key() -> None:
    assert parse_did_key(f"did:key:{KEY}") == KEY
    assert parse_did_key_url(f"did:key:{KEY}#{KEY}") == KEY


@pytest.mark.parametrize(
    "text",
    [
        f"did:key:{KEY}",
        f"did:key:{KEY}#",
        f"did:key:{KEY}#{OTHER}",
        f"did:key:{KEY}#{KEY}#{KEY}",
        f"did:web:{KEY}#{KEY}",
        f"#{KEY}",
        f"{KEY}#{KEY}",
    ],
)
def test_a_did_key_url_that_could_mean_two_keys_is_refused(text: str) -> None:
    with pytest.raises(MultikeyInvalid):
        parse_did_key_url(text)
