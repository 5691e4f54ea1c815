"""One exchange with one peer: heads, plan, pull, store, and who is at home there. Shell.

An exchange may be cut anywhere: each batch is committed when it is verified,
and the peer's hint is only kept when it came to an end. What it left undone
(refused, or in another process's hands) is remembered log by log and asked for
again after a pause of its own: one bad log must not have a peer tell of all
its good ones for ever.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from domain.errors import GotongError
from federation.did.errors import DidTimeInFuture
from federation.identity.states import DidStates
from federation.log.entry import Network, NetworkMismatch
from federation.log.names import is_origin, parse_origin
from federation.moderation import trust
from federation.moderation.reports import report
from federation.restricted.places import note_places
from federation.sync.client import PeerClient
from federation.sync.interest import SCIDS_MAX, Interest, interest_of
from federation.sync.messages import HeadOfLog, Heads, Pull, Wanted
from federation.sync.plan import OwnLogLonger, Plan, asked_again, contradiction, grown, in_parts, plan
from federation.sync.receive import CheckpointBehind, Outcome, Receiver
from federation.sync.sections import Assembler, Closed, Opened, Pause, Pulled
from federation.witness import gossip
from federation.witness.forks import Forks
from federation.witness.sightings import note_sightings
from store import choices, directory, guard, left_logs, participants, peers
from store import held as held_
from store.database import Database
from store.held import Held
from store.locks import Claims
from store.peers import PeerRow

REFUSED_MAX = 100
"""Logs of one exchange of which it is told and kept what they broke; the others are left alone as well."""
PULLS_AT_ONCE = 3
"""Pulls of one exchange; none of them has a log of another one."""


class PeerOperatorChanged(GotongError):
    """The peer names another operator than the one that was seen when it was looked at and judged."""

    code: ClassVar[str] = "PEER_OPERATOR_CHANGED"


@dataclass(slots=True)
class Exchanged:
    """What an exchange did: `busy` logs are being pulled by another process, `over_quota` wait for an operator.

    `outside` logs are of other regions than the chosen ones, as the peer says or as their records do; `mail` counts
    what waits there for this node. Of the logs `behind` the peer has less than is held here.
    """

    entries: int = 0
    records: int = 0
    logs: int = 0
    busy: int = 0
    over_quota: int = 0
    outside: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    forked: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)
    pause_s: int | None = None
    mail: int = 0


class Exchange:
    """An exchange with `peer`; `run` it once."""

    def __init__(
        self,
        database: Database,
        client: PeerClient,
        peer: PeerRow,
        *,
        network: Network,
        clock: Callable[[], datetime],
        claims: Claims,
        states: DidStates,
    ) -> None:
        self._database = database
        self._client = client
        self._peer = peer
        self._network = network
        self._clock = clock
        self._claims = claims
        self._states = states
        self._grown: set[str] = set()
        self._completed: set[str] = set()
        self._left: set[str] = set()  # logs to leave alone until their pause is over
        self._again: list[str] = []  # logs left by earlier exchanges whose pause is over
        self._unnamed: set[str] = set()  # those of them that are asked for although the peer says nothing of them now
        self.done = Exchanged()
        self.since: str | None = None
        self.again_at: datetime | None = None
        self.skew_ms = 0
        self.operator_scid: str | None = None  # who runs the peer, once an identity of that name was verified here

    async def run(self, since: str | None) -> Exchanged:
        """Return what was done. Raises the peer's, the stream's and the database's errors; batches stored stay."""
        interest = await self._interest()
        heads = await self._heads(since, interest)
        async with self._database.acquire() as connection:
            self._again = await left_logs.due(connection, self._peer.id, self._clock())
        self.since = since
        self.done.outside, self.done.mail = heads.left_out, heads.mail
        if heads.logs or self._again:  # else nothing grew: nothing is looked up, however many logs there are
            await self._take_in(heads, interest)
        await self._look_again(heads, in_full=since is None)
        self.done.logs = len(self._grown)
        if since is None:  # else only what changed was counted
            async with self._database.acquire() as connection:
                await choices.remember_left_out(connection, self._peer.id, self.done.outside)
                await directory.remember_listed(connection, self._peer.id, is_listed=heads.listed)
        knows_operator = await self._knows_operator(heads)
        if knows_operator:
            self.operator_scid = heads.operator
        if self.done.pause_s is None and await self._keep_left(heads) and knows_operator:
            self.since = heads.since
        return self.done

    async def follow(self, sizes: Mapping[str, int]) -> bool:
        """Pull logs that the peer says have grown and return whether that was all there was to do; raises as `run`."""
        named = [(parse_origin(origin).scid, origin) for origin in sizes if is_origin(origin)]
        async with self._database.acquire() as connection:
            is_choosing = interest_of(await choices.choices(connection)) is not None
            held = await held_.held(connection, named)
        if is_choosing:
            return False
        wanted, is_all = grown(sizes, held)
        await self._pull_all(in_parts(wanted, sizes), held)
        self.done.logs = len(self._grown)
        return is_all and not self._left and {each.origin for each in wanted} <= self._completed

    async def _take_in(self, heads: Heads, interest: Interest | None) -> None:
        """Pull until nothing more comes."""
        sizes = {head.origin: head.size for head in heads.logs}
        while self.done.pause_s is None:
            before = self._progress()
            held = await self._held(heads)
            outside = await self._outside(heads, held, interest)
            self.done.outside = heads.left_out + len(outside)
            todo = await self._plan(heads, held, outside)
            await self._pull_all(in_parts(todo.wanted, sizes), held)
            at_home = await self._find_homes(heads)
            if at_home:
                continue  # their trust may have changed, and with it how much is wanted
            if not todo.wanted or before == self._progress():
                self._left |= {each.origin for each in todo.wanted}  # named, but not handed out
                return

    async def _keep_left(self, heads: Heads) -> bool:
        """Remember what was left undone and return whether the peer's hint may go on."""
        left = {origin for origin in self._left if is_origin(origin)}
        if len(left) > left_logs.LEFT_MAX:
            return False
        if left or self._again:
            done = {*self._again, *(head.origin for head in heads.logs)} - left
            async with self._database.transaction() as connection:
                self.again_at = await left_logs.keep(connection, self._peer.id, left=left, done=done, at=self._clock())
        return True

    def _progress(self) -> tuple[int, int, int]:
        return self.done.entries, len(self._left), len(self._completed)

    async def _interest(self) -> Interest | None:
        """Return what this node chose to mirror: with it come its own logs, whose cosignatures it wants to see."""
        async with self._database.acquire() as connection:
            chosen = interest_of(await choices.choices(connection))
            if chosen is None:
                return None
            own = [row.scid for row in await participants.hosted(connection)]
        return Interest(chosen.regions, tuple(dict.fromkeys([*chosen.scids, *own]))[:SCIDS_MAX])

    async def _outside(self, heads: Heads, held: dict[str, Held], interest: Interest | None) -> set[str]:
        """Return the logs whose records here say that they lie elsewhere, whatever the peer says."""
        if interest is None:
            return set()
        scids = sorted({each.scid for each in held.values()} - {heads.operator})
        async with self._database.acquire() as connection:
            found = await choices.outside(connection, scids, interest.regions, interest.scids)
        return {origin for origin, each in held.items() if each.scid in found}

    async def _plan(self, heads: Heads, held: dict[str, Held], outside: set[str]) -> Plan:
        async with self._database.acquire() as connection:
            quarantine = await held_.quarantine(connection)
        left = self._left | outside
        todo = plan(heads.logs, held, operator_scid=heads.operator, quarantine=quarantine, leave_out=left)
        named = {head.origin for head in heads.logs}
        again = [each for each in self._again if each not in named | left | self._completed]
        todo.wanted += asked_again(again, held, quarantine)
        self._unnamed |= set(again)
        self.done.over_quota = todo.over_quota
        await self._judge(todo, held)
        return todo

    async def _heads(self, since: str | None, interest: Interest | None) -> Heads:
        asked_at = self._clock()
        heads = await self._client.heads(since, interest)
        middle = asked_at + (self._clock() - asked_at) / 2
        self.skew_ms = round((middle - heads.at).total_seconds() * 1000)
        if heads.network != self._network:
            raise NetworkMismatch("the peer is of another network", expected=self._network, found=heads.network)
        known = self._peer.operator_scid
        if known and known != heads.operator:
            raise PeerOperatorChanged("another operator answers here now", known=known, found=heads.operator)
        return heads

    async def _held(self, heads: Heads) -> dict[str, Held]:
        origins = dict.fromkeys((*(head.origin for head in heads.logs), *self._again))
        named = [(parse_origin(origin).scid, origin) for origin in origins if is_origin(origin)]
        if not named:
            return {}
        async with self._database.acquire() as connection:
            return await held_.held(connection, named)

    # ---- heads that contradict what is held --------------------------------------------------------------------------

    async def _judge(self, todo: Plan, held: dict[str, Held]) -> None:
        """Report refused heads, and doubtful ones if their log's key really signed them."""
        for head, error in todo.refused:
            await self._refuse(head.origin, error, head.checkpoint.encode())
        for head in todo.doubtful:
            ours = held[head.origin]
            state = await self._states.of(self._database, ours.scid, ours.did_version)
            found = contradiction(head, ours, state)
            shown = head.checkpoint.encode() + b"\n" + (ours.checkpoint or b"")
            if isinstance(found, OwnLogLonger):
                await self._heal(found, head, ours, todo, shown)
            elif found is not None:
                await self._refuse(head.origin, found, shown)

    async def _heal(self, lost: OwnLogLonger, head: HeadOfLog, ours: Held, todo: Plan, shown: bytes) -> None:
        """Take our own log back, through the same verification as any other; until then nothing is signed in it."""
        known = {head.origin: ours}
        await note_sightings(self._database, self._states, self._peer.id, [head], known, is_over=False)
        async with self._database.transaction() as connection:
            await guard.renew_stream(connection)  # what followers were told of what was lost has other numbers now
        await report(self._database, self._peer, lost, origin=head.origin, evidence=shown)
        self.done.healed.append(head.origin)
        todo.wanted.append(Wanted(head.origin, ours.size, ours.did_version))

    async def _look_again(self, heads: Heads, *, in_full: bool) -> None:
        """Take what the peer knows beside the logs: cosignatures, another story of a log, evidence."""
        now = self._clock()
        forks = Forks(self._database, self._client, self._peer.id, self._states, now)
        await forks.take_evidence(heads.evidence, in_full=in_full)  # first: the peer may know better where they part
        held = await self._held(heads)
        await note_sightings(self._database, self._states, self._peer.id, heads.logs, held)
        self.done.behind = [head.origin for head in heads.logs if _is_behind(head, held.get(head.origin))]
        if heads.logs:
            await note_places(self._database, self._peer.id, heads.logs)
            await gossip.keep_cosignatures(self._database, self._states, heads.logs, held, now)
            await forks.look(heads.logs, held, self.done.refused.keys())
        self.done.forked = [finding.origin for finding in forks.findings]

    # ---- pulling -----------------------------------------------------------------------------------------------------

    async def _pull_all(self, parts: list[list[Wanted]], held: dict[str, Held]) -> None:
        """Pull a few parts at a time: a log of one entry is mostly waiting, for the peer and for the disk."""
        places = asyncio.Semaphore(PULLS_AT_ONCE)

        async def pull(part: list[Wanted]) -> None:
            async with places:
                if self.done.pause_s is None:
                    await self._pull(part, held)

        pulls = [asyncio.create_task(pull(part)) for part in parts]
        try:
            await asyncio.gather(*pulls)
        finally:
            for each in pulls:
                each.cancel()
            await asyncio.gather(*pulls, return_exceptions=True)  # nothing goes on beside what comes next

    async def _pull(self, wanted: list[Wanted], held: dict[str, Held]) -> None:
        taken = await self._claims.take([each.origin for each in wanted])
        busy = {each.origin for each in wanted} - taken
        self.done.busy += len(busy)
        self._left |= busy
        mine = [each for each in wanted if each.origin in taken]
        try:
            if mine:
                await self._states.remember(self._database, [held[each.origin] for each in mine if each.origin in held])
                await self._receive(mine, held)
        finally:
            await self._claims.release(taken)

    async def _receive(self, wanted: list[Wanted], held: dict[str, Held]) -> None:
        receiver = Receiver(self._database, self._network, self._clock, self._states, held)
        assembler = Assembler([each.origin for each in wanted])
        try:
            async with contextlib.aclosing(self._client.pull(Pull(wanted))) as stream:
                async for frames in stream:
                    for frame in frames:
                        event = assembler.take(frame)
                        if isinstance(event, Pause):
                            self.done.pause_s = event.seconds
                        elif isinstance(event, Opened | Pulled | Closed):
                            await receiver.take(event)
            await receiver.settle()
            assembler.finish()
        finally:
            await receiver.abort()
            for origin, outcome in receiver.outcomes.items():
                await self._note(origin, outcome)

    async def _note(self, origin: str, outcome: Outcome) -> None:
        self.done.entries += outcome.entries
        self.done.records += outcome.records
        if outcome.entries:
            self._grown.add(origin)
        if outcome.is_complete:
            self._completed.add(origin)
        if isinstance(outcome.error, CheckpointBehind) and origin in self._unnamed:
            self._completed.add(origin)  # the peer did not say that it has more, and meanwhile it came from elsewhere
        elif outcome.has_moved:
            self._left.add(origin)
        elif outcome.error is not None:
            await self._refuse(origin, outcome.error, outcome.evidence)

    async def _refuse(self, origin: str, error: GotongError, evidence: bytes | None) -> None:
        self._left.add(origin)
        if len(self.done.refused) >= REFUSED_MAX:
            return
        self.done.refused[origin] = error.code
        if isinstance(error, DidTimeInFuture):
            return  # one of two clocks is wrong, and it may be ours: no reason to accuse anybody
        await report(self._database, self._peer, error, origin=origin, evidence=evidence)

    # ---- who is at home there ----------------------------------------------------------------------------------------

    async def _knows_operator(self, heads: Heads) -> bool:
        """Return whether it is known who runs the peer: before, nobody is found at home there, so all is told again.

        A name alone says nothing: had it been changed on the way, the peer would be held to it for ever.
        """
        if not heads.operator:
            return True
        async with self._database.acquire() as connection:
            return await participants.find(connection, heads.operator) is not None

    async def _find_homes(self, heads: Heads) -> int:
        """Return how many participants got this peer as their home, and with it its trust.

        It is the host that their DIDs name, and it hands on their logs: hosted there, or deposited by a node that
        nobody can connect to and that its operator lets in.
        """
        offered: list[str] = []
        for origin in (*(head.origin for head in heads.logs), *self._again):
            with contextlib.suppress(GotongError):
                offered.append(parse_origin(origin).scid)
        if not offered or not heads.operator:
            return 0
        async with self._database.transaction() as connection:
            found = await held_.find_homes(connection, self._peer.id, heads.operator, offered)
            if found:
                peer = await peers.find(connection, self._peer.url)
                await trust.inherit(connection, self._peer.trust if peer is None else peer.trust, found)
        return len(found)


def _is_behind(head: HeadOfLog, ours: Held | None) -> bool:
    """Return whether a peer has less of a log than is held here in full."""
    return ours is not None and not ours.hosted and ours.frozen_size is None and head.size < ours.checkpoint_size
