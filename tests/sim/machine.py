"""A simulated node: a machine with a disk that outlives its processes, and a clock nobody else shares."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from api.callers import Callers
from api.errors import install
from api.federation import FederationEdge
from api.federation_backup import BackupEdge
from api.federation_deposit import DepositEdge
from api.federation_erasures import ErasuresEdge
from api.federation_evidence import EvidenceEdge
from api.federation_identity import IdentityEdge
from api.federation_removals import RemovalsEdge
from api.federation_restricted import RestrictedEdge
from api.federation_witness import WitnessEdge
from api.peer_budget import Allowance, PeerBudgets, PeerRates
from api.seen import noticed
from federation.backup.backing_up import BackingUp
from federation.erasing.removal_mail import RemovalMail
from federation.identity.create import Place
from federation.identity.keys import KeyRing
from federation.lifecycle.enroll import create_participant, start_node
from federation.mirror import join as mirror_join
from federation.mirror.depositor import Depositor
from federation.mirror.deposits import Deposits
from federation.mirror.link import JOIN_ANSWER_BYTES_MAX, Invitation, Join, read_joined, write
from federation.moderation.trust import add_peer
from federation.peers.aftercare import Aftercare
from federation.peers.loop import Syncer
from federation.peers.mail import Mail
from federation.publish.append import Appender, at_once
from federation.publish.guard import Guard
from federation.requests.caller import Caller, Heard, Requests
from federation.requests.signer import Signer
from federation.restricted.asking import Asking
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import Releases
from federation.sync.announce import HeadFeed
from federation.sync.client import Limits, PeerClient
from federation.witness.cosigning import Witness
from federation.witness.witnessing import Witnessing
from store import depositors, participants
from store.database import Connection, Database, connect
from store.locks import Claims
from store.peers import PeerRow
from store.wake import Wake
from tests.nodes import seed_of
from tests.sim.crash import Lifeline
from tests.sim.hints import Follower
from tests.sim.network import Network
from tests.sim.people import Author

CONNECTIONS = 3
QUICK = Limits(connect_s=2.0, read_s=10.0, grace_s=10.0, silence_s=10.0)
RATES = PeerRates(Allowance(1_000_000, 2**40), Allowance(1_000_000, 2**40))
INVITED_DAYS = 7


@dataclass
class WorldTime:
    """The time that passes for everybody; machines may be wrong about it."""

    now: datetime

    def pass_(self, seconds: float) -> None:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)


@dataclass(eq=False)
class Machine:
    """One node. `error` is how wrong its clock is; `process` is None while it is down.

    With a `mirror` nobody can connect to it: its participants live under the mirror's host. `taken` are the nonces of
    signed requests that it took.
    """

    name: str
    dsn: str
    directory: Path
    time: WorldTime
    network: Network
    lifelines: dict[str, Lifeline]
    is_honest: bool = True
    mirror: "Machine | None" = None
    error: timedelta = timedelta(0)
    process: "Process | None" = None
    taken: set[str] = field(default_factory=set)
    follower: Follower = field(default_factory=Follower)

    @property
    def host(self) -> str:
        """The host others know this machine by."""
        return f"{self.name}.gotong.test"

    @property
    def url(self) -> str:
        """Where its peers reach it."""
        return f"http://{self.host}"

    @property
    def home_url(self) -> str:
        """Where its participants say that their logs are."""
        return self.url if self.mirror is None else self.mirror.url

    @property
    def running(self) -> "Process":
        """The process, of a machine that is up."""
        assert self.process is not None
        return self.process

    def clock(self) -> datetime:
        """What this machine takes the time for."""
        return self.time.now + self.error

    def place(self, slug: str) -> Place:
        """Return where an identity lives that is made or taken in here."""
        if self.mirror is None:
            return Place(self.host, None, slug)
        return Place(self.mirror.host, None, slug if slug == self.name else f"{self.name}-{slug}")

    async def boot(self) -> "Process":
        """Return a new process on this disk, reachable from now on."""
        process = self.turn_on()
        await self.serve()
        return process

    def turn_on(self) -> "Process":
        """Return a new process on this disk, which answers nobody yet."""
        self.lifelines[self.dsn] = Lifeline()
        self.process = Process(self, Database(self.dsn, connections=CONNECTIONS), self.lifelines[self.dsn])
        return self.process

    async def serve(self) -> None:
        """Be reachable from now on."""
        if self.mirror is None:
            self.network.apps[self.host] = self.running.app
        await self.running.guard.decide()  # as it does from the first moment on

    async def found(self, guest_slugs: Sequence[str]) -> list[Author]:
        """Begin the node and return its operator and its guests."""
        process = self.running
        invitation = None if self.mirror is None else await self._invited(self.mirror.running)
        seed = seed_of(self.host)
        operator = await start_node(
            process.database,
            process.keys,
            place=self.place(self.name),
            base_url=self.home_url,
            network="test",
            seed=seed,
            now=self.clock(),
        )
        authors = [Author(operator.scid, self.name, seed, self, True)]
        self.network.operators[self.host] = operator.scid
        if invitation is not None:
            await self._join(invitation)
        for slug in guest_slugs:
            seed = seed_of(f"{self.host} {slug}")
            guest = await create_participant(
                process.database,
                process.keys,
                place=self.place(slug),
                base_url=self.home_url,
                seed=seed,
                now=self.clock(),
            )
            authors.append(Author(guest.scid, slug, seed, self, False))
        return authors

    async def _invited(self, mirror: "Process") -> Invitation:
        assert self.mirror is not None
        made = await mirror_join.invite(
            mirror.database,
            url=self.mirror.url,
            network="test",
            slug=self.name,
            trust="allowed",
            days=INVITED_DAYS,
            now=self.mirror.clock(),
            actor="simulation",
        )
        return made.invitation

    async def _join(self, invitation: Invitation) -> None:
        database = self.running.database
        async with database.acquire() as connection:
            operator = await participants.operator(connection)
            assert operator is not None
            lines = await participants.did_lines(connection, operator.id)
        peer = await add_peer(database, invitation.url, trust="allowed", actor="simulation")
        joining = write(Join(invitation.code, [line.decode() for line in lines]))
        json = "application/json"
        async with self.running.client(peer) as client:
            answer = await client.post(
                "join", joining, content_type=json, answer_type=json, bytes_max=JOIN_ANSWER_BYTES_MAX
            )
        assert read_joined(answer).operator == invitation.operator_scid
        async with database.transaction() as connection:
            await depositors.add_mirror(connection, peer.id)

    async def stop(self) -> None:
        """End the process as a signal would ask it to."""
        process, self.process = self.process, None
        self.network.apps.pop(self.host, None)
        if process is not None:
            await process.syncer.close()
            await process.claims.close()
            await process.guard.close()
            await process.database.close(timeout_s=1.0)

    def bury(self) -> None:
        """Forget a process that was killed."""
        self.network.apps.pop(self.host, None)
        if self.process is not None:
            self.process.lifeline.kill()
            self.process = None


@dataclass(frozen=True)
class _Ears(Requests):
    """Knows callers as a node does, and tells the network whom it took for whom."""

    machine: Any = None

    async def accept(self, heard: Heard, body: bytes) -> Caller:
        caller = await super().accept(heard, body)
        machine, nonce = self.machine, heard.signed.parameters.nonce
        machine.network.taken(machine.host, caller.scid, nonce, body)
        if nonce in machine.taken:
            machine.network.wrongs.append(f"{machine.name} takes {nonce} of {caller.scid} twice")
        machine.taken.add(nonce)
        return caller


class Process:
    """What runs on a machine between two boots."""

    def __init__(self, machine: Machine, database: Database, lifeline: Lifeline) -> None:
        self.machine = machine
        self.database = database
        self.lifeline = lifeline
        self.keys = KeyRing(machine.directory / "keys")
        self.signer = Signer(database, self.keys, machine.clock)
        self.guard = Guard(self._connected, machine.directory)
        self.appender = Appender(database, self.keys, machine.clock, self.guard.check if machine.is_honest else at_once)
        releases = Releases(database, self.keys, self.appender.vault, machine.clock)
        self.asking = Asking(releases, Mailbox(database, machine.clock), self.client, self._client_at)
        self.syncer = Syncer(
            database,
            self.client,
            "test",
            machine.clock,
            self._connected,
            lambda: 0.5,
            fetch_mail=Mail(releases, RemovalMail(database)).fetch,
        )
        self.backing_up = BackingUp(
            database,
            self.keys,
            self.appender.vault,
            self.client,
            machine.clock,
            {"base_url": machine.home_url, "network": "test"},
        )
        self.depositor = Depositor(database, self.client, self._connected, Wake(self._connected), lambda: 0.5)
        self.claims = Claims(self._connected)
        self.app = Starlette(routes=self._routes())
        install(self.app)

    def client(self, peer: PeerRow) -> PeerClient:
        """Return a client for a peer, which signs as this node's operator."""
        return self._client_at(peer.url, peer.skew_ms or 0)

    def _client_at(self, url: str, skew_ms: int = 0) -> PeerClient:
        machine = self.machine
        return PeerClient(
            url,
            limits=QUICK,
            signer=self.signer,
            skew_ms=skew_ms,
            transport=machine.network.transport(machine.host),
        )

    def aftercare(self) -> Aftercare:
        """Return what asks peers for what is missing; each asks as if an hour had passed since the last."""
        return Aftercare(self.database, self.keys, self.client, self.machine.clock, self._connected)

    def witnessing(self) -> Witnessing:
        """Return what asks peers to cosign; each asks as if nobody had been asked in vain a while ago."""
        return Witnessing(self.database, self.client, self.machine.clock, self._connected, lambda: 0.5)

    async def _connected(self) -> Connection:
        return await connect(self.machine.dsn, application_name="gotong-sync")

    def _routes(self) -> list[Any]:
        machine, database, clock = self.machine, self.database, self.machine.clock
        ears = _Ears(database, [machine.host], clock, machine=machine)
        callers = Callers(ears, PeerBudgets(RATES))
        feed = HeadFeed(database, Wake(self._connected))
        mailbox = self.asking.mailbox
        federation = FederationEdge(
            database, "test", feed, clock, asyncio.Event(), callers, mail_of=mailbox.waiting_for
        )
        deposits = Deposits(database, "test", clock, self.claims)
        edges = (
            WitnessEdge(Witness(database, self.keys, clock), callers),
            EvidenceEdge(database, callers),
            IdentityEdge(database, clock, callers),
            ErasuresEdge(database, callers, clock),
            DepositEdge(database, "test", clock, callers, deposits),
            RestrictedEdge(self.asking.releases, mailbox, callers),
            RemovalsEdge(RemovalMail(database), callers),
            BackupEdge(database, callers),
        )
        seen = noticed(federation.routes(), lambda: self.guard.mark_seen(database.acquire))
        return [route for edge in edges for route in edge.routes()] + seen
