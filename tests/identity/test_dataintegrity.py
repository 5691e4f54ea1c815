"""Data Integrity proofs against the W3C's vectors, with every intermediate value."""

import json
from pathlib import Path
from typing import Any

import pytest

from federation.encoding.canonical import encode_any
from federation.encoding.dataintegrity import ProofInvalid, hash_data, sign, verify
from federation.encoding.multikey import decode_multikey, multibase_decode
from federation.identity.create import public_key

HERE = Path(__file__).parents[1] / "vectors" / "eddsa-jcs-2022" / "TestVectors" / "eddsa-jcs-2022"
PUBLIC_KEY = decode_multikey("z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2")
# "z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq" in the specification, whose multicodec prefix is two bytes.
PRIVATE_KEY = multibase_decode("z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq")[2:]


def _read(name: str) -> str:
    return (HERE / name).read_text().strip()


def _signed() -> tuple[dict[str, Any], dict[str, Any]]:
    document = json.loads(_read("signedJCS.json"))
    return document, document.pop("proof")


def test_every_intermediate_value_is_the_published_one() -> None:
    document, proof = _signed()
    options = json.loads(_read("proofConfigJCS.json"))
    assert options == {name: value for name, value in proof.items() if name != "proofValue"}
    assert encode_any(document).decode() == _read("canonDocJCS.txt")
    assert encode_any(options).decode() == _read("proofCanonJCS.txt")
    combined = hash_data(document, options).hex()
    assert combined == _read("proofHashJCS.txt") + _read("docHashJCS.txt") == _read("combinedHashJCS.txt")
    assert proof["proofValue"] == _read("sigBTC58JCS.txt")
    assert multibase_decode(proof["proofValue"]).hex() == _read("sigHexJCS.txt")


def test_the_published_signature_verifies() -> None:
    document, proof = _signed()
    verify(document, proof, PUBLIC_KEY)


def test_signing_the_published_document_gives_the_published_proof() -> None:
    document, proof = _signed()
    assert public_key(PRIVATE_KEY) == PUBLIC_KEY
    made = sign(document, PRIVATE_KEY, verification_method=proof["verificationMethod"], created=proof["created"])
    assert made == proof


def test_a_document_that_grew_a_context_still_verifies() -> None:
    document, proof = _signed()
    document["@context"].append("https://example.com/later")
    verify(document, proof, PUBLIC_KEY)


CHANGES: dict[str, tuple[str, Any]] = {
    "other type": ("type", "Ed25519Signature2020"),
    "other cryptosuite": ("cryptosuite", "eddsa-rdfc-2022"),
    "other purpose": ("proofPurpose", "authentication"),
    "other time": ("created", "2023-02-24T23:36:39Z"),
    "other method": ("verificationMethod", "did:key:z6Mk"),
    "other context": ("@context", ["https://www.w3.org/ns/credentials/v1"]),
    "signature not text": ("proofValue", 1),
    "signature of another base": ("proofValue", "f00"),
    "signature too short": ("proofValue", "z11"),
    "float too large": ("extra", 2**60),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_proof_is_refused(name: str) -> None:
    document, proof = _signed()
    member, value = CHANGES[name]
    with pytest.raises(ProofInvalid):
        verify(document, {**proof, member: value}, PUBLIC_KEY)


def test_a_changed_document_or_another_key_is_refused() -> None:
    document, proof = _signed()
    with pytest.raises(ProofInvalid):
        verify({**document, "name": "Alumni"}, proof, PUBLIC_KEY)
    with pytest.raises(ProofInvalid):
        verify(document, proof, public_key(bytes(32)))


def test_a_signature_is_not_carried_over_to_another_context() -> None:
    """The context gives a document's words their meaning; the proof brings its own, which must be the document's."""
    document, proof = _signed()
    with pytest.raises(ProofInvalid):
        verify({**document, "@context": ["https://example.com/other"]}, proof, PUBLIC_KEY)
    with pytest.raises(ProofInvalid):
        verify({name: value for name, value in document.items() if name != "@context"}, proof, PUBLIC_KEY)
