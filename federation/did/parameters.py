"""Decide which did:webvh parameters are in force after an entry, and which keys may sign it. No I/O.

Source: did:webvh 1.0, "DID Method Parameters", "Authorized Keys", "Pre-Rotation" and "The witness Parameter".
Unknown parameters, `null`s and methods are refused, never defaulted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from federation.did.errors import (
    DidMethodUnknown,
    DidParametersInvalid,
    DidPortabilityRefused,
    DidPrerotationBroken,
    DidWitnessInvalid,
)
from federation.encoding.canonical import JSON
from federation.encoding.multikey import (
    MultikeyInvalid,
    decode_multikey,
    is_multihash_text,
    multihash_text,
    parse_did_key,
)

METHOD = "did:webvh:1.0"
KEYS_MAX = 64
WITNESSES_MAX = 64
WATCHERS_MAX = 64
TEXT_CHARS_MAX = 1024
TTL_S_MAX = 2**31
TTL_S_DEFAULT = 3600


@dataclass(frozen=True, slots=True)
class WitnessRule:
    """At least `threshold` of `witnesses` (distinct Multikeys) approve an entry."""

    threshold: int
    witnesses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters in force once an entry has been accepted; `update_keys` are Multikeys."""

    scid: str
    update_keys: tuple[str, ...]
    next_key_hashes: tuple[str, ...] = ()
    witness: WitnessRule | None = None
    watchers: tuple[str, ...] = ()
    portable: bool = False
    deactivated: bool = False
    ttl_s: int = TTL_S_DEFAULT


def first(raw: Mapping[str, JSON]) -> Parameters:
    """Return the parameters of a log's first entry; raise the DidError of the first rule they break."""
    _require_known(raw)
    for name in ("method", "scid", "updateKeys"):
        if name not in raw:
            raise DidParametersInvalid(f"the first entry must set {name}")
    scid = raw["scid"]
    if not isinstance(scid, str) or not is_multihash_text(scid):
        raise DidParametersInvalid("scid must be a SHA-256 multihash")
    return _changed(Parameters(scid=scid, update_keys=()), raw)


def following(previous: Parameters, raw: Mapping[str, JSON]) -> Parameters:
    """Return the parameters after a later entry; raise the DidError of the first rule they break."""
    _require_known(raw)
    if "scid" in raw:
        raise DidParametersInvalid("only the first entry may set scid")
    if raw.get("portable") is True:
        raise DidPortabilityRefused("only the first entry may set portable to true")
    if previous.next_key_hashes:
        _require_committed_keys(previous, raw)
    return _changed(previous, raw)


def signing_keys(previous: Parameters | None, current: Parameters) -> tuple[str, ...]:
    """Return the Multikeys that may sign the entry whose parameters are `current` ("Authorized Keys").

    With pre-rotation they are the entry's own, since the previous entry committed to their hashes.
    """
    if previous is None or previous.next_key_hashes:
        return current.update_keys
    return previous.update_keys


def witness_rule(previous: Parameters | None, current: Parameters) -> WitnessRule | None:
    """Return the rule by which an entry must be witnessed ("Witness Lists"): a change is judged by the old witnesses.

    Only the first list ever set is in force at once. Judging a change by the new list, as some implementations do,
    would let whoever stole an update key name witnesses of their own.
    """
    if previous is None or previous.witness is None:
        return current.witness
    return previous.witness


def _require_known(raw: Mapping[str, JSON]) -> None:
    if "method" in raw and raw["method"] != METHOD:
        raise DidMethodUnknown(f"only {METHOD} is spoken here", method=str(raw["method"])[:64])
    for name in raw:
        if name not in ("method", "scid") and name not in _READERS:
            raise DidParametersInvalid("unknown parameter", parameter=name[:64])


def _require_committed_keys(previous: Parameters, raw: Mapping[str, JSON]) -> None:
    if "updateKeys" not in raw or "nextKeyHashes" not in raw:
        raise DidPrerotationBroken("while pre-rotation is on, updateKeys and nextKeyHashes are stated in every entry")
    keys = _update_keys(raw["updateKeys"])
    if not keys:
        raise DidPrerotationBroken("at least one committed key must be used")
    for key in keys:
        if multihash_text(key.encode()) not in previous.next_key_hashes:
            raise DidPrerotationBroken("an update key was not committed to by the previous entry", key=key)


def _changed(before: Parameters, raw: Mapping[str, JSON]) -> Parameters:
    changes = {field: read(raw[name]) for name, (field, read) in _READERS.items() if name in raw}
    return replace(before, **changes)  # type: ignore[arg-type]  # each reader returns its field's type


def _texts(name: str, value: JSON, count_max: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DidParametersInvalid(f"{name} must be a list of texts")
    texts = tuple(cast("list[str]", value))
    if len(texts) > count_max or any(len(text) > TEXT_CHARS_MAX for text in texts):
        raise DidParametersInvalid(f"{name} is too long", count_max=count_max, chars_max=TEXT_CHARS_MAX)
    return texts


def _update_keys(value: JSON) -> tuple[str, ...]:
    keys = _texts("updateKeys", value, KEYS_MAX)
    for key in keys:
        try:
            decode_multikey(key)
        except MultikeyInvalid as error:
            raise DidParametersInvalid(f"updateKeys: {error.message}", key=key[:64]) from None
    return keys


def _next_key_hashes(value: JSON) -> tuple[str, ...]:
    return _texts("nextKeyHashes", value, KEYS_MAX)  # any text may stand here as a decoy


def _watchers(value: JSON) -> tuple[str, ...]:
    return _texts("watchers", value, WATCHERS_MAX)


def _witness(value: JSON) -> WitnessRule | None:
    if value == {}:
        return None
    if not isinstance(value, dict) or set(value) != {"threshold", "witnesses"}:
        raise DidWitnessInvalid("witness is {} or states threshold and witnesses")
    listed, threshold = value["witnesses"], value["threshold"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= WITNESSES_MAX:
        raise DidWitnessInvalid("witnesses must be a list that is not empty", count_max=WITNESSES_MAX)
    witnesses = tuple(_witness_key(item) for item in listed)
    if len(set(witnesses)) != len(witnesses):
        raise DidWitnessInvalid("each witness stands in the list once")
    if type(threshold) is not int or not 1 <= threshold <= len(witnesses):
        raise DidWitnessInvalid("threshold lies between 1 and the number of witnesses")
    return WitnessRule(threshold, witnesses)


def _witness_key(item: JSON) -> str:
    if not isinstance(item, dict) or set(item) != {"id"} or not isinstance(item["id"], str):
        raise DidWitnessInvalid("a witness is an object with an id and nothing else")
    try:
        return parse_did_key(item["id"])
    except MultikeyInvalid as error:
        raise DidWitnessInvalid(f"a witness is an Ed25519 did:key: {error.message}") from None


def _boolean(name: str) -> Callable[[JSON], bool]:
    def read(value: JSON) -> bool:
        if not isinstance(value, bool):
            raise DidParametersInvalid(f"{name} must be true or false")
        return value

    return read


def _ttl_s(value: JSON) -> int:
    if type(value) is not int or not 0 <= value <= TTL_S_MAX:
        raise DidParametersInvalid("ttl is a number of seconds", ttl_s_max=TTL_S_MAX)
    return value


_READERS: dict[str, tuple[str, Callable[[JSON], object]]] = {
    "updateKeys": ("update_keys", _update_keys),
    "nextKeyHashes": ("next_key_hashes", _next_key_hashes),
    "witness": ("witness", _witness),
    "watchers": ("watchers", _watchers),
    "portable": ("portable", _boolean("portable")),
    "deactivated": ("deactivated", _boolean("deactivated")),
    "ttl": ("ttl_s", _ttl_s),
}
