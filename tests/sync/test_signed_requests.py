"""Requests that nodes sign: over real sockets, each rule broken once, and what several processes remember of them."""

from tests.sync.conftest import MakeNode, SyncNode


async def known_to_each_other(make_node: MakeNode) -> tuple[SyncNode, SyncNode]:
    """Return two nodes that have added each other and hold each other's DID logs."""
    a, b = await make_node("a"), await make_node("b")
    await a.add_peer(b.url)
    await b.add_peer(a.url)
    await a.pull(b.url)
    await b.pull(a.url)
    return a, b


async def nonces(node: SyncNode) -> list[str]:
    """Return who signed the requests that the node remembers."""
    return [scid for (scid,) in await node.rows("select scid from request_nonce")]


async def test_a_peer_that_was_added_is_known_by_its_signature(make_node: MakeNode) -> None:
    a, b = await known_to_each_other(make_node)
    before = len(await nonces(a))
    await b.pull(a.url)
    heard = (await nonces(a))[before:]
    assert heard
    assert set(heard) == {b.node.operator.scid}
