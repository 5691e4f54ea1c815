"""Answer the static reads of a log: checkpoint, tiles, entry bundles, payloads, DID log. Shell; reads only.

C2SP tlog-tiles reads, so that other people's tools can audit a log. What is
relayed at all is decided in `store.relay`.
"""

from collections.abc import Sequence
from typing import ClassVar

from domain.errors import GotongError
from federation.log import tiles
from federation.log.entry import SALT_BYTES
from federation.log.names import origin as origin_of
from federation.log.tiles import ENTRIES, TILE_HEIGHT, TILE_WIDTH, TileId, TileMissing
from store import depositors, participants, relay
from store.database import Connection, Database
from store.relay import Range, RelayRow

PAYLOADS_MAX = 256
PAYLOADS_BYTES_MAX = 4 * 1024 * 1024

LENGTH_BYTES = 4


class LogNotHeld(GotongError):
    """No such log or participant is held here, or not for others to read."""

    code: ClassVar[str] = "LOG_NOT_HELD"


class PayloadsRangeInvalid(GotongError):
    """Payloads are asked for from an index of the log on, 1 to 256 at a time."""

    code: ClassVar[str] = "PAYLOADS_RANGE_INVALID"


async def checkpoint(database: Database, scid: str, epoch: int) -> bytes:
    """Return the newest signed note of a log, or raise LogNotHeld, OriginMalformed."""
    async with database.acquire() as connection:
        return (await _log(connection, scid, epoch)).checkpoint


async def tile(database: Database, scid: str, epoch: int, path: str) -> bytes:
    """Return the tile or entry bundle a path names; raises TilePathMalformed, TileMissing, LogNotHeld."""
    wanted = tiles.parse_tile_path(path)
    async with database.acquire() as connection:
        log = await _log(connection, scid, epoch)
        if wanted.level == ENTRIES:
            _require_inside(wanted, log.size)
            return await _bundle(connection, log, wanted)
        _require_inside(wanted, log.checkpoint_size)  # of a frozen log too: whoever has the other telling compares
        found = await read_tiles(connection, log.log_id, [wanted])
    if wanted not in found:
        raise TileMissing("the tile is not held", tile=path)
    return found[wanted]


async def payloads(database: Database, scid: str, epoch: int, start: int, count: int) -> bytes:
    """Return the public payloads of up to `count` entries from `start` on; raises PayloadsRangeInvalid, LogNotHeld.

    One record an entry: a big-endian u32 length, then salt and canonical bytes; length 0 where there is no body here.
    May end early at PAYLOADS_BYTES_MAX; the reader counts records and asks on.
    """
    async with database.acquire() as connection:
        log = await _log(connection, scid, epoch)
        if not 0 <= start < log.size or not 1 <= count <= PAYLOADS_MAX:
            raise PayloadsRangeInvalid("no such range of payloads", size=log.size, count_max=PAYLOADS_MAX)
        wanted = Range(log.log_id, start, min(log.size, start + count))
        page = await relay.entries(connection, [wanted], PAYLOADS_BYTES_MAX)
    return b"".join(_payload(each.salt, each.body) for each in page)


async def did_log(database: Database, scid: str) -> bytes:
    """Return a participant's `did.jsonl`, or raise LogNotHeld."""
    async with database.acquire() as connection:
        return await _did_log(connection, await participants.find(connection, scid))


async def did_log_of_slug(database: Database, slug: str) -> bytes:
    """Return the `did.jsonl` of a participant whose DID lives here under this name, or raise LogNotHeld.

    It is hosted here, or deposited by a node that was invited under that name.
    """
    async with database.acquire() as connection:
        found = await participants.find_hosted(connection, slug)
        if found is None and (scid := await depositors.mirrored_did(connection, slug)) is not None:
            found = await participants.find(connection, scid)
        return await _did_log(connection, found)


async def did_witness(database: Database, scid: str) -> bytes:
    """Return a participant's `did-witness.json`, or raise LogNotHeld."""
    async with database.acquire() as connection:
        participant = await participants.find(connection, scid)
        if participant is None or participant.trust != "allowed":
            raise LogNotHeld("no such participant is held here")
        proofs = await participants.did_witness(connection, participant.id)
    if proofs is None:
        raise LogNotHeld("that participant names no witnesses")
    return proofs


async def _did_log(connection: Connection, participant: participants.ParticipantRow | None) -> bytes:
    if participant is None or participant.trust != "allowed":
        raise LogNotHeld("no such participant is held here")
    lines = await participants.did_lines(connection, participant.id)
    return b"".join(line + b"\n" for line in lines)


async def _log(connection: Connection, scid: str, epoch: int) -> RelayRow:
    origin = origin_of(scid, epoch)
    rows = await relay.relayed(connection, [origin])
    if origin not in rows:
        raise LogNotHeld("no such log is held here", origin=origin)
    return rows[origin]


def _require_inside(wanted: TileId, size: int) -> None:
    """Raise TileMissing unless the whole tile lies in the tree: one of a tree not signed yet could still change."""
    held = (size >> (TILE_HEIGHT * max(wanted.level, 0))) - wanted.n * TILE_WIDTH
    if wanted.width > held:
        raise TileMissing("the tile lies outside the signed tree", tile=tiles.tile_path(wanted), size=size)


async def _bundle(connection: Connection, log: RelayRow, wanted: TileId) -> bytes:
    start = wanted.n * TILE_WIDTH
    held = await relay.entry_data(connection, Range(log.log_id, start, start + wanted.width))
    return tiles.encode_bundle(held)


def _payload(salt: bytes | None, body: bytes | None) -> bytes:
    if salt is None or body is None:
        return bytes(LENGTH_BYTES)
    assert len(salt) == SALT_BYTES
    return (len(salt) + len(body)).to_bytes(LENGTH_BYTES, "big") + salt + body


async def read_tiles(connection: Connection, log_id: int, wanted: Sequence[TileId]) -> dict[TileId, bytes]:
    """Return the bytes of these Merkle tiles of a log; a tile that is not held in full is left out."""
    found = await relay.hashes(connection, log_id, [(tile.level, tile.n * TILE_WIDTH, tile.width) for tile in wanted])
    return {tile: b"".join(hashes) for tile, hashes in zip(wanted, found, strict=True) if len(hashes) == tile.width}
