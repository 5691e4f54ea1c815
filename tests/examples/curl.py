"""The shell scripts of examples/curl do what they say: `make examples`, where curl is."""

import json
from pathlib import Path

from tests.examples.conftest import ExampleNode
from tests.examples.programs import EXAMPLES, run


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
