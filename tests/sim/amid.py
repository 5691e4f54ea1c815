"""Acts between two messages of one exchange: somebody publishes, changes keys, erases or decides while it runs.

They are those that happen between exchanges too. What one of them dies of is the whole exchange's death.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from tests.sim import acts, confidence, keepsakes
from tests.sim.machine import Machine

if TYPE_CHECKING:
    from tests.sim.world import World

CHANCE = 0.15
"""That something happens while one message is on its way."""
ACTS_MAX = 3
PATIENCE_S = 60.0
"""Whoever must wait so long for an exchange that waits for it waits for ever."""

Act = Callable[["World", Machine], Awaitable[None]]

ACTS: dict[Act, int] = {
    acts.publish: 6,
    acts.erase: 3,
    acts.rotate: 2,
    acts.find_out: 1,
    confidence.choose: 2,
    keepsakes.back_up: 2,
}


@contextlib.contextmanager
def acting(world: "World") -> Iterator[None]:
    """Within, people act while messages are on their way, on machines that are up."""
    left = ACTS_MAX

    async def happens() -> None:
        nonlocal left
        up = [each for each in world.machines if _can_act(world, each)]
        if not world.is_amid or not left or not up or world.chance.random() >= CHANCE:
            return
        left -= 1
        act = world.chance.choices(list(ACTS), list(ACTS.values()))[0]
        world.tell("  meanwhile:")
        async with asyncio.timeout(PATIENCE_S):
            await act(world, world.chance.choice(up))

    world.is_amid, world.network.meanwhile = True, happens
    try:
        yield
    finally:
        world.is_amid, world.network.meanwhile = False, None


def _can_act(world: "World", machine: Machine) -> bool:
    is_up = machine.process is not None and not machine.process.lifeline.is_dead
    return is_up and machine.name not in world.keepsakes.lost
