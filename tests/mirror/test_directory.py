"""Whom a new node could ask: those who want to be named, and nobody else."""

from api.federation_directory import DirectoryEdge
from federation.publish.append import Draft
from federation.sync.directory import Listing
from tests.mirror.conftest import MakeNode, SyncNode
from tests.nodes import fixed
from tests.sync.conftest import client_of

CIANJUR = {"code": "32.03.28", "edition": "2025"}


async def introduced(make_node: MakeNode, name: str, *, is_listed: bool) -> SyncNode:
    """Return a node whose operator has an organization in Cianjur, and a directory."""
    node = await make_node(name)
    body = {
        "slug": f"yayasan-{name}",
        "name": [{"lang": "id", "text": f"Yayasan {name}"}],
        "kind": "NGO",
        "place": CIANJUR,
        "languages": ["id"],
    }
    await node.node.appender.append(node.node.operator.scid, [Draft("organization", None, fixed(body))])
    edge = DirectoryEdge(node.database, node.callers, node.url, is_listed)
    node.app.router.routes.extend(edge.routes())
    return node


async def named(node: SyncNode, region: str) -> list[Listing]:
    async with client_of(node.node, node.url) as client:
        return await client.directory(region)


async def test_a_node_is_named_only_if_its_operator_wants_it_and_only_for_its_regions(make_node: MakeNode) -> None:
    a, b = await introduced(make_node, "a", is_listed=True), await introduced(make_node, "b", is_listed=False)
    assert await named(a, "32.03") == [Listing(a.url, a.node.operator.scid, "Yayasan a", ["32.03"], 1)]
    assert await named(a, "36") == []
    assert await named(b, "32.03") == []


async def test_a_peer_is_named_if_it_says_so_and_is_allowed_here(make_node: MakeNode) -> None:
    a, b = await introduced(make_node, "a", is_listed=True), await introduced(make_node, "b", is_listed=False)
    await b.add_peer(a.url)
    await b.pull(a.url)
    await b.value("update peer set last_ok_at = now() returning id")
    assert await named(b, "32.03") == []  # its heads do not say that it may be named
    await b.value("update peer set is_listed = true returning id")
    assert [each.operator for each in await named(b, "32.03")] == [a.node.operator.scid]
    await b.value("update peer set trust = 'quarantined' returning id")
    assert await named(b, "32.03") == []
