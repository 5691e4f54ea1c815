"""Many logs that hardly ever grow: mirrored once, then what an exchange costs while none of them, or one, has grown."""

import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.read.servers import free_port
from bench.sync import nodes
from bench.sync.bulk import begin
from bench.sync.nodes import Running
from bench.sync.wire import Wire, counting, syncing
from domain.ids import uuid7
from federation.did import webvh
from federation.identity import cards, identities
from federation.identity.create import Place as DidPlace
from federation.identity.create import create, public_key
from federation.log import entry, merkle, note
from federation.log.names import origin as origin_of
from federation.peers.exchange import Exchanged
from node.wiring import Node, now
from store import logs, participants
from store.database import Connection
from store.logs import StoredEntry
from tests.nodes import need_draft

EXCHANGES = 30
Exchanging = Callable[[], Awaitable[Exchanged]]


async def measure(dsn: str, directory: Path, count: int) -> dict[str, Any]:
    """Return bytes and time of exchanges of nodes that hold so many logs."""
    outside = free_port()
    peer = await nodes.place(dsn, directory, "kota", base_url=f"http://127.0.0.1:{outside}")
    reader = await nodes.place(dsn, directory, "provinsi")
    await begin(peer, "pengurus")
    await begin(reader, "pengurus")
    await reader.add_peer(peer.url)
    async with peer.opened() as origin:
        await _write(origin, peer.did_host, count, now())
        assert peer.settings.port is not None
        async with (
            nodes.running(peer) as serving,
            counting(outside, peer.settings.port) as wire,
            reader.opened() as node,
            syncing(node) as syncer,
        ):
            begun_s = time.perf_counter()
            while await _held(node) < count:
                await syncer.once(peer.url, in_full=False)
            mirrored_s = time.perf_counter() - begun_s
            row = await syncer._peer(peer.url)
            async with syncer.client(row) as client:  # kept open between exchanges, as a running node's is
                idle = await _exchanges(lambda: syncer._exchange(peer.url, client, in_full=False), serving, wire)
                grown = await _grown(lambda: syncer._exchange(peer.url, client, in_full=False), origin)
    return {
        "quiet_logs": count,
        "quiet_logs_mirrored_s": round(mirrored_s, 1),
        "idle_heads_bytes": idle["bytes"],
        "idle_exchange_ms": idle["ms"],
        "idle_peer_cpu_ms": idle["peer_cpu_ms"],
        "one_grown_exchange_ms": grown,
    }


async def _exchanges(exchange: Exchanging, serving: Running, wire: Wire) -> dict[str, float]:
    """Return what an exchange costs when nothing has changed."""
    await exchange()
    times, before_bytes, before_s = [], wire.total(), serving.cpu_s()
    for _ in range(EXCHANGES):
        begun_s = time.perf_counter()
        await exchange()
        times.append((time.perf_counter() - begun_s) * 1000)
    return {
        "bytes": round((wire.total() - before_bytes) / EXCHANGES),
        "ms": round(statistics.median(times), 2),
        "peer_cpu_ms": round((serving.cpu_s() - before_s) * 1000 / EXCHANGES, 2),
    }


async def _grown(exchange: Exchanging, origin: Node) -> float:
    """Return the milliseconds of an exchange when one log has grown: the operator's, whose key is at hand."""
    operator, times = await origin.operator(), []
    for number in range(EXCHANGES):
        await origin.appender.append(operator.scid, [need_draft(f"Beras nomor {number}")])
        begun_s = time.perf_counter()
        done = await exchange()
        times.append((time.perf_counter() - begun_s) * 1000)
        if done.entries != 1:
            raise SystemExit(f"one entry was to come: {done}")
    return round(statistics.median(times), 2)


async def _held(node: Node) -> int:
    async with node.database.acquire() as connection:
        count: int = await connection.fetchval("select count(*) from log where size > 0 and checkpoint is not null")
    return count - 2  # the two operators'


async def _write(node: Node, host: str, count: int, at: datetime) -> None:
    """Give the node so many participants, each with an identity and a log of one entry. Their keys are kept nowhere."""
    async with node.database.transaction() as connection:
        for number in range(count):
            await _participant(connection, DidPlace(host, None, f"rt{number}"), number, at)


async def _participant(connection: Connection, place: DidPlace, number: int, at: datetime) -> None:
    seed = number.to_bytes(32)
    key = Ed25519PrivateKey.generate()
    made = create(
        place,
        base_url="http://127.0.0.1:1",
        network="test",
        log_public_key=key.public_key().public_bytes_raw(),
        update_key=cards.update_key(seed, 0),
        next_public_key=public_key(cards.update_key(seed, 1)),
        now=at,
    )
    participant_id = await participants.insert(
        connection, scid=made.scid, did=made.did, host=place.host, slug=place.slug, hosted=True, trust="allowed"
    )
    state = webvh.verify([made.line], now=at, scid=made.scid)
    await identities.extend(connection, participant_id, state, [made.line])
    origin = origin_of(made.scid, 0)
    data = entry.genesis(made.scid, 0, "test", at, uuid7(int(at.timestamp() * 1000), number.to_bytes(10)))
    leaf = merkle.leaf_hash(data)
    log_id = await logs.create(connection, participant_id, 0, origin)
    await logs.insert_entries(connection, log_id, [StoredEntry(0, leaf, data)], at)
    edge = merkle.Edge.EMPTY.appended([leaf])
    checkpoint = note.sign_checkpoint(note.Checkpoint(origin, 1, edge.root()), note.Signer(origin, key))
    await logs.set_head(connection, log_id, size=1, edge=edge.to_bytes(), checkpoint=checkpoint, verified_at=at)
