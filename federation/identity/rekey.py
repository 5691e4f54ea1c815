"""Decide how the keys that a DID document states go on: which one signs next, and what becomes of those before. Pure.

Keys are numbered and never come back. A log key that signs no more is stated retired at its last head, for ever: old
checkpoints are checked by it. Request and cosigning keys are simply replaced: what they sign is for the moment. Update
keys follow from the kit on the cards; which of them is next follows from the DID log alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from domain.errors import GotongError
from federation.did.state import DidState
from federation.encoding.multikey import encode_multikey
from federation.identity.cards import update_key
from federation.identity.create import next_key_hash, public_key
from federation.log.entry import EpochStart
from federation.log.service import DocumentKey, LogKey, LogService, StatedHead


class CardsDoNotFit(GotongError):
    """The cards belong to another participant, or were replaced by newer ones."""

    code: ClassVar[str] = "CARDS_DO_NOT_FIT"


class LogKeysRetired(GotongError):
    """Every key of the log is retired: nothing can be appended to it any more."""

    code: ClassVar[str] = "LOG_KEYS_RETIRED"


def update_key_number(seed: bytes, state: DidState) -> int:
    """Return which update key of the kit the newest DID entry committed to, or raise CardsDoNotFit.

    It is the version's number unless the kit was replaced; then counting began again with the new one.
    """
    for number in range(state.version_count, -1, -1):
        if next_key_hash(public_key(update_key(seed, number))) in state.next_key_hashes:
            return number
    first = encode_multikey(public_key(update_key(seed, 0)))
    if any(first in version.parameters.update_keys for version in state.versions):
        raise CardsDoNotFit("these cards were replaced by newer ones", did=state.did)
    raise CardsDoNotFit("these cards are of another participant", did=state.did)


def signing_key(service: LogService) -> LogKey:
    """Return the newest key that signs the log, or raise LogKeysRetired."""
    for key in reversed(service.keys):
        if key.retired is None:
            return key
    raise LogKeysRetired("every key of this log is retired", epoch=service.epoch)


def key_number(key: LogKey | DocumentKey) -> int:
    """Return n of `#log-<epoch>-<n>`, `#request-<n>` or `#cosign-<n>`."""
    return int(key.id.rpartition("-")[2])


def closed(service: LogService, head: StatedHead) -> LogService:
    """Return the log with every key retired: those that still signed, at `head`."""
    keys = tuple(key if key.retired else replace(key, retired=head) for key in service.keys)
    return replace(service, keys=keys)


def rotated(service: LogService, head: StatedHead, public: bytes) -> LogService:
    """Return the log with one more key, which signs from `head` on; those before it count only up to there."""
    key = LogKey(f"#log-{service.epoch}-{next_number(service.keys)}", public)
    return replace(service, keys=(*closed(service, head).keys, key))


def begun(service: LogService, start: EpochStart, public: bytes) -> LogService:
    """Return the log of the next epoch, signed by a key of its own."""
    epoch = service.epoch + 1
    return replace(service, epoch=epoch, keys=(LogKey(f"#log-{epoch}-0", public),), from_=start)


def next_number(keys: Sequence[LogKey] | Sequence[DocumentKey]) -> int:
    """Return the number of the key that comes after these."""
    return max(map(key_number, keys)) + 1
