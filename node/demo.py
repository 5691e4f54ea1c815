"""A small federation on one machine: four nodes as separate processes, seeded, peered, asked one question.

Decides nothing about Gotong: it does what four stewards would do with the
command line, in one go, on the test network.
"""

import asyncio
import contextlib
import fcntl
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx

from auth.tokens import issue
from domain.errors import GotongError
from federation.log.proof import ProvenRecord, check
from federation.moderation.trust import add_peer
from federation.publish.append import Current, Draft, Parts
from node.identity import Introduction, make_operator, make_participant
from node.sample import ABOUT_SELF, SampleNode, SampleOrganization, SampleRecord, load_sample
from node.settings import Settings, write_file
from node.wiring import TOKEN_KEY, Node, now, opened

HOST_SUFFIX = "gotong.test"
STARTED_TIMEOUT_S = 180.0
FEDERATED_TIMEOUT_S = 180.0
PROPAGATED_TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 30.0
STOPPED_TIMEOUT_S = 15.0
POLL_INTERVAL_S = 0.1
PROPAGATION_POLL_S = 0.005

QUESTION = """\
query Mendesak($first: Int) {
  needs(filter: {states: [OPEN], urgencyAtLeast: HIGH}, orderBy: URGENCY, first: $first) {
    totalCount
    nodes { id title(lang: "id") urgency place { region { name } } publisher { name } provenance { proof } }
  }
}"""
COUNT = "query { needs(first: 1) { totalCount } }"
PUBLISH = """\
mutation Terbitkan($input: PublishNeedInput!) {
  publishNeed(input: $input) { need { id } userErrors { code message field } }
}"""
FIND = "query Cari($id: ID!) { node(id: $id) { ... on Need { id title provenance { proof } } } }"


class DemoFailed(GotongError):
    """The demo's federation did not come up; the message says which step, the node's log file why."""

    code: ClassVar[str] = "DEMO_FAILED"


class DemoRunning(GotongError):
    """Another demo is running in this directory."""

    code: ClassVar[str] = "DEMO_RUNNING"


@dataclass(slots=True)
class DemoNode:
    """One node of the demo."""

    sample: SampleNode
    settings: Settings
    organizations: dict[str, str] = field(default_factory=dict)  # slug -> SCID
    needs: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """The node's base URL."""
        return self.settings.origin


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one more need showed: how long until another node answered with it, and whether its proof holds."""

    nodes: int
    needs: int
    propagation_ms: float
    proof_ok: bool


@contextlib.asynccontextmanager
async def federation(directory: Path, tell: Callable[[str], None]) -> AsyncIterator[list[DemoNode]]:
    """Yield the running, seeded, federated nodes; all of them are stopped afterwards. `directory` is emptied first."""
    with _held(directory) as lock:
        samples = load_sample()
        nodes = [
            DemoNode(sample, _settings(directory / sample.name, port))
            for sample, port in zip(samples, _free_ports(len(samples)), strict=True)
        ]
        tell("seeding four communities' nodes, each with its own database")
        await asyncio.gather(*(_seed(node) for node in nodes))
        try:
            tell("starting them as separate processes")
            await asyncio.gather(*(_start(node, lock) for node in nodes))
            tell("waiting until every node has checked and copied the others' logs")
            await _wait_until_federated(nodes)
            yield nodes
        finally:
            await asyncio.gather(*(_stop(node) for node in nodes))


async def run_until_one_ends(nodes: Sequence[DemoNode]) -> None:
    """Wait; raise DemoFailed when a node's process ends by itself."""
    ended = [asyncio.create_task(node.process.wait()) for node in nodes if node.process is not None]
    try:
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ended:
            task.cancel()
    for node in nodes:
        if node.process is not None and node.process.returncode is not None:
            raise DemoFailed("a node has ended", log=str(node.settings.data_dir / "node.log"))


async def ask(node: DemoNode, query: str, variables: dict[str, Any] | None = None, token: str | None = None) -> Any:
    """Return the data of an answer, or raise DemoFailed with its errors."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S) as client:
        response = await client.post(
            f"{node.url}/graphql", json={"query": query, "variables": variables or {}}, headers=headers
        )
    try:
        answer = response.json()
    except ValueError:
        raise DemoFailed("a node gave no answer", url=node.url, status=response.status_code) from None
    if answer.get("errors"):
        raise DemoFailed("a node answered with errors", url=node.url, errors=str(answer["errors"])[:500])
    return answer["data"]


async def publish_one_more(nodes: Sequence[DemoNode]) -> Outcome:
    """Publish a need on the first node and return when the last one answered with it, its proof checked offline."""
    source, target = nodes[0], nodes[-1]
    slug, scid = next(iter(source.organizations.items()))
    token = await _token(source, scid)
    started = time.perf_counter()
    data = await ask(source, PUBLISH, {"input": _one_more(scid)}, token)
    published = data["publishNeed"]
    if published["userErrors"]:
        raise DemoFailed("the need was refused", slug=slug, errors=str(published["userErrors"]))
    found = await _find(target, published["need"]["id"])
    propagation_ms = (time.perf_counter() - started) * 1000
    proven = check(found["provenance"]["proof"], now())
    count = (await ask(target, COUNT))["needs"]["totalCount"]
    return Outcome(len(nodes), count, round(propagation_ms, 1), _is_the_need(proven, found))


def _is_the_need(proven: ProvenRecord, found: dict[str, Any]) -> bool:
    body = proven.body or {}
    return proven.uri == found["id"] and any(text["text"] == found["title"] for text in body["title"])  # type: ignore[union-attr, index, call-overload]


def _one_more(scid: str) -> dict[str, Any]:
    return {
        "as": f"gotong:{scid}",
        "title": [{"lang": "id", "text": "Lampu baca untuk malam hari"}],
        "kind": "GOODS",
        "category": "education.equipment",
        "quantity": {"value": "6", "unit": "{lampu}"},
        "urgency": "HIGH",
        "place": {"code": "32.03.28"},
        "modes": ["DONATE", "LEND"],
    }


async def _find(node: DemoNode, record_id: str) -> Any:
    deadline = time.monotonic() + PROPAGATED_TIMEOUT_S
    while time.monotonic() < deadline:
        found = (await ask(node, FIND, {"id": record_id}))["node"]
        if found is not None:
            return found
        await asyncio.sleep(PROPAGATION_POLL_S)
    raise DemoFailed("the need did not arrive on the other node", url=node.url)


async def _token(node: DemoNode, scid: str) -> str:
    async with opened(node.settings) as parts:
        key = parts.keys.get_or_create(TOKEN_KEY)
    origin = node.settings.origin
    return issue(
        key,
        issuer=origin,
        audience=origin,
        subject=f"gotong:{scid}",
        organizations=[scid],
        scopes=["records:write"],
        now=now(),
    )


# ---- seeding --------------------------------------------------------------------------------------------------------


async def _seed(demo: DemoNode) -> None:
    demo.settings.data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_file(demo.settings, ["base_url", "network", "port", "host", "log_format", "poll_interval_s"])
    async with opened(demo.settings, migrating=True) as node:
        host = f"{demo.sample.name}.{HOST_SUFFIX}:{demo.settings.port}"
        for number, organization in enumerate(demo.sample.organizations):
            who = _introduction(node, organization)
            if number == 0:
                enrolled = await make_operator(node, who, host=host, cards_dir=None)
            else:
                enrolled = await make_participant(node, who, cards_dir=None)
            demo.organizations[organization.slug] = enrolled.scid
            demo.needs += await _publish(node, enrolled.scid, organization)


def _introduction(node: Node, organization: SampleOrganization) -> Introduction:
    body = organization.itself.body(now(), node.regions)
    return Introduction(organization.slug, body["name"][0]["text"], body, organization.itself.restricted)


async def _publish(node: Node, scid: str, organization: SampleOrganization) -> int:
    """Publish an organization's records in order and return how many of them are needs."""
    references = {ABOUT_SELF: {"uri": f"gotong:{scid}"}}
    for record in organization.records:
        about = None if record.about is None else references[record.about]
        body = record.body(now(), node.regions, about)
        (appended,) = await node.appender.append(scid, [Draft(record.type, None, _as_is(record, body))])
        references[record.key] = {"uri": appended.uri, "leaf": appended.leaf_hash.hex()}
    return sum(record.type == "need" for record in organization.records)


def _as_is(record: SampleRecord, body: dict[str, Any]) -> Callable[[Current | None], Parts]:
    return lambda _current: Parts({}, body, record.restricted)


# ---- processes ------------------------------------------------------------------------------------------------------


async def _start(demo: DemoNode, lock: int) -> None:
    log = (demo.settings.data_dir / "node.log").open("wb")
    with log:
        demo.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "node.cli",
            "up",
            "--data",
            str(demo.settings.data_dir),
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),  # held as long as a node lives, whatever becomes of the demo itself
        )
    await _wait_until_ready(demo)


async def _wait_until_ready(demo: DemoNode) -> None:
    deadline = time.monotonic() + STARTED_TIMEOUT_S
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_TIMEOUT_S) as client:
        while time.monotonic() < deadline:
            assert demo.process is not None
            if demo.process.returncode is not None:
                break
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"{demo.url}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(POLL_INTERVAL_S)
    raise DemoFailed("a node did not start", log=str(demo.settings.data_dir / "node.log"))


async def _wait_until_federated(nodes: Sequence[DemoNode]) -> None:
    await asyncio.gather(*(_introduce_peers(demo, nodes) for demo in nodes))
    total = sum(demo.needs for demo in nodes)
    deadline = time.monotonic() + FEDERATED_TIMEOUT_S
    for demo in nodes:
        while (await ask(demo, COUNT))["needs"]["totalCount"] < total:
            if time.monotonic() > deadline:
                raise DemoFailed("the nodes did not federate in time", log=str(demo.settings.data_dir / "node.log"))
            await asyncio.sleep(POLL_INTERVAL_S)


async def _introduce_peers(demo: DemoNode, nodes: Sequence[DemoNode]) -> None:
    async with opened(demo.settings) as node:
        for peer in nodes:
            if peer is not demo:
                await add_peer(node.database, peer.url, trust="allowed", actor="demo")


async def _stop(demo: DemoNode) -> None:
    process = demo.process
    if process is None or process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOPPED_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


# ---- places ---------------------------------------------------------------------------------------------------------


def _settings(directory: Path, port: int) -> Settings:
    return Settings.load(
        directory,
        base_url=f"http://127.0.0.1:{port}",
        port=port,
        network="test",
        log_format="json",
        poll_interval_s=5.0,
        database_connections=5,
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[int]:
    """Hold `directory` for this demo, emptied, and yield the lock's descriptor; raise DemoRunning when it is held."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (directory / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoRunning("another demo is running here; stop it or choose another --data") from None
        for child in directory.iterdir():
            if child.is_dir():
                shutil.rmtree(child)
        yield lock.fileno()
