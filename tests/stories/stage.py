"""The stage of a story: machines in a directory of their own, sentences, a bound in time, and nothing left behind."""

import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tests.driver.machine import Machine, Refused
from tests.stories.namespaces import Networks

LOG_LINES_SHOWN = 30


class StoryFailed(Exception):
    """Something was not as told, or did not happen in time."""


@dataclass
class Stage:
    """Where a story happens. `directory` is gone afterwards."""

    directory: Path
    machines: list[Machine] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def machine(
        self, name: str, port: int, *, networks: Networks | None = None, address: str = "127.0.0.1", **settings: str
    ) -> Machine:
        """Return one more machine, its clock right and nothing on it; `settings` are GOTONG_ variables."""
        environment = {f"GOTONG_{key.upper()}": value for key, value in {"network": "test", **settings}.items()}
        made = Machine(name, self.directory / name / "data", address, port, networks, environment)
        self.machines.append(made)
        return made

    def tell(self, text: str) -> None:
        """Say what happens."""
        sys.stdout.write(f"{time.monotonic() - self.began_s:6.1f} s  {text}\n")
        sys.stdout.flush()

    def require(self, holds: object, text: str) -> None:
        """Say that something holds, or raise StoryFailed."""
        if not holds:
            raise StoryFailed(f"this does not hold: {text}")
        self.tell(text)


@contextlib.contextmanager
def stage(limit_s: int) -> Iterator[Stage]:
    """Yield an empty stage. After `limit_s`, or on SIGTERM, what runs is interrupted by StoryFailed."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        what = f"the story took longer than {limit_s} s" if number == signal.SIGALRM else "the story was stopped"
        raise StoryFailed(what)

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGALRM, signal.SIGTERM)}
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    with tempfile.TemporaryDirectory(prefix="gotong-story-", ignore_cleanup_errors=True) as directory:
        made = Stage(Path(directory))
        made.directory.chmod(0o755)  # the database's server may be another user
        try:
            yield made
        except (Refused, StoryFailed):
            _show_logs(made.machines)
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for machine in made.machines:
                machine.kill()
            for number, handler in before.items():
                signal.signal(number, handler)


def _show_logs(machines: list[Machine]) -> None:
    for machine in machines:
        if machine.log.exists():
            lines = machine.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            sys.stderr.write(f"---- the end of what {machine.name} logged\n" + "".join(f"{line}\n" for line in lines))
