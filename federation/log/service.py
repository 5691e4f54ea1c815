"""Decide what a DID document says about a Gotong log, and whether a DID is fit for a Gotong participant. No I/O.

The document carries one service of type GotongLog and Multikey verification methods: `#log-<epoch>-<n>` sign the
log's checkpoints, `#request-<n>` sign requests and `#cosign-<n>` cosign the logs of others. Members this module does
not know are left alone: a newer version may have written them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from federation.did.errors import (
    DidLogNotClosed,
    DidNotPortable,
    DidPrerotationMissing,
    DidServiceMalformed,
    DidServiceRewritten,
)
from federation.did.state import DidState, Version
from federation.did.syntax import PORT_MAX, parse, require_gotong_place
from federation.encoding.canonical import JSON
from federation.encoding.multikey import MultikeyInvalid, decode_multikey
from federation.log.entry import EpochStart, Network
from federation.log.merkle import TREE_SIZE_MAX
from federation.log.names import EPOCH_MAX

Purpose = Literal["assertionMethod", "authentication"]

SERVICE_TYPE = "GotongLog"
SERVICE_FRAGMENT = "#gotong"
BASE_URL_CHARS_MAX = 512
DOCUMENT_KEYS_MAX = 64

_LOG_KEY = re.compile(r"#log-(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})")
_REQUEST_KEY = re.compile(r"#request-(0|[1-9][0-9]{0,8})")
_COSIGN_KEY = re.compile(r"#cosign-(0|[1-9][0-9]{0,8})")
_ROOT = re.compile(r"[0-9a-f]{64}")
_BASE_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?(?:/[!\"$->@-~]+)?(?<!/)"
)


class StatedHead(NamedTuple):
    """A tree size and its 32-byte root hash, as a DID document states them."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key that signs checkpoints; of a retired one only signatures up to `retired` count."""

    id: str
    public_key: bytes
    retired: StatedHead | None = None


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """A key for requests or cosignatures, by its fragment (`#request-0`)."""

    id: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class LogService:
    """Where a participant's log is published, on which network, in which epoch and signed by whom.

    `from_` is where an epoch after the first starts.
    """

    base_url: str
    network: Network
    epoch: int
    keys: tuple[LogKey, ...]
    from_: EpochStart | None = None


def log_service(state: DidState) -> LogService:
    """Return the log that the newest document states, or raise DidServiceMalformed."""
    return _log_service(state.latest)


def epochs(state: DidState) -> dict[int, LogService]:
    """Return what the DID log last said of each epoch's log, by epoch; raise DidServiceMalformed."""
    stated = [_log_service(version) for version in state.versions]
    return {service.epoch: service for service in stated}


def request_keys(state: DidState) -> tuple[DocumentKey, ...]:
    """Return the keys that sign this operator's requests, empty for a guest; raise DidServiceMalformed."""
    return _document_keys(state.latest, _REQUEST_KEY, "authentication")


def cosign_keys(state: DidState) -> tuple[DocumentKey, ...]:
    """Return the keys that cosign the logs of others, empty for a guest; raise DidServiceMalformed."""
    return _document_keys(state.latest, _COSIGN_KEY, "assertionMethod")


def origin(state: DidState) -> str:
    """Return the present log's origin, `gotong/<SCID>/<epoch>`, or raise DidServiceMalformed."""
    return f"gotong/{state.scid}/{log_service(state).epoch}"


def require_gotong(state: DidState) -> None:
    """Raise the DidError of the first rule that keeps this DID from being a Gotong participant's.

    Every version counts, not only the newest: portable, committed to next update keys until deactivated, at a Gotong
    place, with a well-formed service that takes nothing back.
    """
    before: LogService | None = None
    for version in state.versions:
        require_gotong_place(parse(version.did))
        if not version.parameters.portable:
            raise DidNotPortable("a participant must be able to move", version=version.number)
        if not version.parameters.next_key_hashes and not version.parameters.deactivated:
            raise DidPrerotationMissing("next update keys are always committed to", version=version.number)
        _require_separate_keys(version)
        service = _log_service(version)
        if before is not None:
            _require_continuation(before, service, version)
        elif service.epoch != 0:
            raise DidServiceRewritten("the first version is of epoch 0", version=version.number)
        if version.parameters.deactivated and any(key.retired is None for key in service.keys):
            raise DidLogNotClosed("whoever ends states where the log ends", version=version.number)
        before = service


def _require_continuation(before: LogService, after: LogService, version: Version) -> None:
    def refuse(message: str) -> DidServiceRewritten:
        return DidServiceRewritten(message, version=version.number)

    if after.network != before.network:
        raise refuse("a log never changes its network")
    if after.epoch != before.epoch:
        if after.epoch != before.epoch + 1 or after.from_ is None:
            raise refuse("a new epoch is the next one and states the head it starts from")
        return
    if after.from_ != before.from_:
        raise refuse("where an epoch starts does not change")
    stated = {key.id: key for key in after.keys}
    for key in before.keys:
        now = stated.get(key.id)
        if now is None or now.public_key != key.public_key:
            raise refuse("a log key stays listed and stays the same")
        if key.retired is not None and now.retired != key.retired:
            raise refuse("where a key was retired does not change")


def _log_service(version: Version) -> LogService:
    document = version.document
    service = _the_service(document, version.did)
    base_url, network, epoch = service.get("serviceEndpoint"), service.get("network"), service.get("epoch")
    if network not in ("live", "test"):
        raise DidServiceMalformed("network is live or test")
    if type(epoch) is not int or not 0 <= epoch <= EPOCH_MAX:
        raise DidServiceMalformed("epoch is a whole number from 0", epoch_max=EPOCH_MAX)
    from_ = _epoch_start(service["from"]) if "from" in service else None
    if from_ is not None and epoch == 0:
        raise DidServiceMalformed("the first epoch starts from nothing")
    return LogService(
        base_url=_base_url(base_url),
        network=cast("Network", network),
        epoch=epoch,
        keys=_log_keys(service.get("keys"), version, epoch),
        from_=from_,
    )


def _the_service(document: Mapping[str, JSON], did: str) -> Mapping[str, JSON]:
    services = document.get("service")
    found = [
        service
        for service in (services if isinstance(services, list) else [])
        if isinstance(service, dict) and service.get("type") == SERVICE_TYPE
    ]
    if len(found) != 1:
        raise DidServiceMalformed("the document states exactly one GotongLog service", found=len(found))
    if found[0].get("id") != did + SERVICE_FRAGMENT:
        raise DidServiceMalformed("the service's id is <did>#gotong")
    return found[0]


def _base_url(value: JSON) -> str:
    found = _BASE_URL.fullmatch(value) if isinstance(value, str) and len(value) <= BASE_URL_CHARS_MAX else None
    if found is None or int(found["port"] or 0) > PORT_MAX:
        raise DidServiceMalformed(
            "serviceEndpoint is http(s)://host[:port][/path], without a final slash", chars_max=BASE_URL_CHARS_MAX
        )
    return found[0]


def _log_keys(value: JSON, version: Version, epoch: int) -> tuple[LogKey, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= DOCUMENT_KEYS_MAX:
        raise DidServiceMalformed("keys is a list of one or more", count_max=DOCUMENT_KEYS_MAX)
    methods = _methods(version, "assertionMethod")
    keys: list[LogKey] = []
    for item in value:
        key_id = item.get("id") if isinstance(item, dict) else None
        match = _LOG_KEY.fullmatch(key_id) if isinstance(key_id, str) else None
        if match is None or int(match[1]) != epoch:
            raise DidServiceMalformed("a key's id is #log-<epoch>-<n> of the service's epoch")
        if match[0] not in methods:
            raise DidServiceMalformed("a log key is a Multikey under assertionMethod", key=match[0])
        stated = cast("dict[str, JSON]", item)
        retired = _stated_head(stated["retired"]) if "retired" in stated else None
        keys.append(LogKey(match[0], methods[match[0]], retired))
    if len({key.id for key in keys}) != len(keys):
        raise DidServiceMalformed("each key is listed once")
    return tuple(keys)


def _stated_head(value: JSON) -> StatedHead:
    size = value.get("size") if isinstance(value, dict) else None
    root = value.get("root") if isinstance(value, dict) else None
    if type(size) is not int or not 0 <= size <= TREE_SIZE_MAX:
        raise DidServiceMalformed("a stated head has a size")
    if not isinstance(root, str) or not _ROOT.fullmatch(root):
        raise DidServiceMalformed("a stated head has a root of 64 lower-case hex digits")
    return StatedHead(size, bytes.fromhex(root))


def _epoch_start(value: JSON) -> EpochStart:
    head = _stated_head(value)
    genesis = value.get("genesis") if isinstance(value, dict) else None
    if head.size == 0 or not isinstance(genesis, str) or not _ROOT.fullmatch(genesis):
        raise DidServiceMalformed("an epoch's start has a size from 1 and the leaf hash of the old genesis")
    return EpochStart(head.size, head.root, bytes.fromhex(genesis))


def _document_keys(version: Version, pattern: re.Pattern[str], purpose: Purpose) -> tuple[DocumentKey, ...]:
    methods = _methods(version, purpose)
    return tuple(DocumentKey(key_id, methods[key_id]) for key_id in methods if pattern.fullmatch(key_id))


def _require_separate_keys(version: Version) -> None:
    """One key for two purposes would let a signature made for the one be shown as the other."""
    stated = [_method(item, version.did) for item in _list(version.document, "verificationMethod")]
    keys = [named[1] for named in stated if named is not None]
    if len(set(keys)) != len(keys):
        raise DidServiceMalformed("every verification method has a key of its own", version=version.number)


def _methods(version: Version, purpose: Purpose) -> dict[str, bytes]:
    """Return fragment -> public key of the document's own Multikeys that `purpose` lists, in the document's order."""
    document = version.document
    methods: dict[str, bytes] = {}
    listed = {_fragment(item, version.did) for item in _list(document, purpose)}
    for item in _list(document, "verificationMethod"):
        named = _method(item, version.did)
        if named is None or named[0] not in listed:
            continue
        if named[0] in methods:
            raise DidServiceMalformed("two verification methods share an id", id=named[0])
        methods[named[0]] = named[1]
    return methods


def _method(item: JSON, did: str) -> tuple[str, bytes] | None:
    """Return the fragment and key of one of this DID's Gotong methods, None for a method that is not Gotong's."""
    if not isinstance(item, dict):
        raise DidServiceMalformed("a verification method is an object")
    fragment = _fragment(item.get("id"), did)
    if not any(pattern.fullmatch(fragment) for pattern in (_LOG_KEY, _REQUEST_KEY, _COSIGN_KEY)):
        return None
    multikey = item.get("publicKeyMultibase")
    if item.get("type") != "Multikey" or item.get("controller") != did or not isinstance(multikey, str):
        raise DidServiceMalformed("a Gotong key is a Multikey controlled by this DID", id=fragment)
    try:
        return fragment, decode_multikey(multikey)
    except MultikeyInvalid as error:
        raise DidServiceMalformed(f"not an Ed25519 key: {error.message}", id=fragment) from None


def _fragment(value: JSON, did: str) -> str:
    """Return `#...` of a reference into this document, absolute or relative; empty for any other."""
    if not isinstance(value, str):
        return ""
    relative = value.removeprefix(did)
    return relative if relative.startswith("#") else ""


def _list(document: Mapping[str, JSON], name: str) -> list[JSON]:
    value = document.get(name, [])
    if not isinstance(value, list) or len(value) > DOCUMENT_KEYS_MAX:
        raise DidServiceMalformed(f"{name} is a list", count_max=DOCUMENT_KEYS_MAX)
    return value
