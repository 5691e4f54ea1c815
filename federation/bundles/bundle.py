"""Make and read bundles: one file that holds the frames of a pull answer, gzipped, for a USB stick or a chat. Shell.

A bundle is whatever stream of frames a pull could have answered with, for as many logs as one likes, and evidence about
them; nothing in it is believed because it is a file. It may be cut off anywhere: what was verified until then stays,
and importing the whole file again goes on from there.

Rules, with the error that answers each:
- B3.1 a bundle is a stream of frames (rules F), gzipped or not: CONTENT_CODING_INVALID.
- B3.2 it inflates to at most RATIO_MAX times its bytes, after the first INFLATED_SLACK_BYTES: BUNDLE_IS_BOMB. Logs hold
  hashes and salts, which do not shrink.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

from domain.errors import GotongError
from federation.bundles.intake import Intake
from federation.bundles.trim import version_number
from federation.sync import serve
from federation.sync.frames import Decoder, DidLine, End, EndOfLog, Evidence, Frame, Log, Mark, encode
from federation.sync.inflate import Inflater
from federation.sync.messages import Pull, Wanted
from federation.sync.sections import UNASKED_EVIDENCE_MAX, Assembler
from store import evidence, relay
from store.database import Database

READ_BYTES = 64 * 1024
INFLATED_SLACK_BYTES = 16 * 1024 * 1024
RATIO_MAX = 100
FRAMES_AT_ONCE = 256
BUNDLE_BYTES_MAX = 2**53 - 1
"""A bundle ends where its logs end, not at a number of bytes as a pull answer does."""
GZIP_LEVEL = 6
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"


class BundleIsBomb(GotongError):
    """The file inflates to far more than any log would."""

    code: ClassVar[str] = "BUNDLE_IS_BOMB"


class NothingToExport(GotongError):
    """None of these logs is here for others to have: unknown, not allowed, or not held in full yet."""

    code: ClassVar[str] = "NOTHING_TO_EXPORT"


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a bundle goes in one log: entries and DID lines from the first on."""

    size: int = 0
    did_version: int = 0


# ---- making ---------------------------------------------------------------------------------------------------------


async def wanted_logs(database: Database, scids: Sequence[str] | None, since: Mapping[str, Extent]) -> list[Wanted]:
    """Return what a bundle of these participants (None: everybody relayed here) holds after an earlier one, by origin.

    Raises NothingToExport when one of them has nothing here for others; a log that did not grow is left out.
    """
    async with database.acquire() as connection:
        rows = await relay.heads(connection)
    by_scid = {row.origin.split("/")[1] for row in rows}
    missing = [] if scids is None else [scid for scid in scids if scid not in by_scid]
    if missing or not rows:
        raise NothingToExport("of this log there is nothing here for others", scid=missing[0] if missing else None)
    wanted: list[Wanted] = []
    for row in rows:
        if scids is not None and row.origin.split("/")[1] not in scids:
            continue
        before = since.get(row.origin, Extent())
        if row.size > before.size or row.did_version > before.did_version:
            wanted.append(Wanted(row.origin, min(before.size, row.size), before.did_version))
    return wanted


async def export(
    database: Database, wanted: Sequence[Wanted], scids: Sequence[str] | None = None
) -> AsyncIterator[bytes]:
    """Yield the bytes of a bundle of these logs, and of what proves that a log of these participants was told twice.

    None: of everybody relayed here. Evidence comes along whatever an earlier bundle held: a frozen log does not grow.
    """
    gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    async for frames in serve.sections(database, Pull(list(wanted), BUNDLE_BYTES_MAX)):
        if piece := gzip.compress(frames):
            yield piece
    async for data in _evidence(database, scids):
        if piece := gzip.compress(encode(Evidence(data))):
            yield piece
    yield gzip.compress(encode(End())) + gzip.flush()


async def _evidence(database: Database, scids: Sequence[str] | None) -> AsyncIterator[bytes]:
    """Yield the newest pieces of evidence about these participants, of those relayed here, after their logs."""
    async with database.acquire() as connection:
        relayed = {row.origin.split("/")[1] for row in await relay.heads(connection)}
        about = relayed if scids is None else relayed.intersection(scids)
        ids = await evidence.newest_about(connection, sorted(about), UNASKED_EVIDENCE_MAX)
    for id_ in ids:
        async with database.acquire() as connection:
            data = await evidence.data(connection, id_)
        if data is not None:
            yield data


# ---- reading --------------------------------------------------------------------------------------------------------


def frames_of(pieces: Iterable[bytes]) -> Iterator[Frame]:
    """Yield the frames of a bundle's bytes, however they are cut; raises for rules B3 and F1."""
    decoder = Decoder()
    inflater: Inflater | None = None
    read_bytes = inflated_bytes = 0
    for data in pieces:
        if inflater is None:
            inflater = Inflater("gzip" if data.startswith(_GZIP_MAGIC) else "identity")
        read_bytes += len(data)
        for piece in inflater.feed(data):
            inflated_bytes += len(piece)
            if inflated_bytes > INFLATED_SLACK_BYTES + RATIO_MAX * read_bytes:
                raise BundleIsBomb("the file inflates to far more than any log would", ratio_max=RATIO_MAX)
            yield from decoder.feed(piece)
    if inflater is not None:
        inflater.finish()
    decoder.finish()


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's bytes in bounded pieces; the first one has at least the two that tell what it is."""
    while data := file.read(READ_BYTES):
        yield data


def extents(pieces: Iterable[bytes]) -> dict[str, Extent]:
    """Return how far a bundle goes in each of its logs; raises for rules B3 and F. Nothing in it is verified."""
    found: dict[str, Extent] = {}
    assembler = Assembler(None)
    origin, size, did_version = "", 0, 0
    for frame in frames_of(pieces):
        match frame:
            case Log():
                origin, size, did_version = frame.origin, 0, 0
            case DidLine():
                did_version = version_number(frame.line) or did_version
            case Mark():
                size = frame.size
            case EndOfLog():
                found[origin] = Extent(size, did_version)
            case _:
                pass
        assembler.take(frame)
    assembler.finish()
    return found


async def import_(intake: Intake, pieces: Iterable[bytes]) -> None:
    """Have the intake take all of a bundle's frames. Raises rules B3 and F and the database's errors.

    What the intake took before something is raised stays; importing the whole file again goes on from there.
    """
    try:
        for number, frame in enumerate(frames_of(pieces)):
            await intake.take(frame)
            if number % FRAMES_AT_ONCE == 0:
                await asyncio.sleep(0)  # a few bytes can stand for many frames: others have their turn in between
        await intake.finish()
    except GotongError:
        await intake.keep()
        raise
    finally:
        await intake.close()
