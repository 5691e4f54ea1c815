"""What only some may read: contacts that their owners allow or refuse, asked for directly and through mirrors.

A part is for whom its owner allows it, and for nobody else; what was given is written down where its home is; and it
stands readable in no database, not even at home.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from domain.errors import GotongError
from federation.log.entry import Part
from federation.restricted import release
from federation.restricted.asking import Waiting
from federation.restricted.release import RestrictedGone, RestrictedRefused, RestrictedRevised
from store import logs, participants, restricted
from tests.erasure.disk import tables_with
from tests.sim.machine import Machine
from tests.sim.people import Acknowledged, Author, number_of

if TYPE_CHECKING:
    from tests.sim.world import World

SECRET = "Rahasia"
RELEASES_MAX = 1_000
SHOWN = "select record_id from need join participant on participant.id = publisher_id where trust = 'allowed'"
TRIES_IN_THE_END = 6
STRANGERS_IN_THE_END = 4
MADE_UP = "MADE_UP"
"""Why a mailbox refuses that answers itself."""
Pair = tuple[str, str]
"""An owner and somebody who asks."""


@dataclass
class Confidence:
    """Whom owners allow what is restricted: `allowed` says so by pair, None where it is not known.

    `frail` are owners whose home may have lost parts, decisions or what was written down; `owners` whose secrets are
    whose, by key; `given` what was given; `waiting` who asked for what and was told to wait.
    """

    allowed: dict[Pair, bool | None] = field(default_factory=dict)
    once_allowed: set[Pair] = field(default_factory=set)
    frail: set[str] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)
    given: set[tuple[Author, str, str]] = field(default_factory=set)
    waiting: dict[tuple[str, str], Acknowledged] = field(default_factory=dict)
    decisions: int = 0

    def may_refuse_only(self, owner: Author, asker: str) -> bool:
        """Return whether the owner does not allow it for sure.

        What waited at a mirror may have been answered before the owner changed its mind, and who has moved may be
        answered for by a host that came back from a backup.
        """
        pair = (owner.scid, asker)
        if pair not in self.once_allowed:
            return owner.scid != asker
        return self.allowed.get(pair) is False and owner.home.mirror is None and not owner.left

    def forgets(self, owner: Author) -> None:
        """The home of an owner may have lost what it knew only itself."""
        self.frail.add(owner.scid)
        self.moves(owner, is_whole=True)

    def moves(self, owner: Author, *, is_whole: bool) -> None:
        """Whom the owner allowed its contacts is not known at its new home; `is_whole`: the contacts are."""
        for pair in self.allowed:
            if pair[0] == owner.scid:
                self.allowed[pair] = None
        if not is_whole:
            self.frail.add(owner.scid)


def has_part(key: str) -> bool:
    """Return whether the need that a key stands for has a restricted part."""
    return number_of(key) % 3 > 0


def part_of(world: "World", author: Author, key: str) -> dict[str, Any] | None:
    """Return that part."""
    if not has_part(key):
        return None
    world.confidence.owners[key] = author.scid
    return {"contact": {"name": f"{SECRET} {key}", "phone": "+628123456789"}}


# ---- acts ------------------------------------------------------------------------------------------------------------


async def choose(world: "World", machine: Machine) -> None:
    """Have somebody allow another one its contacts, or take that back."""
    owner, asker = world.chance.choice(world.authors_at(machine)), world.chance.choice(world.authors)
    is_allowing = not world.confidence.allowed.get((owner.scid, asker.scid)) or world.chance.random() < 0.3
    await world.mortally(machine, lambda: _decide(world, owner, asker, is_allowing=is_allowing))


async def _decide(world: "World", owner: Author, asker: Author, *, is_allowing: bool) -> None:
    machine, pair = owner.home, (owner.scid, asker.scid)
    world.tell(f"{owner.slug} {'allows' if is_allowing else 'refuses'} {asker.slug} its contacts, on {machine.name}")
    world.confidence.allowed[pair] = None
    world.confidence.decisions += 1
    if is_allowing:
        world.confidence.once_allowed.add(pair)
    change = release.allow if is_allowing else release.deny
    await change(machine.running.database, owner.scid, asker.scid, actor="simulation")
    world.confidence.allowed[pair] = is_allowing


async def ask(world: "World", machine: Machine) -> None:
    """Have somebody ask for the contact of a record; the machine asked, or the one that asks, may die of it.

    Who waits for an answer asks again rather than for another one.
    """
    here = {each.scid: each for each in world.authors_at(machine)}
    waiting = [(here[asker], told) for (asker, _), told in world.confidence.waiting.items() if asker in here]
    if waiting and world.chance.random() < 0.6:
        await _ask(world, *world.chance.choice(waiting))
        return
    known = [each for each in world.ledger.acknowledged.values() if each.has_part]
    if world.chance.random() < 0.8:
        known = await _shown(machine, known)
    if known:
        await _ask(world, world.chance.choice([*here.values()]), world.chance.choice(known))


async def write_to(world: "World", home: Machine) -> None:
    """Have somebody ask for the contact of a record whose home nobody can connect to, so that a letter waits for it."""
    owners = {each.scid for each in world.authors_at(home)}
    known = [each for each in world.ledger.acknowledged.values() if each.has_part and each.scid in owners]
    up = [each for each in world.machines if each is not home and each.process is not None]
    for machine in world.chance.sample(up, len(up)):
        shown = await _shown(machine, known)
        if shown:
            await _ask(world, world.chance.choice(world.authors_at(machine)), world.chance.choice(shown))
            return


async def _shown(machine: Machine, known: list[Acknowledged]) -> list[Acknowledged]:
    """Return those of these records that a machine shows: of what it does not, nobody there can know."""
    async with machine.running.database.acquire() as connection:
        shown = {record_id for (record_id,) in await connection.fetch(SHOWN)}
    return [each for each in known if each.record_id in shown]


async def _ask(world: "World", asker: Author, told: Acknowledged) -> None:
    owner = _owner(world, told)
    world.tell(f"{asker.slug} asks {owner.slug} for the contact of {told.title!r}")
    await world.mortally(asker.home, lambda: _request(world, asker, owner, told), other=owner.home)


async def _request(world: "World", asker: Author, owner: Author, told: Acknowledged) -> str:
    """Return what came of asking: a code, or "given". Raises what is no answer of the owner's home."""
    decisions = world.confidence.decisions
    may_only_refuse = world.confidence.may_refuse_only(owner, asker.scid)
    try:
        answer = await asker.home.running.asking.request(asker.scid, told.uri)
    except (RestrictedRefused, RestrictedGone, RestrictedRevised) as error:
        world.tell(f"  {asker.slug}: {error.code}")
        world.confidence.waiting.pop((asker.scid, str(told.uri)), None)
        _check_refusal(asker, error)
        return error.code
    if isinstance(answer, Waiting):
        world.tell(f"  {asker.slug} waits")
        world.confidence.waiting[asker.scid, str(told.uri)] = told
        return "waits"
    world.confidence.waiting.pop((asker.scid, str(told.uri)), None)
    world.tell(f"  {asker.slug} is given it")
    name = msgspec.json.decode(answer)["contact"]["name"]
    assert world.confidence.owners[name.removeprefix(f"{SECRET} ")] == owner.scid, f"{asker.slug} was given {name}"
    has_decided = world.confidence.decisions > decisions  # while the answer was on its way
    assert has_decided or not may_only_refuse, f"{owner.slug} never allowed {asker.slug} that"
    world.confidence.given.add((owner, asker.scid, str(told.uri)))
    return "given"


def _check_refusal(asker: Author, error: GotongError) -> None:
    assert error.details.get("cause") != MADE_UP, f"{asker.slug} takes what a mailbox made up for an owner's word"


def _owner(world: "World", told: Acknowledged) -> Author:
    return next(each for each in world.authors if each.scid == told.scid)


# ---- what must hold --------------------------------------------------------------------------------------------------


async def check(world: "World") -> None:
    """Raise AssertionError, with what happened, for the first thing that does not hold when all is quiet."""
    for machine in world.machines:
        async with machine.running.database.acquire() as connection:
            tables = await tables_with(connection, SECRET)
            assert tables == [], f"{machine.name} has restricted parts in the open, in {tables}"
    await _parts_are_at_home(world)
    await _who_is_allowed_is_given_it(world)
    await _what_was_given_is_written_down(world)


async def _parts_are_at_home(world: "World") -> None:
    for told in world.ledger.acknowledged.values():
        owner = _owner(world, told)
        is_promised = told.has_part and told.record_id not in world.ledger.perhaps_erased
        if is_promised and owner.scid not in world.confidence.frail:
            is_here = await _has_part(owner, told.index)
            wanted = not world.ledger.is_erased(told, "restricted")
            assert is_here == wanted, f"{owner.home.name} has the contact of {told.title!r}: {is_here}, not {wanted}"


async def _has_part(owner: Author, index: int) -> bool:
    process = owner.home.running
    async with process.database.acquire() as connection:
        log = await logs.newest_log(connection, owner.scid)
        assert log is not None
        sealed = await restricted.part(connection, log.id, index)
    return sealed is not None and bool(process.appender.vault.open(owner.scid, index, sealed))


async def _who_is_allowed_is_given_it(world: "World") -> None:
    """Ask once for each pair that an owner decided about, for one that is allowed now, and for some nobody spoke of."""
    owner, friend = world.chance.sample(world.authors, 2)
    await _decide(world, owner, friend, is_allowing=True)
    pairs = dict(world.confidence.allowed)
    for _ in range(STRANGERS_IN_THE_END):
        owner, stranger = world.chance.sample(world.authors, 2)
        pairs.setdefault((owner.scid, stranger.scid), False)
    by_scid = {each.scid: each for each in world.authors}
    for (owned_by, asked_by), is_allowed in pairs.items():
        owner, asker = by_scid[owned_by], by_scid[asked_by]
        shown = {each.uri: each for each in world.ledger.of(owner) if not _is_gone(world, each)}  # the last of each
        mine = [each for each in shown.values() if each.has_part]
        if mine and owner is not asker and is_allowed is not None and owner.scid not in world.confidence.frail:
            if owner.home.mirror is not None:  # what waited there may be answered as the owner decided before
                await _asked_until_answered(world, asker, owner, mine[-1])
            came = await _asked_until_answered(world, asker, owner, mine[-1])
            wanted = "given" if is_allowed else RestrictedRefused.code
            assert came == wanted, f"{owner.slug} allows {asker.slug} that: {is_allowed}; it came to {came}"


def _is_gone(world: "World", told: Acknowledged) -> bool:
    parts: tuple[Part, ...] = ("body", "restricted")
    is_erased = any(world.ledger.is_erased(told, part) for part in parts)
    return is_erased or told.record_id in world.ledger.perhaps_erased


async def _asked_until_answered(world: "World", asker: Author, owner: Author, told: Acknowledged) -> str:
    for _ in range(TRIES_IN_THE_END):
        try:
            came = await _request(world, asker, owner, told)
        except GotongError as error:
            came = error.code
        if came != "waits":
            return came
        assert owner.home.mirror is not None, f"{asker.slug} waits for {owner.slug}, who can be asked"
        await owner.home.running.syncer.once(owner.home.mirror.url)
    raise AssertionError(f"{asker.slug} waits for ever for {owner.slug}")


async def _what_was_given_is_written_down(world: "World") -> None:
    for owner, asker, uri in world.confidence.given:
        if owner.scid in world.confidence.frail or owner.left or owner.scid == asker:
            continue
        async with owner.home.running.database.acquire() as connection:
            known = await participants.find(connection, owner.scid)
            assert known is not None
            written = await restricted.releases(connection, known.id, before=None, limit=RELEASES_MAX)
        found = [each for each in written if (each.asker_scid, each.uri, each.is_released) == (asker, uri, True)]
        assert found, f"that {uri} was given to {asker} is written down nowhere"
