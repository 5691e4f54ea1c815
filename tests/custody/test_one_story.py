"""However keys change and participants move, whichever machine dies of it: an owner tells its identity in one way.

Every order of what people may do is tried on three machines, up to so many versions of the identity: new keys, new
cards or a new epoch, the end, moving out, staying, moving in with a file and, once a host is lost, without one; pulls
between any two machines at any time; a machine that dies of any of these before it commits or after. The rules that
people keep to are those of docs/operate.md. Without any one of them two stories are found: the search can find them.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from itertools import permutations

import pytest

from domain.errors import GotongError
from federation.identity.rekey import CardsDoNotFit
from federation.lifecycle import custody, moving
from federation.lifecycle.recover import recover
from federation.moderation.trust import set_participant_trust
from federation.publish.append import Appender
from store.database import connect
from tests.clock import FrozenClock
from tests.custody.village import SLUG, Death, Here, Keys, Machine, People, Still
from tests.nodes import need_draft, seed_of

MACHINES = ("a", "b", "c")
FIRST_SIZE = 1
"""Where a new epoch begins, whatever came after."""


class Rule(Enum):
    """What docs/operate.md asks of people who move."""

    SHOWN_IS_SHOWN = "who has shown the cards to a new host does not stay"
    ONE_HOST = "who has shown the cards to a new host goes to no other"
    NEWEST_FILE = "a file is worth nothing once its participant stayed"
    ASK_ALL = "who is taken in after a host was lost is taken in where all that others know was pulled"


class TwoStoriesError(AssertionError):
    """Two versions of one number are in the world."""


Done = People | None
Change = Callable[[Machine, bytes], Awaitable[object]]
Act = tuple[int, str, Callable[[], Awaitable[Done]]]
"""On which machine something is done, what, and how; None when nothing comes of it."""


def _require_one_story(here: Sequence[Here], story: Sequence[str]) -> None:
    told: dict[int, str] = {}
    for each in here:
        for version, id_ in enumerate(each.versions, start=1):
            if told.setdefault(version, id_) != id_:
                raise TwoStoriesError("; ".join(story))


@dataclass
class Village:
    """The machines, whose participant it is that is looked at, and which rules its people keep to."""

    machines: list[Machine]
    scid: str
    rules: frozenset[Rule] = frozenset(Rule)
    kind: str = "keys"
    versions_max: int = 2
    kits: set[str] = field(default_factory=lambda: {SLUG})
    seen: set[object] = field(default_factory=set)
    died_of: set[object] = field(default_factory=set)

    async def explore(self, people: People) -> None:
        """Try all that can be done, and all that can be done after it."""
        await self._explore(people, [await each.here(self.scid) for each in self.machines], ())

    async def _explore(self, people: People, here: list[Here], story: tuple[str, ...]) -> None:
        there = [None if number in people.lost else each for number, each in enumerate(here)]
        if (people, *there) in self.seen:
            return
        self.seen.add((people, *there))
        _require_one_story([each for each in there if each is not None], story)
        for number, name, act in self._acts(people, [len(each.versions) for each in here]):
            machine, after = self.machines[number], None
            async with machine.taken_back():
                with contextlib.suppress(GotongError):  # the program says no
                    after = await act()
                if after is not None:
                    then = [*here[:number], await machine.here(self.scid), *here[number + 1 :]]
                    await self._explore(after, then, (*story, f"{name} {machine.name}"))

    @property
    def changes(self) -> dict[str, list[Change]]:
        """What people do with their cards where their participant lives, by kind; each kind is tried by itself."""
        return {"keys": [self._rotate, self._end], "kits": [self._renew], "epochs": [self._recover]}

    # ---- what can be done --------------------------------------------------------------------------------------------

    def _acts(self, people: People, versions: list[int]) -> Iterator[Act]:
        left = [number for number in range(len(self.machines)) if number not in people.lost]
        for one, other in permutations(left, 2):
            if versions[one] < versions[other]:  # else there is nothing to tell
                yield one, f"of {MACHINES[other]} hears", partial(self._pull, people, one, other)
        if not people.lost:
            for number in {people.at, people.at if people.shown is None else people.shown}:
                yield number, "lost is", partial(self._lose, people, number)
        if people.at not in people.lost:
            yield from self._at_home(people, versions[people.at])
        if people.file is not None or people.at in people.lost:
            for number in left:
                if number != people.at and versions[number] < self.versions_max:
                    yield from self._taking_in(people, number)

    def _at_home(self, people: People, version: int) -> Iterator[Act]:
        machine = self.machines[people.at]
        if version < self.versions_max:
            for change in self.changes[self.kind]:
                yield people.at, f"{change.__name__[1:]} at", partial(self._change, people, machine, change)
        for death in Death:
            yield people.at, f"out, it {death.value},", partial(self._out, people, machine, death)
        if people.shown is None or Rule.SHOWN_IS_SHOWN not in self.rules:
            yield people.at, "stay at", partial(self._stay, people, machine)

    def _taking_in(self, people: People, number: int) -> Iterator[Act]:
        if people.shown not in (None, number) and people.shown not in people.lost and Rule.ONE_HOST in self.rules:
            return
        for file in {people.file, None} if people.lost else {people.file}:
            for death in (Death.NEVER, Death.AFTER):
                how = "without a file" if file is None else "with the file"
                yield number, f"in {how}, it {death.value},", partial(self._in, people, number, file, death)

    async def _pull(self, people: People, one: int, other: int) -> Done:
        await self.machines[one].pull(self.machines[other])
        return people

    async def _lose(self, people: People, number: int) -> Done:
        return replace(people, lost=frozenset({number}))

    async def _change(self, people: People, machine: Machine, change: Change) -> Done:
        """Change something; dying before it commits leaves nothing, and after it the same as living."""
        before = await machine.here(self.scid)
        if (change.__name__, before) not in self.died_of:
            self.died_of.add((change.__name__, before))
            assert not await machine.dying(Death.BEFORE, lambda: self._with_cards(machine, change))
            assert await machine.here(self.scid) == before, "what was not committed is there"
        await machine.dying(Death.NEVER, lambda: self._with_cards(machine, change))
        return people

    async def _with_cards(self, machine: Machine, change: Change) -> None:
        """Do it with whichever of the cards fit: after a machine died nobody knows whether the new ones count."""
        *others, last = sorted(self.kits)
        for kit in others:
            with contextlib.suppress(CardsDoNotFit):
                await change(machine, seed_of(kit))
                return
        await change(machine, seed_of(last))

    async def _rotate(self, machine: Machine, seed: bytes) -> None:
        await custody.rotate(machine.database, machine.keys, self.scid, seed, now=machine.clock())

    async def _renew(self, machine: Machine, seed: bytes) -> None:
        new = f"kartu {(await machine.here(self.scid)).versions[-1]}"
        await custody.renew_kit(
            machine.database,
            machine.keys,
            self.scid,
            seed,
            new_seed=seed_of(new),
            now=machine.clock(),
            keep_cards=lambda _did: self.kits.add(new),
        )

    async def _recover(self, machine: Machine, seed: bytes) -> None:
        await recover(machine.database, machine.keys, self.scid, seed, size=FIRST_SIZE, now=machine.clock())

    async def _end(self, machine: Machine, seed: bytes) -> None:
        await custody.end(machine.database, machine.keys, self.scid, seed, now=machine.clock())

    async def _out(self, people: People, machine: Machine, death: Death) -> Done:
        """Let go; the file has its name once that is committed and was said."""
        kept: list[bytes] = []
        before = await machine.here(self.scid)
        lives = await machine.dying(
            death, lambda: moving.let_go(machine.database, machine.vault, self.scid, kept.append)
        )
        assert death is not Death.BEFORE or await machine.here(self.scid) == before
        return replace(people, file=kept[0]) if lives else people

    async def _stay(self, people: People, machine: Machine) -> Done:
        await moving.take_back(machine.database, machine.keys, self.scid)
        return replace(people, file=None, shown=None) if Rule.NEWEST_FILE in self.rules else people

    async def _in(self, people: People, number: int, file: bytes | None, death: Death) -> Done:
        machine = self.machines[number]
        others = [each for at, each in enumerate(self.machines) if at not in people.lost]
        known = [len((await each.here(self.scid)).versions) for each in others]
        if people.lost and Rule.ASK_ALL in self.rules and len((await machine.here(self.scid)).versions) < max(known):
            return None
        package = None if file is None else moving.read_package(file)

        async def take_in(machine: Machine, seed: bytes) -> None:
            await moving.take_in(
                machine.database,
                machine.keys,
                machine.vault,
                self.scid,
                seed,
                place=machine.place,
                base_url=machine.url,
                now=machine.clock(),
                package=package,
            )

        try:
            lives = await machine.dying(death, lambda: self._with_cards(machine, take_in))
        except moving.ParticipantHere:
            lives = True  # it was taken in before, and the answer was lost
        if lives:
            return replace(people, at=number, file=None, shown=None)
        return replace(people, shown=number)


@pytest.fixture
async def village(new_database: Callable[[], Awaitable[str]], clock: FrozenClock) -> AsyncIterator[Village]:
    """Three machines that know each other's participants; one of the first one's is looked at."""
    async with contextlib.AsyncExitStack() as stack:
        machines = []
        for name in MACHINES:
            connection = await connect(await new_database(), statement_timeout_s=None)
            stack.callback(connection.terminate)
            await connection.execute("set idle_in_transaction_session_timeout = 0")
            await connection.transaction().start()
            machines.append(Machine(name, Still(connection), clock, Keys(name)))
            await machines[-1].begin()
        home = machines[0]
        guest = await home.begin_guest()
        await Appender(home.database, home.keys, clock).append(guest.scid, [need_draft()])
        for one, other in permutations(machines, 2):
            await one.meet(other)
        for machine in machines[1:]:
            await machine.pull(home)
            await set_participant_trust(machine.database, guest.scid, "allowed", actor="test")
        yield Village(machines, guest.scid)


@pytest.mark.parametrize(("kind", "versions_max", "states"), [("keys", 3, 800), ("kits", 2, 140), ("epochs", 2, 140)])
async def test_whatever_is_done_and_dies_of_it_there_is_one_story(
    village: Village, kind: str, versions_max: int, states: int
) -> None:
    village.kind, village.versions_max = kind, versions_max
    await village.explore(People())
    assert len(village.seen) > states


@pytest.mark.parametrize("broken", Rule)
async def test_each_rule_is_needed(village: Village, broken: Rule) -> None:
    village.rules = frozenset(Rule) - {broken}
    with pytest.raises(TwoStoriesError):
        await village.explore(People())
