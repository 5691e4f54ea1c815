"""Fetch what proofs are made of, for all rows of an answer in a constant number of statements.

An entry below the newest signed head of our own size is proven in its tree. One beyond it came by a pull that is
under way: it is proven in the tree of what is held, and the consistency proof that came with it leads from there to
the signed head the pull is for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from federation.log import proof, tiles
from federation.log.merkle import HASH_BYTES
from federation.log.tiles import TILE_WIDTH, TileId
from store.cosignatures import WITH_COSIGNATURES
from store.database import Connection
from store.logs import BODY

if TYPE_CHECKING:
    from schema.context import Caller, Services

Place = tuple[int, int]  # a log's number here, and an index in it

_HEADS = f"""
    select id, participant_id, {WITH_COSIGNATURES} as checkpoint, checkpoint_size, size, target, target_proof
    from log where id = any($1)
"""
_ENTRIES = f"""
    select entry.log_id, entry.index, entry.data, payload.salt, payload.data as body
    from unnest($1::int[], $2::bigint[]) as wanted(log_id, index)
    join entry on entry.log_id = wanted.log_id and entry.index = wanted.index
    left join payload on payload.log_id = entry.log_id and payload.index = entry.index and payload.part = {BODY}
"""
_LEAVES = """
    select wanted.place, string_agg(entry.leaf_hash, ''::bytea order by entry.index) as hashes
    from unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[]) as wanted(place, log_id, low, high)
    join entry on entry.log_id = wanted.log_id and entry.index >= wanted.low and entry.index < wanted.high
    group by wanted.place
"""
_NODES = """
    select wanted.place, string_agg(tile_hash.hash, ''::bytea order by tile_hash.index) as hashes
    from unnest($1::int[], $2::int[], $3::smallint[], $4::bigint[], $5::bigint[])
        as wanted(place, log_id, level, low, high)
    join tile_hash on tile_hash.log_id = wanted.log_id and tile_hash.level = wanted.level
        and tile_hash.index >= wanted.low and tile_hash.index < wanted.high
    group by wanted.place
"""
_DID_LINES = "select participant_id, line from did_line where participant_id = any($1) order by participant_id, version"
_DID_WITNESS = "select participant_id, proofs from did_witness where participant_id = any($1)"


class EntryUnprovable(Exception):
    """No signed head covers an entry that is shown: the log's row or its entries are damaged."""


@dataclass(frozen=True, slots=True)
class _Tree:
    """The tree an entry is proven in, and the signed head it leads to."""

    size: int
    checkpoint: bytes
    bridge: proof.Bridge | None


@dataclass(frozen=True, slots=True)
class _Material:
    """Everything that the proofs of one answer are made of."""

    heads: Mapping[int, asyncpg.Record]
    entries: Mapping[Place, asyncpg.Record]
    tiles: Mapping[int, Mapping[TileId, bytes]]
    did_lines: Mapping[int, list[bytes]]
    did_witness: Mapping[int, bytes]


async def bundles(services: "Services", _caller: "Caller", keys: Sequence[str]) -> Mapping[str, str]:
    """Return the proof bundle of each `log_id/index`; raises EntryUnprovable."""
    places = {key: (int(log), int(index)) for key in keys for log, _, index in [key.partition("/")]}
    # One snapshot: a head must not be newer than the hashes below it.
    async with services.database.transaction(isolation="repeatable_read", readonly=True) as connection:
        material = await _fetched(connection, list(places.values()))
    return {key: _bundle(place, material) for key, place in places.items()}


def _tree(place: Place, heads: Mapping[int, asyncpg.Record]) -> _Tree:
    log, index = place
    head = heads[log]
    if head["checkpoint"] is not None and index < head["checkpoint_size"]:
        return _Tree(head["checkpoint_size"], head["checkpoint"], None)
    if head["target"] is None or index >= head["size"]:
        raise EntryUnprovable(place)
    hashes = head["target_proof"]
    consistency = tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
    return _Tree(head["size"], head["target"], proof.Bridge(head["size"], consistency))


async def _fetched(connection: Connection, places: list[Place]) -> _Material:
    heads = {row["id"]: row for row in await connection.fetch(_HEADS, sorted({log for log, _ in places}))}
    entries = await connection.fetch(_ENTRIES, [log for log, _ in places], [index for _, index in places])
    wanted = sorted(
        {(place[0], tile) for place in places for tile in tiles.inclusion_tiles(place[1], _tree(place, heads).size)}
    )
    participants = [row["participant_id"] for row in heads.values()]
    did_lines: dict[int, list[bytes]] = defaultdict(list)
    for participant, line in await connection.fetch(_DID_LINES, participants):
        did_lines[participant].append(line)
    return _Material(
        heads=heads,
        entries={(row["log_id"], row["index"]): row for row in entries},
        tiles=await _tiles(connection, wanted),
        did_lines=did_lines,
        did_witness={row[0]: row[1] for row in await connection.fetch(_DID_WITNESS, participants)},
    )


async def _tiles(connection: Connection, wanted: Sequence[tuple[int, TileId]]) -> Mapping[int, Mapping[TileId, bytes]]:
    leaves = [(place, *each) for place, each in enumerate(wanted) if each[1].level == 0]
    nodes = [(place, *each) for place, each in enumerate(wanted) if each[1].level > 0]
    rows = list(await connection.fetch(_LEAVES, *_columns(leaves))) if leaves else []
    if nodes:
        place, log, low, high = _columns(nodes)
        rows += await connection.fetch(_NODES, place, log, [tile.level for _, _, tile in nodes], low, high)
    found: dict[int, dict[TileId, bytes]] = defaultdict(dict)
    for row in rows:
        log_id, tile = wanted[row["place"]]
        found[log_id][tile] = row["hashes"]
    return found


def _columns(wanted: Iterable[tuple[int, int, TileId]]) -> tuple[list[int], list[int], list[int], list[int]]:
    rows = [(place, log, tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width) for place, log, tile in wanted]
    place, log, low, high = ([row[column] for row in rows] for column in range(4))
    return place, log, low, high


def _bundle(place: Place, material: _Material) -> str:
    log, index = place
    head, tree = material.heads[log], _tree(place, material.heads)
    if place not in material.entries:
        raise EntryUnprovable(place)
    entry = material.entries[place]
    return proof.build(
        index=index,
        header=entry["data"],
        inclusion=tiles.prove_inclusion(index, tree.size, material.tiles.get(log, {})),
        checkpoint=tree.checkpoint,
        did_log=material.did_lines[head["participant_id"]],
        did_witness=material.did_witness.get(head["participant_id"]),
        salt=entry["salt"],
        payload=entry["body"],
        bridge=tree.bridge,
    )
