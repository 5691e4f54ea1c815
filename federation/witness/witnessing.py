"""Have the logs hosted here cosigned by peers: the client side of C2SP tlog-witness. Shell.

It decides whom to ask (allowed peers whose operator is known) and when: soon after a log grew, again when a
cosignature has grown old, later when a peer does not answer. One call announces news and gets it cosigned, so a node
that nobody can reach takes part by its outbound connections. Nothing is believed: a line that is no valid
cosignature of the peer's operator on exactly our note is dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from domain.errors import GotongError
from federation.identity.states import DidStates
from federation.log import add_checkpoint, tiles
from federation.log.cosigners import AHEAD_S_MAX, cosigned
from federation.log.service import cosign_keys
from federation.log.static import read_tiles
from federation.sync.client import LogUnknownThere, PeerClient, PeerProtocolError, PeerWitnessesOther
from store import cosignatures, participants, peers
from store import held as held_
from store.cosignatures import Unsaid
from store.database import Connection, Database
from store.locks import Claims
from store.outbox import HEAD_CHANNEL
from store.peers import PeerRow
from store.wake import Wake

REFRESH = timedelta(hours=12)
"""How old a cosignature on an unchanged log may grow."""
LOGS_PER_ROUND_MAX = 256
SETTLE_S = 0.02
"""What is published within this is shown as one checkpoint."""
RETRY_S = 2.0
RETRY_S_MAX = 3_600.0
UNKNOWN_PAUSE_S = 30.0
REFUSED_PAUSE_S = 3_600.0
REFUSALS = range(400, 500)
"""Statuses of a witness that will not cosign this, ever: it cosigned what was lost here since, for one."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Pause:
    """Until when a peer is left alone, in seconds of the loop's clock, and how often it failed in a row."""

    until_s: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class Witnessing:
    """Asks peers for cosignatures. `client` makes a client for a peer; `jitter` returns numbers from 0 to 1."""

    database: Database
    client: Callable[[PeerRow], PeerClient]
    clock: Callable[[], datetime]
    connect: Callable[[], Awaitable[Connection]]
    jitter: Callable[[], float]
    _states: DidStates = field(default_factory=DidStates)
    _claims: Claims = field(init=False)
    _pauses: dict[int, _Pause] = field(default_factory=dict)
    _left: dict[tuple[int, str], float] = field(default_factory=dict)
    _running: dict[int, "asyncio.Task[int]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._claims = Claims(self.connect)

    async def run(self, wake: Wake) -> None:
        """Ask whenever something was published, and from time to time, until cancelled."""
        try:
            async with wake.watch(HEAD_CHANNEL) as watch:
                while True:
                    try:
                        await self._start_rounds()
                    except GotongError as error:
                        _log.warning("peers_not_read", code=error.code)
                    await watch.wait(RETRY_S if self._running or self._pauses else UNKNOWN_PAUSE_S)
                    await asyncio.sleep(SETTLE_S)
        finally:
            running = list(self._running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._claims.close()

    async def _start_rounds(self) -> None:
        async with self.database.acquire() as connection:
            known = await peers.every(connection)
        for peer in known:
            if peer.trust == "allowed" and peer.operator_scid is not None and peer.id not in self._running:
                task = asyncio.create_task(self._guarded(peer), name=f"witness {peer.url}")
                self._running[peer.id] = task
                task.add_done_callback(partial(self._ended, peer.id))

    def _ended(self, number: int, _task: "asyncio.Task[int]") -> None:
        self._running.pop(number, None)

    async def _guarded(self, peer: PeerRow) -> int:
        """Return how many cosignatures a round brought; a failure has the peer left alone for a while."""
        now_s = asyncio.get_running_loop().time()
        pause = self._pauses.get(peer.id, _Pause())
        if now_s < pause.until_s:
            return 0
        claim = f"witness {peer.id}"
        if not await self._claims.take([claim]):
            return 0
        try:
            gained = await self.once(peer)
        except Exception as error:
            wait_s = min(RETRY_S_MAX, RETRY_S * 2.0 ** min(pause.failures, 30)) * (0.5 + 0.5 * self.jitter())
            self._pauses[peer.id] = _Pause(now_s + wait_s, pause.failures + 1)
            if isinstance(error, GotongError):
                _log.debug("witnessing_failed", peer=peer.url, code=error.code)
            else:
                _log.exception("witnessing_failed", peer=peer.url)
            return 0
        finally:
            await self._claims.release([claim])
        self._pauses.pop(peer.id, None)
        return gained

    async def once(self, peer: PeerRow) -> int:
        """Return how many logs the peer cosigned now. Raises the Peer errors and the database's."""
        async with self.database.acquire() as connection:
            operator = await participants.find(connection, peer.operator_scid or "")
            if operator is None:
                return 0
            older_than = self.clock() - REFRESH
            unsaid = await cosignatures.unsaid(connection, operator.id, older_than, LOGS_PER_ROUND_MAX)
        now_s = asyncio.get_running_loop().time()
        wanted = [each for each in unsaid if self._left.get((peer.id, each.origin), 0.0) <= now_s]
        gained = 0
        if wanted:
            async with self.client(peer) as client:
                for each in wanted:
                    gained += await self._ask(client, peer, operator.scid, each)
        return gained

    async def _ask(self, client: PeerClient, peer: PeerRow, scid: str, log: Unsaid) -> bool:
        """Return whether the peer cosigned a log now; one that it does not cosign holds up no other."""
        try:
            answer = await self._answer(client, log)
        except (LogUnknownThere, PeerWitnessesOther) as error:
            return self._leave(peer, log, error, UNKNOWN_PAUSE_S)
        except PeerProtocolError as error:
            if error.details.get("status") not in REFUSALS:
                raise
            return self._leave(peer, log, error, REFUSED_PAUSE_S)
        return await self._keep(scid, log, answer)

    async def _answer(self, client: PeerClient, log: Unsaid) -> bytes:
        try:
            return await self._submit(client, log, log.before)
        except PeerWitnessesOther as error:
            if error.size > log.size:  # it has seen more of our log than is here; the guard learns it from its heads
                raise
            return await self._submit(client, log, error.size)

    def _leave(self, peer: PeerRow, log: Unsaid, error: GotongError, pause_s: float) -> bool:
        self._left[peer.id, log.origin] = asyncio.get_running_loop().time() + pause_s
        _log.debug("not_cosigned", peer=peer.url, log=log.origin, code=error.code, **error.details)
        return False

    async def _submit(self, client: PeerClient, log: Unsaid, old_size: int) -> bytes:
        proof: list[bytes] = []
        if 0 < old_size < log.size:
            async with self.database.acquire() as connection:
                held = await read_tiles(connection, log.log_id, tiles.consistency_tiles(old_size, log.size))
            proof = tiles.prove_consistency(old_size, log.size, held)
        return await client.add_checkpoint(add_checkpoint.write(old_size, proof, log.note))

    async def _keep(self, scid: str, log: Unsaid, answer: bytes) -> bool:
        """Keep what the peer's operator really signed, if its clock is near ours; return whether there was any."""
        async with self.database.acquire() as connection:
            held = (await held_.held(connection, [(scid, scid)]))[scid]
        state = await self._states.of(self.database, scid, held.did_version)
        keys = () if state is None else cosign_keys(state)
        now_s = int(self.clock().timestamp())
        found = [
            each
            for each in cosigned(log.note + answer, lambda other: keys if other == scid else (), now_s)
            if each.at_s >= now_s - AHEAD_S_MAX
        ]
        if found:
            async with self.database.transaction() as connection:
                rows = [(each.scid, each.at_s, each.line) for each in found]
                await cosignatures.keep(connection, log.log_id, log.size, rows)
        return bool(found)
