"""Run seeds until one fails: `python -m tests.sim --seeds 1000 [--nodes 20] [--first 1] [--moods rotate,move]`.

As many processes as the computer has cores share the seeds, each with a PostgreSQL of its own.
"""

import argparse
import asyncio
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import structlog

from store.embedded import EmbeddedServer
from tests.conftest import _template
from tests.sim.disks import Disks
from tests.sim.world import STEPS, STEPS_BY_WEIGHT, Step, world

MOODS_BY_NAME = {step.__name__: step for step in STEPS_BY_WEIGHT}
RUN_S_MAX = 1_200.0
"""Beyond it a run does not end by itself; most take seconds."""
POLL_S = 0.2


async def run_seed(
    seed: int, disks: Disks, directory: Path, *, nodes: int | None, steps: int, moods: Sequence[Step] = ()
) -> list[str]:
    """Return what happened in the run of one seed, or raise AssertionError with it; `moods` instead of the seed's."""
    count = nodes or 3 + seed % 3
    async with world(seed, disks, directory, nodes=count, liars=seed % 3, forks=seed % 4 == 3) as made:
        made.moods = list(moods) or made.moods
        try:
            async with asyncio.timeout(RUN_S_MAX):
                await made.run(steps)
        except BaseException as error:
            error.add_note("\n".join([f"seed {seed}, {count} nodes:", *made.told]))
            raise
        return made.told


async def run_seeds(given: argparse.Namespace, server_dsn: str, directory: Path) -> list[int]:
    """Run the seeds one after the other, on the same databases, and return those that failed.

    The first failure ends it, unless told to go on.
    """
    disks = Disks(server_dsn, await _template(server_dsn), "run")
    failed: list[int] = []
    began_s = time.monotonic()
    seeds = range(given.first, given.first + given.seeds, given.every)
    for done, seed in enumerate(seeds, start=1):
        try:
            told = await run_seed(seed, disks, directory, nodes=given.nodes, steps=given.steps, moods=given.moods)
            if given.tell:
                sys.stdout.write("\n".join([f"seed {seed}:", *told, ""]))
        except Exception:
            failed.append(seed)
            again = f"python -m tests.sim --seeds 1 --first {seed} --steps {given.steps}"
            sys.stdout.write(f"\n{traceback.format_exc()}\nTo repeat it: {again}{_options(given)}\n")
            if not given.go_on:
                break
        sys.stdout.write(f"\r{done} of {len(seeds)} seeds, {(time.monotonic() - began_s) / done:.2f} s each")
        sys.stdout.flush()
    sys.stdout.write("\n")
    return failed


def run_side_by_side(given: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Return how many of `given.jobs` processes failed, each of which ran its share of the seeds.

    The first failure ends all, unless told to go on.
    """
    running = []
    for number in range(min(given.jobs, given.seeds)):
        mine = {"--jobs": 1, "--first": given.first + number, "--seeds": given.seeds - number, "--every": given.jobs}
        options = [str(each) for option in mine.items() for each in option]
        running.append(subprocess.Popen([sys.executable, "-m", "tests.sim", *arguments, *options]))
    failed = 0
    try:
        while running:
            ended = [each for each in running if each.poll() is not None]
            running = [each for each in running if each not in ended]
            failed += sum(each.returncode != 0 for each in ended)
            if failed and not given.go_on:
                break
            time.sleep(POLL_S)
    finally:
        for each in running:
            each.send_signal(signal.SIGINT)
        for each in running:
            each.wait()
    return failed


def _options(given: argparse.Namespace) -> str:
    moods = ",".join(name for name, step in MOODS_BY_NAME.items() if step in given.moods)
    return ("" if given.nodes is None else f" --nodes {given.nodes}") + (f" --moods {moods}" if moods else "")


def _moods(text: str) -> list[Step]:
    unknown = set(text.split(",")) - MOODS_BY_NAME.keys()
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
    return [MOODS_BY_NAME[name] for name in text.split(",")]


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many to run")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--nodes", type=int, help="machines in every run; 3 to 5 by default")
    parser.add_argument("--steps", type=int, default=STEPS, help="what happens in a run")
    parser.add_argument(
        "--moods",
        type=_moods,
        default=[],
        help="kinds of steps that every run is full of, of: " + ", ".join(MOODS_BY_NAME),
    )
    parser.add_argument("--tell", action="store_true", help="say what happened in each of them")
    parser.add_argument("--go-on", action="store_true", help="run the others when one fails")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes share them")
    parser.add_argument("--every", type=int, default=1, help="run one of so many seeds")
    given = parser.parse_args()
    if min(given.jobs, given.seeds) > 1:
        sys.exit(run_side_by_side(given, sys.argv[1:]))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="gotong-sim-") as path:
        directory = Path(path)
        directory.chmod(0o755)
        server = EmbeddedServer(directory, durable=False)
        try:
            failed = asyncio.run(run_seeds(given, server.start(), directory))
        except KeyboardInterrupt:
            sys.exit("stopped")
        finally:
            server.stop()
    if failed:
        sys.exit(f"{len(failed)} of {given.seeds} seeds failed: {failed}")


if __name__ == "__main__":
    main()
