"""Ask peers, from time to time, for what no pull brings: missing bodies, who executed erasures, who vouches. Shell.

All of it by connections that this node opens, so that it works behind a router: what it has to say itself is brought to
the peer as well. Nothing is believed: bodies are checked against their entries, statements against their operators'
identities.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from domain.errors import GotongError
from federation.erasing import acknowledge
from federation.identity.keys import KeyRing
from federation.identity.vouching import VouchMalformed
from federation.lifecycle import vouch
from federation.log.names import parse_origin
from federation.log.static import PAYLOADS_BYTES_MAX, PAYLOADS_MAX
from federation.sync.client import PeerClient, PeerProtocolError
from federation.sync.heal import read_payloads, take_bodies
from federation.witness.bringing import Bringing
from store import acknowledgements, erasures, peers, vouches
from store.database import Connection, Database
from store.erasures import Withheld
from store.locks import Claims
from store.peers import PeerRow

ROUND_S = 30.0
PEER_S_MAX = 300.0
"""How long a round stays with one peer: one that answers slowly must not keep the others waiting."""
ASKED_AGAIN_S = 3_600.0
"""How long a peer is not asked again for bodies that it could not give."""
HEALED_LOGS_PER_ROUND_MAX = 32
VOUCHES_ASKED_AGAIN_S = 600.0
"""How long a peer is not asked again who vouches for a successor of whom nothing new is known here."""
CLAIMS_MAX = 1_024
CLAIMS_PER_ROUND_MAX = 32
ANSWER_BYTES_MAX = 128 * 1024

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Asked:
    """Up to which entry of a log a peer had no bodies to give, until when it is not asked for them again."""

    up_to: int
    until_s: float


@dataclass(slots=True)
class Aftercare:
    """Looks after peers, one after the other. `client` makes a client for a peer; `bringing` cosigns what is copied."""

    database: Database
    keys: KeyRing
    client: Callable[[PeerRow], PeerClient]
    clock: Callable[[], datetime]
    connect: Callable[[], Awaitable[Connection]]
    bringing: Bringing | None = None
    round_s: float = ROUND_S
    _claims: Claims = field(init=False)
    _asked: dict[tuple[int, str], _Asked] = field(default_factory=dict)  # by peer and log
    _asked_who_vouches: dict[tuple[int, str, datetime | None], float] = field(
        default_factory=dict
    )  # by peer and successor

    def __post_init__(self) -> None:
        self._claims = Claims(self.connect)

    async def run(self) -> None:
        """Look after all peers every `round_s`, until cancelled."""
        try:
            while True:
                try:
                    await self._round()
                except GotongError as error:
                    _log.warning("aftercare_failed", code=error.code, message=error.message)
                await asyncio.sleep(self.round_s)
        finally:
            await self._claims.close()

    async def _round(self) -> None:
        await acknowledge.acknowledge(self.database, self.keys, self.clock)
        async with self.database.acquire() as connection:
            known = await peers.every(connection)
        for peer in known:
            claim = f"aftercare {peer.id}"
            if peer.trust == "blocked" or not await self._claims.take([claim]):
                continue
            try:
                async with asyncio.timeout(PEER_S_MAX):
                    await self.once(peer)
            except GotongError as error:
                _log.debug("aftercare_failed", peer=peer.url, code=error.code)
            except TimeoutError:
                _log.debug("aftercare_goes_on_later", peer=peer.url)
            except Exception:  # whatever one peer sends, the others have their turn
                _log.exception("aftercare_failed", peer=peer.url)
            finally:
                await self._claims.release([claim])

    async def close(self) -> None:
        """Give back what is claimed; after `once`, when `run` is not used."""
        await self._claims.close()

    async def once(self, peer: PeerRow) -> tuple[int, int]:
        """Return how many bodies and how many statements the peer gave. Raises the Peer and the database's errors."""
        now_s = asyncio.get_running_loop().time()
        self._asked = {key: each for key, each in self._asked.items() if each.until_s > now_s}
        self._asked_who_vouches = {key: until for key, until in self._asked_who_vouches.items() if until > now_s}
        in_vain = {origin: each.up_to for (number, origin), each in self._asked.items() if number == peer.id}
        async with self.database.acquire() as connection:
            with_erasures = await acknowledgements.with_erasures(connection, acknowledge.LOGS_PER_ROUND_MAX)
            missing = await erasures.withheld_logs(connection, HEALED_LOGS_PER_ROUND_MAX, PAYLOADS_MAX, in_vain)
            claimed = await vouches.claimed(connection, CLAIMS_MAX)
        claimed = [each for each in claimed if (peer.id, *each) not in self._asked_who_vouches][:CLAIMS_PER_ROUND_MAX]
        uncosigned = [] if self.bringing is None else await self.bringing.wanted(peer)
        if not with_erasures and not missing and not claimed and not uncosigned:
            return 0, 0
        bodies = statements = 0
        async with self.client(peer) as client:
            if self.bringing is not None and uncosigned:
                await self.bringing.bring(client, peer, uncosigned)
            for each in with_erasures:
                with suppress(PeerProtocolError):  # it does not have that log
                    statements += await self._compare(client, each.id, each.origin)
            for successor, newest in claimed:
                self._asked_who_vouches[peer.id, successor, newest] = now_s + VOUCHES_ASKED_AGAIN_S
                with suppress(PeerProtocolError, VouchMalformed):  # a version that knows nothing of vouching
                    statements += await vouch.compare(client, self.database, successor, now=self.clock())
            for log in missing:
                bodies += await self._heal(client, peer, log)
        return bodies, statements

    async def _heal(self, client: PeerClient, peer: PeerRow, log: Withheld) -> int:
        """Return how many bodies the peer gave; of a log where it gave none the next round asks for later ones."""
        before = self._asked.get((peer.id, log.origin))
        until_s = asyncio.get_running_loop().time() + ASKED_AGAIN_S if before is None else before.until_s
        self._asked[peer.id, log.origin] = _Asked(log.first + log.count, until_s)
        path = f"log/{log.origin.removeprefix('gotong/')}/payloads"
        taken = 0
        with suppress(PeerProtocolError):  # it does not have that log
            data = await client.read(
                path,
                {"from": str(log.first), "n": str(log.count)},
                answer_type="application/octet-stream",
                bytes_max=PAYLOADS_BYTES_MAX + ANSWER_BYTES_MAX,
            )
            taken = await take_bodies(self.database, log.origin, read_payloads(data, log.first), now=self.clock())
        if taken:
            self._asked[peer.id, log.origin] = _Asked(log.first, until_s)  # an answer may end early
        return taken

    async def _compare(self, client: PeerClient, log_id: int, origin: str) -> int:
        """Take what the peer knows of a log's erasures, bring what it does not; return how much was new here."""
        scid, epoch = parse_origin(origin)
        path = f"erasures/{scid}/{epoch}"
        data = await client.read(path, {}, answer_type="application/json", bytes_max=ANSWER_BYTES_MAX)
        theirs = acknowledge.read_list(data)
        ours = await self._said(log_id)
        taken = 0
        for note in theirs:
            if note in ours:
                continue  # most say what they said before: a signature and a tree less to verify
            with suppress(GotongError):  # of an operator not known here, or of a tree not held yet
                taken += await acknowledge.take(self.database, note, origin=origin, now=self.clock())
        if taken:
            ours = await self._said(log_id)
        for note in ours:
            if note not in theirs:
                with suppress(PeerProtocolError):
                    await client.post(
                        path,
                        note,
                        content_type="text/plain; charset=utf-8",
                        answer_type="application/json",
                        bytes_max=64,
                    )
        return taken

    async def _said(self, log_id: int) -> list[bytes]:
        async with self.database.acquire() as connection:
            found = await acknowledgements.newest(connection, log_id, acknowledge.ACKNOWLEDGEMENTS_SERVED_MAX)
        return [note for _, note in found.values()]
