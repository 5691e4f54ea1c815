"""Two honest nodes and what they tell each other."""

from tests.sync.conftest import MakeNode


async def test_a_log_published_on_one_node_is_verified_and_shown_on_another(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air bersih", "Selimut")
    await b.add_peer(a.url)

    done = await b.pull(a.url)

    assert (5, 3, {}) == (done.entries, done.records, done.refused)
    titles = "select title_text::text from need order by index"
    assert await a.rows(titles) == await b.rows(titles)
    checked = await b.node.check(guest.origin)
    assert (4, 4, 0) == (checked.size, checked.signed_size, checked.withheld)
    trust = "select slug, trust, trust_set_by, hosted from participant order by slug, host"
    assert [
        ("ojol", "allowed", "peer", False),
        ("pengurus", "allowed", "peer", False),
        ("pengurus", "allowed", "default", True),
    ] == await b.rows(trust)
