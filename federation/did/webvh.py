"""Decide whether a did:webvh 1.0 log is valid, and what it says. No I/O, no clock.

Every line is verified in full: hash chain, SCID, time, keys, pre-rotation, proof, portability, witnesses. The verifier
accepts logs of other implementations in any JSON layout; what Gotong asks beyond the standard is decided in
`federation.log.service`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from federation.did import parameters as did_parameters
from federation.did.errors import (
    DidDeactivated,
    DidEntryHashMismatch,
    DidEntryMalformed,
    DidError,
    DidKeyNotAuthorized,
    DidLogTooLarge,
    DidMoveNotStated,
    DidParametersInvalid,
    DidPortabilityRefused,
    DidProofInvalid,
    DidScidMismatch,
    DidSyntaxInvalid,
    DidTimeInFuture,
    DidTimeNotMonotonic,
    DidVersionOutOfOrder,
)
from federation.did.parameters import Parameters, WitnessRule
from federation.did.state import DidState, Version
from federation.did.syntax import parse
from federation.did.witness import require_witnessed
from federation.encoding.canonical import JSON, NotCanonical, decode_any, encode_any
from federation.encoding.dataintegrity import ProofInvalid
from federation.encoding.dataintegrity import verify as verify_proof
from federation.encoding.multikey import MultikeyInvalid, decode_multikey, multihash_text, parse_did_key_url

__all__ = ["DidError", "DidState", "Version", "extend", "split_lines", "verify"]

LINE_BYTES_MAX = 1 << 16
VERSIONS_MAX = 4096
LOG_BYTES_MAX = 4 << 20
"""Of all lines together in their canonical form: another layout, which anybody can give them, takes no room. Evidence
about an identity, in which they stand as texts, always has room for them."""
PROOFS_PER_ENTRY_MAX = 16
AHEAD_S_MAX = 300
"""How far a version time may lie ahead of the verifier's clock (did:webvh 1.0, "Read": at most five minutes)."""
PLACEHOLDER = "{SCID}"

_MEMBERS = frozenset({"versionId", "versionTime", "parameters", "state", "proof"})
_VERSION_ID = re.compile(r"(?P<number>[1-9][0-9]{0,8})-(?P<hash>[1-9A-HJ-NP-Za-km-z]{46})")
_VERSION_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)(?:Z|\+00:00)")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line whose shape is right; nothing in it has been verified."""

    number: int
    version_id: str
    entry_hash: str
    version_time: datetime
    parameters: dict[str, JSON]
    document: dict[str, JSON]
    proofs: list[dict[str, JSON]]
    unsigned: dict[str, JSON]
    canonical_bytes: int


def split_lines(data: bytes) -> tuple[bytes, ...]:
    """Return the lines of a `did.jsonl` file, each without its newline; the last one may lack it."""
    return tuple(data.removesuffix(b"\n").split(b"\n")) if data else ()


def verify(lines: Sequence[bytes], *, now: datetime, witness: bytes | None = None, scid: str | None = None) -> DidState:
    """Return the state of a whole log, or raise the DidError of the first rule it breaks.

    `now` is an aware datetime, `witness` the bytes of `did-witness.json`, `scid` the id the caller asked for.
    """
    if not lines:
        raise DidEntryMalformed("a log has at least one line")
    state = _grown((), lines, now, witness)
    if scid is not None and state.scid != scid:
        raise DidScidMismatch("this is the log of another DID", asked=scid, got=state.scid)
    return state


def extend(state: DidState, new_lines: Sequence[bytes], *, now: datetime, witness: bytes | None = None) -> DidState:
    """Return the state after `new_lines`, verifying only these, or raise the DidError of the first rule they break.

    That the first lines of a fetched file are the ones already verified is for the caller to check (by version id). A
    `witness` file takes the place of the one that came before, so it has to approve all of the log.
    """
    return _grown(state.versions, new_lines, now, witness)


def canonical_line(line: bytes) -> bytes:
    """Return the one form in which a verified line is kept and handed on, whatever layout somebody gave it."""
    return encode_any(decode_any(line))


def version_id_of(line: bytes) -> str:
    """Return the version id a line claims, verifying nothing else; raise DidEntryMalformed when it has none."""
    return _read(line).version_id


def version_hash(version_id: str) -> str:
    """Return the hash in a version id: what follows its number."""
    return version_id.partition("-")[2]


def entry_hash(entry: Mapping[str, JSON], predecessor: str) -> str:
    """Return the hash that goes into an entry's version id ("Entry Hash Generation"); `entry` has no proof."""
    return multihash_text(encode_any({**entry, "versionId": predecessor}))


def scid_of(first_entry: Mapping[str, JSON], scid: str) -> str:
    """Return the SCID that a first entry without proof should have ("Verify SCID"), where it now says `scid`.

    Raises DidScidMismatch when the placeholder itself stands in the entry: two entries would then share a SCID.
    """
    text = encode_any({**first_entry, "versionId": ""}).decode()
    if PLACEHOLDER in text:
        raise DidScidMismatch("a published first entry holds no placeholder")
    preliminary = decode_any(text.replace(scid, PLACEHOLDER).encode())
    return multihash_text(encode_any({**cast("dict[str, JSON]", preliminary), "versionId": PLACEHOLDER}))


def _grown(versions: tuple[Version, ...], lines: Sequence[bytes], now: datetime, witness: bytes | None) -> DidState:
    if len(versions) + len(lines) > VERSIONS_MAX:
        raise DidLogTooLarge("too many versions", count_max=VERSIONS_MAX)
    grown = list(versions)
    left_bytes = LOG_BYTES_MAX - sum(version.canonical_bytes for version in versions)
    for line in lines:
        entry = _read(line)
        left_bytes -= entry.canonical_bytes
        if left_bytes < 0:
            raise DidLogTooLarge("the lines are too long together", version=entry.number, bytes_max=LOG_BYTES_MAX)
        grown.append(_verified(grown[-1] if grown else None, entry, now))
    judged_from = len(versions) if witness is None else 0
    rules = [(number, rule) for number, rule in _witness_rules(grown) if number > judged_from]
    require_witnessed(witness, rules, {version.version_id: version.number for version in grown})
    return DidState(tuple(grown))


def _witness_rules(versions: Sequence[Version]) -> Iterator[tuple[int, WitnessRule]]:
    """Yield by which rule each version that needs witnesses is judged, by its number."""
    previous: Parameters | None = None
    for version in versions:
        rule = did_parameters.witness_rule(previous, version.parameters)
        if rule is not None:
            yield version.number, rule
        previous = version.parameters


def _verified(previous: Version | None, entry: _Entry, now: datetime) -> Version:
    if previous is not None and previous.parameters.deactivated:
        raise DidDeactivated("no entry follows deactivation", version=entry.number)
    expected = previous.number + 1 if previous else 1
    if entry.number != expected:
        raise DidVersionOutOfOrder("version numbers rise by one", expected=expected, got=entry.number)
    parameters = (
        did_parameters.first(entry.parameters)
        if previous is None
        else did_parameters.following(previous.parameters, entry.parameters)
    )
    _require_hashes(previous, entry, parameters)
    _require_time(previous, entry, now)
    did = _require_did(previous, entry, parameters)
    _require_proofs(entry, did_parameters.signing_keys(previous.parameters if previous else None, parameters))
    document_json = encode_any(entry.document)
    return Version(
        entry.number, entry.version_id, entry.version_time, did, parameters, document_json, entry.canonical_bytes
    )


def _require_hashes(previous: Version | None, entry: _Entry, parameters: Parameters) -> None:
    try:
        if previous is None and scid_of(entry.unsigned, parameters.scid) != parameters.scid:
            raise DidScidMismatch("the SCID is not the hash of the first entry", scid=parameters.scid)
        predecessor = previous.version_id if previous else parameters.scid
        if entry_hash(entry.unsigned, predecessor) != entry.entry_hash:
            raise DidEntryHashMismatch("the entry hash does not match the entry", version=entry.number)
    except NotCanonical as error:
        raise DidEntryMalformed(f"the entry has no canonical form: {error.message}") from None


def _require_time(previous: Version | None, entry: _Entry, now: datetime) -> None:
    if previous is not None and entry.version_time <= previous.version_time:
        raise DidTimeNotMonotonic("each version is later than the one before", version=entry.number)
    if entry.version_time > now + timedelta(seconds=AHEAD_S_MAX):
        ahead_s = int((entry.version_time - now).total_seconds())
        raise DidTimeInFuture("the version lies in the future", version=entry.number, ahead_s=ahead_s)


def _require_did(previous: Version | None, entry: _Entry, parameters: Parameters) -> str:
    did = entry.document.get("id")
    if not isinstance(did, str):
        raise DidSyntaxInvalid("the document has no id")
    if parse(did).scid != parameters.scid:
        raise DidScidMismatch("the document's id carries another SCID", version=entry.number)
    if previous is not None and did != previous.did:
        if not previous.parameters.portable:
            raise DidPortabilityRefused("the DID moved without being portable", version=entry.number)
        known_as = entry.document.get("alsoKnownAs")
        if not isinstance(known_as, list) or previous.did not in known_as:
            raise DidMoveNotStated("a moved DID names its previous DID in alsoKnownAs", version=entry.number)
    return did


def _require_proofs(entry: _Entry, allowed: tuple[str, ...]) -> None:
    for proof in entry.proofs:
        try:
            signer = parse_did_key_url(str(proof.get("verificationMethod")))
        except MultikeyInvalid as error:
            raise DidProofInvalid(f"verificationMethod: {error.message}", version=entry.number) from None
        if signer not in allowed:
            raise DidKeyNotAuthorized("this key may not sign this entry", version=entry.number, key=signer)
        try:
            verify_proof(entry.unsigned, proof, decode_multikey(signer))
        except ProofInvalid as error:
            raise DidProofInvalid(error.message, version=entry.number) from None


def _read(line: bytes) -> _Entry:
    if len(line) > LINE_BYTES_MAX:
        raise DidLogTooLarge("a line is too long", bytes=len(line), bytes_max=LINE_BYTES_MAX)
    try:
        raw = decode_any(line)
        canonical_bytes = len(encode_any(raw))
    except NotCanonical as error:
        raise DidEntryMalformed(f"a line is not readable: {error.message}") from None
    if not isinstance(raw, dict) or set(raw) != _MEMBERS:
        raise DidEntryMalformed("an entry has versionId, versionTime, parameters, state and proof, and nothing else")
    version_id, parameters, document = raw["versionId"], raw["parameters"], raw["state"]
    match = _VERSION_ID.fullmatch(version_id) if isinstance(version_id, str) else None
    if match is None:
        raise DidEntryMalformed("versionId is a number, a dash and a SHA-256 multihash")
    if not isinstance(parameters, dict):
        raise DidParametersInvalid("parameters must be an object")
    if not isinstance(document, dict):
        raise DidEntryMalformed("state must be a DID document")
    return _Entry(
        number=int(match["number"]),
        version_id=match[0],
        entry_hash=match["hash"],
        version_time=_version_time(raw["versionTime"]),
        parameters=parameters,
        document=document,
        proofs=_proofs(raw["proof"]),
        unsigned={member: value for member, value in raw.items() if member != "proof"},
        canonical_bytes=canonical_bytes,
    )


def _version_time(value: JSON) -> datetime:
    match = _VERSION_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise DidEntryMalformed("versionTime is an ISO 8601 date and time in UTC, with Z or +00:00")
    try:
        return datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
    except ValueError:
        raise DidEntryMalformed("versionTime is not a date") from None


def _proofs(value: JSON) -> list[dict[str, JSON]]:
    if not isinstance(value, list) or not 1 <= len(value) <= PROOFS_PER_ENTRY_MAX:
        raise DidProofInvalid("an entry has a list of proofs", count_max=PROOFS_PER_ENTRY_MAX)
    if not all(isinstance(proof, dict) for proof in value):
        raise DidProofInvalid("a proof is an object")
    if len({encode_any(proof) for proof in value}) != len(value):
        raise DidProofInvalid("each proof stands once")
    return cast("list[dict[str, JSON]]", value)
