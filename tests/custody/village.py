"""Three machines, a participant and its cards: every way its keys can change and it can move, one after the other.

Each machine is a real database and the program's own code, in one transaction that never commits: what a step did is
taken back by savepoints, so that the next one can be tried from the same place. The program's transactions are
savepoints within it. A machine dies at the end of one, before it commits or after: nothing else leaves a trace, because
each of these acts is one transaction (`Still` counts) and what it writes besides is a key or a file.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.did.webvh import version_id_of
from federation.identity.create import Place
from federation.identity.keys import KeyMissing, KeyRing
from federation.identity.states import DidStates
from federation.lifecycle.enroll import Enrolled, create_participant, start_node
from federation.moderation.trust import add_peer
from federation.peers.exchange import Exchange
from federation.sealing.vault import Vault
from federation.sync import serve
from federation.sync.client import PeerClient
from federation.sync.frames import Decoder, Frame
from federation.sync.messages import Heads, Pull, read_heads
from store import peers
from store.database import Connection, Database
from store.locks import Claims
from tests.clock import FrozenClock
from tests.nodes import seed_of

SLUG = "ojol"


HERE = """
    select (did_version, hosted, left_at is not null, epoch, ended, trust) as person,
        array(select (origin, size, is_projected, key_number) from log where participant_id = p.id order by 1) as logs,
        array(select line from did_line where participant_id = p.id order by version) as lines
    from participant p where scid = $1
"""


@dataclass(frozen=True)
class Here:
    """An identity as a machine holds it, whose it is, its logs, and the ids of its versions."""

    person: tuple[Any, ...]
    logs: tuple[tuple[Any, ...], ...]
    versions: tuple[str, ...]


class Death(Enum):
    """When a machine dies of an act: not at all, before what it wrote is there, or just after."""

    NEVER = "lives"
    BEFORE = "dies before"
    AFTER = "dies after"


class PowerCut(Exception):
    """The machine is off."""


class Still(Database):
    """A database that is one connection; what commits in it can be taken back."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.death = Death.NEVER
        self.transactions = 0  # that were about to commit
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:  # type: ignore[override]
        async with self._turn:
            yield self.connection

    @contextlib.asynccontextmanager
    async def transaction(self, **_how: Any) -> AsyncIterator[Connection]:
        async with self._turn:
            async with self.connection.transaction():
                yield self.connection
                await self.connection.execute("discard temp")  # as committing would
                self.transactions += 1
                if self.death is Death.BEFORE:
                    raise PowerCut
            if self.death is Death.AFTER:
                raise PowerCut


class Keys(KeyRing):
    """Key files of one machine. Which key a name gets follows from both: a step done again is the same."""

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._made: dict[str, Ed25519PrivateKey] = {}

    def save(self, name: str, key: Ed25519PrivateKey) -> None:
        self._made[name] = key

    def get(self, name: str) -> Ed25519PrivateKey:
        if name not in self._made:
            raise KeyMissing("not made here", key=name)
        return self._made[name]

    def get_or_create(self, name: str) -> Ed25519PrivateKey:
        secret = hashlib.sha256(f"{self._machine} {name}".encode()).digest()
        return self._made.setdefault(name, Ed25519PrivateKey.from_private_bytes(secret))


class Everything(Claims):
    """Claims of who is alone."""

    def __init__(self) -> None:
        pass

    async def take(self, names: Any) -> set[str]:
        return set(names)

    async def release(self, names: Any) -> None:
        pass


@dataclass
class Wire:
    """What a machine answers another one, which pulls from it."""

    there: "Machine"

    async def heads(self, _since: object, _interest: object) -> Heads:
        return read_heads(await serve.heads(self.there.database, "test", None, self.there.clock()))

    async def pull(self, asked: Pull) -> AsyncIterator[list[Frame]]:
        decoder = Decoder()
        async for piece in serve.pull(self.there.database, asked):
            yield decoder.feed(piece)

    async def evidence_after(self, _number: int) -> list[object]:
        return []

    async def did_log(self, scid: str) -> bytes:
        raise AssertionError(f"{self.there.name} seems to tell {scid} in another way")


@dataclass
class Machine:
    """One of the machines. `depth` counts the places that can be gone back to."""

    name: str
    database: Still
    clock: FrozenClock
    keys: KeyRing
    depth: int = 0

    @property
    def place(self) -> Place:
        return Place(f"{self.name}.gotong.test", None, SLUG)

    @property
    def url(self) -> str:
        return f"http://{self.name}.gotong.test"

    @property
    def vault(self) -> Vault:
        return Vault(self.keys)

    async def begin(self) -> None:
        """Begin a node here."""
        place = Place(f"{self.name}.gotong.test", None, self.name)
        seed, now = seed_of(self.name), self.clock()
        await start_node(self.database, self.keys, place=place, base_url=self.url, network="test", seed=seed, now=now)

    async def begin_guest(self) -> Enrolled:
        """Return a participant that is hosted here."""
        seed, now = seed_of(SLUG), self.clock()
        return await create_participant(
            self.database, self.keys, place=self.place, base_url=self.url, seed=seed, now=now
        )

    async def meet(self, other: "Machine") -> None:
        await add_peer(self.database, other.url, trust="allowed", actor="test")

    async def pull(self, other: "Machine") -> None:
        """Pull from another machine; raise AssertionError if it is accused of anything."""
        async with self.database.acquire() as connection:
            peer = await peers.find(connection, other.url)
        assert peer is not None
        exchange = Exchange(
            self.database,
            cast("PeerClient", Wire(other)),
            peer,
            network="test",
            clock=self.clock,
            claims=Everything(),
            states=DidStates(),
        )
        done = await exchange.run(None)
        assert done.refused == {}, f"{self.name} refuses {done.refused} of {other.name}"

    async def here(self, scid: str) -> "Here":
        """Return all that a later step can depend on."""
        row = await self.database.connection.fetchrow(HERE, scid)
        assert row is not None
        return Here(tuple(row["person"]), tuple(map(tuple, row["logs"])), tuple(map(version_id_of, row["lines"])))

    @contextlib.asynccontextmanager
    async def taken_back(self) -> AsyncIterator[None]:
        """Take back in the end what is done within."""
        self.depth += 1
        point = f"place_{self.depth}"
        await self.database.connection.execute(f"savepoint {point}")
        try:
            yield
        finally:
            await self.database.connection.execute(f"rollback to savepoint {point}; release savepoint {point}")
            self.depth -= 1

    async def dying(self, death: Death, work: Callable[[], Awaitable[object]]) -> bool:
        """Do something that is one transaction, and return whether its end was lived to see."""
        before, self.database.death = self.database.transactions, death
        try:
            await work()
        except PowerCut:
            return False
        finally:
            self.database.death = Death.NEVER
            assert self.database.transactions - before <= 1, "an act of more than one transaction has more ends"
        return True


@dataclass(frozen=True)
class People:
    """What a participant's people know and have in their hands.

    They take it to live `at` a machine. `file` is what the last `move out` there wrote, `shown` the machine that was
    shown the cards with it and gave no answer. `lost` machines are gone for ever.
    """

    at: int = 0
    file: bytes | None = None
    shown: int | None = None
    lost: frozenset[int] = field(default_factory=frozenset)
