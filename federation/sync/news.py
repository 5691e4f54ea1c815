"""What a peer's stream says, and how it wakes the task that pulls from that peer. Pure but for the waiting.

News name logs and sizes, or say that mail waits; they are hints like any other. Whoever does not
understand them asks for heads instead.
"""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from federation.log.merkle import TREE_SIZE_MAX
from federation.sync.frames import ORIGIN_BYTES_MAX
from federation.sync.messages import SINCE_CHARS_MAX

NEWS_LOGS_MAX = 64
"""Logs pulled by name; when more have grown at once, their heads are asked for."""

_ID = re.compile(rb"[!-~]{1,%d}" % SINCE_CHARS_MAX)


@dataclass(frozen=True, slots=True)
class News:
    """Logs that have grown, by origin. `id` is what to resume from, if given; `mail`: something waits for us there.

    `unnamed`: something has changed, and nobody says what.
    """

    id: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    mail: bool = False
    unnamed: bool = False


class _Grown(msgspec.Struct, frozen=True):
    origin: Annotated[str, Meta(max_length=ORIGIN_BYTES_MAX)]
    size: Annotated[int, Meta(ge=0, le=TREE_SIZE_MAX)]


def split_events(stream: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole events at the beginning of a stream, their lines ended by LF alone, and what follows them.

    A line of server-sent events ends with CR LF, with LF or with CR; an event with an empty line.
    """
    undecided = b"\r" if stream.endswith(b"\r") else b""  # an LF may follow
    lines = stream.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *events, rest = lines.split(b"\n\n")
    return events, rest + undecided


def read_news(events: Iterable[bytes]) -> News | None:
    """Return what these server-sent events say together, None when none of them is about a log or mail."""
    told, mail, last_id = False, False, None
    sizes: dict[str, int] = {}
    for event in events:
        fields = _fields(event)
        mail = mail or fields.get(b"event") == b"mail"
        if fields.get(b"event") != b"head":
            continue
        told = True
        try:
            grown = msgspec.json.decode(fields.get(b"data", b""), type=_Grown)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return News(last_id, unnamed=True)
        sizes[grown.origin] = grown.size
        if _ID.fullmatch(given := fields.get(b"id", b"")):
            last_id = given.decode()
    return News(last_id, sizes, mail) if told or mail else None


def _fields(event: bytes) -> dict[bytes, bytes]:
    """Return an event's fields; of one that is given twice the last, but of data, which go on, all."""
    fields: dict[bytes, bytes] = {}
    for line in event.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        fields[name] = fields[name] + b"\n" + value if name == b"data" and name in fields else value
    return fields


class Bell:
    """Wakes a peer's task: for everything, for logs by name, for mail. News do not end a pause after a failure."""

    def __init__(self, rests_until: datetime | None) -> None:
        self._event = asyncio.Event()
        self._sizes: dict[str, int] = {}
        self._for_everything = False
        self._mail = False
        self.rests_until = rests_until

    def ring(self) -> None:
        """Have everything that changed looked at."""
        self._for_everything = True
        self._event.set()

    def tell(self, news: News, now: datetime) -> None:
        """Have the named logs pulled, or the mail fetched."""
        if self.rests_until is not None and now < self.rests_until:
            return
        self._sizes |= news.sizes
        self._mail = self._mail or news.mail
        if len(self._sizes) > NEWS_LOGS_MAX:
            self._for_everything = True
            self._sizes = {}  # names that come while a pull lasts would have no end
        self._for_everything = self._for_everything or news.unnamed
        self._event.set()

    async def rung(self, settle_s: float) -> News:
        """Wait for a ring, and what follows within `settle_s`; return what to look at."""
        await self._event.wait()
        await asyncio.sleep(settle_s)
        told = News(None, self._sizes, self._mail, self._for_everything)
        self._sizes, self._mail, self._for_everything = {}, False, False
        self._event.clear()
        return told

    async def rung_during(self, works: Collection[asyncio.Task[None]], settle_s: float) -> News | None:
        """Wait as `rung` does, or until one of the works is done: then None, and what rings later is not lost."""
        ringing = asyncio.create_task(self.rung(settle_s), name="bell")
        try:
            await asyncio.wait((*works, ringing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ringing.cancel()
        await asyncio.gather(ringing, return_exceptions=True)
        return None if ringing.cancelled() else ringing.result()
