"""The command line against a database of the test's own, in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.house.source import ROOT

Gotong = Callable[..., "Ran"]


class Ran:
    """A finished command."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)


@pytest.fixture
def gotong(database_dsn: str, tmp_path: Path) -> Gotong:
    """Run `gotong ...` with a data directory and a database of this test's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
    environment |= {"GOTONG_DATABASE_URL": database_dsn, "GOTONG_DATA_DIR": str(tmp_path / "data")}

    def run(*arguments: str, stdin: str | None = None, **more: str) -> Ran:
        return Ran(
            subprocess.run(
                [sys.executable, "-m", "node.cli", *arguments],
                capture_output=True,
                text=True,
                input=stdin,
                cwd=ROOT,
                env={**environment, **more},
                timeout=120,
                check=False,
            )
        )

    return run


@pytest.fixture
def begun(gotong: Gotong) -> Gotong:
    """The same, with a node begun on the test network."""
    assert gotong("init", "Simpul Uji", "--region", "34.71", "--network", "test", "--no-cards").code == 0
    return gotong
