"""Make logs worth copying: signed, valid, written straight into a node's store under one checkpoint a log.

Appending a million records the usual way would measure appending. What a reader of these logs sees is no different:
the entries are those of the invented data set, the tree is complete, the log's own key signs its newest head.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from bench.read import dataset, load
from domain.ids import uuid7
from domain.regions import parse_regions
from federation.encoding import canonical
from federation.identity.create import Place
from federation.identity.keys import KeyRing, log_key_name
from federation.lifecycle.enroll import Enrolled, create_participant
from federation.log import entry, merkle, note, tiles
from federation.log.entry import SALT_BYTES
from store import logs
from store.database import Connection, Database
from store.logs import LogRow, StoredEntry

ENTRIES_PER_COPY = 5_000
BASE_URL = "http://127.0.0.1:1"


def bodies(count: int) -> Iterator[bytes]:
    """Yield the canonical bodies of `count` needs of one community, no two alike."""
    with load.REGIONS_CSV.open(encoding="utf-8", newline="") as lines:
        communities = dataset.communities(1, parse_regions(lines))
    for need in dataset.needs(count, communities):
        yield canonical.encode(need.body)


async def new_log(database: Database, keys: KeyRing, host: str, slug: str, now: datetime) -> Enrolled:
    """Return a new participant hosted here whose log holds its first entry."""
    return await create_participant(
        database, keys, place=Place(host, None, slug), base_url=BASE_URL, seed=seed(host, slug), now=now
    )


def seed(host: str, slug: str) -> bytes:
    """Return what such a participant's cards hold."""
    return hashlib.sha256(f"{host} {slug}".encode()).digest()


def decoded(body: bytes) -> dict[str, Any]:
    """Return the content of one of `bodies`."""
    found = canonical.decode(body)
    assert isinstance(found, dict)
    return found


async def extend(database: Database, keys: KeyRing, origin: str, needs: Iterator[bytes], now: datetime) -> int:
    """Append needs to a log under one new checkpoint and return its size."""
    async with database.transaction() as connection:
        log = await logs.lock_head(connection, origin)
        assert log is not None
        edge = merkle.Edge.from_bytes(log.size, log.edge)
        while batch := list(islice(needs, ENTRIES_PER_COPY)):
            edge = await _write(connection, log, edge, batch, now)
        signer = note.Signer(origin, keys.get(log_key_name(log.scid, log.epoch, log.key_number)))
        checkpoint = note.sign_checkpoint(note.Checkpoint(origin, edge.size, edge.root()), signer)
        await logs.set_head(
            connection, log.id, size=edge.size, edge=edge.to_bytes(), checkpoint=checkpoint, verified_at=now
        )
    return edge.size


async def _write(
    connection: Connection, log: LogRow, edge: merkle.Edge, batch: list[bytes], now: datetime
) -> merkle.Edge:
    entries = await asyncio.to_thread(
        lambda: [_entry(edge.size + place, body, now) for place, body in enumerate(batch)]
    )
    await logs.insert_entries(connection, log.id, entries, now)
    grown, completed = tiles.append(edge, [each.leaf_hash for each in entries])
    await logs.insert_tile_hashes(connection, log.id, completed)
    return grown


def _entry(index: int, body: bytes, now: datetime) -> StoredEntry:
    salt = secrets.token_bytes(SALT_BYTES)
    record_id = uuid7(int(now.timestamp() * 1000), secrets.token_bytes(10))
    data = entry.build(type="need", id=record_id, at=now, body=entry.commit(salt, body))
    return StoredEntry(index, merkle.leaf_hash(data), data, (salt, body))
