"""Run `gotong` on a machine with a clock of its own: `python -m tests.driver.skewed FILE COMMAND...`.

FILE holds how many seconds it is ahead, or behind with a minus; it may change while the node runs, as clocks do.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import node.wiring


def main() -> None:
    """Put the node's only clock wrong before anything has taken hold of it."""
    error = Path(sys.argv[1])
    node.wiring.now = lambda: datetime.now(UTC) + timedelta(seconds=float(error.read_text()))
    from node.cli import main as gotong

    gotong(sys.argv[2:])


if __name__ == "__main__":
    main()
