"""Serve a node: open its parts, start its background tasks, hand requests to the edge.

With several workers every process does all of this on its own; the database
decides which of them numbers events, pulls a log, or sweeps.
"""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any

import structlog
import uvicorn

from api.app import App, Edge
from api.callers import Callers
from api.federation import FederationEdge
from api.federation_backup import BackupEdge
from api.federation_deposit import DepositEdge
from api.federation_directory import DirectoryEdge
from api.federation_erasures import ErasuresEdge
from api.federation_evidence import EvidenceEdge
from api.federation_identity import IdentityEdge
from api.federation_removals import RemovalsEdge
from api.federation_restricted import RestrictedEdge
from api.federation_vouches import VouchesEdge
from api.federation_witness import WitnessEdge
from api.graphql import GraphQLEndpoint
from api.http_limits import LimitedSocket, allow_many_files
from api.http_protocol import HttpProtocol
from api.payer import Payers, Rates, networks
from api.peer_budget import Allowance, PeerBudgets, PeerRates
from api.seen import noticed
from auth.tokens import TokenVerifier
from federation.mirror.depositor import Depositor
from federation.mirror.deposits import Deposits
from federation.peers.aftercare import Aftercare
from federation.peers.loop import Syncer
from federation.projection.reapply import reapply
from federation.publish.waiting import publish_for_ever
from federation.requests.caller import Requests
from federation.sync.announce import HeadFeed, MailFeed
from federation.witness.bringing import Bringing
from federation.witness.cosigning import Witness
from federation.witness.witnessing import Witnessing
from node import background
from node.catching_up import catch_up
from node.erasing import sweep_files
from node.logging import configure_logging
from node.settings import Settings
from node.wiring import TOKEN_KEY, Node, now, opened, settle_memory, version
from schema.context import Services
from schema.engine import Engine
from schema.root import SCHEMA
from store.database import Connection, connect
from store.locks import Claims
from store.wake import Wake

BACKLOG_CONNECTIONS_MAX = 2_048
SHUTDOWN_TIMEOUT_S = 10
KEEP_ALIVE_S = 75
WORKER_ANSWER_S = 60
"""After which a worker that does not answer its parent is taken for hung and replaced. One that begins answers once it
has read the program: on a small or busy machine that takes longer than uvicorn's five seconds, and it began again."""
MIB = 1024 * 1024

_log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until stopped by a signal; raise at once what keeps this node from serving."""
    configure_logging(settings.log_format, settings.log_level)
    allow_many_files()
    asyncio.run(_check(settings))
    target: Any = create_app(settings) if settings.workers == 1 else "node.server:create_app"
    if settings.workers > 1:
        settings.pass_on()
    uvicorn.run(
        target,
        factory=settings.workers > 1,
        workers=settings.workers,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=HttpProtocol,
        ws=LimitedSocket,
        ws_per_message_deflate=False,
        ws_max_size=128 * 1024,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # api/payer.py reads them, of trusted proxies alone
        backlog=BACKLOG_CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        timeout_worker_healthcheck=WORKER_ANSWER_S,
    )


def create_app(settings: Settings | None = None) -> App:
    """Return the ASGI app of one process; without `settings`, of a worker that reads what `serve` passed on."""
    chosen = settings or Settings.load()
    if settings is None:
        configure_logging(chosen.log_format, chosen.log_level)
    return App(lambda: _edge(chosen))


async def _check(settings: Settings) -> None:
    """Migrate, refuse to start a node that does not exist or belongs to the other network, and execute what was erased.

    A database that may be an older one hears from its peers first.
    """
    async with opened(settings, migrating=True) as node:
        await node.operator()
        await node.guard.decide()
        if not node.guard.is_unbroken:
            await catch_up(node)
        if repaired := await reapply(node.database, now=now()):
            _log.warning("erasures_reapplied", erasures=repaired)


@contextlib.asynccontextmanager
async def _edge(settings: Settings) -> AsyncIterator[Edge]:
    stopping = asyncio.Event()
    async with opened(settings, migrating=True) as node:
        operator = await node.operator()

        def connected() -> Awaitable[Connection]:
            return connect(node.dsn, statement_timeout_s=None, application_name="gotong background")

        wake = Wake(connected)
        feed = HeadFeed(node.database, wake)
        mail_feed = MailFeed(wake, node.mailbox.newest)
        syncer = Syncer(
            node.database,
            node.client,
            settings.network,
            now,
            connected,
            random.random,
            poll_s=settings.poll_interval_s,
            fetch_mail=node.mail.fetch,
        )
        token_key = node.keys.get_or_create(TOKEN_KEY).public_key()
        services = Services(
            database=node.database,
            appender=node.appender,
            asking=node.asking,
            regions=node.regions,
            wake=wake,
            verifier=TokenVerifier([token_key], issuer=settings.origin, audience=settings.origin),
            base_url=settings.origin,
            network=settings.network,
            node_name=operator.slug,
            version=version(),
            clock=now,
        )
        callers = Callers(
            Requests(node.database, settings.authorities, now),
            PeerBudgets(_peer_rates(settings)),
            networks(settings.proxies),
        )
        federation = FederationEdge(
            node.database,
            settings.network,
            feed,
            now,
            stopping,
            callers,
            settings.directory,
            node.mailbox.waiting_for,
            mail_feed,
        )
        cosigner = Witness(node.database, node.keys, now)
        witness = WitnessEdge(cosigner, callers)
        bringing = Bringing(node.database, cosigner, now) if settings.witness else None
        witnessing = Witnessing(node.database, node.client, now, connected, random.random)
        erasures = ErasuresEdge(node.database, callers, now)
        aftercare = Aftercare(node.database, node.keys, node.client, now, connected, bringing, settings.poll_interval_s)
        depositor = Depositor(node.database, node.client, connected, wake, random.random)
        deposits = Deposits(node.database, settings.network, now, Claims(connected))
        deposit = DepositEdge(node.database, settings.network, now, callers, deposits)
        rates = Rates(settings.anonymous_cost_per_min, settings.token_cost_per_min)
        graphql = GraphQLEndpoint(Engine(SCHEMA, services), Payers(rates, settings.proxies))
        tasks: list[background.Work] = [
            wake.run,
            feed.run,
            mail_feed.run,
            syncer.run,
            partial(witnessing.run, wake),
            depositor.run,
            node.guard.watch,
            partial(publish_for_ever, node.database, node.appender),
            partial(background.sequence_events, node.database, wake),
            partial(background.index_texts, node.database, wake),
            partial(background.sweep, node.database, now),
            partial(background.back_up, node.backing_up),
            partial(background.watch_alerts, node.database, now),
            partial(background.forget_nonces, node.database, now),
            partial(background.forget_mail, node.database, now),
            aftercare.run,
            partial(sweep_files, connected, now, settings.sweep_hours),
        ]
        directory = DirectoryEdge(node.database, callers, settings.origin, settings.directory)
        edges = (
            witness,
            EvidenceEdge(node.database, callers),
            RestrictedEdge(node.releases, node.mailbox, callers),
            RemovalsEdge(node.mail.removals, callers),
            BackupEdge(node.database, callers),
            IdentityEdge(node.database, now, callers),
            erasures,
            VouchesEdge(node.database, callers, now),
            deposit,
            directory,
        )
        read_by_others = noticed(federation.routes(), lambda: node.guard.mark_seen(node.database.acquire))
        routes = [route for edge in edges for route in edge.routes()] + read_by_others
        settle_memory()
        async with _running(tasks), graphql:
            with _told_of_signals(stopping):
                yield Edge(graphql, routes, lambda: _check_ready(node))
            stopping.set()


def _peer_rates(settings: Settings) -> PeerRates:
    return PeerRates(
        peer=Allowance(settings.peer_requests_per_min, settings.peer_mib_per_min * MIB),
        stranger=Allowance(settings.stranger_requests_per_min, settings.stranger_mib_per_min * MIB),
    )


async def _check_ready(node: Node) -> None:
    async with node.database.acquire() as connection:
        await connection.execute("select 1")


@contextlib.asynccontextmanager
async def _running(works: list[background.Work]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(background.lasting(work)) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _told_of_signals(stopping: asyncio.Event) -> Any:
    """Set `stopping` when the process is asked to end, so that open streams close before uvicorn waits for them."""
    loop = asyncio.get_running_loop()
    replaced = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def on_signal(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(stopping.set)
        before = replaced[signal.Signals(number)]
        if callable(before):
            before(number, frame)

    for number in replaced:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, before in replaced.items():
            signal.signal(number, before)
