"""Decide whether enough witnesses approved the entries of a did:webvh log. No I/O.

Source: did:webvh 1.0, "Witness Threshold Algorithm" and "Verifying Witness Proofs During Resolution". A proof for an
entry approves all earlier ones. Proofs that do not verify, are by strangers or speak of entries that are not in the
log count for nothing; they are no error, since anyone who relays the file could have added them.
"""

from collections.abc import Mapping, Sequence

from federation.did.errors import DidLogTooLarge, DidWitnessFileMalformed, DidWitnessProofsMissing
from federation.did.parameters import WitnessRule
from federation.encoding.canonical import JSON, NotCanonical, decode_any
from federation.encoding.dataintegrity import ProofInvalid, verify
from federation.encoding.multikey import MultikeyInvalid, decode_multikey, parse_did_key_url

WITNESS_FILE_BYTES_MAX = 1 << 20
WITNESS_PROOFS_MAX = 1024

_Approval = tuple[int, str, Mapping[str, JSON]]  # version number, version id, proof


def require_witnessed(
    witness_file: bytes | None, requirements: Sequence[tuple[int, WitnessRule]], numbers: Mapping[str, int]
) -> None:
    """Raise DidWitnessProofsMissing unless each version number in `requirements` was approved as its rule asks.

    `numbers` maps every version id of the log to its number. Newest proofs are verified first, and each witness only
    until one of its proofs holds, so a padded file costs little.
    """
    if not requirements:
        return
    if witness_file is None:
        raise DidWitnessProofsMissing("the log names witnesses; their proofs are needed too")
    approved_up_to: dict[str, int] = {}
    listed = {witness for _, rule in requirements for witness in rule.witnesses}
    for number, version_id, proof in sorted(_approvals(witness_file, numbers), key=lambda approval: -approval[0]):
        witness = _witness_of(proof)
        if witness in listed and witness not in approved_up_to and _holds(version_id, proof, witness):
            approved_up_to[witness] = number
    for number, rule in requirements:
        approvals = sum(approved_up_to.get(witness, 0) >= number for witness in rule.witnesses)
        if approvals < rule.threshold:
            raise DidWitnessProofsMissing(
                "too few witnesses approved a version", version=number, approvals=approvals, threshold=rule.threshold
            )


def _approvals(witness_file: bytes, numbers: Mapping[str, int]) -> list[_Approval]:
    if len(witness_file) > WITNESS_FILE_BYTES_MAX:
        raise DidLogTooLarge("the witness file is too large", bytes_max=WITNESS_FILE_BYTES_MAX)
    try:
        records = decode_any(witness_file)
    except NotCanonical as error:
        raise DidWitnessFileMalformed(f"the witness proofs are not readable: {error.message}") from None
    if not isinstance(records, list):
        raise DidWitnessFileMalformed("the witness proofs are a list")
    found: list[_Approval] = []
    for record in records:
        version_id, proofs = _record(record)
        if version_id in numbers:
            found += [(numbers[version_id], version_id, proof) for proof in proofs]
    if len(found) > WITNESS_PROOFS_MAX:
        raise DidLogTooLarge("too many witness proofs", count_max=WITNESS_PROOFS_MAX)
    return found


def _record(record: JSON) -> tuple[str, list[Mapping[str, JSON]]]:
    if isinstance(record, dict) and isinstance(record.get("versionId"), str):
        proofs = record.get("proof", [])
        if isinstance(proofs, list) and all(isinstance(proof, dict) for proof in proofs):
            return str(record["versionId"]), [proof for proof in proofs if isinstance(proof, dict)]
    raise DidWitnessFileMalformed("each record holds a versionId and a list of proofs")


def _witness_of(proof: Mapping[str, JSON]) -> str | None:
    try:
        return parse_did_key_url(str(proof.get("verificationMethod")))
    except MultikeyInvalid:
        return None


def _holds(version_id: str, proof: Mapping[str, JSON], witness: str) -> bool:
    try:
        verify({"versionId": version_id}, proof, decode_multikey(witness))
    except ProofInvalid:
        return False
    return True
