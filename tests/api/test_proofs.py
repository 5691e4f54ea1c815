"""The proof in an answer convinces a stranger, offline."""

import json
from typing import Any

import pytest

from federation.lifecycle.recover import recover
from federation.log import tiles
from federation.log.entry import origin
from federation.log.proof import check
from federation.log.tiles import TileId
from store import logs
from tests.api.conftest import Served
from tests.api.test_writing import published
from tests.nodes import seed_of
from tests.schema.test_statements import counting


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


async def test_proofs_cost_the_same_number_of_statements_for_any_number_of_rows(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.node.publish_needs(served.guest.scid, *[f"Beras {number}" for number in range(12)])
    asked = counting(monkeypatch)
    counts = []
    for size in (1, 12):
        asked.clear()
        answer = await served.ask(f"{{ needs(first: {size}) {{ nodes {{ provenance {{ proof }} }} }} }}")
        assert "errors" not in answer
        counts.append(len([sql for sql in asked if "event" not in sql and "outbox" not in sql]))
    assert counts[0] == counts[1] <= 7


async def test_a_proof_leads_to_the_log_of_the_epoch_that_is_shown(served: Served) -> None:
    """The row was made from the log before; that log's head says nothing any more."""
    await served.node.publish_needs(served.guest.scid, "Beras", "Selimut", "Kirim uang")
    keys, now = served.node.keys, served.node.clock.advance(minutes=1)
    seed = seed_of("baca-yuk")
    size = (await head(served)).size - 1
    changed = await recover(served.node.database, keys, served.guest.scid, seed, size=size, now=now)
    answer = await served.ask("{ needs { nodes { title provenance { log treeSize proof } } } }")
    nodes = answer["data"]["needs"]["nodes"]
    assert {node["title"] for node in nodes} == {"Beras", "Selimut"}
    for node in nodes:
        provenance = node["provenance"]
        assert (provenance["log"], provenance["treeSize"]) == (changed.origin, size)
        assert changed.origin in json.loads(provenance["proof"])["tlogProof"]
        body: Any = check(provenance["proof"], now).body
        assert body["title"][0]["text"] == node["title"]


@pytest.mark.parametrize("checkpoint_size", [0, 5])
async def test_an_entry_of_a_log_that_is_still_arriving_is_proven_by_a_bridge(
    served: Served, checkpoint_size: int
) -> None:
    await served.node.publish_needs(served.guest.scid, *[f"Beras {number}" for number in range(3)])
    notes = [await head(served)]
    await served.node.publish_needs(served.guest.scid, *[f"Air {number}" for number in range(8)])
    held, target = 9, await head(served)
    await arriving(served, held, target, notes[0] if checkpoint_size else None)
    answer = await served.ask("{ needs(first: 100) { nodes { provenance { index proof } } } }")
    found = {node["provenance"]["index"]: node["provenance"]["proof"] for node in answer["data"]["needs"]["nodes"]}
    assert sorted(found) == list(range(2, held))
    for index, proof in found.items():
        assert check(proof, served.node.clock()).index == index
        assert ("bridge" in json.loads(proof)) == (index >= checkpoint_size)


async def head(served: Served) -> logs.LogRow:
    async with served.node.database.acquire() as connection:
        row = await logs.head(connection, origin(served.guest.scid, 0))
    assert row is not None
    return row


async def arriving(served: Served, held: int, target: logs.LogRow, before: logs.LogRow | None) -> None:
    """Make the log look as it does when a pull for `target` has brought `held` entries."""
    async with served.node.database.acquire() as connection:
        leaves = await connection.fetchval(
            "select string_agg(leaf_hash, ''::bytea order by index) from entry where log_id = $1", target.id
        )
        proof = tiles.prove_consistency(held, target.size, {TileId(0, 0, target.size): leaves})
        await connection.execute("delete from need where log_id = $1 and index >= $2", target.id, held)
        await connection.execute("delete from entry where log_id = $1 and index >= $2", target.id, held)
        await connection.execute(
            "update log set size = $2, target = $3, target_size = $4, target_proof = $5, checkpoint = $6, "
            "checkpoint_size = $7 where id = $1",
            target.id,
            held,
            target.checkpoint,
            target.size,
            b"".join(proof),
            before and before.checkpoint,
            before.size if before else 0,
        )


async def test_provenance_says_when_another_host_last_saw_the_entry(served: Served) -> None:
    await published(served)
    ask = "{ needs { nodes { provenance { asOf } } } thisNode { logs { origin asOf frozenSize } } }"
    async with served.services.database.transaction() as connection:
        who = """
            insert into participant (scid, did, host, slug) values ($1, '', $2, $1) returning id
        """
        same = await connection.fetchval(who, "same host", "desa.gotong.test")
        other = await connection.fetchval(who, "other host", "lain.gotong.test")
        log_id = await connection.fetchval("select id from log where origin like $1", f"gotong/{served.guest.scid}/%")
        insert = "insert into cosignature values ($1, $2, $3, $4, '')"
        await connection.execute(insert, log_id, other, 2, 2_000)  # before the need
        await connection.execute(insert, log_id, same, 3, 3_000)  # its own host
    answer = await served.ask(ask)
    assert answer["data"]["needs"]["nodes"] == [{"provenance": {"asOf": None}}]
    async with served.services.database.acquire() as connection:
        await connection.execute(insert, log_id, other, 3, 4_000)
    answer = await served.ask(ask)
    assert answer["data"]["needs"]["nodes"] == [{"provenance": {"asOf": "1970-01-01T01:06:40.000Z"}}]
    [log] = [each for each in answer["data"]["thisNode"]["logs"] if served.guest.scid in each["origin"]]
    assert (log["asOf"], log["frozenSize"]) == ("1970-01-01T01:06:40.000Z", None)
