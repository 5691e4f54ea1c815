"""The programs in examples/ do what they say, against a running node."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.examples.conftest import ExampleNode
from tests.house.source import ROOT

EXAMPLES = ROOT / "examples"
TIMEOUT_S = 60
NEEDS = "select id, state, body from need"
WITHDRAW = "mutation($id: ID!) { withdrawNeed(input: {id: $id}) { userErrors { code message } } }"


def run(node: ExampleNode, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = EXAMPLES / program
    command = [sys.executable, str(path)] if path.suffix == ".py" else ["sh", str(path)]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        env=node.environment | environment,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_asking_answers_with_urgent_needs_of_the_region(example_node: ExampleNode) -> None:
    need = example_node.publish("Buku gambar", urgency="CRITICAL")
    answer = json.loads(run(example_node, "curl/ask.sh", "32.03").stdout)
    assert need in [node["id"] for node in answer["data"]["needs"]["nodes"]]
    assert json.loads(run(example_node, "curl/ask.sh", "11").stdout)["data"]["needs"]["nodes"] == []


def test_paging_prints_every_need_once(example_node: ExampleNode) -> None:
    needs = {example_node.publish(f"Halaman {number}") for number in range(3)}
    pages = [json.loads(line)["data"]["needs"] for line in run(example_node, "curl/page.sh", "2").stdout.splitlines()]
    ids = [node["id"] for page in pages for node in page["nodes"]]
    assert needs < set(ids)
    assert len(ids) == len(set(ids)) == example_node.ask("{ needs { totalCount } }")["data"]["needs"]["totalCount"]


def test_paging_tells_the_code_of_what_is_refused(example_node: ExampleNode) -> None:
    done = run(example_node, "curl/page.sh", "500")
    assert (done.returncode, done.stdout) == (1, "")
    assert "PAGE_SIZE_OUT_OF_RANGE" in done.stderr


def test_publishing_tells_the_id_and_is_safe_to_repeat(example_node: ExampleNode, tmp_path: Path) -> None:
    need = json.loads((EXAMPLES / "curl/need.json").read_text()) | {"as": example_node.organization}
    file = tmp_path / "need.json"
    file.write_text(json.dumps(need))
    first, again = (run(example_node, "curl/publish.sh", str(file), "buku-1") for _ in range(2))
    assert first.stdout == again.stdout
    assert first.returncode == again.returncode == 0
    id_ = json.loads(first.stdout)["data"]["publishNeed"]["need"]["id"]
    found = example_node.ask('query($id: ID!) { node(id: $id) { ... on Need { title(lang: "en") } } }', id=id_)
    assert found["data"]["node"] == {"title": "Children's story books"}


def test_publishing_without_a_token_or_against_a_rule_says_why_not(example_node: ExampleNode, tmp_path: Path) -> None:
    example = EXAMPLES / "curl/need.json"
    done = run(example_node, "curl/publish.sh", str(example), "buku-2", TOKEN="x")
    assert done.returncode == 1
    assert "TOKEN_INVALID" in done.stdout
    broken = json.loads(example.read_text()) | {"as": example_node.organization, "category": "nothing"}
    file = tmp_path / "need.json"
    file.write_text(json.dumps(broken))
    done = run(example_node, "curl/publish.sh", str(file), "buku-3")
    assert done.returncode == 1
    assert json.loads(done.stdout)["data"]["publishNeed"]["userErrors"] != []


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
    assert run(example_node, *nightly, "--pages", "1").stdout == "2 changes\n"
    assert set(copied()) == set(needs[:2])
    assert run(example_node, *nightly).stdout == "1 changes\n"
    assert run(example_node, *nightly).stdout == "0 changes\n"
    withdrawn = example_node.ask(WITHDRAW, id=needs[0])
    assert withdrawn["data"]["withdrawNeed"]["userErrors"] == []
    example_node.wait_until_told(len(needs) + 1, "32.04")
    assert run(example_node, *nightly).stdout != "0 changes\n"
    assert set(copied()) == set(needs)
    assert [copied()[need][0] for need in needs] == ["WITHDRAWN", "OPEN", "OPEN"]
    assert copied()[needs[0]][1]["status"] == "WITHDRAWN"
    assert copied()[needs[2]][1]["title"] == [{"lang": "id", "text": "Malam 2"}]


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
