"""One seeded run: honest machines and liars, what they do, what happens to them, and what must hold in the end.

What is done, to whom, and how it goes wrong follows from the seed; a run names
every step it took, so a failing one can be read and run again.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from domain.errors import GotongError
from federation.erasing.erasure import NothingToErase
from federation.identity.enroll import Enrolled
from federation.moderation.trust import add_peer, set_participant_trust
from federation.publish.append import Appended, Draft, Once
from federation.publish.prepare import unchanged
from tests.clock import START
from tests.nodes import fixed, need_body
from tests.sim import invariants
from tests.sim.crash import Crashed, Lifeline, mortal, real_connect
from tests.sim.disks import Disks
from tests.sim.liars import Janus, Liar
from tests.sim.machine import Machine, Process, WorldTime
from tests.sim.network import Network

STEPS = 40
STATEMENTS_BEFORE_CRASH_MAX = 60
CLOCK_ERRORS = (
    timedelta(0),
    timedelta(seconds=-40),
    timedelta(minutes=10),
    timedelta(minutes=-14),
    timedelta(hours=3),
    timedelta(days=-5_800),  # a flat battery: 2010
)
SETTLE_ROUNDS_MAX = 12


@dataclass(frozen=True)
class Acknowledged:
    """A record whose writer was told that it is in the log."""

    machine: str
    scid: str
    record_id: UUID
    revision: int
    index: int
    leaf_hash: bytes
    title: str


@dataclass(frozen=True)
class Erasure:
    """An erasure whose author was told that it is in the log."""

    scid: str
    record_id: UUID
    index: int


Work = Callable[[Machine, Enrolled, str], Awaitable[None]]


@dataclass
class World:
    """The state of a run. `machines` are honest; `liars` are what stands between some of them."""

    seed: int
    chance: random.Random
    time: WorldTime
    network: Network
    disks: Disks
    machines: list[Machine]
    liars: list[Liar] = field(default_factory=list)
    janus: Janus | None = None
    told: list[str] = field(default_factory=list)
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    erased: list[Erasure] = field(default_factory=list)
    backups: set[str] = field(default_factory=set)
    unsure: list[tuple[Work, Machine, Enrolled, str]] = field(default_factory=list)
    _numbers: int = 0

    def tell(self, text: str) -> None:
        """Note what happens."""
        self.told.append(text)

    # ---- a run -------------------------------------------------------------------------------------------------------

    async def run(self, steps: int) -> None:
        """Do so many steps, then let everything be healed, and raise for what does not hold."""
        asyncio.get_running_loop().set_exception_handler(_unless_killed)
        await self._begin()
        for _ in range(steps):
            await self._step()
        await self._heal()
        await invariants.check(self)

    async def _begin(self) -> None:
        for number, machine in enumerate(self.machines):
            await machine.boot()
            await machine.found(["ojol"] if number % 2 == 0 else [])
        if self.janus is not None:
            await self.janus.begin(self.disks)
        for machine in self.machines:
            for other in self._known_to(machine):
                await add_peer(self._running(machine).database, other, trust="allowed", actor="simulation")

    def _known_to(self, machine: Machine) -> list[str]:
        """Return whom a machine pulls from: its neighbours in a ring (chains and loops of relays), and the liars."""
        place = self.machines.index(machine)
        ring = [self.machines[place - 1].url, self.machines[(place + 1) % len(self.machines)].url]
        faces = [] if self.janus is None else [self.janus.url]
        return list(dict.fromkeys([*ring, *(each.url for each in self.liars), *faces]))

    async def _step(self) -> None:
        self.time.pass_(self.chance.uniform(0.5, 90.0))
        down = [machine for machine in self.machines if machine.process is None]
        if down and self.chance.random() < 0.5:
            await self._boot(self.chance.choice(down))
            return
        up = [machine for machine in self.machines if machine.process is not None]
        if not up:
            return
        act = self.chance.choices(
            (
                self._publish,
                self._erase,
                self._sync,
                self._sync_at_once,
                self._trouble,
                self._clock,
                self._restart,
                self._restore,
                self._lie,
            ),
            (8, 2, 12, 3, 2, 2, 2, 1, 2),
        )[0]
        await act(self.chance.choice(up))

    async def _heal(self) -> None:
        """Bring everybody back, in reach and on time; let unsure writers ask again; sync until nothing moves."""
        self.tell("all is healed")
        self.network.heal()
        for machine in self.machines:
            machine.error = timedelta(0)
            if machine.process is None:
                await self._boot(machine)
        for liar in self.liars:
            liar.be_honest(self.network)
        self.time.pass_(4 * 3_600)  # longer than any clock was ahead: what it let be shown early, all show by then
        await self._settle()
        unsure, self.unsure = self.unsure, []
        for work, machine, author, key in unsure:
            with contextlib.suppress(NothingToErase):  # somebody else erased it meanwhile
                await work(machine, author, key)
        self.unsure = [each for each in self.unsure if each[0] != self._erase_body]
        assert not self.unsure, "a writer got no answer although nothing was wrong any more"
        await self._settle()

    async def _settle(self) -> None:
        quiet = 0
        for _ in range(SETTLE_ROUNDS_MAX + len(self.machines)):
            moved = 0
            for machine in self.machines:
                moved += await self._welcome(machine)
                for url in self._known_to(machine):
                    done = await self._running(machine).syncer.once(url)
                    moved += done.entries
            quiet = 0 if moved else quiet + 1
            if quiet > 1:  # what is gossiped beside the logs goes on for a round
                return
        raise AssertionError("something still moves")

    async def _welcome(self, machine: Machine) -> int:
        """Have the machine's operator allow everybody who waits, so that everything is relayed; return how many."""
        database = self._running(machine).database
        async with database.acquire() as connection:
            waiting = await connection.fetch("select scid from participant where trust = 'quarantined' order by scid")
        for (scid,) in waiting:
            await set_participant_trust(database, scid, "allowed", actor="simulation")
        return len(waiting)

    def _running(self, machine: Machine) -> Process:
        assert machine.process is not None
        return machine.process

    # ---- what machines do --------------------------------------------------------------------------------------------

    async def _publish(self, machine: Machine) -> None:
        author = self.chance.choice(self._authors(machine))
        self._numbers += 1
        await self._mortally(machine, lambda: self._append(machine, author, f"{self.seed}-{self._numbers}"))

    async def _append(self, machine: Machine, author: Enrolled, key: str) -> None:
        """Publish a need under an idempotency key: a new one, or a revision of one that was acknowledged."""
        title = f"Beras {key}"
        mine = [each for each in self.acknowledged.values() if each.scid == author.scid]
        revised = mine[hash_of(key) % len(mine)] if mine and hash_of(key) % 3 == 0 else None
        draft = Draft("need", None if revised is None else revised.record_id, fixed(need_body(title)))
        self.tell(f"{machine.name} publishes {title!r}")
        done = await self._done(self._append, machine, author, key, draft)
        self.acknowledged[key] = Acknowledged(
            machine.name, author.scid, done.record_id, done.revision, done.index, done.leaf_hash, title
        )

    async def _erase(self, machine: Machine) -> None:
        written = [each for each in self.acknowledged.values() if each.machine == machine.name]
        if not written:
            return
        author = next(each for each in self._authors(machine) if each.scid == written[0].scid)
        self._numbers += 1
        await self._mortally(machine, lambda: self._erase_body(machine, author, f"{self.seed}-e{self._numbers}"))

    async def _erase_body(self, machine: Machine, author: Enrolled, key: str) -> None:
        """Erase the body of a record that was acknowledged, under an idempotency key."""
        mine = [each for each in self.acknowledged.values() if each.scid == author.scid]
        record = mine[hash_of(key) % len(mine)]
        self.tell(f"{machine.name} erases {record.title!r}")
        draft = Draft("need", record.record_id, unchanged, erase=("body",))
        done = await self._done(self._erase_body, machine, author, key, draft)
        self.erased.append(Erasure(author.scid, done.record_id, done.index))

    async def _done(self, work: Work, machine: Machine, author: Enrolled, key: str, draft: Draft) -> Appended:
        """Return what was appended; what is not acknowledged is asked again, under the same key, when all is healed."""
        asked = (work, machine, author, key)
        self.unsure.append(asked)
        (done,) = await self._running(machine).appender.append(
            author.scid, [draft], once=Once(key, key.encode().ljust(32))
        )
        self.unsure.remove(asked)
        return done

    async def _sync(self, machine: Machine) -> None:
        url = self.chance.choice(self._known_to(machine))
        self.tell(f"{machine.name} pulls from {url}")
        await self._mortally(machine, lambda: self._running(machine).syncer.once(url))

    async def _sync_at_once(self, machine: Machine) -> None:
        """All running machines pull at the same time, each from all it knows."""
        up = [each for each in self.machines if each.process is not None]
        self.tell(f"at once: {', '.join(each.name for each in up)} pull from everybody")
        pulls = [(each, url) for each in up for url in self._known_to(each)]
        await asyncio.gather(
            *(self._surviving(each, partial(self._running(each).syncer.once, url)) for each, url in pulls)
        )

    async def _boot(self, machine: Machine) -> None:
        self.tell(f"{machine.name} boots")
        await self.disks.quiesce(self.machines.index(machine))
        await machine.boot()

    # ---- what happens to them ----------------------------------------------------------------------------------------

    async def _mortally(self, machine: Machine, work: Callable[[], Awaitable[object]]) -> None:
        """Do something that the machine may die of halfway."""
        lifeline = self._running(machine).lifeline
        if self.chance.random() < 0.3:
            lifeline.statements_left = self.chance.randrange(STATEMENTS_BEFORE_CRASH_MAX)
            lifeline.answer_is_lost = self.chance.random() < 0.5
        await self._surviving(machine, work)
        lifeline.statements_left = None

    async def _surviving(self, machine: Machine, work: Callable[[], Awaitable[object]]) -> None:
        process = machine.process
        try:
            await work()
        except GotongError as error:
            self.tell(f"  {machine.name}: {error.code}")
        except (Crashed, asyncio.CancelledError):
            if process is None or not process.lifeline.is_dead:
                raise
        if process is not None and process.lifeline.is_dead and machine.process is process:
            self.tell(f"  {machine.name} is killed")
            machine.bury()

    async def _trouble(self, machine: Machine) -> None:
        """Cut somebody off, or make the network bad, or good again."""
        network = self.network
        if network.islands or network.trouble:
            self.tell("the network heals")
            network.heal()
        elif self.chance.random() < 0.5:
            network.islands = {each.host: self.chance.randrange(2) for each in self.machines}
            self.tell(f"the network parts: {network.islands}")
        else:
            network.trouble = self.chance.uniform(0.1, 0.7)
            self.tell(f"the network is bad: {network.trouble:.2f}")

    async def _clock(self, machine: Machine) -> None:
        machine.error = self.chance.choice(CLOCK_ERRORS)
        self.tell(f"{machine.name}'s clock is {machine.error} off")

    async def _restart(self, machine: Machine) -> None:
        """A machine is turned off and on again, as people do."""
        self.tell(f"{machine.name} is restarted")
        await machine.stop()
        if self.chance.random() < 0.5:
            self.tell("  and backed up")
            await self.disks.backup(self.machines.index(machine), "old")
            self.backups.add(machine.name)
        await self._boot(machine)

    async def _restore(self, machine: Machine) -> None:
        """A machine's database is replaced by an old backup; what nobody else had seen by then is lost."""
        if machine.name not in self.backups:
            return
        self.tell(f"{machine.name} is restored from an old backup")
        machine.bury()
        await self.disks.restore(self.machines.index(machine), "old")
        kept = {author.scid: await self._held_of(author) for author in self._authors(machine)}
        self.acknowledged = {
            key: each for key, each in self.acknowledged.items() if each.index < kept.get(each.scid, each.index + 1)
        }
        self.erased = [each for each in self.erased if each.index < kept.get(each.scid, each.index + 1)]
        self.unsure = [each for each in self.unsure if each[1] is not machine]
        await self._boot(machine)

    def is_erased(self, told: Acknowledged) -> bool:
        """Return whether the body of what was acknowledged was erased later."""
        mine = [each.index for each in self.erased if (each.scid, each.record_id) == (told.scid, told.record_id)]
        return any(told.index < index for index in mine)

    def _authors(self, machine: Machine) -> list[Enrolled]:
        assert machine.operator is not None
        return [machine.operator, *machine.guests]

    async def _held_of(self, author: Enrolled) -> int:
        """Return the largest size that any database holds of a participant's log, up or down."""
        sizes = []
        for machine in self.machines:
            connection = await real_connect(machine.dsn)
            try:
                sizes.append(await connection.fetchval("select size from log where origin = $1", author.origin) or 0)
            finally:
                await connection.close()
        return max(sizes)

    async def _lie(self, _machine: Machine) -> None:
        for liar in self.liars:
            self.tell(f"{liar.name} {liar.lie(self.network, self.chance)}")
        if self.janus is not None:
            self.tell(f"{self.janus.name} signs {await self.janus.lie(self.chance)!r} behind one face")


def _unless_killed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what a task died of, unless its whole process was killed."""
    if not isinstance(context.get("exception"), Crashed):
        loop.default_exception_handler(context)


def hash_of(key: str) -> int:
    """Return a number that depends on the key alone, so that a writer who asks again asks the same."""
    return sum(ord(letter) * place for place, letter in enumerate(key, start=1))


@contextlib.asynccontextmanager
async def world(
    seed: int, disks: Disks, directory: Path, *, nodes: int, liars: int, forks: bool
) -> AsyncIterator[World]:
    """Yield a world that nothing has happened in yet; its processes end with the block."""
    chance = random.Random(seed)
    network = Network(chance)
    lifelines: dict[str, Lifeline] = {}
    time = WorldTime(START)
    dsns = await disks.empty(nodes + 2 * forks)
    machines = [
        Machine(f"n{number}", dsn, directory / f"{seed}-n{number}", time, network, lifelines)
        for number, dsn in enumerate(dsns[:nodes])
    ]
    made = World(seed, chance, time, network, disks, machines)
    if forks:
        made.janus = Janus(
            [
                Machine(name, disks.dsn(nodes + place), directory / f"{seed}-janus", time, network, lifelines, False)
                for place, name in enumerate(("janus", "janus2"))
            ],
            nodes,
        )
    made.liars = [Liar(f"liar{number}", chance.choice(machines).host) for number in range(liars)]
    for liar in made.liars:
        liar.be_honest(network)
    with mortal(lifelines):
        try:
            yield made
        finally:
            for machine in [*machines, *(made.janus.machines if made.janus else [])]:
                await machine.stop()
