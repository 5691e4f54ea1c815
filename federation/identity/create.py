"""Write did:webvh log entries for Gotong participants: create, update, move, deactivate. Pure.

Private keys and time are arguments. Every entry commits to the next update key, and every line is put through the
verifier and Gotong's own rules before it is returned: what this module writes, every node accepts, or it raises.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.did.errors import DidKeyNotAuthorized, DidTimeNotMonotonic
from federation.did.parameters import METHOD
from federation.did.state import DidState
from federation.did.syntax import compose
from federation.did.webvh import PLACEHOLDER, entry_hash, extend, verify
from federation.encoding import dataintegrity
from federation.encoding.canonical import JSON, decode, encode
from federation.encoding.multikey import did_key_url, encode_multikey, multihash_text
from federation.log.entry import Network
from federation.log.service import (
    SERVICE_FRAGMENT,
    SERVICE_TYPE,
    DocumentKey,
    LogKey,
    LogService,
    StatedHead,
    cosign_keys,
    log_service,
    request_keys,
    require_gotong,
)

CONTEXTS: Final = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1")
VERSION_STEP_S = 1
"""Version times are whole seconds, as all implementations write them; the next version is at least this much later."""
RUSH_S_MAX = 60
"""How far updates in quick succession may run ahead of the clock; verifiers tolerate five times as much."""


class Created(NamedTuple):
    """A new DID and the only line of its log, without a newline."""

    did: str
    scid: str
    line: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a DID lives: `did:webvh:<SCID>:<host>[%3A<port>]:o:<slug>`."""

    host: str
    port: int | None
    slug: str


def public_key(private_key: bytes) -> bytes:
    """Return the 32-byte Ed25519 public key of a 32-byte private key; raise ValueError for another length."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def create(
    place: Place,
    *,
    base_url: str,
    network: Network,
    log_public_key: bytes,
    update_key: bytes,
    next_public_key: bytes,
    now: datetime,
    request_public_key: bytes | None = None,
    cosign_public_key: bytes | None = None,
) -> Created:
    """Return a new participant's DID and the first line of its log, or raise the DidError of what is wrong with it.

    `update_key` is the private update key that signs, `next_public_key` the public one that the next entry will use.
    A node's operator also states a request and a cosigner key. Keys are 32 bytes, `now` is aware.
    """
    service = LogService(base_url, network, 0, (LogKey("#log-0-0", log_public_key),))
    document = did_document(
        compose(PLACEHOLDER, place.host, place.port, place.slug),
        service,
        request=() if request_public_key is None else (DocumentKey("#request-0", request_public_key),),
        cosign=() if cosign_public_key is None else (DocumentKey("#cosign-0", cosign_public_key),),
    )
    parameters: dict[str, JSON] = {"method": METHOD, "scid": PLACEHOLDER, "portable": True}
    entry = _entry(_whole_second(now), {**parameters, **_keys(update_key, next_public_key)}, document)
    scid = _preliminary_scid(entry)
    entry = _with_scid(entry, scid)
    line = _signed({**entry, "versionId": f"1-{entry_hash(entry, scid)}"}, update_key)
    state = verify([line], now=now, scid=scid)
    require_gotong(state)
    return Created(state.did, scid, line)


def update(
    state: DidState,
    *,
    update_key: bytes,
    next_public_key: bytes,
    now: datetime,
    service: LogService | None = None,
    request: Sequence[DocumentKey] | None = None,
    cosign: Sequence[DocumentKey] | None = None,
    place: Place | None = None,
) -> bytes:
    """Return the next line (no newline) of a participant's log, or raise the DidError of what is wrong with it.

    What is left out stays as it is. `update_key` is the private key that the newest entry committed to. A new `place`
    moves the DID; the old ones stay in alsoKnownAs. Logs that name did:webvh witnesses are not continued here.
    """
    did = state.did
    if place is not None:
        did = compose(state.scid, place.host, place.port, place.slug)
    document = did_document(
        did,
        log_service(state) if service is None else service,
        request=request_keys(state) if request is None else request,
        cosign=cosign_keys(state) if cosign is None else cosign,
        also_known_as=_also_known_as(state, did),
    )
    return _next_line(state, _keys(update_key, next_public_key), document, update_key, now)


def deactivate(state: DidState, *, update_key: bytes, now: datetime, service: LogService) -> bytes:
    """Return the line (no newline) that ends a participant's log for good, or raise DidError.

    `service` states where each log key was retired. The last document stays readable, so that what was signed before
    can still be checked.
    """
    parameters: dict[str, JSON] = {
        "updateKeys": [encode_multikey(public_key(update_key))],
        "nextKeyHashes": [],
        "deactivated": True,
    }
    document = did_document(state.did, service, also_known_as=_also_known_as(state, state.did))
    return _next_line(state, parameters, document, update_key, now)


def next_key_hash(next_public_key: bytes) -> str:
    """Return what an entry's `nextKeyHashes` states about a public key ("Pre-Rotation Key Hash Generation")."""
    return multihash_text(encode_multikey(next_public_key).encode())


def did_document(
    did: str,
    service: LogService,
    *,
    request: Sequence[DocumentKey] = (),
    cosign: Sequence[DocumentKey] = (),
    also_known_as: Sequence[str] = (),
) -> dict[str, JSON]:
    """Return the DID document that states these keys and this log; key ids and references are absolute."""
    signing = [(key.id, key.public_key) for key in service.keys] + [(key.id, key.public_key) for key in cosign]
    requesting = [(key.id, key.public_key) for key in request]
    document: dict[str, JSON] = {
        "@context": list(CONTEXTS),
        "id": did,
        "verificationMethod": [
            {
                "id": did + key_id,
                "type": "Multikey",
                "controller": did,
                "publicKeyMultibase": encode_multikey(key),
            }
            for key_id, key in (*signing, *requesting)
        ],
        "assertionMethod": [did + key_id for key_id, _ in signing],
        "service": [_service_json(did, service)],
    }
    if requesting:
        document["authentication"] = [did + key_id for key_id, _ in requesting]
    if also_known_as:
        document["alsoKnownAs"] = list(also_known_as)
    return document


def _service_json(did: str, service: LogService) -> dict[str, JSON]:
    stated: dict[str, JSON] = {
        "id": did + SERVICE_FRAGMENT,
        "type": SERVICE_TYPE,
        "serviceEndpoint": service.base_url,
        "network": service.network,
        "epoch": service.epoch,
        "keys": [
            {"id": key.id} if key.retired is None else {"id": key.id, "retired": _head_json(key.retired)}
            for key in service.keys
        ],
    }
    if service.from_ is not None:
        start = service.from_
        stated["from"] = {"size": start.size, "root": start.root.hex(), "genesis": start.genesis.hex()}
    return stated


def _head_json(head: StatedHead) -> dict[str, JSON]:
    return {"size": head.size, "root": head.root.hex()}


def _keys(update_key: bytes, next_public_key: bytes) -> dict[str, JSON]:
    return {
        "updateKeys": [encode_multikey(public_key(update_key))],
        "nextKeyHashes": [next_key_hash(next_public_key)],
    }


def _also_known_as(state: DidState, did: str) -> list[str]:
    known = [version.did for version in state.versions if version.did != did]
    return list(dict.fromkeys(known))


def _next_line(
    state: DidState, parameters: dict[str, JSON], document: dict[str, JSON], update_key: bytes, now: datetime
) -> bytes:
    key_hash = next_key_hash(public_key(update_key))
    if key_hash not in state.next_key_hashes:
        raise DidKeyNotAuthorized("the newest entry committed to another update key", version=state.version_count)
    moment = max(_whole_second(now), state.version_time + timedelta(seconds=VERSION_STEP_S))
    if moment > now + timedelta(seconds=RUSH_S_MAX):
        raise DidTimeNotMonotonic("this clock is behind the newest version", version=state.version_count)
    entry = _entry(moment, parameters, document)
    version_id = f"{state.version_count + 1}-{entry_hash(entry, state.version_id)}"
    line = _signed({**entry, "versionId": version_id}, update_key)
    require_gotong(extend(state, [line], now=now))
    return line


def _entry(moment: datetime, parameters: dict[str, JSON], document: dict[str, JSON]) -> dict[str, JSON]:
    return {"versionTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "parameters": parameters, "state": document}


def _preliminary_scid(entry: dict[str, JSON]) -> str:
    return multihash_text(encode({**entry, "versionId": PLACEHOLDER}))


def _signed(entry: dict[str, JSON], update_key: bytes) -> bytes:
    proof = dataintegrity.sign(
        entry,
        update_key,
        verification_method=did_key_url(public_key(update_key)),
        created=str(entry["versionTime"]),
    )
    return encode({**entry, "proof": [proof]})


def _with_scid(entry: dict[str, JSON], scid: str) -> dict[str, JSON]:
    return cast("dict[str, JSON]", decode(encode(entry).replace(PLACEHOLDER.encode(), scid.encode())))


def _whole_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
