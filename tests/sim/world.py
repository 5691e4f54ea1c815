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

from domain.errors import GotongError
from federation.log.erasure import NothingToErase
from federation.moderation.trust import add_peer
from federation.publish.prepare import IdempotencyKeyReused
from federation.requests.signer import KEY_KEPT_S
from store import depositors
from tests.clock import START
from tests.sim import acts, again, amid, confidence, fortune, hints, hosts, invariants, keepsakes, settling
from tests.sim.confidence import Confidence
from tests.sim.crash import Crashed, Lifeline, mortal, real_connect
from tests.sim.disks import Disks
from tests.sim.hosts import Hosts
from tests.sim.keepsakes import Keepsakes
from tests.sim.liars import Janus, Liar
from tests.sim.machine import Machine, WorldTime
from tests.sim.network import Network
from tests.sim.people import Author, Ledger
from tests.sim.settling import Settling
from tests.sim.small import small_numbers

STEPS = 40
STATEMENTS_BEFORE_CRASH_MAX = 60
STATEMENTS_OF_AN_APPEND = 20
"""So many a publication takes, its commit among them."""
BOOTS_MAX = 20
"""Whoever brings back a lost machine may die of it more than once."""
MOODS = 3
MOOD = 5
"""Of each run some kinds of steps are so much more frequent: what is rare alone meets what else is rare."""

Step = Callable[["World", Machine], Awaitable[None]]


@dataclass
class World:
    """The state of a run. `machines` are honest; `liars` are what stands between some of them.

    `moods` are the kinds of steps that this run is full of. `is_amid` says that others may act in the middle of what is
    done just now.
    """

    seed: int
    chance: random.Random
    time: WorldTime
    network: Network
    disks: Disks
    machines: list[Machine]
    liars: list[Liar] = field(default_factory=list)
    janus: Janus | None = None
    authors: list[Author] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    confidence: Confidence = field(default_factory=Confidence)
    keepsakes: Keepsakes = field(default_factory=Keepsakes)
    settling: Settling = field(default_factory=Settling)
    hosts: Hosts = field(default_factory=Hosts)
    told: list[str] = field(default_factory=list)
    backups: set[str] = field(default_factory=set)
    bundles: list[bytes] = field(default_factory=list)
    moods: list[Step] = field(default_factory=list)
    is_amid: bool = False
    _numbers: int = 0

    def tell(self, text: str) -> None:
        """Note what happens."""
        self.told.append(text)

    def new_key(self) -> str:
        """Return a key that was not used before."""
        self._numbers += 1
        return f"{self.seed}-{self._numbers}"

    def authors_at(self, machine: Machine) -> list[Author]:
        """Return who publishes on a machine and is on the way nowhere."""
        return [author for author in self.authors if author.home is machine and author.heading is None]

    def known_to(self, machine: Machine) -> list[str]:
        """Return whom a machine pulls from: its neighbours in a ring (chains and loops of relays), and the liars.

        Nobody can pull from a machine with a mirror; it pulls from its mirror.
        """
        ring = [each for each in self.machines if each.mirror is None]
        if machine.mirror is not None:
            near = [machine.mirror.url]
        else:
            place = ring.index(machine)
            near = [ring[place - 1].url, ring[(place + 1) % len(ring)].url]
        faces = [] if self.janus is None else [self.janus.url]
        known = dict.fromkeys([*near, *(each.url for each in self.liars), *faces])
        return [url for url in known if url != machine.url]

    async def writes(self, machine: Machine, work: Callable[[], Awaitable[object]]) -> None:
        """Do something that appends to a log, as `mortally` does."""
        await self.mortally(machine, work, within=STATEMENTS_OF_AN_APPEND)

    async def most_held_of(self, author: Author) -> tuple[int, int]:
        """Return the newest epoch, and its size, that any database holds of a participant's log, up or down."""
        found = [(0, 0)]
        for machine in self.machines:
            connection = await real_connect(machine.dsn)
            try:
                row = await connection.fetchrow(
                    """
                    select log.epoch, log.size from log join participant p on p.id = participant_id
                    where scid = $1 and is_projected order by log.epoch desc limit 1
                    """,
                    author.scid,
                )
                found += [] if row is None else [(row["epoch"], row["size"])]
            finally:
                await connection.close()
        return max(found)

    def machine_at(self, url: str) -> Machine | None:
        """Return the honest machine that answers under an address, if it is one that does."""
        return next((each for each in self.machines if each.url == url), None)

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
            self.authors += await machine.found([f"ojol{number}"] if number % 2 == 0 else [])
        if self.janus is not None:
            await self.janus.begin(self.disks)
        for machine in self.machines:
            await self.befriend(machine)
        for author in self.authors:
            await acts.begin(self, author)

    async def befriend(self, machine: Machine) -> None:
        """Have a machine allow all it knows, deposit with its mirror, and keep the backups of the others."""
        for other in self.known_to(machine):
            peer = await add_peer(machine.running.database, other, trust="allowed", actor="simulation")
            if machine.mirror is not None and other == machine.mirror.url:
                async with machine.running.database.acquire() as connection:
                    await depositors.add_mirror(connection, peer.id)
        await keepsakes.prepare(machine)

    async def _step(self) -> None:
        self.time.pass_(self.chance.uniform(0.5, 90.0))
        down = [machine for machine in self.machines if machine.process is None]
        if down and self.chance.random() < 0.5:
            await self.boot(self.chance.choice(down))
            return
        up = [machine for machine in self.machines if machine.process is not None]
        if not up:
            return
        weights = [weight * (MOOD if step in self.moods else 1) for step, weight in STEPS_BY_WEIGHT.items()]
        act = self.chance.choices(list(STEPS_BY_WEIGHT), weights)[0]
        await act(self, self.chance.choice(up))

    async def _heal(self) -> None:
        """Bring everybody back, in reach and on time; let unsure writers ask again; sync until nothing moves."""
        self.tell("all is healed")
        self.network.heal()
        for machine in self.machines:
            machine.error = timedelta(0)
        for machine in sorted(self.machines, key=lambda each: each.name in self.keepsakes.lost):
            for _ in range(BOOTS_MAX):
                if machine.process is None:
                    await self.boot(machine)
            assert machine.process is not None, f"{machine.name} cannot be brought back"
        for liar in self.liars:
            liar.be_honest(self.network)
        await hosts.repent(self)
        self.time.pass_(4 * 3_600)  # longer than any clock was ahead: what it let be shown early, all show by then
        await settling.settle(self)
        if self.janus is not None and self.seed % 8 == 7:
            self.tell(f"{self.janus.name} repents")
            await self.janus.repent(self.machines[0].url)
        await fortune.bring_home(self)
        for asked in list(self.ledger.unsure):
            with contextlib.suppress(NothingToErase, IdempotencyKeyReused):
                await asked.work(asked.author, asked.key)
        assert not self.ledger.unsure, "a writer got no answer although nothing was wrong any more"
        self.time.pass_(2 * KEY_KEPT_S)  # whoever has new keys signs with them from now on
        await settling.settle(self, caring=True)
        await settling.ask_for_everything(self)

    async def boot(self, machine: Machine) -> None:
        """Turn a machine on, or go on bringing it back."""
        await self.disks.quiesce(self.machines.index(machine))
        if machine.name in self.keepsakes.lost:
            await keepsakes.bring_back(self, machine)
            return
        self.tell(f"{machine.name} boots")
        await machine.boot()

    # ---- deaths ------------------------------------------------------------------------------------------------------

    async def mortally(
        self,
        machine: Machine,
        work: Callable[[], Awaitable[object]],
        *,
        other: Machine | None = None,
        within: int = STATEMENTS_BEFORE_CRASH_MAX,
    ) -> None:
        """Do something that the machine, or the `other` one that it asks, may die of halfway: `within` statements.

        What is done in the middle of something else has its deaths.
        """
        if self.is_amid:
            await self.survives(machine, work)
            return
        chance = self.chance.random()
        dying = machine if chance < 0.3 else other if chance < 0.4 else None
        lifeline = None if dying is None or dying.process is None else dying.process.lifeline
        if lifeline is not None:
            lifeline.dies_of_commit = self.chance.random() < 0.3
            lifeline.statements_left = None if lifeline.dies_of_commit else self.chance.randrange(within)
            lifeline.answer_is_lost = self.chance.random() < 0.5
        with amid.acting(self):
            await self.survives(machine, work)
        if lifeline is not None:
            lifeline.statements_left, lifeline.dies_of_commit = None, False
        self._bury()

    async def survives(self, machine: Machine, work: Callable[[], Awaitable[object]]) -> None:
        """Do something that may be refused, and that a machine may be dying of."""
        processes = [each.process for each in self.machines if each.process is not None]
        try:
            await work()
        except GotongError as error:
            self.tell(f"  {machine.name}: {error.code}")
        except (Crashed, asyncio.CancelledError):
            if not any(process.lifeline.is_dead for process in processes):  # it may be the other one that died
                raise

    def _bury(self) -> None:
        for machine in self.machines:
            if machine.process is not None and machine.process.lifeline.is_dead:
                self.tell(f"  {machine.name} is killed")
                machine.bury()

    async def sync_at_once(self) -> None:
        """Have all running machines pull at the same time, each from all it knows, while somebody publishes."""
        up = [each for each in self.machines if each.process is not None]
        self.tell(f"at once: {', '.join(each.name for each in up)} pull from everybody")
        pulls = [(each, url) for each in up for url in self.known_to(each)]
        work = [self.survives(each, partial(each.running.syncer.once, url)) for each, url in pulls]
        writer = self.chance.choice(up)
        await asyncio.gather(*work, self.survives(writer, acts.publication(self, writer)))
        self._bury()
        for each in up:
            await hints.nobody_is_kept_in_the_dark(self, each)


async def _sync_at_once(world: World, _machine: Machine) -> None:
    await world.sync_at_once()


STEPS_BY_WEIGHT: dict[Step, int] = {
    acts.publish: 16,
    acts.erase: 4,
    again.ask: 4,
    again.write_for_who_left: 3,
    confidence.choose: 3,
    confidence.ask: 5,
    keepsakes.back_up: 5,
    keepsakes.lose: 3,
    hosts.betray_mail: 4,
    hosts.betray_backups: 2,
    acts.rotate: 2,
    acts.steal: 1,
    acts.find_out: 2,
    acts.move: 4,
    acts.carry: 3,
    fortune.sync: 22,
    _sync_at_once: 5,
    fortune.care: 3,
    fortune.replay: 2,
    fortune.trouble: 4,
    fortune.clock: 4,
    fortune.restart: 4,
    fortune.restore: 2,
    fortune.lie: 4,
}


def _unless_killed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what a task died of, unless its whole process was killed."""
    if not isinstance(context.get("exception"), Crashed):
        loop.default_exception_handler(context)


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
    if seed % 5 in (1, 3):  # nobody can connect to the last one
        machines[-1].mirror = machines[0]
    made = World(seed, chance, time, network, disks, machines)
    made.moods = chance.sample(list(STEPS_BY_WEIGHT), MOODS)
    if forks:
        made.janus = Janus(
            [
                Machine(name, disks.dsn(nodes + place), directory / f"{seed}-janus", time, network, lifelines, False)
                for place, name in enumerate(("janus", "janus2"))
            ],
            nodes,
        )
    reachable = [each.host for each in machines if each.mirror is None]
    made.liars = [Liar(f"liar{number}", chance.choice(reachable)) for number in range(liars)]
    for liar in made.liars:
        liar.be_honest(network)
    with mortal(lifelines), small_numbers():
        try:
            yield made
        finally:
            for machine in [*machines, *(made.janus.machines if made.janus else [])]:
                await machine.stop()
