"""Keep this node's copy of its peers' logs up to date. Shell.

One task a peer: it pulls when the peer says that something grew, when the time
has come, and when an operator changed something. A peer belongs to one process
at a time (a claim that ends with the process), so several processes on one
database listen once. What is due is kept in the database, what to pull is
decided in `plan`, and losing any message costs no more than a poll.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import structlog

from domain.errors import GotongError
from federation.identity.states import DidStates
from federation.log.entry import Network
from federation.mirror.depositor import give_back
from federation.moderation.reports import report
from federation.moderation.trust import PeerNotFound
from federation.peers.exchange import Exchange, Exchanged
from federation.sync.client import PeerBusy, PeerClient, PeerTimeout, PeerUnreachable
from federation.sync.news import Bell, News
from store import guard, peers
from store.database import OUR_OWN, Connection, Database
from store.locks import Claims
from store.peers import PeerRow

POLL_S_DEFAULT = 30.0
BACKOFF_S_MAX = 3_600.0
PEERS_POLL_S = 1.0
FULL_HEADS = timedelta(hours=12)
"""How often a peer is asked for all it holds although its hint says what changed: cosignatures come with it."""
PAUSE_MAX = timedelta(days=2)
"""No pause is as long: a later time was set by a clock that was ahead, and counts for nothing."""
NEWS_RETRY_S = 1.0
NEWS_RETRY_S_MAX = 30.0
"""So soon a peer is heard again, however long it was away. What lay in a village for a week waits no hour more."""
NEWS_SETTLE_S = 0.005
"""Peers announce log by log; what comes within this is one exchange."""
LONG_S = 1.0
"""What takes longer with one peer is not waited for: news are followed beside it."""
LONG_AT_ONCE = 3


class ExchangeFailed(GotongError):
    """Something that no rule foresaw went wrong while a peer was asked; this node's own log says what."""

    code: ClassVar[str] = "EXCHANGE_FAILED"


AWAY = (PeerUnreachable, PeerTimeout)
NOT_REPORTED = (*OUR_OWN, *AWAY, PeerBusy, ExchangeFailed)
"""A peer that is down or slow breaks no rule, nor does one that we fail over."""
AWAY_CODES = tuple(error.code for error in AWAY)

_log = structlog.get_logger()


@dataclass(slots=True)
class _Served:
    """A peer that this process serves; `bell` wakes its task."""

    url: str
    bell: Bell
    task: "asyncio.Task[None]"


@dataclass(slots=True)
class Syncer:
    """Pulls from peers. `client` makes a client for a peer; `jitter` returns numbers from 0 to 1.

    `fetch_mail` fetches what waits for this node at a peer that says so.
    """

    database: Database
    client: Callable[[PeerRow], PeerClient]
    network: Network
    clock: Callable[[], datetime]
    connect: Callable[[], Awaitable[Connection]]
    jitter: Callable[[], float]
    poll_s: float = POLL_S_DEFAULT
    backoff_s_max: float = BACKOFF_S_MAX
    fetch_mail: Callable[[PeerRow, PeerClient], Awaitable[int]] | None = None
    _states: DidStates = field(default_factory=DidStates)
    _claims: Claims = field(init=False)
    _served: dict[int, _Served] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._claims = Claims(self.connect)

    async def close(self) -> None:
        """Give back what is claimed; after `once`, when `run` is not used."""
        await self._claims.close()

    # ---- one exchange ------------------------------------------------------------------------------------------------

    async def once(self, url: str, *, in_full: bool = True) -> Exchanged:
        """Return what one exchange with the peer did, or raise why it failed, both remembered with the peer.

        What no rule foresaw is raised as it is and remembered as ExchangeFailed.

        Raises PeerNotFound, PeerBlocked, the Peer errors, what the stream broke, and the database's errors.
        """
        peer = await self._peer(url)
        async with self.client(peer) as client:
            return await self._exchange(url, client, in_full=in_full)

    async def _exchange(self, url: str, client: PeerClient, *, in_full: bool) -> Exchanged:
        peer = await self._peer(url)
        if peer.trust == "blocked":
            return Exchanged()
        exchange = self._exchange_with(peer, client)
        in_full = in_full or peer.asked_all_at is None or self.clock() - peer.asked_all_at >= FULL_HEADS
        try:
            done = await exchange.run(None if in_full else peer.since)
        except Exception as error:
            known = error if isinstance(error, GotongError) else _unforeseen(error)
            await self._failed(peer, known, client.skew_ms or None)
            raise
        await self._succeeded(peer, exchange, in_full=in_full)
        if done.mail:
            await self._take_mail(url, client)
        if done.behind:
            await self._give_back(peer, client, done.behind)
        return done

    async def _give_back(self, peer: PeerRow, client: PeerClient, behind: Sequence[str]) -> None:
        """Send a mirror what it lost of its own logs; what goes wrong is tried again when it tells of them again."""
        try:
            handed = await give_back(self.database, client, peer.id, behind)
        except GotongError as error:
            _log.warning("not_given_back", peer=peer.url, code=error.code, message=error.message)
        except Exception:
            _log.exception("not_given_back", peer=peer.url)
        else:
            if handed.entries or handed.refused:
                _log.info("given_back", peer=peer.url, entries=handed.entries, refused=handed.refused or None)

    async def _take_mail(self, url: str, client: PeerClient) -> None:
        """Fetch what waits at a peer; what goes wrong is tried again with the next exchange, which says it again."""
        if self.fetch_mail is None:
            return
        try:
            fetched = await self.fetch_mail(await self._peer(url), client)
        except GotongError as error:
            _log.warning("mail_failed", peer=url, code=error.code, message=error.message)
        except Exception:
            _log.exception("mail_failed", peer=url)
        else:
            _log.log(logging.INFO if fetched else logging.DEBUG, "mail_fetched", peer=url, requests=fetched)

    def _exchange_with(self, peer: PeerRow, client: PeerClient) -> Exchange:
        return Exchange(
            self.database,
            client,
            peer,
            network=self.network,
            clock=self.clock,
            claims=self._claims,
            states=self._states,
        )

    async def _peer(self, url: str) -> PeerRow:
        async with self.database.acquire() as connection:
            peer = await peers.find(connection, url)
        if peer is None:
            raise PeerNotFound("no peer was added under this address", url=url)
        return peer

    async def _succeeded(self, peer: PeerRow, exchange: Exchange, *, in_full: bool) -> None:
        now = self.clock()
        pause_s = exchange.done.pause_s or self.poll_s * (0.9 + 0.2 * self.jitter())
        next_pull_at = now + timedelta(seconds=pause_s)
        if exchange.again_at is not None and exchange.done.pause_s is None:
            next_pull_at = min(next_pull_at, exchange.again_at)
        async with self.database.acquire() as connection:
            await peers.succeeded(
                connection,
                peer.id,
                operator_scid=exchange.operator_scid,
                since=exchange.since,
                skew_ms=exchange.skew_ms,
                at=now,
                next_pull_at=next_pull_at,
                asked_all=in_full,
            )

    async def _failed(self, peer: PeerRow, error: GotongError, skew_ms: int | None) -> None:
        """Remember the failure; back off twice as long as before, up to a bound, not in step with others."""
        wait_s = min(self.backoff_s_max, self.poll_s * 2.0 ** min(peer.failures, 30))
        if isinstance(error, PeerBusy):
            wait_s = max(wait_s, float(error.details.get("retry_after_s") or 0))
        wait_s *= 0.5 + 0.5 * self.jitter()
        with contextlib.suppress(*OUR_OWN):
            async with self.database.acquire() as connection:
                await guard.note_asked(connection, peer.id, reached=False)
                await peers.failed(
                    connection,
                    peer.id,
                    code=error.code,
                    next_pull_at=self.clock() + timedelta(seconds=wait_s),
                    skew_ms=skew_ms,
                )
            if not isinstance(error, NOT_REPORTED):
                await report(self.database, peer, error)

    # ---- all peers, for as long as the process lives -----------------------------------------------------------------

    async def run(self) -> None:
        """Serve all peers that no other process serves, until cancelled."""
        try:
            while True:
                try:
                    await self._look_after_peers()
                except GotongError as error:
                    _log.warning("peers_not_read", code=error.code)
                await asyncio.sleep(PEERS_POLL_S)
        finally:
            tasks = [served.task for served in self._served.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._claims.close()

    async def _look_after_peers(self) -> None:
        async with self.database.acquire() as connection:
            known = {peer.id: peer for peer in await peers.every(connection) if peer.trust != "blocked"}
        for number in [number for number, served in self._served.items() if number not in known or served.task.done()]:
            await self._stop(number)
        free = [number for number in known if number not in self._served]
        taken = await self._claims.take([_claim(number) for number in free])
        for number in free:
            if _claim(number) in taken:
                self._start(known[number])
        now = self.clock()
        for number, peer in known.items():
            if number in self._served and not now < peer.next_pull_at < now + PAUSE_MAX:
                self._served[number].bell.ring()

    def _start(self, peer: PeerRow) -> None:
        bell = Bell(_rests_until(peer))
        task = asyncio.create_task(self._serve(peer, bell), name=f"sync {peer.url}")
        self._served[peer.id] = _Served(peer.url, bell, task)

    async def _stop(self, number: int) -> None:
        task = self._served.pop(number).task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._claims.release([_claim(number)])

    async def _serve(self, peer: PeerRow, bell: Bell) -> None:
        url = peer.url
        async with self.client(peer) as client:
            listening = asyncio.create_task(self._listen(url, client, bell), name=f"listen {url}")
            try:
                while True:
                    await self._answer(url, client, bell, await bell.rung(NEWS_SETTLE_S))
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _answer(self, url: str, client: PeerClient, bell: Bell, news: News) -> None:
        """Look at what the news are about; beside what takes long, follow those that come meanwhile."""
        latest = asyncio.create_task(self._look(url, client, bell, news), name=f"look {url}")
        working = {latest}
        is_more = False
        try:
            while working:
                await asyncio.wait((latest,), timeout=LONG_S)
                meanwhile = await bell.rung_during(working, NEWS_SETTLE_S)
                working = {each for each in working if not each.done()}
                if meanwhile is None:
                    continue
                is_full = len(working) >= LONG_AT_ONCE
                is_more = is_more or meanwhile.unnamed or is_full
                if not is_full and (meanwhile.sizes or meanwhile.mail):
                    latest = asyncio.create_task(self._beside(url, client, bell, meanwhile), name=f"beside {url}")
                    working.add(latest)
        finally:
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        if is_more:
            bell.ring()

    async def _beside(self, url: str, client: PeerClient, bell: Bell, news: News) -> None:
        if not await self._followed(url, client, news):
            bell.ring()

    async def _look(self, url: str, client: PeerClient, bell: Bell, news: News) -> None:
        """Follow news that name all that they are about, or have an exchange."""
        if news.unnamed or not await self._followed(url, client, news):
            await self._attempt(url, client)
            with contextlib.suppress(GotongError):
                bell.rests_until = _rests_until(await self._peer(url))

    async def _followed(self, url: str, client: PeerClient, news: News) -> bool:
        """Fetch the mail and pull the logs that the peer named; return whether nothing else was to do with these.

        Whatever goes wrong with logs goes wrong again in the exchange that follows, and is remembered there.
        """
        if news.mail:
            await self._take_mail(url, client)
        if not news.sizes:
            return True
        try:
            peer = await self._peer(url)
            return peer.trust != "blocked" and await self._exchange_with(peer, client).follow(news.sizes)
        except GotongError as error:
            _log.debug("news_not_followed", peer=url, code=error.code)
        except Exception:
            _log.exception("news_not_followed", peer=url)
        return False

    async def _attempt(self, url: str, client: PeerClient) -> None:
        try:
            done = await self._exchange(url, client, in_full=False)
        except GotongError as error:
            _log.warning("sync_failed", peer=url, code=error.code, message=error.message)
            if isinstance(error, OUR_OWN):
                await asyncio.sleep(PEERS_POLL_S)
            return
        except Exception:
            _log.exception("sync_failed", peer=url)
            return
        if done.entries or done.refused:
            _log.info("synced", peer=url, entries=done.entries, logs=done.logs, refused=done.refused or None)

    async def _listen(self, url: str, client: PeerClient, bell: Bell) -> None:
        """Ring the bell whenever the peer says that something grew; connect again for ever.

        A peer that was away and is there again is asked at once: its pause was for being away.
        """
        last_id: str | None = None
        pause_s = NEWS_RETRY_S
        was_away = False
        while True:
            paused_s = pause_s
            try:
                async with contextlib.aclosing(client.news(last_id)) as stream:
                    async for news in stream:
                        if was_away and (await self._peer(url)).last_error_code in AWAY_CODES:
                            bell.rests_until = None
                        was_away = False
                        last_id = news.id or last_id
                        pause_s = NEWS_RETRY_S
                        bell.tell(news, self.clock())
            except GotongError as error:
                was_away = was_away or isinstance(error, AWAY)
                if not isinstance(error, AWAY):
                    pause_s = paused_s  # who connects and breaks a rule is not asked once a second
                _log.debug("listening_failed", peer=url, code=error.code)
            except Exception:
                pause_s = paused_s
                _log.exception("listening_failed", peer=url)
            await asyncio.sleep(pause_s * (0.5 + self.jitter()))
            pause_s = min(NEWS_RETRY_S_MAX, pause_s * 2)


def _unforeseen(error: Exception) -> ExchangeFailed:
    return ExchangeFailed("the exchange failed", reason=type(error).__name__)


def _rests_until(peer: PeerRow) -> datetime | None:
    """Return until when a peer is left alone after a failure: news must not undo a back-off."""
    return peer.next_pull_at if peer.failures else None


def _claim(number: int) -> str:
    return f"peer {number}"
