"""A node on prepaid data copies the logs of some regions and says what it left out."""

import json

import pytest

from federation.lifecycle.enroll import Enrolled
from federation.log.merkle import TREE_SIZE_MAX
from store import choices, peers
from tests.mirror.conftest import MakeNode, SyncNode
from tests.nodes import need_draft
from tests.sockets import http_client, serving
from tests.sync.liar import Liar

CIANJUR, LEBAK = "32.03.28", "36.02.08"


async def relay_of_two(make_node: MakeNode) -> tuple[SyncNode, Enrolled, Enrolled]:
    """Return a node that hosts somebody in Cianjur and somebody in Lebak."""
    node = await make_node("a")
    cianjur = await node.node.participant("cianjur", host="a.gotong.test")
    lebak = await node.node.participant("lebak", host="a.gotong.test")
    await node.node.appender.append(cianjur.scid, [need_draft("Beras")])
    await node.node.appender.append(lebak.scid, [need_draft("Air", place={"code": LEBAK, "edition": "2025"})])
    return node, cianjur, lebak


async def choose(node: SyncNode, *what: str) -> None:
    async with node.database.transaction() as connection:
        await choices.choose(connection, what)
        await peers.make_due(connection, None)


async def scids(node: SyncNode) -> set[str]:
    return {row[0] for row in await node.rows("select scid from participant where not hosted")}


async def test_only_the_chosen_regions_are_copied_and_the_rest_is_counted(make_node: MakeNode) -> None:
    a, cianjur, lebak = await relay_of_two(make_node)
    b = await make_node("b")
    await b.add_peer(a.url)
    await choose(b, "32.03")
    done = await b.pull(a.url)
    assert done.outside == 1
    assert await scids(b) == {a.node.operator.scid, cianjur.scid}
    await choose(b, "32.03", lebak.scid)
    assert (await b.pull(a.url)).outside == 0
    assert lebak.scid in await scids(b)


async def test_a_need_in_a_region_brings_its_publisher_from_elsewhere(make_node: MakeNode) -> None:
    a, _, lebak = await relay_of_two(make_node)
    b = await make_node("b")
    await b.add_peer(a.url)
    await choose(b, "32.03")
    await b.pull(a.url)
    await a.node.appender.append(lebak.scid, [need_draft("Selimut untuk Cianjur")])
    assert (await b.pull(a.url)).outside == 0
    assert lebak.scid in await scids(b)


async def test_a_relay_that_names_logs_of_elsewhere_is_not_followed_twice(make_node: MakeNode) -> None:
    a, _, lebak = await relay_of_two(make_node)
    b = await make_node("b")
    await b.add_peer(a.url)
    await b.pull(a.url)  # everything, as if the relay had said that all of it belongs
    await choose(b, "32.03", *[])
    before = await b.value("select size from log where origin = $1", lebak.origin)
    await a.node.appender.append(lebak.scid, [need_draft("Terpal", place={"code": LEBAK, "edition": "2025"})])
    done = await b.pull(a.url)
    assert done.outside == 1
    assert await b.value("select size from log where origin = $1", lebak.origin) == before
    await choose(b)
    assert (await b.pull(a.url)).entries == 1


async def test_a_relay_that_claims_more_logs_than_there_are_is_copied_all_the_same(make_node: MakeNode) -> None:
    a, cianjur, _ = await relay_of_two(make_node)
    liar, b = Liar(a.url), await make_node("b")
    liar.heads = lambda body: json.dumps({**json.loads(body), "left_out": TREE_SIZE_MAX}).encode()
    async with serving(liar.app) as url:
        await b.add_peer(url)
        await choose(b, "32.03")
        assert (await b.pull(url)).refused == {}
    assert cianjur.scid in await scids(b)
    assert await b.value("select logs_left_out from peer") == choices.LEFT_OUT_MAX


@pytest.mark.parametrize("query", ["region=Cianjur", "region=", "scid=x", "region=32.03&scid=x"])
async def test_what_is_no_region_is_told_so(make_node: MakeNode, query: str) -> None:
    a = await make_node("a")
    async with http_client() as http:
        answer = await http.get(f"{a.url}/federation/v1/heads?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "INTEREST_MALFORMED")
