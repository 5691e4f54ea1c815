"""Keep sealed backups for peers that an operator allowed it, and give them to who has the cards. Shell.

A backup counts when all its chunks are here; until then the one before it is given. Of each participant the newest
VERSIONS_KEPT complete ones stay, fewer where the peer's allowance does not hold them, but never none for an unfinished
one. Of those that hold what was erased since none stays. Nothing is kept that the participant's log did not sign, as
its identity is known here (rule Z1.2).
"""

from typing import ClassVar

from domain.errors import GotongError
from federation.backup import sealed
from federation.backup.sealed import BackupUnproven, Manifest
from federation.identity.states import DidStates
from federation.log.service import log_service
from store import backups, participants
from store.backups import Kept
from store.database import Connection, Database

VERSIONS_KEPT = 3
LISTED_MAX = 32


class BackupNotAllowed(GotongError):
    """The operator of this node does not keep backups for that peer."""

    code: ClassVar[str] = "BACKUP_NOT_ALLOWED"


class BackupTooLarge(GotongError):
    """The backup takes more bytes than the operator allows that peer."""

    code: ClassVar[str] = "BACKUP_TOO_LARGE"


class BackupOutdated(GotongError):
    """A backup with that version or a later one is kept already."""

    code: ClassVar[str] = "BACKUP_OUTDATED"


class BackupNotKept(GotongError):
    """No such backup is kept here, or not for who asks."""

    code: ClassVar[str] = "BACKUP_NOT_KEPT"


async def take_manifest(database: Database, states: DidStates, peer_id: int, data: bytes) -> list[int]:
    """Return which chunks of the backup are still missing, none when it is complete.

    Raises BackupMalformed, BackupNotAllowed, BackupUnproven, BackupOutdated (whose `version` is the newest kept),
    BackupTooLarge.
    """
    manifest = sealed.read_manifest(data)
    async with database.transaction() as connection:
        await _allowed(connection, peer_id)
        owner = await participants.find(connection, manifest.scid)
    state = None if owner is None else await states.of(database, owner.scid, owner.did_version)
    if state is None:
        raise BackupUnproven("the participant's identity is not known here", scid=manifest.scid)
    sealed.check_manifest(manifest, log_service(state).keys)
    async with database.transaction() as connection:
        allowed = await _allowed(connection, peer_id)
        kept = await backups.kept(connection, peer_id, manifest.scid)
        same = next((each for each in kept if each.version == manifest.version), None)
        if same is not None and same.manifest == data:
            return [] if same.is_complete else await _missing(connection, same.id, manifest)
        newest = next((each for each in kept if each.is_complete), None)
        if newest is not None and manifest.version <= newest.version:
            raise BackupOutdated("a backup of that version is kept already", version=newest.version)
        await _make_room(connection, peer_id, kept, manifest, allowed)
        number = await backups.add(
            connection,
            peer_id,
            scid=manifest.scid,
            version=manifest.version,
            manifest=data,
            reader_hash=manifest.reader,
            bytes_=manifest.bytes,
        )
        return await _missing(connection, number, manifest)


async def take_chunk(database: Database, peer_id: int, scid: str, version: int, number: int, data: bytes) -> list[int]:
    """Return which chunks are still missing after this one. Raises BackupNotKept, BackupMalformed, BackupDamaged."""
    async with database.transaction() as connection:
        await backups.allowance(connection, peer_id)
        kept = await backups.kept(connection, peer_id, scid)
        mine = next((each for each in kept if each.version == version), None)
        if mine is None:
            raise BackupNotKept("its manifest comes first", scid=scid, version=version)
        manifest = sealed.read_manifest(mine.manifest)
        others_bytes = await backups.chunk_bytes(connection, mine.id, number)
        sealed.check_chunk(manifest, number, data, others_bytes=others_bytes)
        await backups.add_chunk(connection, mine.id, number, data)
        missing = await _missing(connection, mine.id, manifest)
        if not missing and not mine.is_complete:
            await backups.complete(connection, mine.id)
            complete = [each for each in kept if each.is_complete and each.version < version]
            outdated = [each for each in complete if sealed.holds_erased(sealed.read_manifest(each.manifest), manifest)]
            await backups.remove(connection, [each.id for each in (*outdated, *complete[VERSIONS_KEPT - 1 :])])
        return missing


async def newest(database: Database, peer_id: int, scid: str) -> int:
    """Return the version of the newest complete backup kept for this peer of that participant; BackupNotKept."""
    async with database.acquire() as connection:
        kept = await backups.kept(connection, peer_id, scid)
    found = next((each.version for each in kept if each.is_complete), None)
    if found is None:
        raise BackupNotKept("no complete backup of that is kept here for that peer", scid=scid)
    return found


async def manifests(database: Database, reader: bytes) -> list[bytes]:
    """Return the manifests of the complete backups that this reader fetches, newest first; BackupNotKept for none."""
    async with database.acquire() as connection:
        found = await backups.readable(connection, sealed.hash_of(reader), LISTED_MAX)
    if not found:
        raise BackupNotKept("no backup here is fetched by that")
    return found


async def chunk(database: Database, reader: bytes, scid: str, version: int, number: int) -> bytes:
    """Return a chunk of a complete backup, or raise BackupNotKept."""
    async with database.acquire() as connection:
        found = await backups.chunk(connection, sealed.hash_of(reader), scid, version, number)
    if found is None:
        raise BackupNotKept("there is no such chunk, or it is not fetched by that")
    return found


async def _allowed(connection: Connection, peer_id: int) -> int:
    allowed = await backups.allowance(connection, peer_id)
    if not allowed:
        raise BackupNotAllowed("this node keeps no backups for that peer")
    return allowed


async def _make_room(connection: Connection, peer_id: int, kept: list[Kept], manifest: Manifest, allowed: int) -> None:
    """Drop unfinished backups and, where the allowance needs it, old ones but for the newest complete one."""
    await backups.remove(connection, [each.id for each in kept if not each.is_complete])
    droppable = [each for each in kept if each.is_complete][1:]
    while await backups.used_bytes(connection, peer_id) + manifest.bytes > allowed:
        if not droppable:
            used = await backups.used_bytes(connection, peer_id)
            raise BackupTooLarge("the allowance is too small", bytes=manifest.bytes, used=used, bytes_max=allowed)
        await backups.remove(connection, [droppable.pop().id])


async def _missing(connection: Connection, backup_id: int, manifest: Manifest) -> list[int]:
    here = await backups.chunk_numbers(connection, backup_id)
    return [number for number in range(len(manifest.chunks)) if number not in here]
