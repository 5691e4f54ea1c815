"""A thief has the online key of a log: what its people do with their cards, and what other nodes make of both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from domain.records.registry import RECORDS
from federation.encoding import canonical
from federation.identity.keys import log_key_name
from federation.lifecycle.custody import rotate
from federation.lifecycle.enroll import Enrolled
from federation.lifecycle.recover import EpochSizeOutOfRange, left_behind, recover
from federation.log import entry, merkle, note
from federation.log.entry import EpochStart
from federation.log.names import origin as origin_of
from federation.log.verify import Received
from federation.projection.check import check_log
from federation.projection.rebuild import compare
from federation.publish.append import Draft
from store import epochs, evidence, logs
from store.logs import StoredEntry
from tests.nodes import fixed, need_body, seed_of
from tests.sockets import http_client, serving
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.liar import Liar, kept_in
from tests.sync.raw import append_raw, hand_built

SEED = seed_of("ojol")
TITLES = "select title_text -> 0 ->> 'text' from need join participant on id = publisher_id where scid = $1 order by 1"
SHOWN = "select log.epoch from log join participant p on p.id = log.participant_id where p.scid = $1 and is_projected"


@dataclass
class Theft:
    """The victim's node, and one that reads it; entry 3 of the victim's log is the thief's."""

    home: SyncNode
    reader: SyncNode
    guest: Enrolled

    async def titles(self, node: SyncNode) -> list[str]:
        return [title for (title,) in await node.rows(TITLES, self.guest.scid)]

    async def recover(self, size: int, keep: int | None = None) -> str:
        """Begin the next epoch and return its log's name."""
        now = self.home.node.clock.advance(minutes=1)
        changed = await recover(
            self.home.database, self.home.node.keys, self.guest.scid, SEED, size=size, keep=keep, now=now
        )
        return changed.origin

    async def pull(self) -> dict[str, str]:
        return (await self.reader.pull(self.home.url)).refused

    async def is_as_its_logs_say(self, node: SyncNode) -> bool:
        differences = await compare(node.database, as_of=node.node.clock())
        assert differences == []
        return True


@pytest.fixture
async def theft(make_node: MakeNode) -> Theft:
    home, reader = await make_node("a"), await make_node("b")
    await reader.add_peer(home.url)
    guest = await home.node.participant("ojol", host="a.gotong.test")
    await home.node.publish_needs(guest.scid, "Beras", "Selimut", "Kirim uang ke rekening saya")
    scene = Theft(home, reader, guest)
    assert await scene.pull() == {}
    return scene


async def test_what_the_thief_wrote_goes_everywhere_and_nothing_else(theft: Theft) -> None:
    assert [each.type for each in await left_behind(theft.home.database, theft.guest.scid, 3)] == ["need"]
    assert await left_behind(theft.home.database, theft.guest.scid, 3, keep=4) == []
    received = await theft.reader.rows("select record_id, received_at from need order by index limit 2")
    origin = await theft.recover(3)
    assert origin == origin_of(theft.guest.scid, 1)
    assert await theft.titles(theft.home) == ["Beras", "Selimut"]
    assert await theft.titles(theft.reader) == ["Beras", "Kirim uang ke rekening saya", "Selimut"]

    theft.reader.node.clock.advance(hours=1)
    assert await theft.pull() == {}
    assert await theft.titles(theft.reader) == ["Beras", "Selimut"]
    assert await theft.reader.rows("select record_id, received_at from need order by index") == received
    assert await theft.reader.rows(SHOWN, theft.guest.scid) == [(1,)]
    for node in (theft.home, theft.reader):
        assert await theft.is_as_its_logs_say(node)
        assert (await node.node.check(origin)).signed_size == 3
        assert (await node.node.check(theft.guest.origin)).size == 4  # history stays and still verifies

    await theft.home.node.publish_needs(theft.guest.scid, "Obat")
    assert await theft.pull() == {}
    assert await theft.titles(theft.reader) == ["Beras", "Obat", "Selimut"]


async def test_rows_that_both_logs_give_are_not_touched_and_belong_to_the_new_log(theft: Theft) -> None:
    """A switch costs what changes, not what is there; who acts on the new log later finds these rows all the same."""
    written = "select record_id, xmin::text, ctid::text from need where index < 3 order by index"
    before = [await node.rows(written) for node in (theft.home, theft.reader)]
    origin = await theft.recover(3)
    assert await theft.pull() == {}
    assert [await node.rows(written) for node in (theft.home, theft.reader)] == before
    async with theft.reader.database.acquire() as connection:
        old, new = [await logs.head(connection, each) for each in (theft.guest.origin, origin)]
        assert old is not None
        assert new is not None
        assert await evidence.drop_rows(connection, "need", old.id, 2) == []
        assert [gone for gone, _, _ in await evidence.drop_rows(connection, "need", new.id, 2)] == [before[1][1][0]]


async def test_a_row_made_from_an_entry_that_the_log_lacks_is_found(theft: Theft) -> None:
    await theft.recover(3)
    (operator,) = await theft.home.rows("select min(id) from log where participant_id <> $1", await _participant(theft))
    await theft.home.rows("update need set log_id = $1 where index = 1 returning 1", *operator)
    found = await compare(theft.home.database, as_of=theft.home.node.clock())
    assert [(each.table, each.publisher) for each in found] == [("need", theft.guest.scid)]


async def _participant(theft: Theft) -> int:
    return int(await theft.home.value("select id from participant where scid = $1", theft.guest.scid))


async def test_followers_hear_of_what_left_and_of_nothing_that_stayed(theft: Theft) -> None:
    for node in (theft.home, theft.reader):
        async with node.database.acquire() as connection:
            await connection.execute("delete from outbox")
    await theft.recover(3)
    assert await theft.pull() == {}
    for node in (theft.home, theft.reader):
        assert await node.rows("select kind, type, revision from outbox") == [("WITHDRAWN", "need", 0)]


async def test_a_revision_by_the_thief_gives_way_to_the_one_before(theft: Theft) -> None:
    (first,) = await theft.home.rows("select record_id, index from need where index = 1")
    stolen = entry.build(type="need", id=first[0], at=theft.home.node.clock(), rev=1, prev=1, body=_commitment())
    await append_raw(theft.home.node, theft.guest, [Received(stolen, b"s" * 16, _payload())])
    assert await theft.pull() == {}
    assert "Air mahal" in await theft.titles(theft.reader)
    async with theft.reader.database.acquire() as connection:
        await connection.execute("delete from outbox")
    await theft.recover(4)
    assert await theft.pull() == {}
    assert await theft.titles(theft.reader) == ["Beras", "Kirim uang ke rekening saya", "Selimut"]
    assert await theft.reader.rows("select kind, revision from outbox") == [("REVISED", 0)]


async def test_a_past_epoch_that_is_asked_for_beside_the_present_one_accuses_nobody(theft: Theft) -> None:
    """An exchange that was cut left the old log undone; meanwhile a new epoch began, which is news as well."""
    await theft.reader.rows(
        "insert into left_log (peer_id, origin, due_at) select id, $1, $2 from peer",
        theft.guest.origin,
        theft.reader.node.clock(),
    )
    await theft.recover(3)
    assert await theft.pull() == {}
    assert await theft.reader.rows("select origin, code, details from refusal") == []
    assert await theft.titles(theft.reader) == ["Beras", "Selimut"]
    theft.reader.node.clock.advance(hours=1)
    assert await theft.pull() == {}
    assert await theft.reader.value("select count(*) from left_log") == 0


async def test_an_epoch_that_begins_between_heads_and_pull_accuses_nobody(theft: Theft) -> None:
    told: list[bytes] = []
    relay = Liar(theft.home.url, heads=kept_in(told))
    async with serving(relay.app) as url:
        await theft.reader.add_peer(url)
        await theft.home.node.publish_needs(theft.guest.scid, "Uang lagi")
        await theft.reader.pull(url)
        await theft.home.node.publish_needs(theft.guest.scid, "Dan lagi")
        async with http_client() as http:
            told.append((await http.get(f"{url}/federation/v1/heads")).content)
        await theft.recover(3)
        relay.heads = lambda _body: told[-1]
        assert (await theft.reader.pull(url)).refused == {}
        relay.be_honest()
        assert (await theft.reader.pull(url)).refused == {}
    assert await theft.reader.rows("select code from refusal") == []
    assert await theft.titles(theft.reader) == ["Beras", "Selimut"]


async def test_the_thief_goes_on_signing_and_nobody_listens(theft: Theft) -> None:
    await theft.recover(3)
    assert await theft.pull() == {}
    # The thief's node serves a longer log of the past epoch, truly signed with the stolen key, to all who ask.
    await append_raw(theft.home.node, theft.guest, [hand_built(theft.home.node, 9, "need", need_body("Lagi"))])
    await theft.home.rows("update participant set epoch = 0 where scid = $1 returning id", theft.guest.scid)
    assert await theft.pull() == {}
    assert await theft.reader.value("select size from log where origin = $1", theft.guest.origin) == 4
    assert await theft.titles(theft.reader) == ["Beras", "Selimut"]


async def test_whoever_comes_later_never_needs_the_stolen_log(theft: Theft, make_node: MakeNode) -> None:
    origin = await theft.recover(3)
    late = await make_node("c")
    await late.add_peer(theft.home.url)
    assert (await late.pull(theft.home.url)).refused == {}
    assert await theft.titles(late) == ["Beras", "Selimut"]
    assert await late.value("select count(*) from log where origin = $1", theft.guest.origin) == 0
    assert (await late.node.check(origin)).size == 3
    further = await make_node("d")
    await further.add_peer(late.url)
    assert (await further.pull(late.url)).refused == {}
    await further.rows("update participant set trust = 'allowed' where scid = $1 returning id", theft.guest.scid)
    assert await theft.titles(further) == ["Beras", "Selimut"]


async def test_a_second_theft_begins_a_third_log(theft: Theft, make_node: MakeNode) -> None:
    await theft.recover(3)
    await theft.home.node.publish_needs(theft.guest.scid, "Obat", "Penipuan")
    assert await theft.pull() == {}
    origin = await theft.recover(4)
    assert origin == origin_of(theft.guest.scid, 2)
    assert await theft.pull() == {}
    assert await theft.titles(theft.reader) == ["Beras", "Obat", "Selimut"]
    late = await make_node("c")
    await late.add_peer(theft.home.url)
    assert (await late.pull(theft.home.url)).refused == {}
    assert await theft.titles(late) == ["Beras", "Obat", "Selimut"]
    for node in (theft.home, theft.reader, late):
        assert await theft.is_as_its_logs_say(node)


async def test_a_reader_that_slept_through_an_epoch_compares_with_what_it_has(theft: Theft) -> None:
    await theft.recover(3)
    await theft.home.node.publish_needs(theft.guest.scid, "Obat")
    await theft.recover(4)
    assert await theft.pull() == {}  # from epoch 0 straight to 2
    assert await theft.titles(theft.reader) == ["Beras", "Obat", "Selimut"]
    assert await theft.is_as_its_logs_say(theft.reader)


async def test_own_entries_after_the_theft_can_be_kept(theft: Theft) -> None:
    """The thief signed elsewhere: what this node holds after the last common entry is its own."""
    assert await theft.recover(3, keep=4) == origin_of(theft.guest.scid, 1)
    await theft.home.node.publish_needs(theft.guest.scid, "Obat")
    assert await theft.pull() == {}
    assert await theft.titles(theft.reader) == ["Beras", "Kirim uang ke rekening saya", "Obat", "Selimut"]
    async with theft.reader.database.acquire() as connection:
        assert await connection.fetchval("select count(*) from outbox where kind = 'WITHDRAWN'") == 0


async def test_an_owner_cannot_rewrite_history_through_an_epoch(
    theft: Theft, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed by the right cards, consistent in itself, and still not what the reader has seen."""

    forged = hand_built(theft.home.node, 7, "need", need_body("Tidak pernah ada"))
    assert forged.salt is not None
    assert forged.body is not None
    stored = StoredEntry(2, merkle.leaf_hash(forged.data), forged.data, (forged.salt, forged.body))
    leaves = [leaf for (leaf,) in await theft.home.rows(_LEAVES, theft.guest.origin)]
    truly_copied = epochs.copy_entries

    async def rewritten(connection: Any, from_id: int, to_id: int, _size: int) -> None:
        await truly_copied(connection, from_id, to_id, 2)
        await logs.insert_entries(connection, to_id, [stored], theft.home.node.clock())

    async def lying_start(_connection: Any, _log: Any, size: int) -> EpochStart:
        return EpochStart(size, merkle.Edge.EMPTY.appended([*leaves[:2], stored.leaf_hash]).root(), leaves[0])

    async def unchecked(*_: object, **__: object) -> int:
        return 0

    with monkeypatch.context() as patched:
        patched.setattr(epochs, "copy_entries", rewritten)
        patched.setattr("federation.lifecycle.recover._start", lying_start)
        patched.setattr("federation.lifecycle.recover.adopt", unchecked)
        origin = await theft.recover(3)
    assert await theft.pull() == {origin: "EPOCH_REWRITES_HISTORY"}
    assert await theft.titles(theft.reader) == ["Beras", "Kirim uang ke rekening saya", "Selimut"]
    assert await theft.reader.rows(SHOWN, theft.guest.scid) == [(0,)]
    stranger = await make_node("c")  # without the old log there is nothing to compare with
    await stranger.add_peer(theft.home.url)
    assert (await stranger.pull(theft.home.url)).refused == {}


async def test_a_copy_that_is_not_what_the_identity_states_is_refused(
    theft: Theft, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lying_start(_connection: Any, _log: Any, size: int) -> EpochStart:
        return EpochStart(size, b"\x07" * 32, b"\x08" * 32)

    async def unchecked(*_: object, **__: object) -> int:
        return 0

    with monkeypatch.context() as patched:
        patched.setattr("federation.lifecycle.recover._start", lying_start)
        patched.setattr("federation.lifecycle.recover.adopt", unchecked)
        origin = await theft.recover(3)
    assert await theft.pull() == {origin: "EPOCH_PREFIX_DIFFERS"}
    assert await theft.reader.rows(SHOWN, theft.guest.scid) == [(0,)]


async def test_an_epoch_starts_inside_the_log(theft: Theft) -> None:
    for size, keep in ((0, None), (5, None), (3, 2), (3, 5)):
        with pytest.raises(EpochSizeOutOfRange):
            await left_behind(theft.home.database, theft.guest.scid, size, keep)
        with pytest.raises(EpochSizeOutOfRange):
            await theft.recover(size, keep)
    assert await theft.home.value("select max(epoch) from log") == 0


async def test_a_recovery_that_was_cut_off_changes_nothing_and_can_be_given_again(
    theft: Theft, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(Exception):
        pass

    def cut(*_: object, **__: object) -> None:
        raise PowerCut

    for step in (
        "federation.lifecycle.recover.logs.insert_entries",
        "federation.projection.adopt.rows.show_only",
        "federation.lifecycle.recover.adopt",
    ):
        with monkeypatch.context() as patched:
            patched.setattr(step, cut)
            with pytest.raises(PowerCut):
                await theft.recover(3)
        await theft.home.node.publish_needs(theft.guest.scid, "Obat")
    assert await theft.pull() == {}
    await theft.recover(3)
    assert await theft.pull() == {}
    assert await theft.titles(theft.reader) == ["Beras", "Selimut"]


async def test_keys_rotate_in_a_later_epoch_too(theft: Theft, tmp_path: Path) -> None:
    origin = await theft.recover(3)
    now = theft.home.node.clock.advance(minutes=1)
    changed = await rotate(theft.home.database, theft.home.node.keys, theft.guest.scid, SEED, now=now)
    assert (changed.origin, changed.signing_key) == (origin, "#log-1-1")
    await theft.home.node.publish_needs(theft.guest.scid, "Obat")
    assert await theft.pull() == {}
    checkpoint = await theft.reader.value("select checkpoint from log where origin = $1", origin)
    new = theft.home.node.keys.get(log_key_name(theft.guest.scid, 1, 1)).public_key().public_bytes_raw()
    assert note.verify_checkpoint(checkpoint, origin, [new]).size == 4


async def test_an_erasure_in_the_new_epoch_reaches_the_old_log_too(theft: Theft) -> None:
    await theft.recover(3)
    assert await theft.pull() == {}
    (record_id,) = (await theft.home.rows("select record_id from need where index = 1"))[0]
    draft = Draft("need", record_id, fixed(None), erase=("body",))
    await theft.home.node.appender.append(theft.guest.scid, [draft])
    assert await theft.pull() == {}
    for node in (theft.home, theft.reader):
        assert await theft.titles(node) == ["Selimut"]
        assert await node.value("select count(*) from payload where index = 1 and log_id in (select id from log"
                                " where participant_id = (select id from participant where scid = $1))",
                                theft.guest.scid) == 0  # fmt: skip


async def test_the_old_log_stays_readable_as_history(theft: Theft) -> None:
    await theft.recover(3)
    assert await theft.pull() == {}
    async with theft.reader.database.transaction(isolation="repeatable_read") as connection:
        for log in await logs.heads(connection):
            await check_log(connection, log, network="test")
    assert {record_type.table for record_type in RECORDS} >= {"need"}


_LEAVES = "select leaf_hash from entry join log on log.id = log_id where origin = $1 order by index"


def _payload() -> bytes:
    return canonical.encode(need_body("Air mahal"))


def _commitment() -> bytes:
    return entry.commit(b"s" * 16, _payload())
