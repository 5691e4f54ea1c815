"""What people do: publish, erase, change keys, move, recover from a thief, and carry bundles on a stick.

Each act takes the world and the machine it happens on. A machine may die of any of them halfway; whoever got no answer
asks again later.
"""

import gzip
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from domain.errors import GotongError
from federation.bundles import bundle
from federation.bundles.intake import Intake
from federation.identity.writing import ParticipantMoved, writable_head
from federation.lifecycle import custody, moving
from federation.lifecycle.recover import recover
from federation.log.entry import Part
from federation.log.erasure import NothingToErase
from federation.publish.append import Appended, Draft, Once
from federation.publish.guard import PublicationWaits
from federation.publish.prepare import IdempotencyKeyReused, unchanged
from tests.nodes import fixed, need_body, need_draft
from tests.schema.world import organization_body
from tests.sim import confidence, hints
from tests.sim.liars import LIES
from tests.sim.machine import Machine
from tests.sim.people import Acknowledged, Asked, Author, Erasure, Theft, Work, log_of, number_of

if TYPE_CHECKING:
    from tests.sim.world import World

STOLEN_ENTRIES_MAX = 3
FIRST_ENTRIES_MAX = 6
ERASED: tuple[tuple[Part, ...], ...] = (("body",), ("restricted",), ("body", "restricted"), ("body",))
BUNDLES_KEPT_MAX = 4


# ---- publishing ------------------------------------------------------------------------------------------------------


async def publish(world: "World", machine: Machine) -> None:
    """Have somebody publish a need, a revision of one, or news about one."""
    await world.writes(machine, publication(world, machine))
    await hints.nobody_is_kept_in_the_dark(world, machine)


def publication(world: "World", machine: Machine) -> Callable[[], Awaitable[None]]:
    """Return what it takes to publish something new on a machine."""
    author = world.chance.choice(world.authors_at(machine))
    key = world.new_key()
    return lambda: append(world, author, key)


async def begin(world: "World", author: Author) -> None:
    """Have somebody say who it is, and publish some needs at once: something that can be lost, stolen and copied."""
    about = Draft("organization", None, fixed(organization_body(slug=f"warga-{author.slug}")))
    await author.home.running.appender.append(author.scid, [about])
    titles = {
        key: title_of(key) for key in (world.new_key() for _ in range(world.chance.randint(0, FIRST_ENTRIES_MAX)))
    }
    if titles:
        world.tell(f"{author.home.name} begins with {list(titles.values())} for {author.slug}")
        world.ledger.titles |= set(titles.values())
        drafts = [_need(world, author, key, title) for key, title in titles.items()]
        done = await author.home.running.appender.append(author.scid, drafts)
        for (key, title), each in zip(titles.items(), done, strict=True):
            place = (each.record_id, each.revision, each.index, each.leaf_hash)
            told = Acknowledged(author.scid, 0, each.type, *place, title, confidence.has_part(key))
            world.ledger.acknowledged[key] = told


def title_of(key: str) -> str:
    """Return a title that stands nowhere but where what has it stands: neither begins another, nor is it the key."""
    return f"Beras k{key.replace('-', 'x')}z"


async def append(world: "World", author: Author, key: str) -> None:
    """Publish what a key stands for; asked again, it is what was published first."""
    title = title_of(key)
    world.ledger.titles.add(title)
    world.tell(f"{author.home.name} publishes {title!r} for {author.slug}")
    draft = _draft(world, author, key, title)

    async def work(author: Author, key: str) -> None:
        await append(world, author, key)

    epoch, done = await _done(world, work, author, key, draft)
    if not _is_stolen(author, epoch):  # what is published before the thief is found out is left behind with the loot
        place = (done.record_id, done.revision, done.index, done.leaf_hash)
        has_part = done.type == "need" and confidence.has_part(key)
        world.ledger.acknowledged[key] = Acknowledged(author.scid, epoch, done.type, *place, title, has_part)


def _draft(world: "World", author: Author, key: str, title: str) -> Draft:
    kind = number_of(key) % 4
    mine = [each for each in world.ledger.of(author) if each.type == "need"]
    if kind == 0 and mine:
        return _need(world, author, key, title, mine[number_of(key) % len(mine)].record_id)
    needs = [each for each in world.ledger.acknowledged.values() if each.type == "need"]
    if kind == 1 and needs:
        target = needs[number_of(key) % len(needs)]
        world.ledger.written_about.add(target.record_id)
        about = {"uri": f"gotong:{target.scid}/need/{target.record_id}", "leaf": target.leaf_hash.hex()}
        return Draft("update", None, fixed({"about": about, "text": [{"lang": "id", "text": title}]}))
    return _need(world, author, key, title)


def _need(world: "World", author: Author, key: str, title: str, record_id: UUID | None = None) -> Draft:
    return Draft("need", record_id, fixed(need_body(title), restricted=confidence.part_of(world, author, key)))


async def erase(world: "World", machine: Machine) -> None:
    """Have somebody erase the body of a record that was acknowledged, what is restricted of it, or both."""
    authors = [author for author in world.authors_at(machine) if world.ledger.of(author)]
    if authors:
        author = world.chance.choice(authors)
        key = world.new_key()
        await world.writes(machine, lambda: erase_parts(world, author, key))


async def erase_parts(world: "World", author: Author, key: str) -> None:
    """Erase what a key stands for, of the records that are there now."""
    mine = world.ledger.of(author)
    if not mine:
        return
    mine = [each for each in mine if each.record_id in world.ledger.written_about] or mine
    record = mine[number_of(key) % len(mine)]
    parts = ERASED[number_of(key) % len(ERASED)]
    world.tell(f"{author.home.name} erases {' and '.join(parts)} of {record.title!r} for {author.slug}")
    draft = Draft(record.type, record.record_id, unchanged, erase=parts)

    async def work(author: Author, key: str) -> None:
        await erase_parts(world, author, key)

    epoch, done = await _done(world, work, author, key, draft)
    if _is_stolen(author, epoch):
        world.ledger.perhaps_erased.add(done.record_id)
    else:
        world.ledger.erased.append(Erasure(author.scid, epoch, done.record_id, done.index, parts))


async def _done(world: "World", work: Work, author: Author, key: str, draft: Draft) -> tuple[int, Appended]:
    """Return what was appended in which epoch; what is not acknowledged is asked again when all is healed."""
    if key not in {each.key for each in world.ledger.unsure}:
        world.ledger.unsure.append(Asked(work, author, key))
    if draft.erase and draft.record_id is not None:
        world.ledger.perhaps_erased.add(draft.record_id)
    if draft.record_id is not None:
        world.ledger.meant.setdefault(key, set()).add(draft.record_id)
    process = author.home.running
    try:
        (done,) = await process.appender.append(author.scid, [draft], once=Once(key, key.encode().ljust(32)))
    except (NothingToErase, IdempotencyKeyReused) as error:  # somebody erased it before, and the key's digest with it
        if isinstance(error, IdempotencyKeyReused) and not world.ledger.may_be_gone(key):
            raise AssertionError(f"{key} is said to have been used for something else") from error
        world.ledger.unsure = [each for each in world.ledger.unsure if each.key != key]
        raise
    epoch = (await log_of(author)).epoch  # who dies of looking has heard nothing, and asks again
    world.ledger.unsure = [each for each in world.ledger.unsure if each.key != key]
    if draft.erase:
        world.ledger.perhaps_erased.discard(done.record_id)
    return epoch, done


def _is_stolen(author: Author, epoch: int) -> bool:
    return author.theft is not None and author.theft.epoch == epoch


# ---- keys ------------------------------------------------------------------------------------------------------------


async def rotate(world: "World", machine: Machine) -> None:
    """Have somebody's people change the keys on the machine."""
    author = world.chance.choice(world.authors_at(machine))
    world.tell(f"{machine.name} changes the keys of {author.slug}")
    await world.mortally(machine, lambda: _rotate(machine, author))


async def _rotate(machine: Machine, author: Author) -> None:
    process = machine.running
    async with process.database.transaction() as connection:
        await process.guard.check(connection, await writable_head(connection, author.scid))
    await custody.rotate(process.database, process.keys, author.scid, author.seed, now=machine.clock())


async def steal(world: "World", machine: Machine) -> None:
    """Have a thief with the key of a log sign in it; its people know up to where it is theirs."""
    author, log = max([(each, await log_of(each)) for each in world.authors_at(machine)], key=lambda each: each[1].size)
    if not _is_stolen(author, log.epoch):
        author.theft = Theft(log.epoch, log.size)
    titles = [f"Curian {world.new_key()}" for _ in range(world.chance.randint(1, STOLEN_ENTRIES_MAX))]
    world.tell(f"a thief signs {titles} as {author.slug} on {machine.name}")
    world.ledger.loot |= set(titles)
    drafts = [need_draft(title) for title in titles]
    await world.mortally(machine, lambda: machine.running.appender.append(author.scid, drafts))


async def find_out(world: "World", machine: Machine) -> None:
    """Have somebody whose key was stolen go on without what the thief signed."""
    robbed = [author for author in world.authors_at(machine) if author.theft is not None]
    if robbed:
        author = world.chance.choice(robbed)
        await world.mortally(machine, lambda: begin_epoch(world, author))


async def begin_epoch(world: "World", author: Author) -> None:
    """Begin a new epoch from the size up to which the log is its people's, unless that is done."""
    if author.theft is None or (await log_of(author)).epoch != author.theft.epoch:
        return
    await _require_newest_identity(world, author)
    log = await log_of(author)
    if log.epoch != author.theft.epoch:
        return
    world.tell(f"{author.home.name} recovers {author.slug} from {author.theft}")
    process, size = author.home.running, min(author.theft.size, log.size)
    now = author.home.clock()
    await recover(process.database, process.keys, author.scid, author.seed, size=size, now=now)


async def _require_newest_identity(world: "World", author: Author) -> None:
    """Return if nothing newer of an identity can be lost, peers being asked first where that is not known."""
    process = author.home.running

    async def require() -> None:
        async with process.database.transaction() as connection:
            head = await writable_head(connection, author.scid, frozen_too=True)
            await process.guard.check_identity(connection, head)

    try:
        await require()
    except PublicationWaits:
        for url in world.known_to(author.home):
            with suppress(GotongError):
                await process.syncer.once(url)
        await require()


# ---- moving ----------------------------------------------------------------------------------------------------------


async def move(world: "World", machine: Machine) -> None:
    """Have a guest leave for another machine, or think again, or arrive."""
    coming = [author for author in world.authors if author.heading is machine and author.has_left]
    going = [author for author in world.authors if author.home is machine and author.heading is not None]
    staying = [author for author in world.authors_at(machine) if not author.is_operator]
    if coming:
        author = world.chance.choice(coming)
        await world.mortally(machine, lambda: arrive(world, author))
    elif going and world.chance.random() < 0.3:
        author = world.chance.choice(going)
        await world.mortally(machine, lambda: stay(world, author))
    elif staying:
        author = world.chance.choice(staying)
        author.heading = world.chance.choice([each for each in world.machines if each is not machine])
        await world.mortally(machine, lambda: leave(world, author))


async def leave(world: "World", author: Author) -> None:
    """Have the old host let go; what it writes is kept before it does."""
    assert author.heading is not None
    world.tell(f"{author.home.name} lets {author.slug} go to {author.heading.name}")
    world.ledger.give_up(author)
    process = author.home.running

    def keep(data: bytes) -> None:
        author.package = data

    try:
        async with process.database.transaction() as connection:
            await process.guard.check(connection, await writable_head(connection, author.scid))
        await moving.let_go(process.database, process.appender.vault, author.scid, keep)
    except ParticipantMoved:
        world.tell(f"  {author.slug} has left already")
    author.has_left = True
    if author.home not in author.left:
        author.left.append(author.home)


async def stay(world: "World", author: Author) -> None:
    """Take somebody back whose cards were not used elsewhere."""
    if not author.was_used:
        world.tell(f"{author.home.name} takes {author.slug} back")
        if author.has_left:
            process = author.home.running
            await moving.take_back(process.database, process.keys, author.scid)
            author.left.remove(author.home)
            author.stays()


async def arrive(world: "World", author: Author) -> None:
    """Have the new host take somebody in."""
    there = author.heading
    assert there is not None
    world.tell(f"{there.name} takes {author.slug} in")
    author.was_used = True
    process = there.running
    try:
        await moving.take_in(
            process.database,
            process.keys,
            process.appender.vault,
            author.scid,
            author.seed,
            place=there.place(author.slug),
            base_url=there.home_url,
            now=there.clock(),
            package=None if author.package is None else moving.read_package(author.package),
        )
    except moving.ParticipantHere:
        world.tell(f"  {author.slug} is there already")
    world.confidence.moves(author, is_whole=author.package is not None)
    author.home = there
    if there in author.left:
        author.left.remove(there)
    author.stays()


# ---- bundles ---------------------------------------------------------------------------------------------------------


async def carry(world: "World", machine: Machine) -> None:
    """Have somebody bring a bundle, new or old, whole or not, and not always honest."""
    others = [each for each in world.machines if each.process is not None and each is not machine]
    if others and world.chance.random() < 0.7:
        source = world.chance.choice(others)
        await world.mortally(source, lambda: _export(world, source))
    if world.bundles and machine.process is not None:
        data = world.chance.choice(world.bundles)
        await world.mortally(machine, lambda: _import(world, machine, data))


async def _export(world: "World", machine: Machine) -> None:
    world.tell(f"{machine.name} writes a bundle")
    database = machine.running.database
    wanted = await bundle.wanted_logs(database, None, {})
    data = b"".join([piece async for piece in bundle.export(database, wanted)])
    world.bundles = [*world.bundles, data][-BUNDLES_KEPT_MAX:]


async def _import(world: "World", machine: Machine, data: bytes) -> None:
    how = world.chance.choice(["whole", "whole", *LIES])
    world.tell(f"{machine.name} reads a bundle: {how}")
    if how != "whole":
        data = LIES[how](gzip.decompress(data), world.chance)
    process = machine.running
    await bundle.import_(Intake(process.database, "test", machine.clock, process.claims), [data])
