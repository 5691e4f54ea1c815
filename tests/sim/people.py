"""The people behind the simulated machines: what they hold in their hands, and what they were promised."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from domain.ids import RecordUri
from federation.log.entry import Part
from store import logs

if TYPE_CHECKING:
    from tests.sim.machine import Machine


@dataclass(frozen=True)
class Theft:
    """Somebody has the key of a log: its epoch then, and how many entries its people know to be theirs."""

    epoch: int
    size: int


@dataclass(eq=False)
class Author:
    """A participant: the `seed` on its people's cards, and the machine that they publish on.

    On its way to another machine it is `heading` there: `package` is what the old host wrote, `has_left` that it let
    go for sure, `was_used` that the cards were shown to the new one. `left` are the machines it has gone from.
    """

    scid: str
    slug: str
    seed: bytes
    home: "Machine"
    is_operator: bool
    heading: "Machine | None" = None
    package: bytes | None = None
    has_left: bool = False
    was_used: bool = False
    left: "list[Machine]" = field(default_factory=list)
    theft: Theft | None = None

    def stays(self) -> None:
        """Be on the way nowhere."""
        self.heading, self.package, self.has_left, self.was_used = None, None, False, False


@dataclass(frozen=True)
class Acknowledged:
    """A record whose writer was told that it is in the log, of which epoch and where."""

    scid: str
    epoch: int
    type: str
    record_id: UUID
    revision: int
    index: int
    leaf_hash: bytes
    title: str
    has_part: bool = False

    @property
    def uri(self) -> RecordUri:
        """The record."""
        return RecordUri(self.scid, self.type, self.record_id)


@dataclass(frozen=True)
class Erasure:
    """An erasure whose author was told that it is in the log."""

    scid: str
    epoch: int
    record_id: UUID
    index: int
    parts: tuple[Part, ...]


Work = Callable[[Author, str], Awaitable[None]]


@dataclass(frozen=True)
class Asked:
    """What a writer asked, under a key to ask it again with."""

    work: Work
    author: Author
    key: str


@dataclass
class Ledger:
    """What was asked and promised. Who got no answer is `unsure`; who then lost the machine that knew has nothing.

    `meant` are the records that what was asked under a key was to revise or erase.
    """

    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    erased: list[Erasure] = field(default_factory=list)
    unsure: list[Asked] = field(default_factory=list)
    perhaps_erased: set[UUID] = field(default_factory=set)
    titles: set[str] = field(default_factory=set)
    loot: set[str] = field(default_factory=set)
    written_about: set[UUID] = field(default_factory=set)
    meant: dict[str, set[UUID]] = field(default_factory=dict)

    def of(self, author: Author) -> list[Acknowledged]:
        """Return what an author was told is there, in the order in which it was told."""
        return [each for each in self.acknowledged.values() if each.scid == author.scid]

    def keep_below(self, author: Author, epoch: int, size: int) -> None:
        """Forget the promises of a log that is now, of the machines that are left, of this epoch and size."""

        def is_kept(each: Acknowledged | Erasure) -> bool:
            return each.scid != author.scid or each.epoch < epoch or (each.epoch == epoch and each.index < size)

        self.acknowledged = {key: each for key, each in self.acknowledged.items() if is_kept(each)}
        self.perhaps_erased |= {each.record_id for each in self.erased if not is_kept(each)}
        self.erased = [each for each in self.erased if is_kept(each)]

    def give_up(self, author: Author) -> None:
        """Ask again for nothing that this author got no answer to: whoever would know the key is gone."""
        self.unsure = [each for each in self.unsure if each.author is not author]

    def may_be_gone(self, key: str) -> bool:
        """Return whether what was asked under a key may have been erased since: nobody can tell any more."""
        gone = {each.record_id for each in self.erased} | self.perhaps_erased
        return not gone.isdisjoint(self.meant.get(key, ()))

    def is_erased(self, told: Acknowledged, part: Part = "body") -> bool:
        """Return whether a part of what was acknowledged was erased later."""
        mine = [each for each in self.erased if (each.scid, each.record_id) == (told.scid, told.record_id)]
        return any(told.index < each.index and part in each.parts for each in mine)


def number_of(key: str) -> int:
    """Return a number that depends on the key alone, so that a writer who asks again asks the same."""
    return sum(ord(letter) * place for place, letter in enumerate(key, start=1))


async def log_of(author: Author) -> logs.LogRow:
    """Return the head of an author's log on its machine."""
    async with author.home.running.database.acquire() as connection:
        log = await logs.newest_log(connection, author.scid)
    assert log is not None
    return log
