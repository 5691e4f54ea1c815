"""The Python programs in examples/ do what they say, against a running node."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.examples.conftest import ExampleNode
from tests.examples.programs import EXAMPLES, run

NEEDS = "select id, state, body from need"
ERASE = "mutation($id: ID!) { eraseRecord(input: {id: $id, parts: [BODY]}) { userErrors { code message } } }"
WITHDRAW = "mutation($id: ID!) { withdrawNeed(input: {id: $id}) { userErrors { code message } } }"


def test_the_nightly_copy_goes_on_where_it_stopped_and_stores_what_is_proven(
    example_node: ExampleNode, tmp_path: Path
) -> None:
    def copied() -> dict[str, Any]:
        with sqlite3.connect(file) as database:
            return {id_: (state, json.loads(body)) for id_, state, body in database.execute(NEEDS)}

    file = tmp_path / "needs.db"
    nightly = ("python/nightly.py", str(file), "--region", "32.04", "--first", "2")
    place = {"code": "32.04.05"}
    needs = [example_node.publish(f"Malam {number}", place=place) for number in range(3)]
    example_node.publish("Tempat lain")
    example_node.wait_until_told(len(needs), "32.04")
    # What others erased on this node is told too, and is no change to this copy.
    of_first_page = int(run(example_node, *nightly, "--pages", "1").stdout.split()[0])
    assert of_first_page in (1, 2)
    assert set(copied()) == set(needs[:of_first_page])
    assert run(example_node, *nightly).stdout == f"{len(needs) - of_first_page} changes\n"
    assert run(example_node, *nightly).stdout == "0 changes\n"
    withdrawn = example_node.ask(WITHDRAW, id=needs[0])
    assert withdrawn["data"]["withdrawNeed"]["userErrors"] == []
    example_node.wait_until_told(len(needs) + 1, "32.04")
    assert run(example_node, *nightly).stdout != "0 changes\n"
    assert set(copied()) == set(needs)
    assert [copied()[need][0] for need in needs] == ["WITHDRAWN", "OPEN", "OPEN"]
    assert copied()[needs[0]][1]["status"] == "WITHDRAWN"
    assert copied()[needs[2]][1]["title"] == [{"lang": "id", "text": "Malam 2"}]
    erased = example_node.ask(ERASE, id=needs[0])
    assert erased["data"]["eraseRecord"]["userErrors"] == []
    example_node.wait_until_erased(needs[0])
    assert run(example_node, *nightly).stdout == "1 changes\n"
    assert set(copied()) == set(needs[1:])


def test_the_nightly_copy_begins_again_after_a_node_was_restored(example_node: ExampleNode, tmp_path: Path) -> None:
    example_node.publish("Pulih", place={"code": "32.08.01"})
    example_node.wait_until_told(1, "32.08")
    file = tmp_path / "needs.db"
    nightly = ("python/nightly.py", str(file), "--region", "32.08")
    assert run(example_node, *nightly).stdout == "1 changes\n"
    with sqlite3.connect(file) as database:
        database.execute("update place set cursor = 'bm9uZSA3'")  # of a stream that is none of this node's
    assert "STREAM_CHANGED" in run(example_node, *nightly).stderr
    assert run(example_node, *nightly).stdout == "1 changes\n"


def test_the_nightly_copy_keeps_nothing_of_a_page_with_a_false_proof(example_node: ExampleNode, tmp_path: Path) -> None:
    example_node.publish("Jujur", place={"code": "32.05.01"})
    liar = tmp_path / "gotong"  # stands in for the real one: as if the proof were of another record
    liar.write_text('#!/bin/sh\necho \'{"id": "gotong:other", "body": {}}\'\n')
    liar.chmod(0o755)
    path = f"{tmp_path}:{example_node.environment['PATH']}"
    file = tmp_path / "needs.db"
    example_node.wait_until_told(1, "32.05")
    done = run(example_node, "python/nightly.py", str(file), "--region", "32.05", PATH=path)
    assert done.returncode == 1
    assert "is that of gotong:other" in done.stderr
    with sqlite3.connect(file) as database:
        assert database.execute("select count(*) from need").fetchone() == (0,)


def test_the_follower_goes_on_behind_its_cursor(example_node: ExampleNode, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor.txt"
    program = [sys.executable, str(EXAMPLES / "python/follow.py"), str(cursor), "--region", "32.06"]
    place = {"code": "32.06.01"}

    def following() -> subprocess.Popen[str]:
        return subprocess.Popen(program, env=example_node.environment, stdout=subprocess.PIPE, text=True)

    with following() as first:
        assert first.stdout is not None
        example_node.publish_until(cursor.exists, place=place)
        assert json.loads(first.stdout.readline())["title"] == "Ikuti"
        first.kill()
    told = cursor.read_text()
    missed = example_node.publish("Terlewat", place=place)
    with following() as second:
        assert second.stdout is not None
        ids = []
        while missed not in ids:
            ids.append(json.loads(second.stdout.readline())["id"])
        example_node.publish_until(lambda: cursor.read_text() != told, place=place)
        second.kill()
    assert len(ids) == len(set(ids))


def test_the_follower_says_why_it_is_refused(example_node: ExampleNode, tmp_path: Path) -> None:
    cursor = tmp_path / "cursor.txt"
    cursor.write_text("bm9uZSA3")  # of a stream that is none of this node's
    done = run(example_node, "python/follow.py", str(cursor))
    assert (done.returncode, done.stderr.strip()) == (1, "STREAM_CHANGED")


def test_the_programs_that_are_named_exist_and_all_are_named() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    programs = {
        path.relative_to(EXAMPLES).as_posix()
        for path in EXAMPLES.rglob("*")
        if path.suffix in (".sh", ".py", ".mjs") and "node_modules" not in path.parts
    }
    assert {program for program in programs if f"]({program})" in page} == programs
    assert page.count("](") == len(programs) + 1  # and the contract
