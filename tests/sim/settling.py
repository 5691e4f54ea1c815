"""Have everybody ask everybody until nothing moves; nobody asks again for what cannot have changed."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from federation.erasing import acknowledge
from federation.moderation.trust import set_participant_trust
from store import left_logs, peers
from tests.sim import hints
from tests.sim.machine import Machine

if TYPE_CHECKING:
    from tests.sim.world import World

ROUNDS_MAX = 20
MARK = """
    select
        concat(
            (select md5(string_agg(each::text, ' ' order by origin)) from (
                select origin, size, checkpoint_size, frozen_size, did_version
                from log join participant on participant.id = participant_id
            ) each),
            (select md5(string_agg(scid, ' ' order by scid)) from evidence)
        ),
        (select (count(*), max(changed_by::text::bigint)) from log)::text,
        (select (count(*), sum(hashtext(trust)), max(changed_by::text::bigint)) from participant)::text,
        (select count(*) from did_line), (select count(*) from did_witness),
        (select count(*) from payload), (select count(*) from erasure),
        (select (count(*), max(at_s)) from cosignature)::text,
        (select (count(*), sum(size)) from witnessed)::text,
        (select (count(*), sum(size)) from erasure_acknowledgement)::text,
        (select count(*) from restricted_mail), (select count(*) from removal_request),
        (select count(*) from vouch)
"""
"""What a node holds; and what else it could tell, or would ask for. Who asked whom, and when, is none of it."""
HINT = "select since, exists (select from left_log where peer_id = peer.id) from peer where url = $1"

Mark = tuple[Any, ...]
Work = Callable[[Machine, str], Awaitable[int]]


@dataclass
class Settling:
    """How things were when somebody had `pulled` where, and when all else that it did there was `idle`."""

    pulled: dict[tuple[str, str], Mark] = field(default_factory=dict)
    idle: dict[tuple[str, str, str], Mark] = field(default_factory=dict)


async def settle(world: "World", *, caring: bool = False) -> None:
    """Have everybody pull what is new until nothing comes any more; then nobody lacks anything.

    `caring`: also what is asked for from time to time.
    """
    await _until_nothing_moves(world, caring=caring)
    world.time.pass_(left_logs.RETRY_S_MAX)
    await _forget_failures(world)
    await _until_nothing_moves(world, caring=caring)
    for machine in world.machines:
        for liar in world.liars:  # they tell what others do by now; who waits for their word has it then
            await _pull(world, machine, liar.url)
    await hints.nobody_lacks_anything(world)


async def _until_nothing_moves(world: "World", *, caring: bool) -> None:
    for _ in range(ROUNDS_MAX + len(world.machines)):
        if not await _round(world, caring=caring):
            return
    raise AssertionError("something still moves")


async def _forget_failures(world: "World") -> None:
    """Have everybody ask once more for the logs that were left undone, whose pauses are over."""
    for name, url in list(world.settling.pulled):
        machine = next(each for each in world.machines if each.name == name)
        async with machine.running.database.acquire() as connection:
            _, has_left = await connection.fetchrow(HINT, url) or (None, False)
        if has_left:
            del world.settling.pulled[name, url]


async def ask_for_everything(world: "World") -> None:
    """Raise if asking everybody once more, in full, the relays among them, brings anything."""
    for machine in world.machines:
        for url in world.known_to(machine):
            moved = {"pull": (await machine.running.syncer.once(url, in_full=True)).entries}
            moved |= {work.__name__: await work(machine, url) for work in _besides(world, machine, url, caring=True)}
            assert not any(moved.values()), f"{machine.name}: the hint of {url} hid something: {moved}"


async def _round(world: "World", *, caring: bool) -> int:
    """Return how often there was a reason to ask somebody who is no liar."""
    asked = 0
    for machine in world.machines:
        await _welcome(machine)
        for url in world.known_to(machine):
            if all(url != liar.url for liar in world.liars):
                asked += await _pull(world, machine, url)
            for work in _besides(world, machine, url, caring=caring):
                asked += await _unless_idle(world, machine, url, work)
    return asked


async def _pull(world: "World", machine: Machine, url: str) -> bool:
    """Return whether a machine had a reason to pull.

    It has none where all is as when it pulled last, nothing left undone, nor where the same is held as here.
    """
    here, there = await _mark(machine), await _mark(_behind(world, machine, url))
    last = world.settling.pulled.get((machine.name, url))
    if last is not None and (here[0] == there[0] or last == await _when_pulled(machine, url, here, there)):
        return False
    await machine.running.syncer.once(url, in_full=False)
    here = await _mark(machine)
    world.settling.pulled[machine.name, url] = await _when_pulled(machine, url, here, there)
    return True


async def _when_pulled(machine: Machine, url: str, here: Mark, there: Mark) -> Mark:
    async with machine.running.database.acquire() as connection:
        since, has_left = await connection.fetchrow(HINT, url) or (None, False)
    return (since, here if has_left else (), there)


def _besides(world: "World", machine: Machine, url: str, *, caring: bool) -> Sequence[Work]:
    """Return what a machine does at an address besides pulling."""
    is_mirror = machine.mirror is not None and machine.mirror.url == url
    return [look_after] * (caring and world.machine_at(url) is not None) + [_deposit] * is_mirror


async def _unless_idle(world: "World", machine: Machine, url: str, work: Work) -> bool:
    """Return whether a machine had a reason to do something else than pull at another: one of the two had changed."""
    there = _behind(world, machine, url)
    before = (await _mark(machine), await _mark(there))
    key = (machine.name, url, work.__name__)
    if world.settling.idle.get(key) == before:
        return False
    moved = await work(machine, url)
    if not moved and before == (await _mark(machine), await _mark(there)):
        world.settling.idle[key] = before
    return True


async def look_after(machine: Machine, url: str) -> int:
    """Return how much one round with a peer brought."""
    process = machine.running
    async with process.database.acquire() as connection:
        await connection.execute("update erasure set swept_at = executed_at where swept_at is null")  # as a disk would
        peer = await peers.find(connection, url)
    assert peer is not None
    said = await acknowledge.acknowledge(process.database, process.keys, machine.clock)
    aftercare = process.aftercare()
    try:
        bodies, statements = await aftercare.once(peer)
    finally:
        await aftercare.close()
    return said + bodies + statements + await process.witnessing().once(peer)


async def _deposit(machine: Machine, url: str) -> int:
    return (await machine.running.depositor.once(url)).entries


async def _welcome(machine: Machine) -> None:
    """Have the machine's operator allow everybody who waits, so that everything is relayed."""
    database = machine.running.database
    async with database.acquire() as connection:
        waiting = await connection.fetch("select scid from participant where trust = 'quarantined' order by scid")
    for (scid,) in waiting:
        await set_participant_trust(database, scid, "allowed", actor="simulation")


def _behind(world: "World", asker: Machine, url: str) -> Machine:
    """Return the machine that answers under an address: an honest one, or a face of who has two."""
    host = world.network.behind(url.removeprefix("http://"), asker.host)
    faces = [] if world.janus is None else world.janus.machines
    return next(each for each in [*world.machines, *faces] if each.host == host)


async def _mark(machine: Machine) -> Mark:
    async with machine.running.database.acquire() as connection:
        row = await connection.fetchrow(MARK)
    assert row is not None
    return tuple(row)
