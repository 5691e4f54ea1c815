"""Move a participant with its history to another host, in two steps that cannot both write. Shell.

The old host lets go first: from then on it appends nothing, and what it hands over says at which head, with the
restricted parts, which travel with no log. The new host, which has copied the log like any peer, takes the participant
in with its cards: one DID entry moves the DID, retires the old key at that head and states a new one. Nothing is signed
in between, so nothing can fork. Who was let go by mistake can be taken back until its cards were used elsewhere.

An operator is not let go, since it is what its node is: its whole node moves, and the identities state the new address.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal

import msgspec
from msgspec import Struct

from domain.errors import GotongError
from domain.records.registry import RECORDS
from federation.did.state import DidState
from federation.encoding import base64text
from federation.identity import identities, rekey
from federation.identity.cards import backup_access
from federation.identity.create import Place
from federation.identity.keys import KeyMissing, KeyRing, log_key_name
from federation.identity.writing import ParticipantNotHosted, writable_head
from federation.lifecycle import custody
from federation.lifecycle.custody import Changed
from federation.lifecycle.enroll import SlugTaken
from federation.log import merkle
from federation.log.entry import check_payload
from federation.log.entry import parse as parse_entry
from federation.log.names import parse_origin
from federation.log.service import log_service
from federation.sealing.vault import Vault
from store import backups, logs, participants, restricted
from store.database import Connection, Database
from store.logs import LogRow

PACKAGE_BYTES_MAX = 256 * 1024 * 1024
PARTS_PER_PAGE = 256

Keep = Callable[[bytes], None]
"""Puts what is handed over where it will be found, durably."""


class PackageMalformed(GotongError):
    """This is not what an old host hands over when a participant moves."""

    code: ClassVar[str] = "PACKAGE_MALFORMED"


class LogNotCopied(GotongError):
    """The log is not held here up to where the old host let go; copy it first (`gotong peer add`, `gotong sync`)."""

    code: ClassVar[str] = "LOG_NOT_COPIED"


class LogDiffers(GotongError):
    """The log held here is another than the one that the old host let go of."""

    code: ClassVar[str] = "LOG_DIFFERS"


class ParticipantHere(GotongError):
    """The participant is hosted on this node already."""

    code: ClassVar[str] = "PARTICIPANT_HERE"


class _Part(Struct, forbid_unknown_fields=True):
    """A restricted part and the index of the entry that commits to it; binary data in base64."""

    index: int
    salt: str
    payload: str


class Package(Struct, forbid_unknown_fields=True):
    """What the old host hands over: which log, its last head, the newest DID version, every restricted part. Secret."""

    v: Literal[1]
    origin: str
    size: int
    root: str
    did_version: int
    version_id: str
    restricted: list[_Part]


def read_package(data: bytes) -> Package:
    """Return what was handed over, or raise PackageMalformed."""
    try:
        package = msgspec.json.decode(data, type=Package)
        parse_origin(package.origin)
    except (msgspec.MsgspecError, GotongError, UnicodeDecodeError):
        raise PackageMalformed("this file was not made by `gotong org move out`") from None
    return package


async def let_go(database: Database, vault: Vault, scid: str, keep: Keep) -> Package:
    """Return what is handed over; when it is kept, this node appends nothing to that log any more.

    Raises ParticipantNotHosted, ParticipantMoved, ParticipantEnded, OperatorStays, RestrictedUnreadable.
    """
    async with database.transaction() as connection:
        log = await writable_head(connection, scid)
        operator = await participants.operator(connection)
        if operator is not None and operator.scid == scid:
            raise custody.OperatorStays("a node's operator is what the node is: move the whole node instead", scid=scid)
        root = merkle.Edge.from_bytes(log.size, log.edge).root()
        state = await identities.load(connection, log.participant_id, scid)
        parts = await _restricted(connection, vault, log)
        package = Package(1, log.origin, log.size, root.hex(), state.version_count, state.version_id, parts)
        keep(msgspec.json.encode(package))
        await participants.let_go(connection, log.participant_id)
    return package


async def take_back(database: Database, keys: KeyRing, scid: str) -> None:
    """Write again for who was let go, or who seems to write elsewhere to a database older than the keys beside it.

    Raises ParticipantNotHosted when the key that signs now is not here, LogNotCopied when its log is not yet.
    """
    async with database.transaction() as connection:
        log = await logs.newest_log(connection, scid)
        found = await participants.find(connection, scid)
        if log is None or found is None or found.hosted:
            raise ParticipantNotHosted("no participant of this id was let go here", scid=scid[:64])
        locked = await logs.lock_head(connection, log.origin)
        assert locked is not None
        service = log_service(await identities.load(connection, found.id, scid))
        signing = rekey.signing_key(service)
        if not _is_here(keys, log_key_name(scid, service.epoch, rekey.key_number(signing)), signing.public_key):
            raise ParticipantNotHosted("another key signs this log by now", scid=scid)
        if service.epoch != locked.epoch or not locked.is_projected:
            raise LogNotCopied("the newest log is not here yet: gotong sync", scid=scid)
        await logs.set_key_number(connection, locked.id, rekey.key_number(signing))
        await participants.take_in(connection, found.id)


def _is_here(keys: KeyRing, name: str, public: bytes) -> bool:
    try:
        return keys.get(name).public_key().public_bytes_raw() == public
    except KeyMissing:
        return False


async def take_in(
    database: Database,
    keys: KeyRing,
    vault: Vault,
    scid: str,
    seed: bytes,
    *,
    place: Place,
    base_url: str,
    now: datetime,
    package: Package | None = None,
) -> Changed:
    """Return the identity as it is hosted here: the DID moved, a new key signs from the head on.

    Without a `package` (the old host is gone) the copy held here is what counts, and restricted parts are lost.
    Raises LogNotCopied, LogDiffers, ParticipantHere, SlugTaken, CardsDoNotFit, LogIncomplete, DidError, and what
    `check_payload` does for a part that the log does not commit to.
    """
    async with database.transaction() as connection:
        log = await _copied_log(connection, scid, package)
        other = await participants.find_hosted(connection, place.slug)
        if other is not None and other.scid != scid:
            raise SlugTaken("another participant of this node has that short name", slug=place.slug)
        change = await custody.change_of(connection, keys, log, seed)
        if package is not None:
            _require_newest(change.state, package)
        change.place = place
        change.service = replace(change.service, base_url=base_url)
        change.rotate_online_keys()
        change.request = change.cosign = ()
        if package is not None:
            await _keep_restricted(connection, vault, log, package)
        changed = await change.commit(now)
        await backups.set_access(connection, log.participant_id, *backup_access(seed))
        tables = {record_type.name: record_type.table for record_type in RECORDS}
        await participants.set_trust(connection, [log.participant_id], "allowed", set_by="operator", tables=tables)
        await participants.take_in(connection, log.participant_id)
    return changed


async def state_address(
    database: Database, keys: KeyRing, scid: str, seed: bytes, *, place: Place, base_url: str, now: datetime
) -> Changed:
    """Return the identity of a participant hosted here that states where this node is now, under the keys it had.

    Raises SlugTaken and what `custody.rotate` does.
    """
    async with database.transaction() as connection:
        change = await custody.begin(connection, keys, scid, seed)
        other = await participants.find_hosted(connection, place.slug)
        if other is not None and other.scid != scid:
            raise SlugTaken("another participant of this node has that short name", slug=place.slug)
        change.place = place
        change.service = replace(change.service, base_url=base_url)
        return await change.commit(now)


async def _copied_log(connection: Connection, scid: str, package: Package | None) -> LogRow:
    newest = await logs.newest_log(connection, scid)
    log = None if newest is None else await logs.lock_head(connection, newest.origin)
    if log is None or not log.is_projected:
        raise LogNotCopied("this log is not held here", scid=scid)
    if log.hosted:
        raise ParticipantHere("this participant is hosted here", scid=scid)
    if package is not None:
        if log.origin == package.origin and log.size < package.size:
            raise LogNotCopied("the end of the log is not here yet", held=log.size, wanted=package.size)
        root = merkle.Edge.from_bytes(log.size, log.edge).root().hex()
        if (log.origin, log.size, root) != (package.origin, package.size, package.root):
            raise LogDiffers("the old host let go of another log", held=log.size, wanted=package.size)
    return log


def _require_newest(state: DidState, package: Package) -> None:
    """Raise if other DID entries are held than the old host's: the next one would tell the identity in two ways."""
    if state.version_count < package.did_version:
        raise LogNotCopied("its newest DID entry is not here", held=state.version_count, wanted=package.did_version)
    if state.version_id != package.version_id:
        raise LogDiffers("the old host let go of another identity", held=state.version_count)


async def _restricted(connection: Connection, vault: Vault, log: LogRow) -> list[_Part]:
    parts: list[_Part] = []
    start = 0
    while page := await restricted.every(connection, log.id, start, PARTS_PER_PAGE):
        for part in page:
            opened = part.plain if part.sealed is None else vault.open(log.scid, part.index, part.sealed)
            assert opened is not None
            parts.append(_Part(part.index, base64text.encode(opened[0]), base64text.encode(opened[1])))
        start = page[-1].index + 1
    return parts


async def _keep_restricted(connection: Connection, vault: Vault, log: LogRow, package: Package) -> None:
    """Store the restricted parts, each if the log commits to it."""
    for start in range(0, len(package.restricted), PARTS_PER_PAGE):
        page = package.restricted[start : start + PARTS_PER_PAGE]
        data = await logs.entry_data(connection, log.id, [part.index for part in page])
        rows = []
        for part in page:
            salt, payload = _decoded(part.salt), _decoded(part.payload)
            if part.index not in data:
                raise PackageMalformed("a part of an entry that the log does not have", index=part.index)
            check_payload(parse_entry(data[part.index]), "restricted", salt, payload)
            rows.append((part.index, vault.seal(log.scid, part.index, salt, payload)))
        await restricted.insert(connection, log.id, rows)


def _decoded(text: str) -> bytes:
    decoded = base64text.decode(text)
    if decoded is None:
        raise PackageMalformed("a part is not base64")
    return decoded
