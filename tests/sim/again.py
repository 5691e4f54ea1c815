"""What people do who had no answer, or whom nobody told that somebody has left: they ask again, and they try."""

from typing import TYPE_CHECKING

from domain.errors import GotongError
from store import participants
from tests.nodes import need_draft
from tests.sim.machine import Machine
from tests.sim.people import Author

if TYPE_CHECKING:
    from tests.sim.world import World


async def ask(world: "World", machine: Machine) -> None:
    """Have somebody who got no answer ask the same again, under the same key."""
    waiting = [each for each in world.ledger.unsure if each.author in world.authors_at(machine)]
    if waiting:
        asked = world.chance.choice(waiting)
        world.tell(f"{asked.author.slug} asks {machine.name} again")
        await world.writes(machine, lambda: asked.work(asked.author, asked.key))


async def write_for_who_left(world: "World", _machine: Machine) -> None:
    """Have somebody try to publish for a participant where it is written for no more; nothing may come of it."""
    left = [(each, author) for author in world.authors for each in author.left if each.process is not None]
    if left:
        machine, author = world.chance.choice(left)
        await world.writes(machine, lambda: _intrude(world, machine, author))


async def _intrude(world: "World", machine: Machine, author: Author) -> None:
    process = machine.running
    async with process.database.acquire() as connection:
        known = await participants.find(connection, author.scid)
    if known is None or known.left_at is None:
        return  # it was taken back, or the machine was restored from before it left
    title = f"Curian {world.new_key()}"
    world.tell(f"{machine.name} tries {title!r} for {author.slug}, who has left")
    world.ledger.loot.add(title)
    try:
        await process.appender.append(author.scid, [need_draft(title)])
    except GotongError:
        return
    raise AssertionError(f"{machine.name} writes for {author.slug}, who has left")
