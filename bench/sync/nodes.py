"""Nodes to measure: `gotong up` as processes of their own, each on its own database of one durable PostgreSQL."""

import asyncio
import contextlib
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench.cluster import dsn_of
from bench.read.servers import ServerFailed, cpu_s, free_port
from federation.moderation.trust import Trust, add_peer
from node.settings import Settings, write_file
from node.wiring import Node, opened
from store.database import Database, connect
from store.embedded import EmbeddedServer

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Where one node lives: its directory, its database, its address."""

    settings: Settings

    @property
    def name(self) -> str:
        """The node's name, which is its directory's."""
        return self.settings.data_dir.name

    @property
    def url(self) -> str:
        """The node's address."""
        return self.settings.origin

    @property
    def did_host(self) -> str:
        """The host that identities made here carry."""
        return f"{self.name}.gotong.test"

    @property
    def dsn(self) -> str:
        """The node's database."""
        assert self.settings.database_url is not None
        return self.settings.database_url.get_secret_value()

    def opened(self) -> contextlib.AbstractAsyncContextManager[Node]:
        """Return the node's parts, for what its operator does beside the running process."""
        return opened(self.settings, migrating=True)

    async def add_peer(self, url: str, trust: Trust = "allowed") -> None:
        """Add a peer as its operator would."""
        async with Database(self.dsn, connections=1) as database:
            await add_peer(database, url, trust=trust, actor="bench")


@contextlib.contextmanager
def postgres() -> Iterator[tuple[str, Path]]:
    """Yield the DSN of a durable server and a directory for nodes; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gotong-bench-sync-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # PostgreSQL's own user has to enter it
        server = EmbeddedServer(directory)
        try:
            yield server.start(), directory
        finally:
            server.stop()


async def place(server_dsn: str, directory: Path, name: str, *, base_url: str | None = None) -> Place:
    """Return a place for a node, with an empty database; `base_url` is for one that others reach another way."""
    database = f"{name}_{uuid.uuid4().hex[:8]}".replace("-", "_")
    admin = await connect(server_dsn, statement_timeout_s=None)
    try:
        await admin.execute(f'create database "{database}" template template0')
    finally:
        await admin.close()
    (directory / name).mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    settings = Settings.load(
        directory / name,
        base_url=base_url or f"http://127.0.0.1:{port}",
        port=port,
        network="test",
        database_url=dsn_of(server_dsn, database),
        database_connections=5,
        statement_timeout_s=600.0,
        log_level="warning",
    )
    write_file(
        settings,
        ["base_url", "network", "port", "database_url", "database_connections", "statement_timeout_s", "log_level"],
    )
    return Place(settings)


@dataclass(frozen=True, slots=True)
class Running:
    """A node that answers."""

    place: Place
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the processor time it has used."""
        return cpu_s(self.process)

    def rss_mb(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 2**20


@contextlib.asynccontextmanager
async def running(node: Place) -> AsyncIterator[Running]:
    """Yield the node, serving in a process of its own; stopped afterwards. Raises ServerFailed."""
    log = node.settings.data_dir / "node.log"
    command = [sys.executable, "-m", "node.cli", "up", "--data", str(node.settings.data_dir)]
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        await _wait_until_ready(node, process, log)
        yield Running(node, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _wait_until_ready(node: Place, process: asyncio.subprocess.Process, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        while process.returncode is None and time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{node.settings.port}/readyz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(POLL_S)
    raise ServerFailed(f"{node.name} did not start; its log is {log}")
