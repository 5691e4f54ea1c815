"""Machines that keep things for others and do not do as they should: mailboxes and keepers of backups.

Whoever runs them changes what lies in their databases. What is kept for others is sealed and signed, so all that they
can do is to have it come late, or not at all. In the end they throw away what they touched.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from federation.backup import restore
from federation.backup.sealed import BackupDamaged, BackupMalformed, BackupUnproven
from federation.restricted.request import AnswerMalformed, AnswerUnproven
from store import logs, restricted
from store.database import Connection
from tests.sim import keepsakes
from tests.sim.machine import Machine
from tests.sim.people import Author

if TYPE_CHECKING:
    from tests.sim.world import World

UNANSWERABLE = (AnswerMalformed.code, AnswerUnproven.code)
"""What an asker says of a mailbox that changed an answer."""
REFUSED = (BackupMalformed.code, BackupUnproven.code, BackupDamaged.code)
LETTER = "select * from restricted_mail order by id"
KEPT = "select backup.id, scid from backup where is_complete order by backup.id"
FLIPPED = "set_byte({0}, $2 % length({0}), get_byte({0}, $2 % length({0})) # 1)"


@dataclass
class Hosts:
    """What was done to what is kept for others.

    `letters` were held back, by mailbox; `touched` are letters that were changed; `spoiled`, by keeper and
    participant, backups that nobody can count on.
    """

    letters: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    touched: set[tuple[str, bytes]] = field(default_factory=set)
    spoiled: set[tuple[str, str]] = field(default_factory=set)

    def forget(self, machine: Machine) -> None:
        """A machine has another disk: what was done on the old one is gone with it."""
        self.letters.pop(machine.name, None)

    def are_guilty(self, url: str, code: str) -> bool:
        """Return whether a machine may rightly be told of for that: it changed answers."""
        return code in UNANSWERABLE and any(url == f"http://{name}.gotong.test" for name, _ in self.touched)


# ---- mailboxes -------------------------------------------------------------------------------------------------------


async def betray_mail(world: "World", _machine: Machine) -> None:
    """Have who runs a mailbox drop, hold back, repeat, mix up or change what lies in it."""
    boxes = {each.mirror.name: each.mirror for each in world.machines if each.mirror is not None}
    for box in [each for each in boxes.values() if each.process is not None]:
        how = world.chance.choice(list(WRONGS))
        async with box.running.database.transaction() as connection:
            letters = [tuple(row.values()) for row in await connection.fetch(LETTER)]
            if letters or world.hosts.letters.get(box.name):
                world.tell(f"the mailbox {box.name} {how}")
                await WRONGS[how](world, box, connection, letters)


Wrong = Callable[["World", Machine, Connection, list[tuple[Any, ...]]], Awaitable[None]]


async def _drop(world: "World", _box: Machine, connection: Connection, letters: list[tuple[Any, ...]]) -> None:
    if letters:
        await connection.execute("delete from restricted_mail where id = $1", world.chance.choice(letters)[0])


async def _hold_back(world: "World", box: Machine, connection: Connection, letters: list[tuple[Any, ...]]) -> None:
    if letters:
        held = world.chance.choice(letters)
        world.hosts.letters.setdefault(box.name, []).append(held)
        await connection.execute("delete from restricted_mail where id = $1", held[0])


async def _deliver_late(world: "World", box: Machine, connection: Connection, letters: list[tuple[Any, ...]]) -> None:
    """Bring what was held back, even if the same was asked again and answered otherwise since."""
    held = world.hosts.letters.pop(box.name, [])
    for letter in held:
        await connection.execute("delete from restricted_mail where request_hash = $1 or id = $2", letter[1], letter[0])
        places = ", ".join(f"${number}" for number in range(1, len(letter) + 1))
        await connection.execute(f"insert into restricted_mail overriding system value values ({places})", *letter)


async def _repeat(_world: "World", _box: Machine, connection: Connection, _letters: list[tuple[Any, ...]]) -> None:
    """Give the home all that it has answered once more."""
    await connection.execute("update restricted_mail set answer = null, fetched_at = null, collected_at = null")


async def _mix_up(world: "World", box: Machine, connection: Connection, letters: list[tuple[Any, ...]]) -> None:
    """Give one asker what another one is to have."""
    answered = [letter for letter in letters if letter[-2] is not None]
    if len(answered) > 1:
        one, other = world.chance.sample(answered, 2)
        for letter, answer in ((one, other[-2]), (other, one[-2])):
            world.hosts.touched.add((box.name, letter[1]))
            await connection.execute("update restricted_mail set answer = $2 where id = $1", letter[0], answer)


async def _change(world: "World", box: Machine, connection: Connection, letters: list[tuple[Any, ...]]) -> None:
    if letters:
        letter = world.chance.choice(letters)
        column = "request" if letter[-2] is None else "answer"
        world.hosts.touched.add((box.name, letter[1]))
        query = f"update restricted_mail set {column} = {FLIPPED.format(column)} where id = $1"
        await connection.execute(query, letter[0], world.chance.randrange(10_000))


WRONGS: dict[str, Wrong] = {
    "drops a letter": _drop,
    "holds a letter back": _hold_back,
    "brings what it held back": _deliver_late,
    "gives all letters again": _repeat,
    "mixes answers up": _mix_up,
    "changes a letter": _change,
}


# ---- keepers ---------------------------------------------------------------------------------------------------------


async def betray_backups(world: "World", machine: Machine) -> None:
    """Have a machine lose, withhold or change a backup that it keeps; whoever opens what it has is not deceived."""
    async with machine.running.database.transaction() as connection:
        kept = await connection.fetch(KEPT)
        if not kept:
            return
        number, scid = world.chance.choice([tuple(row.values()) for row in kept])
        how = world.chance.choice(list(SPOILS))
        await connection.execute(
            SPOILS[how], *([number, world.chance.randrange(10_000)] if "$2" in SPOILS[how] else [number])
        )
    world.tell(f"the keeper {machine.name} {how} of {scid}")
    world.hosts.spoiled.add((machine.name, scid))
    world.keepsakes.kept = {
        each: kept for each, kept in world.keepsakes.kept.items() if each != scid or kept.keeper is not machine
    }
    author = next(each for each in world.authors if each.scid == scid)
    if author.home.process is not None and author.home is not machine:
        await world.survives(author.home, lambda: _open(world, author, machine))


SPOILS = {
    "loses a backup": "delete from backup where id = $1",
    "takes the newest backup away": "delete from backup where id = (select max(newest.id) from backup one"
    " join backup newest using (peer_id, scid) where one.id = $1)",
    "changes a chunk": f"update backup_chunk set data = {FLIPPED.format('data')} where backup_id = $1"
    " and number = (select max(number) from backup_chunk where backup_id = $1)",
    "changes a manifest": f"update backup set manifest = {FLIPPED.format('manifest')} where id = $1",
}


async def _open(world: "World", author: Author, keeper: Machine) -> None:
    """Raise if what a keeper gives is taken for a backup, and is not what was left with it."""
    process = author.home.running
    async with AsyncExitStack() as stack:
        source = await keepsakes.look(stack, author.home, keeper, author.seed)
        found = await restore.fetch_backup(process.database, [source], author.scid, author.seed)
    assert set(found.refused.values()) <= set(REFUSED), f"{keeper.name} is refused for {found.refused}"
    if found.refused:
        world.tell(f"  {keeper.name}: {found.refused}")
    async with process.database.acquire() as connection:
        log = await logs.newest_log(connection, author.scid)
        assert log is not None
        for part in [] if found.contents is None else found.contents.parts:
            sealed = await restricted.part(connection, log.id, part.index)
            if sealed is not None:
                true = process.appender.vault.open(author.scid, part.index, sealed)
                assert (part.salt, part.payload) == true, f"{keeper.name} gave another part {part.index} as true"


# ---- in the end ------------------------------------------------------------------------------------------------------


async def repent(world: "World") -> None:
    """Have all of them throw away what they touched."""
    for machine in world.machines:
        async with machine.running.database.transaction() as connection:
            for name, scid in world.hosts.spoiled:
                if name == machine.name:
                    await connection.execute("delete from backup where scid = $1", scid)
            for name, hashed in world.hosts.touched:
                if name == machine.name:
                    await connection.execute("delete from restricted_mail where request_hash = $1", hashed)
    world.hosts.spoiled.clear()
