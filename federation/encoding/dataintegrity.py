"""Sign and verify W3C Data Integrity proofs of cryptosuite eddsa-jcs-2022. No I/O, no clock.

Source: "Data Integrity EdDSA Cryptosuites v1.0", section 3.3. This module decides whether a signature covers a
document and its proof options; whose key it is and whether that key may speak is the caller's question.

Rule, with its error:
- K2.1 a proof is a DataIntegrityProof of cryptosuite eddsa-jcs-2022 and the purpose asked for, its proofValue the
  multibase of 64 bytes, and the signature holds over SHA-256(options) || SHA-256(document): PROOF_INVALID.
"""

import hashlib
from collections.abc import Mapping
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.errors import GotongError
from federation.encoding.canonical import JSON, NotCanonical, encode_any
from federation.encoding.multikey import MultikeyInvalid, multibase_decode, multibase_encode

PROOF_TYPE = "DataIntegrityProof"
CRYPTOSUITE = "eddsa-jcs-2022"
SIGNATURE_BYTES = 64


class ProofInvalid(GotongError):
    """A Data Integrity proof is malformed, of another cryptosuite or purpose, or its signature does not match."""

    code: ClassVar[str] = "PROOF_INVALID"


def sign(
    document: Mapping[str, JSON],
    private_key: bytes,
    *,
    verification_method: str,
    created: str,
    purpose: str = "assertionMethod",
) -> dict[str, JSON]:
    """Return the proof of `document` (which holds no `proof` yet) by a 32-byte Ed25519 private key (section 3.3.1).

    `created` is an XML Schema dateTime. Raises ValueNotAllowed when the document has no canonical form.
    """
    options: dict[str, JSON] = {
        "type": PROOF_TYPE,
        "cryptosuite": CRYPTOSUITE,
        "verificationMethod": verification_method,
        "created": created,
        "proofPurpose": purpose,
    }
    if "@context" in document:
        options["@context"] = document["@context"]
    signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(hash_data(document, options))
    return {**options, "proofValue": multibase_encode(signature)}


def verify(
    document: Mapping[str, JSON], proof: Mapping[str, JSON], public_key: bytes, *, purpose: str = "assertionMethod"
) -> None:
    """Raise ProofInvalid unless `proof` is a valid signature over `document` by `public_key` (section 3.3.2).

    `document` is the secured document without its `proof`.
    """
    expected = {"type": PROOF_TYPE, "cryptosuite": CRYPTOSUITE, "proofPurpose": purpose}
    for member, value in expected.items():
        if proof.get(member) != value:
            raise ProofInvalid(f"{member} must be {value}")
    if "@context" in proof:
        document = _with_context(document, proof["@context"])
    options = {member: value for member, value in proof.items() if member != "proofValue"}
    try:
        digest = hash_data(document, options)
        Ed25519PublicKey.from_public_bytes(public_key).verify(_signature(proof), digest)
    except (InvalidSignature, ValueError):
        raise ProofInvalid("the signature does not match the document and its proof options") from None
    except NotCanonical as error:
        raise ProofInvalid(f"the document cannot have been signed: {error.message}") from None


def hash_data(document: Mapping[str, JSON], options: Mapping[str, JSON]) -> bytes:
    """Return the 64 bytes that get signed: SHA-256 of the options, then of the document (sections 3.3.4 and 3.3.5)."""
    return _sha256(encode_any(dict(options))) + _sha256(encode_any(dict(document)))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _signature(proof: Mapping[str, JSON]) -> bytes:
    value = proof.get("proofValue")
    if not isinstance(value, str):
        raise ProofInvalid("proofValue must be text")
    try:
        signature = multibase_decode(value)
    except MultikeyInvalid as error:
        raise ProofInvalid(f"proofValue: {error.message}") from None
    if len(signature) != SIGNATURE_BYTES:
        raise ProofInvalid("a signature has 64 bytes", bytes=len(signature))
    return signature


def _with_context(document: Mapping[str, JSON], context: JSON) -> Mapping[str, JSON]:
    """The signed context may be a prefix of the document's: others may have appended to it since (section 3.3.2)."""
    signed = context if isinstance(context, list) else [context]
    if "@context" not in document:
        raise ProofInvalid("the document has no context that could have been signed")
    present = document["@context"]
    held = present if isinstance(present, list) else [present]
    if held[: len(signed)] != signed:
        raise ProofInvalid("the document does not start with the context that was signed")
    return {**document, "@context": context}
