"""Run seeds until one fails: `python -m tests.sim --seeds 1000 [--nodes 20] [--first 1] [--tell]`."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from store.embedded import EmbeddedServer
from tests.conftest import _template
from tests.sim.disks import Disks
from tests.sim.world import STEPS, world

NODES_MAX_DEFAULT = 5


async def run_seed(seed: int, disks: Disks, directory: Path, *, nodes: int | None, steps: int) -> list[str]:
    """Return what happened in the run of one seed, or raise AssertionError with it."""
    count = nodes or 3 + seed % 3
    async with world(seed, disks, directory, nodes=count, liars=seed % 3, forks=seed % 4 == 3) as made:
        try:
            await made.run(steps)
        except BaseException as error:
            error.add_note("\n".join([f"seed {seed}, {count} nodes:", *made.told]))
            raise
        return made.told


async def run_seeds(given: argparse.Namespace, server_dsn: str, directory: Path) -> None:
    """Run the seeds one after the other, on the same databases."""
    disks = Disks(server_dsn, await _template(server_dsn), "run")
    began_s = time.monotonic()
    for done, seed in enumerate(range(given.first, given.first + given.seeds), start=1):
        told = await run_seed(seed, disks, directory, nodes=given.nodes, steps=given.steps)
        if given.tell:
            sys.stdout.write("\n".join([f"seed {seed}:", *told, ""]))
        sys.stdout.write(f"\r{done} of {given.seeds} seeds, {(time.monotonic() - began_s) / done:.2f} s each")
        sys.stdout.flush()
    sys.stdout.write("\n")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--nodes", type=int, help="machines in every run; 3 to 5 by default")
    parser.add_argument("--steps", type=int, default=STEPS, help="what happens in a run")
    parser.add_argument("--tell", action="store_true", help="say what happened in each of them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gotong-sim-") as path:
        directory = Path(path)
        directory.chmod(0o755)
        server = EmbeddedServer(directory, durable=False)
        try:
            asyncio.run(run_seeds(given, server.start(), directory))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
