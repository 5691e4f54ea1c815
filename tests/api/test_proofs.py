"""The proof in an answer convinces a stranger, offline."""

from typing import Any

from federation.proof import check
from tests.api.conftest import Served
from tests.api.test_writing import published


async def test_a_proof_in_an_answer_holds_without_this_node(served: Served) -> None:
    titles = [f"Buku {number}" for number in range(5)]
    for title in titles:
        await published(served, title=[{"text": title}])
    answer = await served.ask("{ needs { nodes { id title provenance { index entryHash proof } } } }")
    for node in answer["data"]["needs"]["nodes"]:
        proven = check(node["provenance"]["proof"], served.node.clock())
        assert proven.uri == node["id"]
        assert proven.index == node["provenance"]["index"]
        assert proven.leaf.hex() == node["provenance"]["entryHash"]
        body: Any = proven.body
        assert body["title"][0]["text"] == node["title"]


async def test_the_proofs_of_a_deep_log_hold(served: Served) -> None:
    await served.node.publish_needs(served.guest.scid, *[f"Beras {number}" for number in range(300)])
    answer = await served.ask("{ needs(last: 100) { nodes { id provenance { proof } } } }")
    nodes = answer["data"]["needs"]["nodes"]
    assert len(nodes) == 100
    assert [check(node["provenance"]["proof"], served.node.clock()).uri for node in nodes] == [n["id"] for n in nodes]
