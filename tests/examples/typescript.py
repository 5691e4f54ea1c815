"""The programs of examples/typescript do what they say: `make examples`, where npm is."""

import json
import subprocess
from pathlib import Path

from tests.examples.conftest import ExampleNode
from tests.house.source import ROOT
from tests.waiting import PATIENCE_S

FOLDER = ROOT / "examples" / "typescript"


def run(node: ExampleNode, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=FOLDER, env=node.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_the_types_are_right(example_node: ExampleNode) -> None:
    done = run(example_node, "node_modules/.bin/tsc")
    assert (done.returncode, done.stdout) == (0, "")


def test_asking_prints_urgent_needs_of_the_region(example_node: ExampleNode) -> None:
    need = example_node.publish("Krayon", urgency="CRITICAL")
    done = run(example_node, "node", "ask.mjs", "32.03")
    assert done.stdout.splitlines()[0] == f"CRITICAL\tKrayon\tSimpul Contoh\t{need}"


def test_asking_tells_the_code_of_what_is_refused(example_node: ExampleNode) -> None:
    done = run(example_node, "node", "ask.mjs", "99")
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "REGION_UNKNOWN")


def test_the_follower_goes_on_behind_its_cursor(example_node: ExampleNode, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor.txt"
    place = {"code": "32.07.01"}

    def following() -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["node", "follow.mjs", str(cursor), "32.07"],
            cwd=FOLDER,
            env=example_node.environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    with following() as first:
        example_node.publish_until(cursor.exists, place=place)
        first.kill()
    missed = [example_node.publish(f"Terlewat {number}", place=place) for number in range(2)]
    told: list[str] = []
    with following() as second:
        assert second.stdout is not None
        while missed[-1] not in told:
            told.append(second.stdout.readline().strip().split("\t")[1])
        second.kill()
    assert told[-2:] == missed
    assert len(told) == len(set(told))


def test_the_follower_says_why_it_is_refused(example_node: ExampleNode, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor.txt"
    cursor.write_text("bm9uZSA3")  # of a stream that is none of this node's
    done = run(example_node, "node", "follow.mjs", str(cursor))
    assert (done.returncode, done.stderr.strip()) == (1, "STREAM_CHANGED")


def test_the_packages_have_exact_versions() -> None:
    package = json.loads((FOLDER / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert [version for version in versions.values() if not version.replace(".", "").isdigit()] == []
