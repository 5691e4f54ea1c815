"""Show that the simulation bites: `python -m tests.sim.mutants [--seeds 60] [name ...]`, all in mutants.txt by default.

A mutant is this program with one rule of docs/protocol.md or docs/adr broken. Each is made in a copy of the sources and
simulated until a seed fails; one that survives them all is a rule that the simulation does not look at.

A mutant in mutants.txt is a line `== name | rule | kinds of steps` (the last may be left out), the path of a file, then
lines of it, each after a `-`, and what stands in their place, each after a `+`. They are whole up to their beginning:
the text must be there once.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house.source import NOT_OURS, NOT_OURS_ENDINGS, ROOT

LIST = Path(__file__).with_suffix(".txt")
SEEDS = 60
NODES = 3
"""In every run: the fewest that show everything, and the fastest."""
RUN_S_MAX = 1_800
"""Of all seeds of one mutant; who hangs is found as well."""
ERROR = re.compile(r"^[\w.]+: .*", re.MULTILINE)
FAILED = re.compile(r"\nseed (\d+), \d+ nodes:\n")
"""What follows an error in a run, and so tells it from those that it came of."""


@dataclass(frozen=True)
class Mutant:
    """One rule broken: in the file at `path`, `new` stands where `old` is. `moods` suit it, joined by commas."""

    name: str
    rule: str
    moods: str
    path: str
    old: str
    new: str

    def made_of(self, source: str) -> str:
        """Return the source of its file with the rule broken; raise ValueError if the text is not there once."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: its text is {source.count(self.old)} times in {self.path}")
        return source.replace(self.old, self.new)


def mutants() -> Iterator[Mutant]:
    """Return what mutants.txt lists."""
    for block in LIST.read_text(encoding="utf-8").split("\n== ")[1:]:
        title, path, *lines = block.strip("\n").split("\n")
        name, rule, moods = [*map(str.strip, title.split("|")), ""][:3]
        old, new = ("\n".join(line[1:] for line in lines if line[0] == sign) for sign in "-+")
        yield Mutant(name, rule, moods, path, old, new)


def survive(mutant: Mutant, copy: Path, seeds: int, jobs: int) -> str | None:
    """Return how a mutant was found, None if no seed found it. Raises RuntimeError when it does not even begin."""
    path = copy / mutant.path
    source = path.read_text(encoding="utf-8")
    path.write_text(mutant.made_of(source), encoding="utf-8")
    command = [sys.executable, "-m", "tests.sim", "--nodes", str(NODES), "--seeds", str(seeds), "--jobs", str(jobs)]
    command += ["--moods", mutant.moods] if mutant.moods else []
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        return "it hangs"
    finally:
        path.write_text(source, encoding="utf-8")
    if not done.returncode:
        return None
    found = FAILED.search(done.stdout)
    if found is None:
        raise RuntimeError(f"{mutant.name} does not run: {done.stdout[-500:]}{done.stderr[-500:]}")
    errors = ERROR.findall(done.stdout[: found.start()])
    return f"seed {found[1]}: {errors[-1][:200]}"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="some of those in mutants.txt")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many each has to survive")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes share them")
    given = parser.parse_args()
    known = {each.name: each for each in mutants()}
    survivors: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gotong-mutants-") as directory:
        copy = Path(directory) / "gotong"
        ignored = shutil.ignore_patterns(*NOT_OURS, *(f"*{ending}" for ending in NOT_OURS_ENDINGS))
        shutil.copytree(ROOT, copy, ignore=ignored)
        for name in given.names or known:
            found = survive(known[name], copy, given.seeds, given.jobs)
            sys.stdout.write(f"{name} ({known[name].rule}): {found or 'SURVIVES'}\n")
            sys.stdout.flush()
            survivors += [] if found else [name]
    if survivors:
        sys.exit(f"{len(survivors)} not found in {given.seeds} seeds: {', '.join(survivors)}")


if __name__ == "__main__":
    main()
