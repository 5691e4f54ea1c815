"""Run vectors of what is sealed, and of the keys that follow from a kit's seed: restricted parts, backups."""

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federation.backup import sealed as backup
from federation.erasing import removal
from federation.identity import cards
from federation.log import entry
from federation.log.service import LogKey, StatedHead
from federation.restricted import mail
from federation.restricted import request as restricted_request
from federation.sealing import sealed_to

Input = Mapping[str, Any]


def stated_keys(given: list[Mapping[str, Any]]) -> list[LogKey]:
    """Return the log keys that a vector states."""
    return [LogKey(each["id"], bytes.fromhex(each["public_key"]), _head(each.get("retired"))) for each in given]


def _head(stated: Input | None) -> StatedHead | None:
    return None if stated is None else StatedHead(stated["size"], bytes.fromhex(stated["root"]))


def _check_restricted_request(given: Input) -> Any:
    asked = restricted_request.read_request(given["request"].encode())
    restricted_request.check_request(asked, node=given["node"], keys=stated_keys(given["keys"]))
    restricted_request.check_time(asked, entry.parse_instant(given["now"]))


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
    request = given["request"].encode()
    answer = restricted_request.read_answer(given["answer"].encode())
    if answer is None:
        return {"waiting": True}
    hashed, keys = restricted_request.request_hash(request), stated_keys(given["keys"])
    sealed = restricted_request.check_answer(answer, hashed=hashed, keys=keys, has_ended=given["has_ended"])
    content = restricted_request.read_content(
        sealed_to.unseal(private, sealed, restricted_request.answer_info(request))
    )
    if isinstance(content, str):
        return {"refused": content}
    return {"salt": content[0].hex(), "payload": content[1].decode()}


def _read_restricted_mail(given: Input) -> Any:
    if "brought" in given:
        return {"answers": [each.request for each in mail.read_brought(given["brought"].encode())]}
    return {"requests": [each.decode() for each in mail.read_given(given["given"].encode())]}


def _read_removals_fetch(given: Input) -> Any:
    fetch = removal.read_fetch(given["fetch"].encode())
    return {"key": fetch.key, "taken": fetch.taken}


def _open_removals(given: Input) -> Any:
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(given["private_key"]))
    sealed = removal.read_given(given["given"].encode())
    opened = sealed_to.unseal(private, sealed, removal.fetch_info(given["fetch"].encode()))
    return [[each.letter, each.record, each.reason] for each in removal.read_letters(opened)]


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
    "read_restricted_mail": _read_restricted_mail,
    "read_removals_fetch": _read_removals_fetch,
    "open_removals": _open_removals,
    "check_backup_manifest": _check_backup_manifest,
    "backup_holds_erased": _backup_holds_erased,
    "keys_of_seed": _keys_of_seed,
    "open_backup_key": _open_backup_key,
    "open_backup_chunk": _open_backup_chunk,
}
