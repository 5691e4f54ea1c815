"""The command line of peers, as an operator types it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.house.source import ROOT
from tests.sync.conftest import MakeNode, SyncNode


class Shell:
    """Types commands on one node."""

    def __init__(self, node: SyncNode, directory: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
        told = {"GOTONG_DATABASE_URL": node.database.dsn, "GOTONG_NETWORK": "test", "GOTONG_DATA_DIR": str(directory)}
        self._environment = clean | told

    async def __call__(self, *arguments: str) -> tuple[int, Any]:
        """Return the exit code and the JSON that a command prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node.cli", *arguments, "--json",
            stdout=asyncio.subprocess.PIPE, env=self._environment, cwd=ROOT,
        )  # fmt: skip
        printed, _ = await process.communicate()
        return process.returncode or 0, json.loads(printed)

    async def text(self, *arguments: str) -> str:
        """Return what a command prints for people."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node.cli", *arguments,
            stdout=asyncio.subprocess.PIPE, env=self._environment, cwd=ROOT,
        )  # fmt: skip
        return (await process.communicate())[0].decode()


async def test_an_operator_adds_looks_and_allows(make_node: MakeNode, tmp_path: Path) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air")
    gotong = Shell(b, tmp_path / "b")

    code, added = await gotong("peer", "add", f"{a.url}/")
    assert (code, added["url"], added["trust"]) == (0, a.url, "quarantined")
    assert added["peer"] == {"operator": f"gotong:{a.node.operator.scid}", "network": "test", "logs": 2}

    code, synced = await gotong("sync")
    assert (code, synced["peers"][0]["entries"], synced["peers"][0]["refused"]) == (0, 4, {})
    listed = (await gotong("peer", "list"))[1]
    assert {each["trust"] for each in listed["participants"]} == {"quarantined"}
    assert listed["peers"][0]["failures"] == 0

    assert (await gotong("peer", "allow", a.url))[1]["participantsChanged"] == 2
    assert (await gotong("peer", "block", f"gotong:{guest.scid}"))[1]["participantsChanged"] == 1
    trust = {each["id"]: each["trust"] for each in (await gotong("peer", "list"))[1]["participants"]}
    assert trust[f"gotong:{guest.scid}"] == "blocked"
    assert (await gotong("reports"))[1] == {"reports": []}
    assert a.url in await gotong.text("peer", "list")
    assert await gotong.text("reports") == "Nothing was refused.\n"
    actors = await b.rows("select distinct split_part(actor, ':', 1) from audit")
    assert actors == [("cli",)]


async def test_what_cannot_be_done_is_said_by_code(make_node: MakeNode, tmp_path: Path) -> None:
    b = await make_node("b")
    gotong = Shell(b, tmp_path / "b")
    for arguments, exit_code, code in (
        (("peer", "add", "ftp://x"), 1, "PEER_URL_INVALID"),
        (("peer", "add", "http://user:pw@x"), 1, "PEER_URL_INVALID"),
        (("peer", "allow", "http://127.0.0.1:1"), 1, "PEER_NOT_FOUND"),
        (("peer", "allow", "gotong:nobody"), 1, "PARTICIPANT_NOT_FOUND"),
        (("peer", "block", f"gotong:{b.node.operator.scid}"), 1, "PARTICIPANT_HOSTED_HERE"),
        (("sync", "http://127.0.0.1:1"), 1, "PEER_NOT_FOUND"),
    ):
        done = await gotong(*arguments)
        assert (done[0], done[1]["error"]["code"]) == (exit_code, code)
    status, added = await gotong("peer", "add", "http://127.0.0.1:9", "--allow")
    assert (status, added["trust"], added["peer"]["error"]["code"]) == (0, "allowed", "PEER_UNREACHABLE")
    status, failed = await gotong("sync", "http://127.0.0.1:9")
    assert (status, failed["error"]["code"]) == (3, "PEER_UNREACHABLE")
    status, all_of_them = await gotong("sync")
    assert (status, all_of_them["peers"][0]["error"]["code"]) == (1, "PEER_UNREACHABLE")
