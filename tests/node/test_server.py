"""`gotong up` as a process of its own: publish, kill, cut the database off, stop."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import websockets

from store import outbox
from store.database import Database
from tests.driver.machine import free_ports
from tests.driver.people import need
from tests.house.source import ROOT
from tests.node.conftest import Gotong
from tests.sockets import http_client
from tests.waiting import PATIENCE_S, eventually

PUBLISH = """
mutation Publish($input: PublishNeedInput!) {
  publishNeed(input: $input) { need { id title } userErrors { code field message } }
}
"""
FOLLOW = "subscription ($after: String) { needPublished(after: $after) { need { title } } }"
TITLES = "{ needs(first: 100) { totalCount nodes { id title } } }"


class Server:
    """A running `gotong up`."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, organization: str, token: str) -> None:
        self.process = process
        self.url = url
        self.organization = organization
        self.http = http_client(base_url=url, headers={"authorization": f"Bearer {token}"})

    async def ask(self, query: str, **variables: Any) -> httpx.Response:
        return await self.http.post("/graphql", json={"query": query, "variables": variables})

    async def publish(self, title: str) -> str:
        answer = (await self.ask(PUBLISH, input=need(self.organization, title))).json()
        assert answer.get("errors") is None, answer
        assert answer["data"]["publishNeed"]["userErrors"] == []
        return str(answer["data"]["publishNeed"]["need"]["id"])

    async def titles(self) -> list[str]:
        return [node["title"] for node in (await self.ask(TITLES)).json()["data"]["needs"]["nodes"]]


Serve = Callable[[], "contextlib.AbstractAsyncContextManager[Server]"]


@pytest.fixture
def serve(begun: Gotong, database_dsn: str, tmp_path: Path) -> Serve:
    """Start `gotong up` on a free port; any number of them share the test's database."""
    token = begun("token", "--as", "simpul-uji", "--json").json

    @contextlib.asynccontextmanager
    async def serve() -> AsyncIterator[Server]:
        (port,) = free_ports(1)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
        environment |= {"GOTONG_DATABASE_URL": database_dsn, "GOTONG_DATA_DIR": str(tmp_path / "data")}
        log = (tmp_path / f"up-{port}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "node.cli", "up", "--port", str(port)], cwd=ROOT, env=environment, stderr=log
        )
        server = Server(process, f"http://127.0.0.1:{port}", token["id"], token["token"])
        try:
            await _until_ready(server)
            yield server
        finally:
            await server.http.aclose()
            process.kill()
            process.wait()
            log.close()

    return serve


async def _until_ready(server: Server) -> None:
    async def is_ready() -> bool:
        assert server.process.poll() is None, "the server did not start"
        return await _is_ready(server.http, "/readyz")

    await eventually(is_ready)


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await http.get(url)).status_code == 200
    return False


async def test_what_is_published_is_answered_by_every_process_and_followers_of_all_are_told(
    serve: Serve, database: Database
) -> None:
    async with serve() as one, serve() as other, contextlib.AsyncExitStack() as stack:
        await one.publish("nol")
        followers = [
            await stack.enter_async_context(_following(server, await _beginning(database))) for server in (one, other)
        ]
        await one.publish("satu")
        await other.publish("dua")
        for follower in followers:
            async with asyncio.timeout(PATIENCE_S):
                told = [json.loads(await follower.recv()) for _ in range(3)]
            titles = [message["payload"]["data"]["needPublished"]["need"]["title"] for message in told]
            assert titles == ["nol", "satu", "dua"]
        assert sorted(await one.titles()) == sorted(await other.titles()) == ["dua", "nol", "satu"]


async def _beginning(database: Database) -> str:
    """Return the cursor before the first event."""
    async with database.acquire() as connection:
        return base64.urlsafe_b64encode(f"{await outbox.stream_id(connection)} 0".encode()).decode().rstrip("=")


@contextlib.asynccontextmanager
async def _following(server: Server, after: str) -> AsyncIterator[websockets.ClientConnection]:
    address = server.url.replace("http://", "ws://") + "/graphql"
    protocol = websockets.Subprotocol("graphql-transport-ws")
    async with websockets.connect(address, subprotocols=[protocol], open_timeout=PATIENCE_S) as follower:
        await follower.send('{"type":"connection_init"}')
        assert json.loads(await follower.recv())["type"] == "connection_ack"
        payload = {"query": FOLLOW, "variables": {"after": after}}
        await follower.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        yield follower


async def test_a_process_killed_while_publishing_loses_nothing_it_acknowledged(serve: Serve, begun: Gotong) -> None:
    acknowledged: list[str] = []
    async with serve() as server:

        async def write(writer: int) -> None:
            with contextlib.suppress(httpx.TransportError):
                for n in range(100):
                    record = await server.publish(f"{writer}-{n}")
                    acknowledged.append(record)
                    if len(acknowledged) >= 20:
                        enough.set()

        enough = asyncio.Event()
        writers = [asyncio.create_task(write(n)) for n in range(8)]
        await enough.wait()
        server.process.send_signal(signal.SIGKILL)
        await asyncio.gather(*writers)
    async with serve() as server:
        for record in acknowledged:
            found = (await server.ask("query ($id: ID!) { node(id: $id) { id } }", id=record)).json()
            assert found["data"]["node"] == {"id": record}
        await server.publish("sesudahnya")
    (log,) = begun("verify", "--json").json["logs"]
    assert log["size"] == log["signedSize"] >= len(acknowledged) + 3


async def test_a_database_that_stops_is_named_and_serving_goes_on_when_it_is_back(
    serve: Serve, database_server: str, database_dsn: str
) -> None:
    name = database_dsn.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
    async with serve() as server:
        await server.publish("sebelum")
        admin = await asyncpg.connect(database_server)

        async def nobody_is_left() -> bool:
            """Return whether all are gone, those too that were about to connect when that was forbidden."""
            left = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1"
            return bool(await admin.fetchval(left, name) == 0)

        await admin.execute(f'alter database "{name}" with allow_connections false')
        await eventually(nobody_is_left)
        ready = await server.http.get("/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert (await server.http.get("/healthz")).status_code == 200
        asked = (await server.ask(TITLES)).json()
        assert asked["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        written = (await server.ask(PUBLISH, input=need(server.organization, "di tengah"))).json()
        assert written["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
        heads = await server.http.get("/federation/v1/heads")
        assert (heads.status_code, heads.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
        nowhere = await server.http.post("/federation/v1/heads")
        assert (nowhere.status_code, nowhere.json()["code"]) == (405, "PATH_UNKNOWN")
        assert set(nowhere.headers["allow"].split(", ")) == {"GET", "HEAD"}
        assert name not in asked["errors"][0]["message"] + written["errors"][0]["message"] + heads.text

        await admin.execute(f'alter database "{name}" with allow_connections true')
        await admin.close()
        await server.publish("sesudah")
        assert sorted(await server.titles()) == ["sebelum", "sesudah"]


async def test_a_stop_ends_open_streams_cleanly(serve: Serve, tmp_path: Path) -> None:
    async with serve() as server, server.http.stream("GET", "/federation/v1/stream") as stream:
        await anext(stream.aiter_bytes())
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.process.wait, PATIENCE_S)
        log = next(tmp_path.glob("up-*.log")).read_text()
    assert "Application shutdown complete" in log
    assert "timeout graceful shutdown exceeded" not in log, "the stream was cut"
    assert "Traceback" not in log


async def test_two_workers_serve_one_node(begun: Gotong, database_dsn: str, tmp_path: Path) -> None:
    """The settings given on the command line reach the worker processes, which may take their time to begin."""
    slowly = "import sys, time\nif any('spawn_main' in each for each in sys.orig_argv): time.sleep(7)\n"
    log = tmp_path / "up.log"
    (tmp_path / "sitecustomize.py").write_text(slowly)
    (port,) = free_ports(1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "node.cli", "up", "--port", str(port), "--workers", "2"),
            *("--data", str(tmp_path / "data"), "--database-url", database_dsn),
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(tmp_path)},
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        async with http_client() as http:
            await eventually(partial(_is_ready, http, f"http://127.0.0.1:{port}/readyz"))
            answer = await http.post(f"http://127.0.0.1:{port}/graphql", json={"query": "{ thisNode { network } }"})
            assert answer.json()["data"] == {"thisNode": {"network": "test"}}
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
    assert "died" not in log.read_text()  # as uvicorn says of who is replaced
