"""What an exchange costs in bytes on the wire: a forwarding socket between two nodes counts both directions."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench.read.servers import free_port
from bench.sync import nodes, source
from bench.sync.bulk import begin
from bench.sync.nodes import Place
from federation.peers.loop import Syncer
from node.wiring import Node, now
from store import logs
from store.database import Connection, connect

GZIP_LEVEL = 6  # what `gzip` does unless told otherwise: what the exchange is compared with
PIECE_BYTES = 64 * 1024


@dataclass(slots=True)
class Wire:
    """A port that forwards to another one, and the bytes that passed it."""

    port: int
    sent_bytes: int = 0
    received_bytes: int = 0

    def total(self) -> int:
        """Return the bytes of both directions, HTTP heads included."""
        return self.sent_bytes + self.received_bytes


@contextlib.asynccontextmanager
async def counting(port: int, to_port: int) -> AsyncIterator[Wire]:
    """Yield the counters of a socket on `port` that forwards everything to `to_port`."""
    wire = Wire(port)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES):
                setattr(wire, direction, getattr(wire, direction) + len(data))
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", to_port)
        await asyncio.gather(pump(reader, to_writer, "sent_bytes"), pump(to_reader, writer, "received_bytes"))

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield wire
    finally:
        server.close()


@contextlib.asynccontextmanager
async def syncing(node: Node) -> AsyncIterator[Syncer]:
    """Yield the node's syncer, for exchanges of this process."""

    async def own_connection() -> Connection:
        return await connect(node.dsn)

    syncer = Syncer(node.database, node.client, "test", now, own_connection, lambda: 0.5)
    try:
        yield syncer
    finally:
        await syncer.close()


async def measure(dsn: str, directory: Path, known: list[int], new: int) -> dict[str, Any]:
    """Return the bytes that `new` records cost a node that has `known` of them, for each of these sizes."""
    outside = free_port()
    peer = await nodes.place(dsn, directory, "lumbung", base_url=f"http://127.0.0.1:{outside}")
    puller = await nodes.place(dsn, directory, "pembaca")
    await begin(peer, "pengurus")
    await begin(puller, "pengurus")
    await puller.add_peer(peer.url)
    found = []
    assert peer.settings.port is not None
    async with (
        nodes.running(peer),
        counting(outside, peer.settings.port) as wire,
        peer.opened() as origin,
        puller.opened() as node,
        syncing(node) as syncer,
    ):
        guest = await source.new_log(origin.database, origin.keys, peer.did_host, "lumbung", now())
        bodies = source.bodies(sum(known) + new * len(known))
        for size in known:
            await source.extend(origin.database, origin.keys, guest.origin, islice(bodies, size), now())
            await _exchange(syncer, puller, peer.url)
            await source.extend(origin.database, origin.keys, guest.origin, islice(bodies, new), now())
            before = wire.total()
            await _exchange(syncer, puller, peer.url)
            spent_bytes = wire.total() - before
            compressed = await _compressed(origin, guest.origin, new)
            held = await _size(origin, guest.origin) - new
            found.append(
                {
                    "known": held,
                    "new": new,
                    "wire_bytes": spent_bytes,
                    "compressed_bytes": compressed,
                    "ratio": round(spent_bytes / compressed, 3),
                }
            )
    return {
        "wire": found,
        "wire_bytes": found[-1]["wire_bytes"],
        "wire_ratio": max(each["ratio"] for each in found),
    }


async def _exchange(syncer: Syncer, puller: Place, url: str) -> None:
    """Run an exchange as a running node does, by the peer's hint."""
    done = await syncer.once(url, in_full=False)
    if done.refused:
        raise SystemExit(f"{puller.name} refused: {done.refused}")


async def _size(node: Node, origin: str) -> int:
    async with node.database.acquire() as connection:
        log = await logs.head(connection, origin)
    assert log is not None
    return log.size


async def _compressed(node: Node, origin: str, count: int) -> int:
    """Return the size of the newest entries' headers, salts and payloads after `gzip`, and nothing else."""
    async with node.database.acquire() as connection:
        log = await logs.head(connection, origin)
        assert log is not None
        entries = await logs.entries(connection, log.id, log.size - count, count)
    gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    size_bytes = sum(len(gzip.compress(part)) for each in entries for part in (each.data, *(each.body or ())))
    return size_bytes + len(gzip.flush())
