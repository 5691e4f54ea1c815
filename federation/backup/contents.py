"""What a backup holds: everything of a participant that is at home only, and of a node what its operator decided.

Shell: it reads the database, and writes what was restored. Signing keys are never in it: a restored node makes new
ones. What is in no backup either: logs and bodies (every mirror has them), sessions, events, repeated answers.
"""

import gzip
import zlib
from datetime import datetime

import msgspec

from domain.errors import GotongError
from federation.backup.sealed import BackupDamaged
from federation.log import entry
from federation.sealing.vault import Vault
from store import backups, depositors, participants, peers, restricted
from store.database import Connection
from store.logs import LogRow

CONTENTS_BYTES_MAX = 1024 * 1024 * 1024
PARTS_AT_ONCE = 1_000
RELEASES_MAX = 10_000


class PartBackup(msgspec.Struct, frozen=True, array_like=True):
    """A restricted part by its index."""

    index: int
    salt: bytes
    payload: bytes


class PeerBackup(msgspec.Struct, frozen=True):
    """A peer and what the operator decided about it."""

    url: str
    trust: str
    private: bool = False
    mirrors_us: bool = False
    keeps_backups: bool = False


class NodeBackup(msgspec.Struct, frozen=True):
    """How the node is set, its peers, what was decided about participants elsewhere, and who is hosted here."""

    settings: dict[str, str | int]
    peers: list[PeerBackup]
    trust: dict[str, str]
    hosted: list[str]


class Contents(msgspec.Struct, frozen=True):
    """A backup, opened."""

    scid: str
    at: datetime
    parts: list[PartBackup]
    grants: list[restricted.Grant]
    releases: list[restricted.Release]
    node: NodeBackup | None = None
    v: int = 1


class BackupUnknown(GotongError):
    """The backup was written by a newer version of this program, or for another participant."""

    code = "BACKUP_UNKNOWN"


def pack(contents: Contents) -> bytes:
    """Return a backup's contents as bytes."""
    return gzip.compress(msgspec.json.encode(contents), 6, mtime=0)


def unpack(data: bytes, scid: str) -> Contents:
    """Return what these bytes hold, or raise BackupDamaged or BackupUnknown."""
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, CONTENTS_BYTES_MAX)
        contents = msgspec.json.decode(inflated, type=Contents)
    except (zlib.error, msgspec.DecodeError) as error:
        raise BackupDamaged(f"the backup cannot be read: {error}"[:200]) from None
    if contents.v != 1 or contents.scid != scid:
        raise BackupUnknown("not a backup of this participant that this version can read", v=contents.v)
    return contents


async def collect(
    connection: Connection, log: LogRow, vault: Vault, at: datetime, settings: dict[str, str | int] | None
) -> Contents:
    """Return what is to be backed up of the participant whose log this is; with `settings`, of the node as well."""
    parts: list[PartBackup] = []
    start = 0
    while found := await restricted.every(connection, log.id, start, PARTS_AT_ONCE):
        for part in found:
            assert part.sealed is not None  # nothing is in plain once the node has started
            parts.append(PartBackup(part.index, *vault.open(log.scid, part.index, part.sealed)))
        start = found[-1].index + 1
    return Contents(
        log.scid,
        at,
        parts,
        await restricted.grants(connection, log.participant_id),
        await restricted.releases(connection, log.participant_id, before=None, limit=RELEASES_MAX),
        None if settings is None else await _node(connection, settings),
    )


async def _node(connection: Connection, settings: dict[str, str | int]) -> NodeBackup:
    known = await peers.every(connection)
    targets = await backups.targets(connection)
    return NodeBackup(
        settings,
        [
            PeerBackup(
                peer.url,
                peer.trust,
                peer.private,
                mirrors_us=await depositors.is_mirror(connection, peer.id),
                keeps_backups=peer.id in targets,
            )
            for peer in known
        ],
        await participants.decided(connection),
        [row.scid for row in await participants.hosted(connection)],
    )


async def put_back(connection: Connection, log: LogRow, vault: Vault, contents: Contents) -> list[int]:
    """Store what a backup holds of a participant, and return the indexes of parts it lacks although the log has them.

    A part counts if the entry at its place commits to it. The caller holds the log's head.
    """
    given = {part.index: part for part in contents.parts}
    stated = await restricted.stated(connection, log.id)
    rows = []
    for index in sorted(set(given) & set(stated)):
        part = given[index]
        try:
            entry.check_payload(entry.parse(stated[index]), "restricted", part.salt, part.payload)
        except GotongError:
            continue  # then it is missing
        rows.append((index, vault.seal(log.scid, index, part.salt, part.payload)))
    await restricted.insert(connection, log.id, rows)
    for grant in reversed(contents.grants):
        await restricted.put_back_grant(connection, log.participant_id, grant)
    for release in reversed(contents.releases):
        await restricted.put_back_release(connection, log.participant_id, release)
    newest = await restricted.newest_stated(connection, log.id)
    return sorted(newest - {index for index, _ in rows})
