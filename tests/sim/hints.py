"""What a node was told last must hide nothing from it: of heads, and of the events that followers read."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from federation.log.names import parse_origin
from federation.sync import serve
from federation.sync.messages import Heads, read_heads
from store import held, outbox, peers

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.world import World

EVENTS_PER_READ = 3
ALL_EVENTS = 1_000_000
EVENTS = "select seq, type, publisher_id, record_id, kind, revision from event where seq > $1 order by seq limit $2"


async def nothing_is_hidden(asker: "Machine", asked: "Machine") -> None:
    """Raise if `asked` has more of a log, and would not tell when `asker` comes back with its hint, nor be asked."""
    if asker.process is None or asked.process is None:
        return
    async with asker.process.database.acquire() as connection:
        peer = await peers.find(connection, asked.url)
        if peer is None or peer.since is None:
            return
        left = await connection.fetch("select origin from left_log where peer_id = $1", peer.id)
    told = {head.origin for head in (await _heads(asked, peer.since)).logs} | {origin for (origin,) in left}
    hidden = [origin for origin in await _lacks(asker, await _heads(asked, None)) if origin not in told]
    assert hidden == [], f"{asked.name} would not tell {asker.name} at {peer.since} that it has more of {hidden}"


async def nobody_is_kept_in_the_dark(world: "World", asked: "Machine") -> None:
    """Raise if what has just changed at a machine is hidden from any that asks it."""
    for asker in world.machines:
        if asked.url in world.known_to(asker):
            await nothing_is_hidden(asker, asked)


async def nobody_lacks_anything(world: "World") -> None:
    """Raise if somebody has less of a log than one that it asks, when all have asked each other."""
    for asked in world.machines:
        heads = await _heads(asked, None)
        for asker in world.machines:
            if asked.url in world.known_to(asker):
                lacking = await _lacks(asker, heads)
                assert lacking == [], (
                    f"{asker.name} has less of {lacking} than {asked.name}, and asks no more: {await _left(asker)}"
                )


async def _left(machine: "Machine") -> list[tuple[str, ...]]:
    """Return which logs a machine could not take, from whom, how often, and what was wrong lately."""
    query = """
        select origin, url, concat(tries), (
            select string_agg(code, ' ') from refusal
            where refusal.peer_id = left_log.peer_id and refusal.origin = left_log.origin
        ) from left_log join peer on peer.id = peer_id
    """
    async with machine.running.database.acquire() as connection:
        return [tuple(row.values()) for row in await connection.fetch(query)]


async def _heads(machine: "Machine", since: str | None) -> Heads:
    return read_heads(await serve.heads(machine.running.database, "test", since, machine.clock()))


async def _lacks(machine: "Machine", heads: Heads) -> list[str]:
    """Return the logs of which a machine has less than these heads say, and may have more."""
    named = [(parse_origin(head.origin).scid, head.origin) for head in heads.logs]
    async with machine.running.database.acquire() as connection:
        ours = await held.held(connection, named)
    lacking = []
    for head in heads.logs:
        mine = ours.get(head.origin)
        if mine is None:
            lacking.append(head.origin)
        elif mine.frozen_size is None and parse_origin(head.origin).epoch >= mine.epoch and not mine.hosted:
            lacking += [head.origin] if head.size > mine.size or head.did_version > mine.did_version else []
    return lacking


# ---- followers -------------------------------------------------------------------------------------------------------


@dataclass
class Follower:
    """Reads the events of one machine, some now and then, and remembers what it heard of each record last.

    It goes on where it stopped for as long as the stream has the name it had.
    """

    stream: UUID | None = None
    seq: int = 0
    told: dict[tuple[str, int, UUID], tuple[str, int]] = field(default_factory=dict)

    async def read(self, machine: "Machine", events_max: int = EVENTS_PER_READ) -> None:
        """Hear of some events after those heard of before; of another stream, from its beginning."""
        async with machine.running.database.acquire() as connection:
            await outbox.sequence(connection)
            stream = await outbox.stream_id(connection)
            if stream != self.stream:
                self.stream, self.seq, self.told = stream, 0, {}
            for each in await connection.fetch(EVENTS, self.seq, events_max):
                self.seq = each["seq"]
                self.told[each["type"], each["publisher_id"], each["record_id"]] = (each["kind"], each["revision"])


async def nobody_missed_anything(machine: "Machine") -> None:
    """Raise if a follower who read bit by bit heard otherwise than one who reads all events now."""
    late = Follower()
    for follower in (machine.follower, late):
        await follower.read(machine, ALL_EVENTS)
    assert machine.follower.told == late.told, f"a follower of {machine.name} missed something"
