"""Backups with a peer, and machines that are lost for good: two cards and the copies of others bring them back.

A machine is lost with its keys. Who brings it back asks everybody who can be asked before anything is signed there, as
`gotong restore` does, and does so again from the beginning when it is cut off.
"""

import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from federation.backup import restore
from federation.backup.restore import Hosting, Source
from federation.identity import cards
from federation.log.names import parse_origin
from federation.sync.client import PeerClient
from store import backups, logs, participants, peers
from store.database import Connection
from tests.sim.crash import real_connect
from tests.sim.machine import QUICK, Machine
from tests.sim.people import Author, log_of

if TYPE_CHECKING:
    from tests.sim.world import World

ROOM_BYTES = 10_000_000
STATEMENTS_OF_BRINGING_BACK = 300
HELD = """
    select log.epoch, log.size, did_version from log join participant p on p.id = participant_id
    where scid = $1 order by log.epoch desc limit 1
"""
PARTS = """
    select p.index from payload p join log l on l.id = p.log_id and l.is_projected
    join participant on participant.id = l.participant_id where part = 2 and scid = $1
"""


@dataclass(frozen=True)
class Kept:
    """A backup that `keeper` said it has: of the log in that epoch, with the parts that were at home before.

    One of an earlier epoch proves nothing any more: whoever stole the key may have signed it.
    """

    keeper: Machine
    epoch: int
    parts: frozenset[int]


@dataclass
class Keepsakes:
    """What peers keep, by participant; `lost` are the authors of each machine that have to be brought back there."""

    kept: dict[str, Kept] = field(default_factory=dict)
    lost: dict[str, list[Author]] = field(default_factory=dict)

    def gone(self, keeper: Machine) -> None:
        """Nothing counts any more that this machine kept: it may have it no more."""
        self.kept = {scid: kept for scid, kept in self.kept.items() if kept.keeper is not keeper}


async def prepare(machine: Machine) -> None:
    """Have a machine keep the backups of all its peers, those that deposit with it among them."""
    async with machine.running.database.acquire() as connection:
        for (peer_id,) in await connection.fetch("select id from peer"):
            await backups.set_allowance(connection, peer_id, ROOM_BYTES)


# ---- acts ------------------------------------------------------------------------------------------------------------


async def back_up(world: "World", machine: Machine) -> None:
    """Have a machine leave sealed backups of its participants with a peer; both may die of it."""
    keeper = world.chance.choice(keepers(world, machine))
    if machine.mirror is None and keeper.process is not None:  # it keeps nothing for whom it does not know
        asked = keeper.process.syncer
        await world.mortally(keeper, lambda: asked.once(machine.url, in_full=False), other=machine)
    if machine.process is None:
        return
    world.tell(f"{machine.name} leaves its backups with {keeper.name}")
    await world.mortally(machine, lambda: _back_up(world, machine, keeper), other=keeper)


def keepers(world: "World", machine: Machine) -> list[Machine]:
    """Return the machines that a machine knows, each of which keeps backups for it."""
    return [each for each in map(world.machine_at, world.known_to(machine)) if each is not None]


async def _back_up(world: "World", machine: Machine, keeper: Machine) -> None:
    process = machine.running
    here: dict[str, Kept] = {}
    async with process.database.acquire() as connection:
        peer = await peers.find(connection, keeper.url)
        for row in await participants.hosted(connection):
            log = await logs.newest_log(connection, row.scid)
            assert log is not None
            here[row.scid] = Kept(keeper, log.epoch, await _parts(connection, row.scid))
    assert peer is not None
    for each in await process.backing_up.to(peer):
        if (keeper.name, each.scid) not in world.hosts.spoiled:
            world.keepsakes.kept[each.scid] = here[each.scid]


async def _parts(connection: Connection, scid: str) -> frozenset[int]:
    return frozenset(index for (index,) in await connection.fetch(PARTS, scid))


async def lose(world: "World", machine: Machine) -> None:
    """Have a machine's disk be lost, and its people begin to bring it back, when all that matters has copies."""
    mine = [author for author in world.authors if author.home is machine]
    is_calm = not world.network.islands and not world.network.trouble
    everybody_is_up = all(each.process is not None for each in world.machines)
    is_mirror = any(each.mirror is machine for each in world.machines)
    on_the_way = any(machine in (each.home, each.heading) for each in world.authors if each.heading is not None)
    if not is_calm or not everybody_is_up or is_mirror or on_the_way or not await _have_copies(world, machine, mine):
        return
    await back_up(world, machine)
    if any(each.process is None for each in world.machines if each is not machine):
        return
    world.tell(f"{machine.name} is lost, with all that was on it")
    machine.bury()
    await world.disks.wipe(world.machines.index(machine))
    shutil.rmtree(machine.directory)
    machine.taken.clear()
    world.backups.discard(machine.name)
    world.keepsakes.gone(machine)
    world.keepsakes.lost[machine.name] = sorted(mine, key=lambda each: not each.is_operator)
    for author in mine:
        world.ledger.give_up(author)
        world.confidence.forgets(author)
        world.ledger.keep_below(author, *await world.most_held_of(author))
    for author in world.authors:
        author.left = [each for each in author.left if each is not machine]
    await bring_back(world, machine)


async def _have_copies(world: "World", machine: Machine, mine: list[Author]) -> bool:
    """Return whether machines that can be asked have as much of everybody's log as those that cannot."""
    for author in mine:
        held: dict[bool, list[tuple[int, int, int]]] = {True: [(0, 0, 0)], False: [(0, 0, 0)]}
        for other in world.machines:
            if other is not machine:
                held[other.mirror is None].append(await _held(other, author))
        epoch, size, version = max(held[True])
        if not size or any(each > (epoch, size, version) or each[2] > version for each in held[False]):
            return False
    return True


async def _held(machine: Machine, author: Author) -> tuple[int, int, int]:
    connection = await real_connect(machine.dsn)
    try:
        row = await connection.fetchrow(HELD, author.scid)
    finally:
        await connection.close()
    return (0, 0, 0) if row is None else tuple(row.values())


# ---- bringing back ---------------------------------------------------------------------------------------------------


async def bring_back(world: "World", machine: Machine) -> None:
    """Bring back what a lost machine lacks; it may die of that, and is brought back later."""
    world.tell(f"{machine.name} is brought back by cards")
    machine.turn_on()
    await world.mortally(machine, lambda: _bring_back(world, machine), within=STATEMENTS_OF_BRINGING_BACK)
    if world.keepsakes.lost.get(machine.name):
        machine.bury()
    elif machine.process is not None:
        await machine.serve()


async def _bring_back(world: "World", machine: Machine) -> None:
    lost = world.keepsakes.lost[machine.name]
    async with AsyncExitStack() as stack:
        for author in list(lost):
            first, second, _ = cards.split(author.seed)
            await _restore(world, machine, author, cards.combine([second, first]), stack)
            if author.is_operator:
                await world.befriend(machine)
            lost.remove(author)
    del world.keepsakes.lost[machine.name]


async def _restore(world: "World", machine: Machine, author: Author, seed: bytes, stack: AsyncExitStack) -> None:
    process = machine.running
    async with process.database.acquire() as connection:
        known = await participants.find(connection, author.scid)
        if known is not None and known.hosted:
            return  # it was there before the machine died of what came next
    sources = [await look(stack, machine, each, seed) for each in world.machines if _can_be_asked(each, machine)]
    scid = restore.identity(sources, author.scid)
    origin = await restore.take_log(process.database, sources, scid, network="test", clock=machine.clock)
    await restore.check_cards(process.database, scid, seed)
    found = await restore.fetch_backup(process.database, sources, scid, seed)
    _, missing = await restore.begin_again(
        process.database,
        process.keys,
        process.appender.vault,
        origin,
        seed,
        Hosting(machine.home_url),
        found.contents,
        operator_of="test" if author.is_operator else None,
        now=machine.clock(),
    )
    kept = world.keepsakes.kept.get(scid)
    if kept is not None and parse_origin(origin).epoch == kept.epoch:
        lost = kept.parts & set(missing)
        assert not lost, f"{author.slug} left the parts {sorted(lost)} with {kept.keeper.name}: {found.refused}"
        await _keep_provable(world, machine, kept, scid, sources)


async def _keep_provable(world: "World", machine: Machine, kept: Kept, scid: str, sources: Sequence[Source]) -> None:
    """Count no more on a backup of a longer log than was found: its key counts only up to there from now on."""
    async with machine.running.database.acquire() as connection:
        log = await logs.newest_log(connection, scid)
    assert log is not None
    manifests = [each for source in sources if source.url == kept.keeper.url for each in source.manifests]
    if all(each.size > log.size for each in manifests if each.scid == scid):
        del world.keepsakes.kept[scid]


def _can_be_asked(other: Machine, machine: Machine) -> bool:
    return other is not machine and other.mirror is None


async def look(stack: AsyncExitStack, machine: Machine, other: Machine, seed: bytes) -> Source:
    """Return what a machine sees of what another one has, with these cards."""
    transport = machine.network.transport(machine.host)
    client = await stack.enter_async_context(PeerClient(other.url, limits=QUICK, transport=transport))
    return await restore.look(client, other.url, seed)


async def check(world: "World") -> None:
    """Raise if a backup that a peer acknowledged could not be restored now; everybody leaves another one last."""
    for machine in world.machines[:: len(world.machines) - 1]:
        await _back_up(world, machine, keepers(world, machine)[0])
    for author in world.authors:
        kept = world.keepsakes.kept.get(author.scid)
        log = await log_of(author)
        if kept is None or log.epoch != kept.epoch:
            continue
        async with AsyncExitStack() as stack:
            source = await look(stack, author.home, kept.keeper, author.seed)
            found = await restore.fetch_backup(author.home.running.database, [source], author.scid, author.seed)
        assert found.contents is not None, f"{author.slug} has no backup at {kept.keeper.name}: {found.refused}"
        async with author.home.running.database.acquire() as connection:
            still = await _parts(connection, author.scid)
        lacking = (kept.parts & still) - {part.index for part in found.contents.parts}
        assert not lacking, f"{kept.keeper.name} lacks the parts {sorted(lacking)} of {author.slug}"
