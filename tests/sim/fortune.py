"""What happens to machines and the network: cuts, wrong clocks, power cuts, old backups, lies. And what heals them."""

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from domain.errors import GotongError
from federation.backup.restore import Hosting, begin_again
from federation.identity.writing import ParticipantNotHosted
from federation.lifecycle import moving
from federation.requests.caller import NONCES_KEPT_S, forget_nonces
from tests.sim import acts, hints, invariants, settling
from tests.sim.machine import Machine
from tests.sim.people import Author, log_of

if TYPE_CHECKING:
    from tests.sim.world import World

CLOCK_ERRORS = (
    timedelta(0),
    timedelta(seconds=-40),
    timedelta(minutes=10),
    timedelta(minutes=-14),
    timedelta(hours=3),
    timedelta(days=-5_800),  # a flat battery: 2010
)


# ---- exchanges -------------------------------------------------------------------------------------------------------


async def sync(world: "World", machine: Machine) -> None:
    """Have a machine pull from somebody it knows, and deposit if nobody can pull from it; one of them may die of it."""
    url = world.chance.choice(world.known_to(machine))
    in_full = world.chance.random() < 0.3
    world.tell(f"{machine.name} pulls from {url}")

    async def exchange() -> None:
        await machine.running.syncer.once(url, in_full=in_full)
        if machine.mirror is not None and machine.process is not None:
            await machine.process.depositor.once(machine.mirror.url)

    asked = world.machine_at(url)
    if asked is not None:
        await hints.nothing_is_hidden(machine, asked)
    await world.mortally(machine, exchange, other=asked)
    if asked is not None:
        await hints.nothing_is_hidden(machine, asked)
    if machine.process is not None:
        await invariants.nothing_forged(machine)
        await invariants.nothing_unfinished(machine)
        await machine.follower.read(machine)


async def care(world: "World", machine: Machine) -> None:
    """Have a machine ask a peer for what no pull brings: cosignatures, bodies, who has erased."""
    url = world.chance.choice(world.known_to(machine))
    world.tell(f"{machine.name} looks after {url}")
    await world.mortally(machine, lambda: settling.look_after(machine, url), other=world.machine_at(url))


# ---- misfortunes -----------------------------------------------------------------------------------------------------


async def trouble(world: "World", _machine: Machine) -> None:
    """Cut somebody off, or make the network bad, or good again."""
    network = world.network
    if network.islands or network.trouble:
        world.tell("the network heals")
        network.heal()
    elif world.chance.random() < 0.5:
        network.islands = {each.host: world.chance.randrange(2) for each in world.machines}
        world.tell(f"the network parts: {network.islands}")
    else:
        network.trouble = world.chance.uniform(0.1, 0.7)
        world.tell(f"the network is bad: {network.trouble:.2f}")


async def replay(world: "World", _machine: Machine) -> None:
    """Somebody who listened sends signed requests again."""
    for _ in range(3):
        world.tell(f"somebody sends again what was signed, to {await world.network.replay()}")


async def clock(world: "World", machine: Machine) -> None:
    """Set a machine's clock wrong, or right; it forgets nonces by one that is off by no more than it allows for."""
    machine.error = world.chance.choice(CLOCK_ERRORS)
    world.tell(f"{machine.name}'s clock is {machine.error} off")
    if abs(machine.error) < timedelta(seconds=NONCES_KEPT_S) / 2:
        await world.mortally(machine, lambda: forget_nonces(machine.running.database, machine.clock()))


async def restart(world: "World", machine: Machine) -> None:
    """A machine is turned off and on again, as people do."""
    world.tell(f"{machine.name} is restarted")
    await machine.stop()
    if world.chance.random() < 0.5:
        world.tell("  and backed up")
        await world.disks.backup(world.machines.index(machine), "old")
        world.backups.add(machine.name)
    await world.boot(machine)


async def restore(world: "World", _machine: Machine) -> None:
    """A machine's database is replaced by an old backup; what nobody else had seen by then is lost.

    Its people go on at once, as if nothing had happened.
    """
    backed_up = [each for each in world.machines if each.process is not None and each.name in world.backups]
    if not backed_up or world.keepsakes.lost:
        return
    machine = world.chance.choice(backed_up)
    if any(each.mirror is machine for each in world.machines):
        for url in world.known_to(machine):  # so that it is sure of its logs, and signs
            await world.survives(machine, partial(machine.running.syncer.once, url, in_full=False))
        await acts.publish(world, machine)
    await _read_by_depositors(world, machine)
    world.tell(f"{machine.name} is restored from an old backup")
    machine.bury()
    await world.disks.restore(world.machines.index(machine), "old")
    machine.taken.clear()
    world.keepsakes.gone(machine)
    world.hosts.forget(machine)
    for author in world.authors:
        world.ledger.keep_below(author, *await world.most_held_of(author))
        if author.home is machine:
            world.ledger.give_up(author)
            world.confidence.forgets(author)
            author.has_left = False
    await world.boot(machine)
    for author in world.authors:
        if machine in author.left:  # whoever restores a machine sees to it that nothing is written for who has moved
            with suppress(GotongError):
                await moving.let_go(machine.running.database, machine.running.appender.vault, author.scid, _forget)
    await _read_by_depositors(world, machine)
    await world.chance.choice([acts.publish, acts.rotate, acts.find_out])(world, machine)


async def _read_by_depositors(world: "World", mirror: Machine) -> None:
    """Have who deposits with a machine pull: before its database is lost, and as soon as it is back, to give back."""
    for each in world.machines:
        is_calm = not world.network.islands and not world.network.trouble
        if each.mirror is mirror and each.process is not None and is_calm:
            world.tell(f"{each.name} pulls from its mirror")
            await world.survives(each, partial(each.process.syncer.once, mirror.url, in_full=False))


def _forget(_package: bytes) -> None:
    pass


async def lie(world: "World", _machine: Machine) -> None:
    """Have the liars lie in another way, and who has two faces sign behind one of them."""
    for liar in world.liars:
        world.tell(f"{liar.name} {liar.lie(world.network, world.chance)}")
    if world.janus is not None:
        world.tell(f"{world.janus.name} signs {await world.janus.lie(world.chance)!r} behind one face")


# ---- what people do when all is over ---------------------------------------------------------------------------------


async def bring_home(world: "World") -> None:
    """Have everybody who is on the way, or whose machine does not write for them any more, settle where they belong."""
    for author in [each for each in world.authors if each.heading is not None and not each.has_left]:
        author.package = None
        await acts.leave(world, author)
    coming = [each for each in world.authors if each.heading is not None]
    if coming:
        await settling.settle(world)
    for author in coming:
        await acts.arrive(world, author)
    if coming:
        await settling.settle(world)
    for author in world.authors:
        log = await log_of(author)
        if not log.hosted:
            world.tell(f"{author.home.name} is given {author.slug} back")
            await _write_again(author, log.origin)
    for author in world.authors:
        await acts.begin_epoch(world, author)


async def _write_again(author: Author, origin: str) -> None:
    """Have an author's machine write for it again: with the key that is on its disk, else with the cards."""
    machine = author.home
    process = machine.running
    with suppress(ParticipantNotHosted):
        await moving.take_back(process.database, process.keys, author.scid)
        return
    await begin_again(
        process.database,
        process.keys,
        process.appender.vault,
        origin,
        author.seed,
        Hosting(machine.home_url, machine.place(author.slug)),
        None,
        operator_of=None,
        now=machine.clock(),
    )
