"""What was made of an erased record goes with it: every table of a node is accounted for, in plain and sealed."""

import asyncio
import secrets
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from federation.log.note import NoteMalformed
from federation.projection.reapply import reapply
from federation.projection.rebuild import compare
from federation.publish import waiting as waits
from federation.publish.append import Draft, Once
from federation.publish.prepare import Appended
from store import peers, waiting
from store.database import Connection, Database
from store.sweep import ALWAYS, STATISTICS, pending, sweep, tables_of
from store.texts import TEXT_LOCK
from tests.clock import FrozenClock
from tests.erasure.disk import database_server, files_with, index_texts, tables_with, template_database
from tests.erasure.story import erase
from tests.mirror.conftest import exported, imported
from tests.nodes import TestNode, fixed, need_body, start_test_node
from tests.sync.conftest import MakeNode

__all__ = ["database_server", "template_database"]

NewDatabase = Callable[[], Awaitable[str]]

WITHOUT_CONTENT = {
    "how the node is set, whom it knows, and what it did": """
        node_state migration peer left_log mirror_choice mirror_invitation deposit_spent invitation request_nonce alert
        audit sighting peer_asked backup_target backup_sent text_progress""",
    "identities": "participant did_line did_witness succession vouch mail_place",
    "what is signed and stays: entries commit to what was erased, with a salt that is gone": """
        log entry tile_hash cosignature witnessed evidence erasure erasure_acknowledgement""",
    "that a record was there, and who was given what": "outbox event suppression restricted_grant restricted_release",
    "what other people wrote to the operator": "removal_request",
    "sealed to cards that are not here; dropped when its owner says so": "backup backup_chunk",
    "sealed to a key of the node that asks; dropped with the erasure": "restricted_mail restricted_asked",
}


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


async def test_every_table_is_swept_or_has_nothing_of_what_is_erased(database: Database) -> None:
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
    swept = {*tables_of({"need", "activity", "organization", "update"})}
    without = {name for names in WITHOUT_CONTENT.values() for name in names.split()}
    assert swept.isdisjoint(without)
    assert {row["relname"] for row in rows} == swept | without


async def test_whatever_was_made_of_a_record_is_gone_from_all_tables_and_files(node: TestNode, tmp_path: Path) -> None:
    marker, phone = f"zq{secrets.token_hex(9)}", f"+62{secrets.randbelow(10**12):012}"
    guest = await node.participant("baca-yuk")
    part = {"contact": {"name": "Sari", "phone": phone}}
    body = need_body(marker)
    once = Once(f"kunci-{marker[::-1]}", marker.encode() * 2)
    (need,) = await node.appender.append(guest.scid, [Draft("need", None, fixed(body, restricted=part))], once=once)
    await _have_revisions_wait(node, guest.scid, need, marker, phone)
    await _have_it_reported(node.database, guest.origin)
    await index_texts(node.database)
    assert await compare(node.database, as_of=node.clock()) == []
    async with node.database.acquire() as connection:
        await connection.execute("analyze")
        await connection.execute("checkpoint")
        directory = Path(await connection.fetchval("show data_directory"))
        needles = {"words": marker, **await _traces(connection)}
        assert {*ALWAYS, "need", "need_search"} - {"unprojected"} <= set(
            await tables_with(connection, *needles.values())
        )
        for name, needle in needles.items():
            assert files_with(directory, needle) != [], name

        await erase(node, guest.scid, need, "body", "restricted")
        await index_texts(node.database)
        assert await tables_with(connection, *needles.values(), phone) == []
        swept = await sweep(connection, node.clock())
        assert swept is not None
        assert (swept.erasures, swept.hold) == (1, None)
        assert swept.tables[-1] == STATISTICS
    assert files_with(directory, *needles.values(), phone) == []
    assert files_with(tmp_path, *needles.values(), phone) == []


async def _have_revisions_wait(node: TestNode, scid: str, need: Appended, marker: str, phone: str) -> None:
    """Keep two revisions for later, the first refused when its turn came and kept for the operator."""
    for number in (1, 2):
        revised = fixed(need_body(f"{marker} {number}"), restricted={"contact": {"name": "Sari", "phone": phone}})
        await waits.keep(node.database, node.appender, scid, Draft("need", need.record_id, revised), None, node.clock())
    async with node.database.acquire() as connection:
        first, _ = await waiting.listed(connection, 10)
        await waiting.refuse(connection, first.id, "REVISION_CONFLICT", "somebody else was faster")


async def _have_it_reported(database: Database, origin: str) -> None:
    """Report the record as a peer might have sent it: whole, and its body under another entry."""
    async with database.transaction() as connection:
        row = await connection.fetchrow(
            """
            select entry.data as entry, salt, payload.data as body from payload
            join entry using (log_id, index) join log on log.id = log_id where origin = $1 and part = 1 and index = 1
            """,
            origin,
        )
        assert row is not None
        for entry in (row["entry"], b'{"id":"another"}'):
            await _report(connection, origin, b"\n".join([entry, row["salt"], row["body"]]))


async def _report(connection: Connection, origin: str, evidence: bytes) -> None:
    await peers.report(connection, NoteMalformed("x"), peer_id=None, origin=origin, evidence=evidence)


async def _traces(connection: Connection) -> dict[str, Any]:
    """Return what is not in plain and would still be the record for who has the keys."""
    return {
        "salt": await connection.fetchval("select salt from payload where part = 1 and index = 1 order by log_id desc"),
        "sealed part": await connection.fetchval("select data from payload where part = 2"),
        "digest": await connection.fetchval("select digest from idempotency"),
        "waiting": await connection.fetchval("select sealed from waiting where refused_code is null"),
        "refused": await connection.fetchval("select sealed from waiting where refused_code is not null"),
    }


async def test_a_restricted_part_is_swept_without_locking_what_people_read(node: TestNode) -> None:
    phone = f"+62{secrets.randbelow(10**12):012}"
    guest = await node.participant("baca-yuk")
    body, part = need_body("Beras"), {"contact": {"name": "Sari", "phone": phone}}
    (need,) = await node.appender.append(guest.scid, [Draft("need", None, fixed(body, restricted=part))])
    await index_texts(node.database)
    async with node.database.acquire() as connection:
        await connection.execute("analyze")
        await connection.execute("checkpoint")
        directory = Path(await connection.fetchval("show data_directory"))
        sealed = await connection.fetchval("select data from payload where part = 2")
        assert files_with(directory, sealed) != []
        await erase(node, guest.scid, need, "restricted")
        swept = await sweep(connection, node.clock())
        assert swept is not None
        assert (swept.erasures, swept.hold) == (1, None)
        assert swept.tables == (*ALWAYS, STATISTICS)
    assert files_with(directory, sealed, phone) == []


async def test_what_comes_late_of_an_erased_record_is_not_kept(node: TestNode) -> None:
    """A peer sends it again and breaks a rule; an indexer had read the row just before it was erased, and goes on."""
    marker = f"zq{secrets.token_hex(9)}"
    guest = await node.participant("baca-yuk")
    (need,) = await node.publish_needs(guest.scid, marker)
    await index_texts(node.database)
    async with node.database.acquire() as connection, node.database.acquire() as indexer:
        late = await connection.fetchrow("select * from need_search")
        assert late is not None
        await erase(node, guest.scid, need)
        async with connection.transaction():
            await _report(connection, guest.origin, f"{need.record_id} {marker}".encode())
        assert await connection.fetchval("select count(*) from refusal where evidence is null") == 1
        await index_texts(node.database)
        directory = Path(await connection.fetchval("show data_directory"))
        async with indexer.transaction():
            await indexer.execute("select pg_advisory_xact_lock($1)", TEXT_LOCK)
            await indexer.execute(
                """
                insert into need_search (publisher_id, record_id, region_path, document)
                values ($1, $2, $3, $4::text::tsvector)
                """,
                *late.values(),
            )
            sweeping = asyncio.create_task(sweep(connection, node.clock()))
            waits = "select cardinality(pg_blocking_pids($1))"
            while not await indexer.fetchval(waits, connection.get_server_pid()):
                assert not sweeping.done()
            assert await tables_with(indexer, marker) == ["need_search"]
        swept = await sweeping
        assert swept is not None
        assert (swept.erasures, swept.hold) == (1, None)
        assert await tables_with(connection, marker) == []
    assert files_with(directory, marker) == []


async def test_a_waiting_revision_of_another_record_stays(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    rice, water = await node.publish_needs(guest.scid, "Beras", "Air")
    for each in (rice, water):
        draft = Draft("need", each.record_id, fixed(need_body("Lagi")))
        await waits.keep(node.database, node.appender, guest.scid, draft, None, node.clock())
    await erase(node, guest.scid, rice)
    async with node.database.acquire() as connection:
        assert [row.record_id for row in await waiting.listed(connection, 10)] == [water.record_id]


async def test_a_bundle_that_brings_a_body_and_its_erasure_leaves_nothing_anywhere(make_node: MakeNode) -> None:
    """Made by a node that does not delete: the body is in the file, and so is the entry that erases it."""
    marker = f"zq{secrets.token_hex(9)}"
    sender, reader = await make_node("lama"), await make_node("baru")
    guest = await sender.node.participant("ojol", host="lama.gotong.test")
    gone, _ = await sender.node.publish_needs(guest.scid, marker, "Air")
    (kept,) = await sender.rows("select log_id, index, part, salt, data from payload where index = $1", gone.index)
    await erase(sender.node, guest.scid, gone)
    put_back = "insert into payload (log_id, index, part, salt, data) values ($1, $2, $3, $4, $5)"
    await sender.rows(put_back, *kept)
    data = await exported(sender)
    assert marker.encode() in zlib.decompress(data, 16 + zlib.MAX_WBITS)
    assert (await imported(reader, data))[guest.origin].error is None
    async with reader.database.acquire() as connection:
        directory = Path(await connection.fetchval("show data_directory"))
        assert await tables_with(connection, marker) == []
        assert [row["parts"] for row in await connection.fetch("select parts from erasure")] == [[1]]
    assert await reapply(sender.database, now=sender.node.clock()) == 1
    for each in (sender, reader):
        await index_texts(each.database)
        async with each.database.acquire() as connection:
            while await pending(connection):
                assert await sweep(connection, each.node.clock()) is not None
    assert files_with(directory, marker) == []
