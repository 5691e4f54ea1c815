"""Run vectors of what is sealed, and of the keys that follow from a kit's seed: restricted parts, backups."""

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.backup import sealed as backup
from federation.did.service import LogKey, StatedHead
from federation.identity import cards
from federation.restricted import request as restricted_request
from federation.restricted import sealed_to

Input = Mapping[str, Any]


def stated_keys(given: list[Mapping[str, Any]]) -> list[LogKey]:
    """Return the log keys that a vector states."""
    return [LogKey(each["id"], bytes.fromhex(each["public_key"]), _head(each.get("retired"))) for each in given]


def _head(stated: Input | None) -> StatedHead | None:
    return None if stated is None else StatedHead(stated["size"], bytes.fromhex(stated["root"]))


def _check_restricted_request(given: Input) -> Any:
    asked = restricted_request.read_request(given["request"].encode())
    restricted_request.check_request(asked, node=given["node"], keys=tuple(stated_keys(given["keys"])))


def _check_backup_manifest(given: Input) -> Any:
    backup.check_manifest(backup.read_manifest(given["manifest"].encode()), stated_keys(given["keys"]))


def _backup_holds_erased(given: Input) -> Any:
    earlier, newer = (backup.read_manifest(given[name].encode()) for name in ("earlier", "newer"))
    return backup.holds_erased(earlier, newer)


def _open_backup_chunk(given: Input) -> Any:
    data, number = bytes.fromhex(given["chunk"]), given["number"]
    backup.check_chunk(backup.read_manifest(given["manifest"].encode()), number, data)
    return {"opened": backup.open_chunk(number, data, bytes.fromhex(given["key"])).hex()}


def _open_restricted_answer(given: Input) -> Any:
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(given["private_key"]))
    sealed = restricted_request.read_answer(given["answer"].encode())
    opened = sealed_to.unseal(private, sealed, restricted_request.answer_info(given["request"].encode()))
    salt, payload = restricted_request.split_part(opened)
    return {"salt": salt.hex(), "payload": payload.decode()}


def _keys_of_seed(given: Input) -> Any:
    seed = bytes.fromhex(given["seed"])
    public_key, reader_hash = cards.backup_access(seed)
    return {
        "update_keys": [cards.update_key(seed, n).hex() for n in range(2)],
        "backup_public_key": public_key.hex(),
        "backup_reader": cards.backup_reader(seed).hex(),
        "backup_reader_hash": reader_hash,
    }


def _open_backup_key(given: Input) -> Any:
    manifest = backup.read_manifest(given["manifest"].encode())
    private = cards.backup_key(bytes.fromhex(given["seed"]))
    info = backup.key_info(manifest.scid, manifest.version)
    return {"key": sealed_to.unseal(private, bytes.fromhex(manifest.key), info).hex()}


FUNCTIONS: dict[str, Callable[[Input], Any]] = {
    "check_restricted_request": _check_restricted_request,
    "open_restricted_answer": _open_restricted_answer,
    "check_backup_manifest": _check_backup_manifest,
    "backup_holds_erased": _backup_holds_erased,
    "keys_of_seed": _keys_of_seed,
    "open_backup_key": _open_backup_key,
    "open_backup_chunk": _open_backup_chunk,
}
