"""One running node for all examples: begun, served and written to as its steward would."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.database import connect
from tests.driver.machine import free_ports
from tests.dsn import dsn_of
from tests.house.source import ROOT
from tests.waiting import PATIENCE_S

NEIGHBOUR_ID = "gotong:QmTetanggaTetanggaTetanggaTetanggaTetangga1234"
NEIGHBOUR = f"""
insert into participant (scid, did, host, slug)
values ('{NEIGHBOUR_ID[7:]}', 'did:webvh:{NEIGHBOUR_ID[7:]}:a.gotong.test:o:t', 'a.gotong.test', 't')
"""
"""Somebody of another node, who waits for an operator's decision."""
PUBLISH = """
mutation($need: PublishNeedInput!) { publishNeed(input: $need) { need { id } userErrors { code message } } }
"""
CHANGES = """query($region: String) {
  changes(filter: {types: [NEED], region: $region}, first: 100) { nodes { kind recordId record { id } } }
}"""


@dataclass(frozen=True)
class ExampleNode:
    """A node that examples talk to."""

    url: str
    organization: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        """What an example finds in its environment."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"NODE": self.url, "TOKEN": self.token, "ORGANIZATION": self.organization, "PATH": path}
        kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        return {**kept, **own, "NO_PROXY": "*"}

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the JSON answer to a question asked with the organization's token."""
        headers = {"authorization": f"Bearer {self.token}"}
        sent = {"query": query, "variables": variables}
        return httpx.post(f"{self.url}/graphql", json=sent, headers=headers, trust_env=False, timeout=PATIENCE_S).json()

    def publish(self, title: str, **changes: Any) -> str:
        """Return the id of a new need."""
        need = {
            "as": self.organization,
            "title": [{"lang": "id", "text": title}],
            "kind": "GOODS",
            "category": "education.books",
            "quantity": {"value": "25", "unit": "{buku}"},
            "urgency": "HIGH",
            "place": {"code": "32.03.28"},
            "modes": ["DONATE"],
            **changes,
        }
        answer = self.ask(PUBLISH, need=need)["data"]["publishNeed"]
        assert answer["userErrors"] == []
        return str(answer["need"]["id"])

    def wait_until_told(self, count: int, region: str) -> None:
        """Return when `changes` tells that many events of needs there: they are numbered right after the commit."""
        self._wait_until_told(region, lambda told: sum(event["record"] is not None for event in told) >= count)

    def wait_until_erased(self, record: str) -> None:
        """Return when `changes` tells that a record was erased."""
        self._wait_until_told(
            "32", lambda told: (record, "ERASED") in [(event["recordId"], event["kind"]) for event in told]
        )

    def _wait_until_told(self, region: str, done: Callable[[list[Any]], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done(self.ask(CHANGES, region=region)["data"]["changes"]["nodes"]):
            assert time.monotonic() < deadline, "nothing was told"
            time.sleep(0.02)

    def publish_until(self, done: Callable[[], bool], **changes: Any) -> None:
        """Publish again and again until `done`: who follows is told what comes after it has subscribed."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, "nobody was told"
            self.publish("Ikuti", **changes)
            time.sleep(0.05)


async def _execute(server: str, sql: str) -> None:
    admin = await connect(server, statement_timeout_s=None)
    try:
        await admin.execute(sql)
    finally:
        await admin.close()


@pytest.fixture(scope="session")
def example_node(
    database_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExampleNode]:
    """A running `gotong up` with a database of its own."""
    directory = tmp_path_factory.mktemp("examples")
    name = f"gotong_test_{uuid.uuid4().hex}"
    asyncio.run(_execute(database_server, f'create database "{name}" template "{template_database}"'))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GOTONG_")}
    environment |= {"GOTONG_DATABASE_URL": dsn_of(database_server, name), "GOTONG_DATA_DIR": str(directory / "data")}
    (port,) = free_ports(1)

    def gotong(*arguments: str) -> str:
        command = [sys.executable, "-m", "node.cli", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    asyncio.run(_execute(dsn_of(database_server, name), NEIGHBOUR))
    gotong("init", "Simpul Contoh", "--region", "32.03.28", "--network", "test", "--no-cards")
    scopes = ["--scope", "peers:admin", "--scope", "records:write", "--scope", "restricted:read"]
    token = json.loads(gotong("token", "--as", "simpul-contoh", *scopes, "--lifetime", "3600", "--json"))
    command = [sys.executable, "-m", "node.cli", "up", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    node = ExampleNode(f"http://127.0.0.1:{port}", token["id"], token["token"])
    try:
        _wait_until_ready(node, process)
        yield node
    finally:
        process.kill()
        process.wait()
        asyncio.run(_execute(database_server, f'drop database if exists "{name}" with (force)'))


def _wait_until_ready(node: ExampleNode, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{node.url}/readyz", trust_env=False).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the node did not start")
