"""Fetch what proofs are made of, for all rows of an answer in a constant number of statements."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from federation import proof, tiles
from federation.tiles import TILE_WIDTH, TileId
from store.database import Connection
from store.logs import BODY

if TYPE_CHECKING:
    from schema.context import Services

Place = tuple[int, int]  # a log's number here, and an index in it

_HEADS = "select id, participant_id, checkpoint, checkpoint_size from log where id = any($1) and checkpoint is not null"
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


@dataclass(frozen=True, slots=True)
class _Material:
    """Everything that the proofs of one answer are made of."""

    heads: Mapping[int, asyncpg.Record]
    entries: Mapping[Place, asyncpg.Record]
    tiles: Mapping[int, Mapping[TileId, bytes]]
    did_lines: Mapping[int, list[bytes]]
    did_witness: Mapping[int, bytes]


async def bundles(services: "Services", keys: Sequence[str]) -> Mapping[str, str]:
    """Return the proof bundle of each `log_id/index`; those no signed head covers yet are left out."""
    places = {key: (int(log), int(index)) for key in keys for log, _, index in [key.partition("/")]}
    # One snapshot: a head must not be newer than the hashes below it.
    async with services.database.transaction(isolation="repeatable_read", readonly=True) as connection:
        material = await _fetched(connection, list(places.values()))
    return {key: _bundle(place, material) for key, place in places.items() if _is_covered(place, material)}


def _is_covered(place: Place, material: _Material) -> bool:
    log, index = place
    return log in material.heads and index < material.heads[log]["checkpoint_size"] and place in material.entries


async def _fetched(connection: Connection, places: list[Place]) -> _Material:
    heads = {row["id"]: row for row in await connection.fetch(_HEADS, sorted({log for log, _ in places}))}
    covered = [(log, index) for log, index in places if log in heads and index < heads[log]["checkpoint_size"]]
    entries = await connection.fetch(_ENTRIES, [log for log, _ in covered], [index for _, index in covered])
    wanted = sorted(
        {(log, tile) for log, index in covered for tile in tiles.inclusion_tiles(index, heads[log]["checkpoint_size"])}
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
    head, entry = material.heads[log], material.entries[place]
    return proof.build(
        index=index,
        header=entry["data"],
        inclusion=tiles.prove_inclusion(index, head["checkpoint_size"], material.tiles.get(log, {})),
        checkpoint=head["checkpoint"],
        did_log=material.did_lines[head["participant_id"]],
        did_witness=material.did_witness.get(head["participant_id"]),
        salt=entry["salt"],
        payload=entry["body"],
    )
