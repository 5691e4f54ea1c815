"""Machines that keep things for others and do not do as they should: mailboxes and keepers of backups.

Whoever runs them changes what lies in their databases. What is kept for others is sealed and signed, so all that they
can do is to have it come late, or not at all. In the end they throw away what they touched.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace

from federation.backup import restore, sealed
from federation.backup.backing_up import ANSWER_BYTES_MAX
from federation.backup.sealed import BackupDamaged, BackupMalformed, BackupUnproven, Manifest
from federation.restricted import request
from federation.restricted.request import AnswerMalformed, AnswerUnproven, RequestMalformed
from federation.sealing import sealed_to
from federation.sealing.sealed_to import SealBroken
from store import logs, peers, restricted
from store.database import Connection
from tests.sim import confidence, keepsakes
from tests.sim.machine import Machine
from tests.sim.people import Author

if TYPE_CHECKING:
    from tests.sim.world import World

UNANSWERABLE = (AnswerMalformed.code, AnswerUnproven.code)
"""What an asker says of a mailbox that changed an answer."""
REFUSED = (BackupMalformed.code, BackupUnproven.code, BackupDamaged.code)
LETTER = "select * from restricted_mail order by id"
ANSWERED = "select exists (select from restricted_mail where request_hash = any($1) and answer is not null)"
KEPT = """
    select distinct on (peer_id, scid) id, scid, manifest from backup
    where is_complete order by peer_id, scid, version desc
"""
FLIPPED = "set_byte({0}, $2 % length({0}), get_byte({0}, $2 % length({0})) # 1)"


@dataclass
class Hosts:
    """What was done to what is kept for others.

    `letters` were held back, by mailbox; `touched` are letters that were changed, `asked` what was asked in the name of
    others; `spoiled`, by keeper and participant, backups that nobody can count on, and `changed` their manifests.
    """

    letters: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    touched: set[tuple[str, bytes]] = field(default_factory=set)
    asked: set[tuple[str, bytes]] = field(default_factory=set)
    changed: list[bytes] = field(default_factory=list)
    spoiled: set[tuple[str, str]] = field(default_factory=set)

    def forget(self, machine: Machine) -> None:
        """A machine has another disk: what was done on the old one is gone with it."""
        self.letters.pop(machine.name, None)

    def are_guilty(self, url: str, code: str) -> bool:
        """Return whether a machine may rightly be told of for that: it changed answers."""
        return code in UNANSWERABLE and any(url == f"http://{name}.gotong.test" for name, _ in self.touched)


# ---- mailboxes -------------------------------------------------------------------------------------------------------


async def betray_mail(world: "World", _machine: Machine) -> None:
    """Have who runs a mailbox drop, hold back, repeat, mix up, change or make up what lies in it.

    Something mostly does: somebody writes first, and the home may have answered. Who waits then asks again.
    """
    for home in [each for each in world.machines if each.mirror is not None]:
        if world.chance.random() < 0.7:
            await _exchange(world, home)
            await confidence.write_to(world, home)
        if world.chance.random() < 0.5:
            await _exchange(world, home)
        await _betray(world, home.mirror)
        await _exchange(world, home)
        for asker in world.machines:
            if asker is not home and asker.process is not None:
                await confidence.ask(world, asker)
    await nobody_was_answered_for(world)


async def _exchange(world: "World", home: Machine) -> None:
    process, box = home.process, home.mirror
    if process is not None and box is not None:

        async def exchange() -> None:
            await process.depositor.once(box.url)
            await process.syncer.once(box.url, in_full=False)

        await world.mortally(home, exchange, other=box)


async def _betray(world: "World", box: Machine | None) -> None:
    if box is None or box.process is None:
        return
    how = world.chance.choice(list(WRONGS))
    async with box.process.database.transaction() as connection:
        every = [tuple(row.values()) for row in await connection.fetch(LETTER)]
        letters = [letter for letter in every if (box.name, letter[1]) not in world.hosts.asked]
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


async def _answer(world: "World", box: Machine, connection: Connection, letters: list[tuple[Any, ...]]) -> None:
    """Refuse in the owner's name: whoever has a request can seal an answer to it, only the owner's home signs it."""
    if letters:
        number, hashed, body = world.chance.choice(letters)[:3]
        content = request.refused(confidence.MADE_UP)
        with suppress(RequestMalformed, SealBroken):  # of a letter that was changed before
            data = sealed_to.seal(bytes.fromhex(request.read_request(body).key), content, request.answer_info(body))
            signed = request.sign_answer(data, request=body, log_key=Ed25519PrivateKey.generate())
            answer = request.write_answer(signed)
            world.hosts.touched.add((box.name, hashed))
            await connection.execute("update restricted_mail set answer = $2 where id = $1", number, answer)


async def _ask(world: "World", box: Machine, connection: Connection, letters: list[tuple[Any, ...]]) -> None:
    """Ask in the asker's name, with another key for the answer."""
    waiting = [letter for letter in letters if letter[-2] is None]
    if waiting:
        number, _, body = world.chance.choice(waiting)[:3]
        key = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
        with suppress(RequestMalformed):
            body = body.replace(request.read_request(body).key.encode(), key.encode())
            hashed = request.request_hash(body)
            world.hosts.asked.add((box.name, hashed))
            query = "update restricted_mail set request = $2, request_hash = $3, fetched_at = null where id = $1"
            await connection.execute(query, number, body, hashed)


async def nobody_was_answered_for(world: "World") -> None:
    """Raise if a home answered what a mailbox asked in the name of others."""
    for machine in world.machines:
        asked = [hashed for name, hashed in world.hosts.asked if name == machine.name]
        if asked and machine.process is not None:
            async with machine.process.database.acquire() as connection:
                answered = await connection.fetchval(ANSWERED, asked)
            assert not answered, f"{machine.name} was told what it asked in the name of others"


WRONGS: dict[str, Wrong] = {
    "drops a letter": _drop,
    "holds a letter back": _hold_back,
    "brings what it held back": _deliver_late,
    "gives all letters again": _repeat,
    "mixes answers up": _mix_up,
    "changes a letter": _change,
    "makes an answer up": _answer,
    "asks in the name of another": _ask,
}


# ---- keepers ---------------------------------------------------------------------------------------------------------


async def betray_backups(world: "World", machine: Machine) -> None:
    """Have a machine lose, withhold or change a backup that it keeps; whoever opens what it has is not deceived.

    It tries as well to have another machine keep one that it made up.
    """
    async with machine.running.database.transaction() as connection:
        kept = await connection.fetch(KEPT)
        if not kept:
            return
        number, scid, manifest = world.chance.choice([tuple(row.values()) for row in kept])
        how = world.chance.choice(list(SPOILS))
        await connection.execute(
            SPOILS[how], *([number, world.chance.randrange(10_000)] if "$2" in SPOILS[how] else [number])
        )
        spoilt = await connection.fetchval("select manifest from backup where id = $1", number)
    world.tell(f"the keeper {machine.name} {how} of {scid}")
    world.hosts.spoiled.add((machine.name, scid))
    world.hosts.changed += [] if spoilt in (None, manifest) else [spoilt]
    world.keepsakes.kept = {
        each: kept for each, kept in world.keepsakes.kept.items() if each != scid or kept.keeper is not machine
    }
    author = next(each for each in world.authors if each.scid == scid)
    if author.home.process is not None and author.home is not machine:
        await world.survives(author.home, lambda: _open(world, author, machine))
    await world.survives(machine, lambda: _leave_for(world, machine, sealed.read_manifest(manifest)))


async def _leave_for(world: "World", machine: Machine, manifest: Manifest) -> None:
    """Raise if anybody keeps a backup of a participant that its log did not sign: it would take the place of true ones.

    A manifest that was changed before is none, and nobody is asked.
    """
    made = replace(manifest, version=manifest.version + 1)
    keeper = world.chance.choice(keepsakes.keepers(world, machine))
    async with machine.running.database.acquire() as connection:
        peer = await peers.find(connection, keeper.url)
    assert peer is not None
    json = "application/json"
    body = sealed.sign_manifest(made, Ed25519PrivateKey.generate())
    async with machine.running.client(peer) as client:
        await client.post("backup", body, content_type=json, answer_type=json, bytes_max=ANSWER_BYTES_MAX)
    raise AssertionError(f"{keeper.name} keeps a backup that {machine.name} made up")


SPOILS = {
    "loses the newest backup": "delete from backup where id = $1",
    "changes a chunk": f"update backup_chunk set data = {FLIPPED.format('data')} where backup_id = $1"
    " and number = (select max(number) from backup_chunk where backup_id = $1)",
    "changes a manifest": f"update backup set manifest = {FLIPPED.format('manifest')} where id = $1",
    "writes another size into a manifest": "update backup set manifest = convert_to(replace("
    """convert_from(manifest, 'UTF8'), '"size":', '"size":1'), 'UTF8') where id = $1""",
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
    offered = sorted(source.manifests, key=lambda each: each.version, reverse=True)
    taken = next((each for each in offered if f"{source.url} {each.version}" not in found.refused), None)
    assert taken is None or taken not in _readable(world.hosts.changed), f"what {keeper.name} changed is taken"
    async with process.database.acquire() as connection:
        log = await logs.newest_log(connection, author.scid)
        assert log is not None
        for part in [] if found.contents is None else found.contents.parts:
            here = await restricted.part(connection, log.id, part.index)
            if here is not None:
                true = process.appender.vault.open(author.scid, part.index, here)
                assert (part.salt, part.payload) == true, f"{keeper.name} gave another part {part.index} as true"


def _readable(manifests: Sequence[bytes]) -> list[Manifest]:
    found = []
    for each in manifests:
        with suppress(BackupMalformed):
            found.append(sealed.read_manifest(each))
    return found


# ---- in the end ------------------------------------------------------------------------------------------------------


async def repent(world: "World") -> None:
    """Have all of them throw away what they touched."""
    await nobody_was_answered_for(world)
    for machine in world.machines:
        async with machine.running.database.transaction() as connection:
            for name, scid in world.hosts.spoiled:
                if name == machine.name:
                    await connection.execute("delete from backup where scid = $1", scid)
            for name, hashed in world.hosts.touched | world.hosts.asked:
                if name == machine.name:
                    await connection.execute("delete from restricted_mail where request_hash = $1", hashed)
    world.hosts.spoiled.clear()
