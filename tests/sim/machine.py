"""A simulated node: a machine with a disk that outlives its processes, and a clock nobody else shares."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette

from api.callers import Callers
from api.errors import install
from api.federation import FederationEdge
from api.federation_evidence import EvidenceEdge
from api.peer_budget import Allowance, PeerBudgets, PeerRates
from api.seen import noticed
from federation.did.create import Place
from federation.identity.enroll import Enrolled, create_participant, start_node
from federation.identity.keys import KeyRing
from federation.publish.append import Appender, at_once
from federation.publish.guard import Guard
from federation.requests.caller import Requests
from federation.sync.announce import HeadFeed
from federation.sync.client import Limits, PeerClient
from federation.sync.loop import Syncer
from store.database import Connection, Database, connect
from store.wake import Wake
from tests.nodes import seed_of
from tests.sim.crash import Lifeline
from tests.sim.network import Network

CONNECTIONS = 3
QUICK = Limits(connect_s=2.0, read_s=10.0, grace_s=10.0, silence_s=10.0)
RATES = PeerRates(Allowance(1_000_000, 2**40), Allowance(1_000_000, 2**40))


@dataclass
class WorldTime:
    """The time that passes for everybody; machines may be wrong about it."""

    now: datetime

    def pass_(self, seconds: float) -> None:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)


@dataclass
class Machine:
    """One node. `error` is how wrong its clock is; `process` is None while it is down."""

    name: str
    dsn: str
    directory: Path
    time: WorldTime
    network: Network
    lifelines: dict[str, Lifeline]
    is_honest: bool = True
    error: timedelta = timedelta(0)
    operator: Enrolled | None = None
    guests: list[Enrolled] = field(default_factory=list)
    process: "Process | None" = None

    @property
    def host(self) -> str:
        """The host others know this machine by."""
        return f"{self.name}.gotong.test"

    @property
    def url(self) -> str:
        """Where its peers reach it."""
        return f"http://{self.host}"

    def clock(self) -> datetime:
        """What this machine takes the time for."""
        return self.time.now + self.error

    async def boot(self) -> "Process":
        """Return a new process on this disk, reachable from now on."""
        self.lifelines[self.dsn] = Lifeline()
        self.process = Process(self, Database(self.dsn, connections=CONNECTIONS), self.lifelines[self.dsn])
        self.network.apps[self.host] = self.process.app
        await self.process.guard.decide()  # as it does from the first moment on
        return self.process

    async def found(self, guest_slugs: list[str]) -> None:
        """Begin the node: its operator and its guests."""
        assert self.process is not None
        keys = KeyRing(self.directory / "keys")
        database = self.process.database
        self.operator = await start_node(
            database,
            keys,
            place=Place(self.host, None, "pengurus"),
            base_url=self.url,
            network="test",
            seed=seed_of(self.host),
            now=self.clock(),
        )
        for slug in guest_slugs:
            guest = await create_participant(
                database,
                keys,
                place=Place(self.host, None, slug),
                base_url=self.url,
                seed=seed_of(f"{self.host} {slug}"),
                now=self.clock(),
            )
            self.guests.append(guest)

    async def stop(self) -> None:
        """End the process as a signal would ask it to."""
        process, self.process = self.process, None
        self.network.apps.pop(self.host, None)
        if process is not None:
            await process.syncer.close()
            await process.guard.close()
            await process.database.close(timeout_s=1.0)

    def bury(self) -> None:
        """Forget a process that was killed."""
        self.network.apps.pop(self.host, None)
        if self.process is not None:
            self.process.lifeline.kill()
            self.process = None


class Process:
    """What runs on a machine between two boots."""

    def __init__(self, machine: Machine, database: Database, lifeline: Lifeline) -> None:
        self.database = database
        self.lifeline = lifeline

        async def own_connection() -> Connection:
            return await connect(machine.dsn, application_name="gotong-sync")

        self.keys = KeyRing(machine.directory / "keys")
        self.guard = Guard(own_connection, machine.directory)
        self.appender = Appender(database, self.keys, machine.clock, self.guard.check if machine.is_honest else at_once)
        self.syncer = Syncer(
            database,
            lambda peer: PeerClient(peer.url, limits=QUICK, transport=machine.network.transport(machine.host)),
            "test",
            machine.clock,
            own_connection,
            lambda: 0.5,
        )
        callers = Callers(Requests(database, [machine.host], machine.clock), PeerBudgets(RATES))
        edge = FederationEdge(
            database, "test", HeadFeed(database, Wake(own_connection)), machine.clock, asyncio.Event(), callers
        )
        seen = noticed(edge.routes(), lambda: self.guard.mark_seen(database.acquire))
        self.app = Starlette(routes=[*seen, *EvidenceEdge(database, callers).routes()])
        install(self.app)
