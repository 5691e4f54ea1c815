"""The main job, as someone who has just cloned the repository sees it: four processes, one answer, one proof."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from tests.house.source import ROOT

NODES = 4


def test_the_demo_federates_four_processes_and_another_node_answers_with_a_proven_need() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
    with tempfile.TemporaryDirectory(prefix="gotong-demo-") as directory:
        Path(directory).chmod(0o755)  # PostgreSQL runs as another user when the tests run as root
        done = subprocess.run(
            [sys.executable, "-m", "node.cli", "demo", "--once", "--json", "--data", directory],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=600,
            check=False,
        )
        left = [each for each in psutil.process_iter(["cmdline"]) if directory in " ".join(each.info["cmdline"] or [])]
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = done.stdout.splitlines()
    outcome = json.loads(line)
    assert sorted(outcome) == ["needs", "nodes", "proof_ok", "propagation_ms"]
    assert (outcome["nodes"], outcome["proof_ok"]) == (NODES, True)
    assert outcome["needs"] > NODES
    assert outcome["propagation_ms"] > 0
    assert left == [], "the demo left processes behind"
