"""A machine of a story: a data directory, `gotong` commands, a server to kill, a clock that can be wrong."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.house.source import ROOT
from tests.stories.namespaces import Networks

STARTED_TIMEOUT_S = 90.0
COMMAND_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 10.0
POLL_S = 0.1
NEEDS = """
query Needs($title: String!) {
  needs(first: 100, filter: {text: $title}) { nodes { id title publisher { id } } }
}
"""


class Refused(Exception):
    """A command ended with another exit code than 0."""


@dataclass
class Machine:
    """`address` is where its server listens; `networks` puts it into a namespace of its own."""

    name: str
    data: Path
    address: str = "127.0.0.1"
    port: int = 8080
    networks: Networks | None = None
    environment: dict[str, str] = field(default_factory=dict)
    skew_s: int = 0
    server: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it answers on its network."""
        return f"http://{self.address}:{self.port}"

    # ---- commands ----------------------------------------------------------------------------------------------------

    def gotong(self, *arguments: str, stdin: str | None = None) -> Any:
        """Return what a command prints with --json; raise Refused with what it said."""
        done = subprocess.run(
            self._command(*arguments, "--json"),
            input=stdin,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self._environment(),
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise Refused(f"{self.name}: gotong {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    # ---- the server --------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start `gotong up` and return when it can serve."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data.parent / f"{self.name}.log").open("ab") as log:
            self.server = subprocess.Popen(
                self._command("up", "--host", self.address, "--port", str(self.port)),
                cwd=ROOT,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait(lambda: self._get("/readyz").status_code == 200, STARTED_TIMEOUT_S, "it does not start")

    def kill(self) -> None:
        """Kill the server and its database as a power cut does: nobody gets a signal they could handle."""
        assert self.server is not None
        pid_file = self.data / "postgres" / "postmaster.pid"
        database = psutil.Process(int(pid_file.read_text().split()[0]))
        for process in (psutil.Process(self.server.pid), *database.children(recursive=True), database):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.server.wait()
        self.server = None

    def stop(self) -> None:
        """Ask the server to end, and see that it does."""
        if self.server is not None:
            self.server.terminate()
            self.server.wait(timeout=COMMAND_TIMEOUT_S)
            self.server = None

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

    def needs(self, title: str) -> list[dict[str, Any]]:
        """Return the needs this machine answers with for a title."""
        return [each for each in self.ask(NEEDS, title=title)["needs"]["nodes"] if each["title"] == title]

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
        raise Refused(f"{self.name}: {otherwise} within {timeout_s:.0f} s; see {self.data.parent / self.name}.log")

    def _get(self, path: str) -> httpx.Response:
        return self._inside(lambda: httpx.get(f"{self.url}{path}", timeout=ANSWER_TIMEOUT_S, trust_env=False))

    def _inside(self, work: Callable[[], httpx.Response]) -> httpx.Response:
        return work() if self.networks is None else self.networks.inside(self.name, work)

    def _command(self, *arguments: str) -> list[str]:
        prefix = [] if self.networks is None else self.networks.command(self.name)
        program = ["tests.stories.skewed", str(self.skew_s)] if self.skew_s else ["node.cli"]
        return [*prefix, sys.executable, "-m", *program, *arguments]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
        return {**kept, "GOTONG_DATA_DIR": str(self.data), "GOTONG_NETWORK": "test", **self.environment}
