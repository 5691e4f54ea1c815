"""`make bench-sync`: real nodes, real sockets, one durable PostgreSQL; prints a table and writes the result."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.sync import bulk, epoch, mirror, nodes, quiet, report, visible, wire


@dataclass(frozen=True, slots=True)
class Size:
    """How much."""

    records: int
    rounds: int
    known: tuple[int, ...]
    new: int
    published: int
    quiet_logs: int
    mirrored: int
    recovered: int


SIZES = {
    "smoke": Size(10_000, 2, (1_000, 5_000), 1_000, 20, 200, 5_000, 5_000),
    "full": Size(100_000, 3, (1_000, 10_000, 100_000), 1_000, 100, 10_000, 1_000_000, 1_000_000),
}
Part = Callable[[str, Path, Size], Awaitable[dict[str, Any]]]
PARTS: dict[str, tuple[str, Part]] = {
    "bulk": (
        "verify and apply a log, beside a bare COPY of the same rows",
        lambda dsn, at, size: bulk.measure(dsn, at, size.records, size.rounds),
    ),
    "wire": (
        "bytes of new records, beside gzip of what they are",
        lambda dsn, at, size: wire.measure(dsn, at, list(size.known), size.new),
    ),
    "visible": (
        "from publishing to being told on another node",
        lambda dsn, at, size: visible.measure(dsn, at, size.published),
    ),
    "quiet": (
        "many logs of which none has grown",
        lambda dsn, at, size: quiet.measure(dsn, at, size.quiet_logs),
    ),
    "mirror": (
        "a fresh node mirrors a long log: its memory",
        lambda dsn, at, size: mirror.measure(dsn, at, size.mirrored),
    ),
    "epoch": (
        "a new log after a theft: whom the switch holds up",
        lambda dsn, at, size: epoch.measure(dsn, at, size.recovered),
    ),
}


def main() -> None:
    """Measure at the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="smoke")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of them, for a quick look")
    given = parser.parse_args()
    found: dict[str, Any] = {"size": given.size, "machine": report.machine()}
    for name in given.parts.split(","):
        what, part = PARTS[name]
        sys.stderr.write(f"bench-sync: {what}\n")
        with nodes.postgres() as (dsn, directory):
            found |= asyncio.run(_measured(part, dsn, directory, SIZES[given.size]))
        sys.stderr.write(f"{json.dumps(found)}\n" if given.size == "full" else "")
    report.show(found)
    sys.stderr.write(f"bench-sync: written to {report.write(found)}\n")


async def _measured(part: Part, dsn: str, directory: Path, size: Size) -> dict[str, Any]:
    return await part(dsn, directory, size)


if __name__ == "__main__":
    main()
