"""Run `gotong` on a machine whose clock is wrong: `python -m tests.stories.skewed SECONDS COMMAND...`."""

import sys
from datetime import UTC, datetime, timedelta

import node.wiring


def main() -> None:
    """Set the node's only clock wrong before anything has taken hold of it."""
    error = timedelta(seconds=int(sys.argv[1]))
    node.wiring.now = lambda: datetime.now(UTC) + error
    from node.cli import main as gotong

    gotong(sys.argv[2:])


if __name__ == "__main__":
    main()
