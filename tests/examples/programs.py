"""Run a program of examples/ against a node."""

import subprocess
import sys

from tests.examples.conftest import ExampleNode
from tests.house.source import ROOT
from tests.waiting import PATIENCE_S

EXAMPLES = ROOT / "examples"


def run(node: ExampleNode, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = EXAMPLES / program
    command = [sys.executable, str(path)] if path.suffix == ".py" else ["sh", str(path)]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        env=node.environment | environment,
        timeout=PATIENCE_S,
        check=False,
    )
