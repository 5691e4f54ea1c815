"""Deposit what is published here with this node's mirrors: for nodes that nobody can connect to. Shell.

One task a mirror. It asks the mirror what it holds, sends what is missing in bounded steps, and goes on after each
append at once. The mirror's word about what it holds is only a hint of where to go on: were it wrong, the mirror would
refuse what comes or have a gap, and both are its own loss. Nothing is kept here, so nothing here can be out of step.

When what comes next does not follow from what the mirror holds, the log was told in two ways, as by a backup that was
written to. The mirror cannot prove that by the end of one of them; so it is sent more of it, once, further and further
back: where both part, they are proof.
"""

import asyncio
import contextlib
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from domain.errors import GotongError
from federation.lifecycle.introduce import tell_operator
from federation.log.verify import NotAPrefix
from federation.mirror.deposit import (
    DEPOSIT_ANSWER_BYTES_MAX,
    DEPOSIT_BYTES_MAX,
    DEPOSIT_LOGS_MAX,
    Deposited,
    question,
    read_answer,
)
from federation.sync import serve
from federation.sync.client import FRAMES_TYPE, PeerBusy, PeerClient, PeerProtocolError, PeerTimeout, PeerUnreachable
from federation.sync.frames import Decoder, End, Evidence, Log, encode
from federation.sync.messages import Pull, Wanted
from store import depositors, evidence, peers, relay
from store.database import Connection, Database
from store.locks import Claims
from store.outbox import HEAD_CHANNEL
from store.peers import PeerRow
from store.relay import RelayRow
from store.wake import Wake

STEP_BYTES = 1024 * 1024
"""Of frames in one deposit, before compression; it ends with the batch that reaches them."""
ASK_AGAIN_S = 300.0
"""How often a mirror is asked although nothing was published: it may have been restored, or take more than before."""
BACKOFF_S = 2.0
BACKOFF_S_MAX = 900.0
AWAY_S_MAX = 30.0
"""Before a mirror that could not be reached is tried again: who had no network for a week may have it for minutes."""
MIRRORS_POLL_S = 1.0
EVIDENCE_PAGES_MAX = 64
"""How long a mirror may go on listing what it knows; what lies beyond is sent again, to no effect."""
PASSING = ("LOG_IN_USE", "HEAD_MOVED")
"""Refusals that are over in a moment."""
KEY_UNKNOWN = ("CALLER_UNKNOWN", "SIGNATURE_INVALID")
"""What a mirror answers that knows this node by an older key only."""
NOTHING_TAKEN = "NOTHING_TAKEN"
"""What is said of a log of which the mirror took nothing without saying why."""
EARLIER_ENTRIES = (64, 4_096, 262_144)
"""How far back a log is sent again that does not follow from what the mirror holds; as much as fits into one step."""
GZIP_LEVEL = 6
_GZIP = 16 + zlib.MAX_WBITS

_log = structlog.get_logger()


@dataclass(slots=True)
class Handed:
    """What one round handed over: entries, by how the mirror's sizes grew; `refused` are codes by origin.

    `parted` is what the mirror holds of logs that do not follow from it.
    """

    entries: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    parted: dict[str, Deposited] = field(default_factory=dict)


@dataclass(slots=True)
class Depositor:
    """Deposits with mirrors. `client` makes a client that signs; `jitter` returns numbers from 0 to 1."""

    database: Database
    client: Callable[[PeerRow], PeerClient]
    connect: Callable[[], Awaitable[Connection]]
    wake: Wake
    jitter: Callable[[], float]
    backoff_s: float = BACKOFF_S
    _claims: Claims = field(init=False)
    _tasks: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)  # the number of the newest evidence, by mirror
    _sent_again: set[tuple[str, str, int]] = field(default_factory=set)  # address, log, size there: what was sent again

    def __post_init__(self) -> None:
        self._claims = Claims(self.connect)

    async def once(self, url: str) -> Handed:
        """Hand over to one mirror what it lacks; raises the Peer errors and the database's."""
        async with self.database.acquire() as connection:
            peer = await peers.find(connection, url)
        assert peer is not None
        async with self.client(peer) as client:
            try:
                handed = await hand_over(self.database, client)
            except PeerProtocolError as error:
                if error.details.get("cause") not in KEY_UNKNOWN:
                    raise
                await tell_operator(self.database, client)  # the key this node signs with is newer than what it knows
                handed = await hand_over(self.database, client)
            for origin, held in handed.parted.items():
                if (url, origin, held.size) not in self._sent_again:
                    self._sent_again.add((url, origin, held.size))
                    handed.refused[origin] = await _tell_earlier(self.database, client, held)
            await self._tell_evidence(url, client)
        return handed

    async def _tell_evidence(self, url: str, client: PeerClient) -> None:
        """Tell a mirror of evidence that is new here: nobody can ask this node for it."""
        async with self.database.acquire() as connection:
            newest = await evidence.newest_number(connection)
        if newest > self._told.get(url, 0):
            await hand_over_evidence(self.database, client)
            self._told[url] = newest

    async def run(self) -> None:
        """Deposit with all mirrors that no other process serves, until cancelled."""
        try:
            while True:
                with contextlib.suppress(GotongError):
                    await self._look_after_mirrors()
                await asyncio.sleep(MIRRORS_POLL_S)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._claims.close()

    async def _look_after_mirrors(self) -> None:
        async with self.database.acquire() as connection:
            urls = set(await depositors.mirrors(connection))
        for url in [url for url, task in self._tasks.items() if url not in urls or task.done()]:
            task = self._tasks.pop(url)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._claims.release([_claim(url)])
        free = sorted(urls - self._tasks.keys())
        for name in await self._claims.take([_claim(url) for url in free]):
            url = name.removeprefix(_claim(""))
            self._tasks[url] = asyncio.create_task(self._serve(url), name=name)

    async def _serve(self, url: str) -> None:
        failures = 0
        async with self.wake.watch(HEAD_CHANNEL) as watch:
            while True:
                try:
                    handed = await self.once(url)
                except Exception as error:
                    failures += 1
                    if isinstance(error, GotongError):
                        _log.warning("deposit_failed", mirror=url, code=error.code, message=error.message)
                    else:
                        _log.exception("deposit_failed", mirror=url)
                    await asyncio.sleep(self._pause_s(failures, error))
                    continue
                failures = 0
                if handed.entries or handed.refused:
                    _log.info("deposited", mirror=url, entries=handed.entries, refused=handed.refused or None)
                is_passing = any(code in PASSING for code in handed.refused.values())
                await watch.wait((self.backoff_s if is_passing else ASK_AGAIN_S) * (0.5 + self.jitter()))

    def _pause_s(self, failures: int, error: Exception) -> float:
        """Return how long to wait after so many failures in a row: twice as long each time, not in step with others."""
        longest_s = AWAY_S_MAX if isinstance(error, (PeerUnreachable, PeerTimeout)) else BACKOFF_S_MAX
        pause_s = min(longest_s, self.backoff_s * 2.0 ** min(failures - 1, 30))
        if isinstance(error, PeerBusy):
            pause_s = max(pause_s, float(error.details.get("retry_after_s") or 0))
        return pause_s * (0.5 + self.jitter())


async def hand_over(database: Database, client: PeerClient) -> Handed:
    """Send a mirror what it lacks of the logs written here and return what came of it; raises the Peer errors.

    Also of those whose participants left: their new hosts can have the end of the log from nobody else.
    """
    handed = Handed()
    async with database.acquire() as connection:
        rows = [row for row in await relay.heads(connection) if row.hosted or row.has_left]
    for start in range(0, len(rows), DEPOSIT_LOGS_MAX):
        await _hand_over(database, client, rows[start : start + DEPOSIT_LOGS_MAX], handed)
    return handed


async def give_back(database: Database, client: PeerClient, peer_id: int, origins: Sequence[str]) -> Handed:
    """Send a mirror what it lost of its own logs among these, and return what came of it; raises the Peer errors.

    It was restored, and whom it can ask may not have what this node has, whom nobody can ask.
    """
    handed = Handed()
    async with database.acquire() as connection:
        lost = await depositors.homes_at_mirror(connection, peer_id, origins)
        rows = list((await relay.relayed(connection, lost)).values())
    for start in range(0, len(rows), DEPOSIT_LOGS_MAX):
        await _hand_over(database, client, rows[start : start + DEPOSIT_LOGS_MAX], handed)
    return handed


async def _hand_over(database: Database, client: PeerClient, rows: Sequence[RelayRow], handed: Handed) -> None:
    origins = [row.origin for row in rows]
    held = {each.origin: each for each in await _send(client, question(origins), origins)}
    while behind := [row for row in rows if _is_behind(row, held[row.origin]) and row.origin not in handed.refused]:
        wanted = [Wanted(row.origin, held[row.origin].size, held[row.origin].did_version) for row in behind]
        frames, sent = await _step(database, wanted)
        if not sent:
            return  # nothing of them is for others any more
        before = {origin: held[origin] for origin in sent}
        for each in await _send(client, frames, sent):
            held[each.origin] = each
            handed.entries += max(0, each.size - before[each.origin].size)
            if each.refused is not None:
                handed.refused[each.origin] = each.refused
            if each.refused == NotAPrefix.code:
                handed.parted[each.origin] = each
        stuck = [origin for origin in sent if not _has_grown(before[origin], held[origin])]
        handed.refused |= {origin: held[origin].refused or NOTHING_TAKEN for origin in stuck}


async def hand_over_evidence(database: Database, client: PeerClient) -> int:
    """Send a mirror the evidence known here that it does not list; return how many pieces. Raises the Peer errors."""
    theirs: set[str] = set()
    after = 0
    for _ in range(EVIDENCE_PAGES_MAX):
        offered = await client.evidence_after(after)
        theirs |= {each.id for each in offered}
        if not offered or offered[-1].number <= after:
            break
        after = offered[-1].number
    sent = after = 0
    while True:
        async with database.acquire() as connection:
            ours = await evidence.listed(connection, after)
        if not ours:
            return sent
        after = ours[-1].number
        for each in ours:
            if each.id.hex() not in theirs:
                async with database.acquire() as connection:
                    data = await evidence.data(connection, each.id)
                assert data is not None
                await _send(client, encode(Evidence(data)) + encode(End()), [])
                sent += 1


async def _tell_earlier(database: Database, client: PeerClient, held: Deposited) -> str:
    """Send a log again from before where the mirror's copy ends; return the code of what came of it."""
    refused = NotAPrefix.code
    for earlier in EARLIER_ENTRIES:
        start = max(0, held.size - earlier)
        frames, sent = await _step(database, [Wanted(held.origin, start, held.did_version)])
        for each in await _send(client, frames, sent):
            refused = each.refused or NOTHING_TAKEN
        if start == 0 or refused != NotAPrefix.code:
            break
    return refused


def _is_behind(row: RelayRow, held: Deposited) -> bool:
    return held.size < row.size or held.did_version < row.did_version


def _has_grown(before: Deposited, after: Deposited) -> bool:
    """Return whether a step led on; were going back enough, a mirror could have a node send for ever."""
    return after.size > before.size or after.did_version > before.did_version


async def _step(database: Database, wanted: Sequence[Wanted]) -> tuple[bytes, list[str]]:
    """Return the frames of one deposit, and the logs of which something is in it."""
    pieces = [piece async for piece in serve.pull(database, Pull(list(wanted), STEP_BYTES))]
    frames = b"".join(pieces)
    return frames, [frame.origin for frame in Decoder().feed(frames) if isinstance(frame, Log)]


async def _send(client: PeerClient, frames: bytes, origins: Sequence[str]) -> list[Deposited]:
    gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    body = gzip.compress(frames) + gzip.flush()
    assert len(body) <= DEPOSIT_BYTES_MAX
    answer = await client.post(
        "deposit",
        body,
        content_type=FRAMES_TYPE,
        answer_type="application/json",
        bytes_max=DEPOSIT_ANSWER_BYTES_MAX,
    )
    return read_answer(answer, origins)


def _claim(url: str) -> str:
    return f"deposit {url}"
