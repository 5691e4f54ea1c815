"""Fill a database with the invented data set, through the real migrations and the real record types.

Rows go in by COPY, without signatures and without the log's tree: this measures reading. Secondary
indexes are made afterwards, which is quicker and leaves the same indexes.
"""

import hashlib
import inspect
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench import cluster
from bench.read import dataset
from bench.read.dataset import Community, Record
from domain.records.registry import RECORDS
from domain.regions import parse_regions
from federation.identity.create import Place
from federation.identity.keys import KeyRing
from federation.lifecycle.enroll import start_node
from store import texts
from store.database import Connection, Database
from store.migrate import migrate, read_migrations

BATCH_NEEDS = 5_000
FIRST_ID = 1_000  # of participants and logs; lower ones belong to the node itself
REGIONS_CSV = Path(__file__).parents[2] / "domain" / "data" / "regions.csv"
HOST, SLUG = "bench.gotong.test", "bench"
TABLES = ("need", "update_post", "need_search")
MAINTENANCE = "set maintenance_work_mem = '1GB'; set max_parallel_maintenance_workers = 2"
MOVED = ("published_at", "revised_at", "received_at", "needed_by")  # the instants of a need that a copy has elsewhere


@dataclass(frozen=True, slots=True)
class Size:
    """How much: the newest `updated_share` of the needs have updates.

    With `copies`, one in so many needs goes through the record type; PostgreSQL makes the others from it, at other
    times and under other ids. They have no entries, and neither updates nor words to be found by.
    """

    name: str
    needs: int
    communities: int
    updated_share: float = 0.2
    searched: bool = True
    copies: int = 1


FULL = Size("full", 1_000_000, 1_000)
SMOKE = Size("smoke", 50_000, 1_000, updated_share=0.5)


def name_of(size: Size) -> str:
    """Return the name of the database of that size: another one for other data, other code or other migrations."""
    state = [migration.sha256 for migration in read_migrations()]
    state += [inspect.getsource(dataset), inspect.getsource(Loader), repr(size)]
    return f"{cluster.PREFIX}{size.name}_{hashlib.sha256(''.join(state).encode()).hexdigest()[:12]}"


async def load(dsn: str, size: Size, keys: Path) -> None:
    """Fill the empty database at `dsn`; the node's own keys go into the directory `keys`."""
    await migrate(dsn)
    async with Database(dsn, connections=2, statement_timeout_s=None) as database:
        await start_node(
            database,
            KeyRing(keys),
            place=Place(HOST, None, SLUG),
            base_url="http://127.0.0.1:1",
            network="test",
            seed=hashlib.sha256(b"bench").digest(),
            now=dataset.START,
        )
        async with database.acquire() as connection:
            await Loader(connection, size).run()


class Loader:
    """One filling of one database."""

    def __init__(self, connection: Connection, size: Size) -> None:
        self._connection = connection
        self._size = size
        self._rng = random.Random(dataset.SEED + 2)  # noqa: S311
        with REGIONS_CSV.open(encoding="utf-8", newline="") as lines:
            self._by = dataset.communities(size.communities, parse_regions(lines))
        self._next_index = [2] * size.communities  # 0 begins the log, 1 is the organization

    async def run(self) -> None:
        """Write everything."""
        connection = self._connection
        await connection.execute(MAINTENANCE)
        await self._communities()
        indexes = await _drop_indexes(connection)
        count = self._size.needs // self._size.copies
        needs = dataset.needs(count, self._by)
        first_updated = round(count * (1 - self._size.updated_share))
        written = 0
        while batch := list(islice(needs, BATCH_NEEDS)):
            written += len(batch)
            await self._batch(batch, batch[max(0, len(batch) - max(0, written - first_updated)) :])
        if self._size.copies > 1:
            await self._multiply()
        for definition in indexes:
            await connection.execute(definition)
        await connection.execute("update log set size = $1 where id >= $2", max(self._next_index), FIRST_ID)
        await connection.execute("vacuum (freeze, analyze)")

    async def _communities(self) -> None:
        participants, logs, rows = [], [], []
        for community in self._by:
            publisher, did = FIRST_ID + community.number, f"did:webvh:{community.scid}:{HOST}:o:{community.number}"
            participants.append((publisher, community.scid, did, HOST, f"c{community.number}", "allowed"))
            logs.append((publisher, publisher, 0, f"gotong/{community.scid}/0"))
            record = Record(community, community.record_id, dataset.START, community.body)
            rows.append(_row("organization", record, 1))
        columns = ["id", "scid", "did", "host", "slug", "trust"]
        await self._connection.copy_records_to_table("participant", columns=columns, records=participants)
        await self._connection.copy_records_to_table(
            "log", columns=["id", "participant_id", "epoch", "origin"], records=logs
        )
        for table in ("participant", "log"):
            await self._connection.execute(
                f"select setval(pg_get_serial_sequence('{table}', 'id'), {FIRST_ID + len(self._by)})"
            )
        await self._copy("organization", rows)
        keys = [(row["publisher_id"], row["record_id"]) for row in rows]
        await texts.write(self._connection, "organization", keys)

    async def _batch(self, needs: Sequence[Record], updated: Sequence[Record]) -> None:
        need_rows = [_row("need", need, self._index(need.community)) for need in needs]
        update_rows = []
        for need in updated:
            about = dataset.updates(self._rng, need, dataset.leaf_hash(need.id))
            update_rows += [_row("update", update, self._index(update.community)) for update in about]
        await self._copy("need", need_rows)
        if update_rows:
            await self._copy("update_post", update_rows)
        entries = [
            (row["log_id"], row["index"], dataset.leaf_hash(row["record_id"]), b"{}", row["received_at"])
            for row in (*need_rows, *update_rows)
        ]
        await self._connection.copy_records_to_table("entry", records=entries)
        if self._size.searched:
            await texts.write(self._connection, "need", [(row["publisher_id"], row["record_id"]) for row in need_rows])

    async def _multiply(self) -> None:
        """Replace the needs by their copies: each has the whole sequence, squeezed into its own stretch of time."""
        connection, copies = self._connection, self._size.copies
        await connection.execute("create temporary table original as table need; truncate need")
        columns = [
            row[0]
            for row in await connection.fetch(
                "select attname from pg_attribute where attrelid = 'need'::regclass and attnum > 0 "
                "and not attisdropped and attgenerated = '' order by attnum"
            )
        ]
        received = f"$1::timestamptz + (received_at - $1::timestamptz) / {copies} + $2::interval * $3::int"
        id_ = (
            f"(lpad(to_hex((extract(epoch from {received}) * 1000)::bigint), 12, '0') "
            "|| substr(replace(record_id::text, '-', ''), 13))::uuid"
        )
        moved = {name: f"{name} - received_at + {received}" for name in MOVED} | {"record_id": id_}
        values = ", ".join(moved.get(name, f'"{name}"') for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        statement = await connection.prepare(f"insert into need ({names}) select {values} from original")
        for copy in range(copies):
            await statement.fetch(dataset.START, dataset.SPAN / copies, copy)
        await connection.execute("drop table original")

    def _index(self, community: Community) -> int:
        index = self._next_index[community.number]
        self._next_index[community.number] += 1
        return index

    async def _copy(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        columns = list(rows[0])
        await self._connection.copy_records_to_table(table, columns=columns, records=[tuple(r.values()) for r in rows])


def _row(type_: str, record: Record, index: int) -> dict[str, Any]:
    record_type = RECORDS.named(type_)
    publisher = FIRST_ID + record.community.number
    at = record.received_at.replace(microsecond=record.received_at.microsecond // 1000 * 1000)
    return {
        "publisher_id": publisher,
        "record_id": record.id,
        "revision": 0,
        "log_id": publisher,
        "index": index,
        "published_at": at,
        "revised_at": at,
        "received_at": record.received_at,
        "next_due_at": None,
        "exercise": False,
        **record_type.row({}, record.body, at=at, received=dataset.AS_OF),
    }


async def _drop_indexes(connection: Connection) -> list[str]:
    """Return the definitions of the secondary indexes, dropped."""
    rows = await connection.fetch(
        """
        select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition
        from pg_index i where i.indrelid::regclass::text = any($1)
        and not exists (select from pg_constraint c where c.conindid = i.indexrelid) order by 1
        """,
        list(TABLES),
    )
    for row in rows:
        await connection.execute(f"drop index {row['name']}")
    return [row["definition"] for row in rows]


async def sizes(connection: Connection) -> AsyncIterator[tuple[str, int, int]]:
    """Yield (table, rows, bytes with indexes) of the biggest tables."""
    for table in ("need", "need_search", "update_post", "entry"):
        rows, size_bytes = await connection.fetchrow(  # type: ignore[misc]
            f"select (select count(*) from {table}), pg_total_relation_size('{table}')"
        )
        yield table, rows, size_bytes
