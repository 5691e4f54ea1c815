"""A peer that hands on a true node's answers, tampered with on the way."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from msgspec import structs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from federation.sync.frames import CheckpointNote, Decoder, DidLine, EntryData, Frame, encode
from tests.sockets import http_client

FrameTamper = Callable[[list[Frame]], list[Frame]]
BytesTamper = Callable[[bytes], bytes]
Answer = Callable[[Request, bytes], Response | None]


@dataclass
class Liar:
    """What it does to pulls (as frames, then as bytes) and to heads; `answer` replaces a response altogether."""

    truth: str
    frames: FrameTamper | None = None
    pulled: BytesTamper | None = None
    heads: BytesTamper | None = None
    answer: Answer | None = None
    pulls: int = 0
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        self.app = Starlette(routes=[Route("/{path:path}", self._relay, methods=["GET", "POST"])])

    def be_honest(self) -> None:
        self.frames = self.pulled = self.heads = self.answer = None

    async def _relay(self, request: Request) -> Response:
        if request.url.path.endswith("/stream"):
            return Response("it tells no news", 404)
        url = f"{self.truth}{request.url.path}?{request.url.query}"
        async with http_client() as http:
            true = await http.request(
                request.method, url, content=await request.body(), headers={"accept-encoding": "identity"}
            )
        body = true.content
        if request.url.path.endswith("/pull"):
            self.pulls += 1
            if self.frames is not None:
                body = b"".join(map(encode, self.frames(Decoder().feed(body))))
            if self.pulled is not None:
                body = self.pulled(body)
        elif request.url.path.endswith("/heads") and self.heads is not None:
            body = self.heads(body)
        instead = self.answer(request, body) if self.answer is not None else None
        return instead or Response(body, true.status_code, media_type=true.headers["content-type"])


def flipped(data: bytes, at: int = -1) -> bytes:
    """Return the bytes with one bit of one of them changed."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def other_entry(entry: EntryData) -> EntryData:
    """Return the entry with one bit of what is signed changed."""
    return EntryData(flipped(entry.data, 8), entry.salt, entry.body)


def other_body(entry: EntryData) -> EntryData:
    """Return the entry with one bit of its payload changed."""
    return EntryData(entry.data, entry.salt, flipped(entry.body or b""))


def of_log(change: FrameTamper, number: int = -1) -> FrameTamper:
    """Apply a change to one log's section, the last by default (the operator's own comes first)."""

    def tamper(frames: list[Frame]) -> list[Frame]:
        starts = [at for at, frame in enumerate(frames) if type(frame).__name__ == "Log"]
        start = starts[number]
        stop = next((at for at in starts if at > start), len(frames) - 1)
        return [*frames[:start], *change(frames[start:stop]), *frames[stop:]]

    return tamper


def each_entry(change: Callable[[EntryData], EntryData], *numbers: int) -> FrameTamper:
    """Change the entries with these places within their section."""

    def tamper(frames: list[Frame]) -> list[Frame]:
        changed: list[Frame] = []
        place = 0
        for frame in frames:
            if isinstance(frame, EntryData):
                changed.append(change(frame) if place in numbers else frame)
                place += 1
            else:
                changed.append(frame)
        return changed

    return of_log(tamper)


def swapped_entries(first: int, second: int, *, bodies_only: bool = False) -> FrameTamper:
    """Exchange two entries of the section, or only their payloads."""

    def tamper(frames: list[Frame]) -> list[Frame]:
        places = [at for at, frame in enumerate(frames) if isinstance(frame, EntryData)]
        a, b = frames[places[first]], frames[places[second]]
        assert isinstance(a, EntryData)
        assert isinstance(b, EntryData)
        changed = list(frames)
        if bodies_only:
            a, b = structs.replace(a, salt=b.salt, body=b.body), structs.replace(b, salt=a.salt, body=a.body)
            changed[places[first]], changed[places[second]] = a, b
        else:
            changed[places[first]], changed[places[second]] = b, a
        return changed

    return of_log(tamper)


def notes(change: BytesTamper) -> FrameTamper:
    """Change the section's checkpoint."""

    def tamper(frames: list[Frame]) -> list[Frame]:
        return [CheckpointNote(change(each.note)) if isinstance(each, CheckpointNote) else each for each in frames]

    return of_log(tamper)


def lines(change: BytesTamper) -> FrameTamper:
    """Change the section's DID lines."""

    def tamper(frames: list[Frame]) -> list[Frame]:
        return [DidLine(change(each.line)) if isinstance(each, DidLine) else each for each in frames]

    return of_log(tamper)


def without(*kinds: type) -> FrameTamper:
    """Leave frames of these types out of the section."""
    return of_log(lambda frames: [each for each in frames if not isinstance(each, kinds)])


def tampered(body: bytes, tamper: FrameTamper) -> bytes:
    """Return a bundle or a deposit, tampered with."""
    frames = Decoder().feed(zlib.decompress(body, 16 + zlib.MAX_WBITS))
    return b"".join(map(encode, tamper(frames)))


LIES: dict[str, tuple[FrameTamper, str]] = {
    "a body": (each_entry(other_body, 2), "PAYLOAD_COMMITMENT_MISMATCH"),
    "an entry": (each_entry(other_entry, 2), "NOT_A_PREFIX"),
    "two entries": (swapped_entries(1, 2), "NOT_A_PREFIX"),
    "two bodies": (swapped_entries(1, 2, bodies_only=True), "PAYLOAD_COMMITMENT_MISMATCH"),
    "the note": (notes(lambda note: note.replace(b"\n4\n", b"\n5\n")), "CHECKPOINT_SIGNATURE_INVALID"),
}
"""What is told of a log of four entries, and the rule that it breaks."""


def kept_in(bodies: list[bytes]) -> Callable[[bytes], bytes]:
    """Return a change that changes nothing but keeps what passes."""

    def keep(body: bytes) -> bytes:
        bodies.append(body)
        return body

    return keep


async def drip(piece: bytes, pause_s: float) -> AsyncIterator[bytes]:
    """Yield the same piece for ever."""
    while True:
        yield piece
        await asyncio.sleep(pause_s)
