"""Relays between honest machines that lie: they hand on a true machine's answers, tampered with."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from domain.errors import GotongError
from federation.lifecycle.recover import recover
from federation.moderation.trust import add_peer
from federation.sync.frames import CheckpointNote, Decoder, DidLine, EntryData, Frame, Mark, encode
from tests.nodes import need_draft
from tests.sim.network import Network
from tests.sim.people import log_of

if TYPE_CHECKING:
    from tests.sim.disks import Disks
    from tests.sim.machine import Machine
    from tests.sim.people import Author

FORGED = b"Palsu"
TRUE = b"Beras"
HONEST = 0.7
"""The chance that who forges or flips bits leaves an answer as it is that is no pull."""


def forge(body: bytes, _chance: random.Random) -> bytes:
    """Change what records say, at the same length."""
    return body.replace(TRUE, FORGED)


def flip(body: bytes, chance: random.Random) -> bytes:
    """Change one bit anywhere."""
    at = chance.randrange(len(body))
    return body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :]


def stop_short(body: bytes, chance: random.Random) -> bytes:
    """Leave the end out, as if it were all."""
    return body[: chance.randrange(len(body))]


def leave_out(body: bytes, chance: random.Random) -> bytes:
    """Leave one frame out."""
    frames = Decoder().feed(body)
    del frames[chance.randrange(len(frames))]
    return _joined(frames)


def swap(body: bytes, chance: random.Random) -> bytes:
    """Exchange two frames of one kind."""
    frames = Decoder().feed(body)
    kind = chance.choice([EntryData, Mark, CheckpointNote, DidLine])
    places = [place for place, frame in enumerate(frames) if isinstance(frame, kind)]
    if len(places) > 1:
        one, other = chance.sample(places, 2)
        frames[one], frames[other] = frames[other], frames[one]
    return _joined(frames)


def repeat(body: bytes, chance: random.Random) -> bytes:
    """Send one frame twice."""
    frames = Decoder().feed(body)
    place = chance.randrange(len(frames))
    return _joined([*frames[: place + 1], *frames[place:]])


def redate(body: bytes, _chance: random.Random) -> bytes:
    """Date entries otherwise, at the same length: nothing in them shows it, only the tree does."""
    frames = Decoder().feed(body)
    return _joined([_redated(each) if isinstance(each, EntryData) else each for each in frames])


def _redated(entry: EntryData) -> EntryData:
    return EntryData(entry.data.replace(b'"at":"2026-', b'"at":"2025-'), entry.salt, entry.body)


LIES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "forges": forge,
    "flips bits": flip,
    "stops short": stop_short,
    "leaves frames out": leave_out,
    "swaps frames": swap,
    "repeats frames": repeat,
    "dates otherwise": redate,
}


@dataclass
class Liar:
    """A relay before the machine `truth`; `kept` is what passed through it, to be told again when it no longer fits."""

    name: str
    truth: str
    kept: dict[str, list[bytes]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The host others know it by."""
        return f"{self.name}.gotong.test"

    @property
    def url(self) -> str:
        """Where its peers reach it."""
        return f"http://{self.host}"

    def be_honest(self, network: Network) -> None:
        """Hand on everything as it is."""
        network.relays[self.host] = self.truth
        network.tampers[self.host] = self._keep

    def lie(self, network: Network, chance: random.Random) -> str:
        """Begin to lie in some way and return how."""
        how = chance.choice([*LIES, "tells what was", "is honest"])
        if how == "is honest":
            self.be_honest(network)
        elif how == "tells what was":
            network.tampers[self.host] = lambda request, body: self._told_before(request, body, chance)
        else:
            network.tampers[self.host] = lambda request, body: self._changed(request, body, LIES[how], chance)
        return how

    def _keep(self, request: httpx.Request, body: bytes) -> bytes:
        self.kept.setdefault(request.url.path, []).append(body)
        return body

    def _told_before(self, request: httpx.Request, body: bytes, chance: random.Random) -> bytes:
        return chance.choice([*self.kept.get(request.url.path, []), body])

    def _changed(
        self, request: httpx.Request, body: bytes, lie: Callable[[bytes, random.Random], bytes], chance: random.Random
    ) -> bytes:
        is_pull = request.url.path.endswith("/pull")
        if not is_pull and (lie not in (forge, flip) or chance.random() < HONEST):  # or nobody would get to a pull
            return body
        try:
            return lie(body, chance) if body else body
        except GotongError:  # an answer that is no frames: a refusal of the true machine
            return body


@dataclass
class Janus:
    """A node whose disk was copied, keys and all: it has two faces and signs another story behind each.

    `machines` are the two, on databases numbered from `disk` on; both answer for the first one's host.
    """

    machines: "list[Machine]"
    disk: int
    name: str = "janus"
    told: int = 0
    owner: "Author | None" = None
    shared: int = 0

    @property
    def url(self) -> str:
        """Where its peers reach it."""
        return self.machines[0].url

    async def begin(self, disks: "Disks") -> None:
        """Found it, let it publish something that both faces share, and copy its disk."""
        first, second = self.machines
        await first.boot()
        (self.owner,) = await first.found([])
        await self._publish(first, f"{TRUE.decode()} bersama")
        self.shared = (await log_of(self.owner)).size
        await first.stop()
        await disks.copy(self.disk, self.disk + 1)
        for machine in self.machines:
            await machine.boot()
        for number, machine in enumerate(self.machines):
            await self._publish(machine, f"{TRUE.decode()} muka {number}")
        first.network.faces[first.host] = (first.host, second.host)

    async def lie(self, chance: random.Random) -> str:
        """Sign one more need behind one face and return its title."""
        self.told += 1
        title = f"{TRUE.decode()} janus {self.told}"
        await self._publish(chance.choice(self.machines), title)
        return title

    async def repent(self, teller: str) -> None:
        """Have one face hear of both stories, and begin a new epoch where they part; the other is never heard again."""
        assert self.owner is not None
        first, _ = self.machines
        first.network.faces.clear()
        process = first.running
        await add_peer(process.database, teller, trust="allowed", actor="simulation")
        await process.syncer.once(teller)
        now = first.clock()
        await recover(process.database, process.keys, self.owner.scid, self.owner.seed, size=self.shared, now=now)

    async def _publish(self, machine: "Machine", title: str) -> None:
        assert self.owner is not None
        await machine.running.appender.append(self.owner.scid, [need_draft(title)])


def _joined(frames: list[Frame]) -> bytes:
    return b"".join(map(encode, frames))
