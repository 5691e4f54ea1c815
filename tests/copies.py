"""A second database that is fed a log piece by piece, and what two databases must have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from federation.did import webvh
from federation.log import tiles
from federation.log.merkle import Edge
from federation.log.service import log_service
from federation.log.verify import Batch, Head, Received, check_batch, check_checkpoint
from federation.sync.apply import apply, meet, ready
from store import logs, participants
from store.database import Database
from store.logs import StoredEntry
from tests.nodes import TestNode

CONTENT = """
    select table_name from information_schema.columns
    where table_schema = 'public' and column_name = 'record_id'
      and table_name not in ('outbox', 'event', 'unprojected', 'erasure')
      and table_name not like '%\\_search'
"""


class Mirror:
    """A second database that is fed a log piece by piece."""

    def __init__(self, database: Database, source: TestNode, origin: str) -> None:
        self.database = database
        self._source = source
        self._origin = origin

    async def meet(self, trust: str = "allowed") -> None:
        async with self._source.database.acquire() as source, self.database.transaction() as mine:
            log = await logs.head(source, self._origin)
            assert log is not None
            lines = await participants.did_lines(source, log.participant_id)
            state = webvh.verify(lines, now=self._source.clock())
            head = await meet(mine, state, lines, held=0)
            await participants.set_trust(mine, [head.participant_id], trust, set_by="operator", tables={})

    async def feed(
        self, count: int, *, withhold: Sequence[int] = (), bodies: Mapping[int, StoredEntry] | None = None
    ) -> int:
        """Apply up to `count` further entries and return the size after them.

        `bodies` are entries as they once were: whoever sends them has not heard of what was erased since.
        """
        async with self._source.database.acquire() as source, self.database.acquire() as mine:
            theirs, held = await logs.head(source, self._origin), await logs.head(mine, self._origin)
            assert theirs is not None
            assert held is not None
            assert theirs.checkpoint is not None
            state = webvh.verify(await participants.did_lines(source, theirs.participant_id), now=self._source.clock())
            entries = await logs.entries(source, theirs.id, held.size, count)
            target = check_checkpoint(theirs.checkpoint, self._origin, log_service(state).keys)
            end = held.size + len(entries)
            proof = await _consistency(source, theirs.id, end, target.size)
        received = [_received((bodies or {}).get(entry.index, entry), withhold) for entry in entries]
        start = Head(self._origin, Edge.from_bytes(held.size, held.edge))
        batch = check_batch(start, "test", Batch(received, target, proof))
        await apply(
            self.database,
            ready(batch, self._source.clock()),
            start=held.size,
            note=theirs.checkpoint,
            target=target,
            proof=tuple(proof),
            now=self._source.clock(),
        )
        return end


def _received(entry: StoredEntry, withhold: Sequence[int]) -> Received:
    if entry.body is None or entry.index in withhold:
        return Received(entry.data)
    return Received(entry.data, *entry.body)


async def _consistency(connection: Any, log_id: int, m: int, n: int) -> list[bytes]:
    if m == n:
        return []
    found: dict[tiles.TileId, bytes] = {}
    for tile in tiles.consistency_tiles(m, n):
        hashes = await logs.tile_hashes(connection, log_id, tile.level, tile.n * 256, tile.width)
        found[tile] = b"".join(hashes)
    return tiles.prove_consistency(m, n, found)


async def content(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return every record table's rows without this database's own numbers and times."""
    local = {"publisher_id", "log_id", "received_at"}
    async with database.acquire() as connection:
        tables = sorted(row["table_name"] for row in await connection.fetch(CONTENT))
        assert {"need", "activity", "organization", "update_post"} <= set(tables)
        return {
            table: [
                {key: value for key, value in row.items() if key not in local}
                for row in await connection.fetch(f"select * from {table} order by record_id")
            ]
            for table in tables
        }
