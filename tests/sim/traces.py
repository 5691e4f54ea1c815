"""What must have left no trace: what was erased, in any table of anybody, and what nobody but its home may read."""

from typing import TYPE_CHECKING

from tests.erasure.disk import tables_with
from tests.sim.liars import FORGED, TRUE

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.world import World


async def nothing_is_left_of_what_was_erased(world: "World", machine: "Machine") -> None:
    """Raise if a table of a machine has a title that its author erased, and was told so, or what liars made of it."""
    promised = [
        each.title
        for each in world.ledger.acknowledged.values()
        if world.ledger.is_erased(each) and each.record_id not in world.ledger.perhaps_erased
    ]
    if not promised:
        return
    async with machine.running.database.acquire() as connection:
        forged = [title.replace(TRUE.decode(), FORGED.decode()) for title in promised]
        tables = await tables_with(connection, *promised, *forged)
        assert tables == [], f"{machine.name} keeps, of {promised}, something in {tables}"
