"""A machine with Gotong on it: a data directory, `gotong` commands, a server to kill, a clock that can be wrong.

Everything happens in processes of their own, as a person would have it: what stories and the tests of commands share.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil

from tests.house.source import ROOT
from tests.waiting import PATIENCE_S

ANSWER_TIMEOUT_S = 30.0
POLL_S = 0.1
PORTS = range(20_000, 32_000)  # no port of a machine that restarts may be given to somebody's outgoing connection
WORKERS_MAX = 8
"""Of pytest-xdist: each gives out ports of its own, for one that is free now may be another worker's in a moment."""

_given: set[int] = set()


class Refused(Exception):
    """A command ended with another exit code than 0, a question with errors, or nothing came in time."""


class Networks(Protocol):
    """Networks that a machine can be in, other than this one."""

    def command(self, name: str) -> list[str]:
        """Return what runs a command on the machine of that name."""

    def inside(self, name: str, work: Callable[[], httpx.Response]) -> httpx.Response:
        """Return what work gives that is done on the machine of that name."""


@dataclass(frozen=True)
class Ran:
    """A finished command: its exit code, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with --json, None for nothing."""
        return json.loads(self.out) if self.out.strip() else None


@dataclass
class Machine:
    """`address` is where its server listens; `networks` puts it into a namespace of its own."""

    name: str
    data: Path
    address: str = "127.0.0.1"
    port: int = 8080
    networks: Networks | None = None
    environment: dict[str, str] = field(default_factory=dict)
    server: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.set_clock(timedelta(0))

    @property
    def url(self) -> str:
        """Where it answers on its network."""
        return f"http://{self.address}:{self.port}"

    @property
    def log(self) -> Path:
        """What its server says."""
        return self.data.parent / "server.log"

    def set_clock(self, error: timedelta) -> None:
        """Set the clock wrong by so much, for the running server too."""
        written = self._clock.with_suffix(".new")
        written.write_text(str(error.total_seconds()))
        written.replace(self._clock)

    # ---- commands ----------------------------------------------------------------------------------------------------

    def gotong(self, *arguments: str, stdin: str | None = None) -> Any:
        """Return what a command prints with --json; raise Refused with what it said."""
        ran = self.run(*arguments, "--json", stdin=stdin)
        if ran.code:
            raise Refused(f"{self.name}: gotong {' '.join(arguments)}: {ran.code}\n{ran.out}{ran.err}")
        return ran.json

    def run(self, *arguments: str, stdin: str | None = None, **environment: str) -> Ran:
        """Return how a command ended; `environment` is for it alone."""
        with self.start(*arguments, **environment) as command:
            try:
                out, err = command.communicate(stdin or "", timeout=PATIENCE_S)
            finally:
                command.kill()
        return Ran(command.returncode, out, err)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Return a command that runs from now on; whoever starts one sees to its end."""
        return subprocess.Popen(
            self._command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self._environment() | environment,
        )

    # ---- the server --------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start `gotong up` and return when it can serve."""
        with self.log.open("ab") as log:
            self.server = subprocess.Popen(
                self._command("up", "--host", self.address, "--port", str(self.port)),
                cwd=ROOT,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait(lambda: self.get("/readyz").status_code == 200, PATIENCE_S, "it does not start")

    def stop(self) -> None:
        """Stop the server as an operator does."""
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(PATIENCE_S)
            self.server = None

    def kill(self) -> None:
        """Kill the server and its database as a power cut does: nobody gets a signal they could handle."""
        for process in [*self._served(), *self._database()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.server is not None:
            self.server.wait()
            self.server = None

    def lose(self) -> None:
        """Lose the machine with all that is on it."""
        self.kill()
        shutil.rmtree(self.data)

    # ---- questions ---------------------------------------------------------------------------------------------------

    def ask(self, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
        """Return the data of a GraphQL answer; raise Refused for errors."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = self._inside(
            lambda: httpx.post(
                f"{self.url}/graphql",
                json={"query": query, "variables": variables},
                headers=headers,
                timeout=ANSWER_TIMEOUT_S,
                trust_env=False,
            )
        ).json()
        if answer.get("errors"):
            raise Refused(f"{self.name}: {answer['errors']}")
        data: dict[str, Any] = answer["data"]
        return data

    def wait(self, condition: Callable[[], Any], timeout_s: float, otherwise: str) -> float:
        """Return after how many seconds a condition held; raise Refused when it does not in time."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < timeout_s:
            if self.server is not None and self.server.poll() is not None:
                break
            try:
                if condition():
                    return time.monotonic() - began_s
            except (httpx.TransportError, Refused):
                pass
            time.sleep(POLL_S)
        raise Refused(f"{self.name}: {otherwise} within {timeout_s:.0f} s")

    def get(self, path: str) -> httpx.Response:
        """Return the answer to a GET."""
        return self._inside(lambda: httpx.get(f"{self.url}{path}", timeout=ANSWER_TIMEOUT_S, trust_env=False))

    def _inside(self, work: Callable[[], httpx.Response]) -> httpx.Response:
        return work() if self.networks is None else self.networks.inside(self.name, work)

    def _served(self) -> list[psutil.Process]:
        if self.server is None or self.server.poll() is not None:
            return []
        return _tree(self.server.pid)

    def _database(self) -> list[psutil.Process]:
        """Return the processes of the database; the number in a file may be another program's by now."""
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
            number = int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])
            if Path(psutil.Process(number).cwd()) == (self.data / "postgres").resolve():
                return _tree(number)
        return []

    @property
    def _clock(self) -> Path:
        return self.data.parent / "clock"

    def _command(self, *arguments: str) -> list[str]:
        prefix = [] if self.networks is None else self.networks.command(self.name)
        return [*prefix, sys.executable, "-m", "tests.driver.skewed", str(self._clock), *arguments]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
        return {**kept, "GOTONG_DATA_DIR": str(self.data), **self.environment}


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on now, that were not given before and that the system gives nobody by itself.

    Raises Refused for none.
    """
    found: list[int] = []
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ours = PORTS[worker % WORKERS_MAX :: WORKERS_MAX]
    for port in random.sample(ours, len(ours)):
        if port in _given:
            continue
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
            found.append(port)
            _given.add(port)
        if len(found) == count:
            return found
    raise Refused("there are no free ports")


def _tree(number: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    try:
        process = psutil.Process(number)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
