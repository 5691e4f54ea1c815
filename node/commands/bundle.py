"""`gotong bundle`: logs as one file, for a USB stick or a chat message."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, ClassVar

import typer

from domain.errors import GotongError
from node.output import AsJson, DataDir, Json, show

if TYPE_CHECKING:
    from federation.bundles.bundle import Extent
    from federation.bundles.intake import Intake, Taken
    from federation.sync.plan import OwnLogLonger

app = typer.Typer(help="Logs as one file, checked like any other copy.", no_args_is_help=True)

Organizations = Annotated[
    list[str],
    typer.Argument(
        metavar="[ORG]...", default_factory=list, help="Slug of one hosted here, or anybody's id (`gotong:<SCID>`)."
    ),
]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="The bundle to write; `-` is standard output.")]
OldFile = Annotated[Path, typer.Argument(metavar="FILE", help="The bundle to read; `-` is standard input.")]
Everybody = Annotated[bool, typer.Option("--all", help="Every log this node relays, not only of those hosted here.")]
Since = Annotated[
    list[Path] | None,
    typer.Option("--since", metavar="BUNDLE", help="Leave out what this earlier bundle holds. May be repeated."),
]


BACK = "it was longer than the log here, and was taken back"
LACKING = (
    "it is longer than the log here; nothing is signed in it until the rest is back (gotong sync, or another bundle)"
)


class BundleUnreadable(GotongError):
    """The bundle's file cannot be read or written; the system's own words say why."""

    code: ClassVar[str] = "BUNDLE_UNREADABLE"


@app.command()
def export(
    organizations: Organizations,
    file: NewFile,
    everybody: Everybody = False,
    since: Since = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write logs into one file that any node can import and check: those hosted here, or the ones named."""
    import asyncio

    from federation.bundles import bundle
    from node.participants import known_scid
    from node.settings import Settings
    from node.wiring import opened
    from store import participants

    before = _extents(since or [])

    async def run() -> tuple[int, int]:
        async with opened(Settings.load(data_dir)) as node:
            scids: list[str] | None = None
            if organizations:
                scids = [await known_scid(node, name) for name in organizations]
            elif not everybody:
                async with node.database.acquire() as connection:
                    scids = [row.scid for row in await participants.hosted(connection)]
            wanted = await bundle.wanted_logs(node.database, scids, before)
            return len(wanted), await _write(file, bundle.export(node.database, wanted, scids))

    logs, written = asyncio.run(run())
    if str(file) == "-":
        return
    text = f"{file}: {logs} log{'' if logs == 1 else 's'}, {written} bytes."
    show({"file": str(file), "logs": logs, "bytes": written}, text, as_json=as_json)


@app.command("import")
def import_(file: OldFile, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take what is new of a bundle, checked as if it came from a peer; may be cut off and run again."""
    import asyncio

    from federation.bundles import bundle
    from federation.bundles.intake import Intake
    from node.settings import Settings
    from node.wiring import now, opened
    from store.database import connect
    from store.locks import Claims

    settings = Settings.load(data_dir)

    async def run() -> tuple["Intake", GotongError | None]:
        async with opened(settings) as node:
            await node.operator()
            claims = Claims(lambda: connect(node.dsn, application_name="gotong bundle"))
            intake = Intake(node.database, settings.network, now, claims)
            try:
                with _opened(file) as source:
                    await bundle.import_(intake, bundle.pieces_of(source))
            except GotongError as error:
                return intake, error
            finally:
                await claims.close()
            return intake, None

    intake, broken = asyncio.run(run())
    taken = intake.taken
    logs = [_json(origin, each) for origin, each in taken.items()]
    ended: Json = None if broken is None else {"code": broken.code, "message": broken.message}
    lines = [_text(origin, each) for origin, each in taken.items()]
    is_back = {origin: _is_back(lost, taken[origin]) for origin, lost in intake.lost.items()}
    lines += [f"{origin}  OURS: {BACK if back else LACKING}" for origin, back in is_back.items()]
    lines += [f"{each.origin}  FROZEN before size {each.size}: it was told in two ways" for each in intake.findings]
    if broken is not None:
        lines.append(f"ENDED EARLY  {broken.code}: {broken.message}. What is listed above is kept.")
    frozen: list[Json] = [
        {"log": each.origin, "size": each.size, "evidence": each.id.hex()} for each in intake.findings
    ]
    show(
        {
            "logs": logs,
            "taken_back": [origin for origin, back in is_back.items() if back],
            "lacking": [origin for origin, back in is_back.items() if not back],
            "frozen": frozen,
            "ended": ended,
        },
        "\n".join(lines) or "The bundle holds no log.",
        as_json=as_json,
    )
    if broken is not None or any(each.error for each in taken.values()):
        raise typer.Exit(1)


def _extents(files: list[Path]) -> dict[str, "Extent"]:
    """Return how far earlier bundles go together."""
    from federation.bundles.bundle import Extent, extents, pieces_of

    found: dict[str, Extent] = {}
    for path in files:
        with _opened(path) as source:
            for origin, each in extents(pieces_of(source)).items():
                known = found.get(origin, Extent())
                found[origin] = Extent(max(known.size, each.size), max(known.did_version, each.did_version))
    return found


async def _write(path: Path, pieces: AsyncIterator[bytes]) -> int:
    """Write the whole file or none of it, durably, and return its bytes; raise BundleUnreadable."""
    import sys

    written = 0
    if str(path) == "-":
        async for piece in pieces:
            sys.stdout.buffer.write(piece)
            written += len(piece)
        sys.stdout.buffer.flush()
        return written
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("xb") as target:
            async for piece in pieces:
                target.write(piece)
                written += len(piece)
            target.flush()
            os.fsync(target.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise BundleUnreadable(f"cannot be written: {error.strerror}", file=str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return written


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Return the file to read from; raise BundleUnreadable."""
    import sys

    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise BundleUnreadable(f"cannot be read: {error.strerror}", file=str(path)) from error


def _json(origin: str, taken: "Taken") -> dict[str, Json]:
    error = taken.error
    return {
        "log": origin,
        "entries": taken.entries,
        "records": taken.records,
        "error": None if error is None else {"code": error.code, "message": error.message, **error.details},
    }


def _is_back(lost: "OwnLogLonger", taken: "Taken") -> bool:
    held, found = lost.details["held"], lost.details["found"]
    return isinstance(held, int) and isinstance(found, int) and held + taken.entries >= found


def _text(origin: str, taken: "Taken") -> str:
    text = f"{origin}  {taken.entries} new entries, {taken.records} records"
    if taken.error is None:
        return text
    details = ", ".join(f"{name} {value}" for name, value in taken.error.details.items() if value is not None)
    return f"{text}; {taken.error} ({details})" if details else f"{text}; {taken.error}"
