"""A peer keeps sealed backups; two cards and a mirror bring a lost participant back."""

from contextlib import AsyncExitStack

import msgspec
import pytest

from domain.errors import GotongError
from federation.backup import restore, sealed
from federation.erasing.overview import overview
from federation.lifecycle.custody import rotate
from federation.publish.prepare import Draft, unchanged
from federation.sealing.vault import Vault
from federation.sync.client import PeerClient, PeerProtocolError
from store import backups, guard, logs, participants, peers, restricted
from tests.nodes import seed_of
from tests.restricted.backups import Bare, allow, backing_up, deposit, refused
from tests.restricted.nodes import PART, PHONE, Side
from tests.sockets import http_client


async def test_a_lost_participant_is_brought_back_with_contacts_and_policy(
    home: Side, keeper: Side, bare: Bare
) -> None:
    uri = await home.publish()
    async with home.sync.database.acquire() as connection:
        await restricted.grant(connection, home.guest.participant_id, keeper.guest.scid, "sari")
    await keeper.sync.pull(home.sync.url)
    await refused(keeper.asking.request(keeper.sync.node.operator.scid, uri))
    await deposit(home, keeper)
    bare.clock.advance(minutes=1)
    found, missing, origin = await bare.restored(keeper, seed_of("baca-yuk"))
    assert (missing, found.refused, origin) == ([], {}, home.guest.origin)
    async with bare.database.acquire() as connection:
        log = await logs.head(connection, origin)
        assert log is not None
        assert (log.hosted, log.key_number) == (True, 1)
        (stored,) = await logs.entries(connection, log.id, log.size - 1, 1, restricted=True)
        assert stored.restricted is not None
        payload = Vault(bare.keys).open(log.scid, log.size - 1, stored.restricted)[1]
        assert msgspec.json.decode(payload) == PART
        assert [each.asker_scid for each in await restricted.grants(connection, log.participant_id)] == [
            keeper.guest.scid
        ]
        told = await restricted.releases(connection, log.participant_id, before=None, limit=9)
        assert [each.rule for each in told] == ["NOT_ALLOWED"]
        operator = await participants.operator(connection)
        assert operator is not None
        assert operator.scid == log.scid


async def test_the_keeper_has_nothing_it_can_read(home: Side, keeper: Side) -> None:
    await home.publish()
    await deposit(home, keeper)
    (stored,) = await keeper.sync.rows(
        "select string_agg(data, ''::bytea) from backup_chunk join backup on backup.id = backup_id where scid = $1",
        home.guest.scid,
    )
    assert PHONE.encode() not in stored[0]
    assert stored[0][:2] != b"\x1f\x8b"


async def test_what_did_not_change_is_not_deposited_again(home: Side, keeper: Side) -> None:
    await home.publish()
    assert all(size > 0 for size in await deposit(home, keeper))
    assert await deposit(home, keeper) == [0, 0]
    home.sync.node.clock.advance(seconds=1)
    await home.publish()
    assert sorted(size > 0 for size in await deposit(home, keeper)) == [False, True]


async def test_three_versions_are_kept_and_the_newest_is_restored(home: Side, keeper: Side, bare: Bare) -> None:
    for number in range(5):
        await home.publish(title=f"Beras {number}")
        await deposit(home, keeper)
        home.sync.node.clock.advance(seconds=1)
    await keeper.sync.pull(home.sync.url)
    count = "select count(*) from backup where scid = $1 and is_complete"
    assert await keeper.sync.value(count, home.guest.scid) == 3
    found, missing, _ = await bare.restored(keeper, seed_of("baca-yuk"))
    assert found.contents is not None
    assert (len(found.contents.parts), missing) == (5, [])


async def test_a_rolled_back_backup_is_noticed_by_what_it_lacks(home: Side, keeper: Side, bare: Bare) -> None:
    await home.publish(title="old")
    await deposit(home, keeper)
    home.sync.node.clock.advance(seconds=1)
    await home.publish(title="new")
    await deposit(home, keeper)
    await keeper.sync.pull(home.sync.url)
    newest = "delete from backup where version = (select max(version) from backup where scid = $1)"
    await keeper.sync.rows(newest, home.guest.scid)
    found, missing, _ = await bare.restored(keeper, seed_of("baca-yuk"))
    assert found.contents is not None
    assert len(found.contents.parts) == 1
    assert missing == [3]


async def test_a_tampered_backup_is_passed_by_for_the_one_before(home: Side, keeper: Side, bare: Bare) -> None:
    for _ in range(2):
        await home.publish()
        await deposit(home, keeper)
        home.sync.node.clock.advance(seconds=1)
    await keeper.sync.pull(home.sync.url)
    flip = """
        update backup_chunk set data = set_byte(data, 5, get_byte(data, 5) # 1)
        where backup_id = (select id from backup where scid = $1 order by version desc limit 1)
    """
    await keeper.sync.rows(flip, home.guest.scid)
    found, missing, _ = await bare.restored(keeper, seed_of("baca-yuk"))
    assert list(found.refused.values()) == ["BACKUP_DAMAGED"]
    assert found.contents is not None
    assert len(found.contents.parts) == 1
    assert missing == [3]


async def test_a_backup_signed_by_somebody_else_is_passed_by(home: Side, keeper: Side, bare: Bare) -> None:
    """Sealing to a public key is open to everybody; only the log's key makes it the participant's backup."""
    await home.publish()
    await deposit(home, keeper)
    await keeper.sync.pull(home.sync.url)
    (row,) = await keeper.sync.rows("select manifest from backup where scid = $1", home.guest.scid)
    manifest = sealed.read_manifest(row[0])
    stranger = keeper.sync.node.keys.get(f"log-{keeper.guest.scid}-0-0")
    forged = sealed.sign_manifest(manifest, stranger)
    await keeper.sync.rows("update backup set manifest = $2 where scid = $1", home.guest.scid, forged)
    found, missing, _ = await bare.restored(keeper, seed_of("baca-yuk"))
    assert (found.contents, list(found.refused.values())) == (None, ["BACKUP_UNPROVEN"])
    assert missing == [2]


async def test_nothing_is_kept_that_no_owner_signed(home: Side, keeper: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    await home.publish()
    sign, stranger = sealed.sign_manifest, keeper.sync.node.keys.get(f"log-{keeper.guest.scid}-0-0")
    monkeypatch.setattr(sealed, "sign_manifest", lambda manifest, _key: sign(manifest, stranger))
    assert await refused(deposit(home, keeper)) == "BACKUP_UNPROVEN"
    monkeypatch.setattr(sealed, "sign_manifest", sign)
    nobody = await home.sync.node.participant("orang-baru", host="desa.gotong.test")
    assert await refused(deposit(home, keeper)) == "BACKUP_UNPROVEN"
    kept = "select scid from backup where is_complete order by 1"
    others = sorted((home.sync.node.operator.scid, home.guest.scid))
    assert [scid for (scid,) in await keeper.sync.rows(kept)] == others
    await keeper.sync.pull(home.sync.url)
    assert await deposit(home, keeper)
    assert [scid for (scid,) in await keeper.sync.rows(kept)] == sorted((*others, nobody.scid))


async def test_a_keeper_that_has_not_heard_of_a_new_key_is_asked_again(home: Side, keeper: Side) -> None:
    await home.publish()
    node = home.sync.node
    now = node.clock.advance(minutes=1)
    await rotate(node.database, node.keys, home.guest.scid, seed_of("baca-yuk"), now=now)
    assert await refused(deposit(home, keeper)) == "BACKUP_UNPROVEN"
    assert await keeper.sync.value("select count(*) from backup where scid = $1", home.guest.scid) == 0
    await keeper.sync.pull(home.sync.url)
    assert sorted(bool(each) for each in await deposit(home, keeper)) == [False, True]


async def test_the_wrong_cards_open_and_change_nothing(home: Side, keeper: Side, bare: Bare) -> None:
    await home.publish()
    await deposit(home, keeper)
    await keeper.sync.pull(home.sync.url)
    assert await refused(bare.restored(keeper, seed_of("orang lain"))) == "IDENTITY_NOT_FOUND"
    named = bare.restored(keeper, seed_of("orang lain"), wanted=f"gotong:{home.guest.scid}")
    assert await refused(named) == "CARDS_DO_NOT_FIT"
    async with bare.database.acquire() as connection:
        assert await participants.operator(connection) is None
        assert await participants.hosted(connection) == []


async def test_without_a_backup_the_records_come_back_and_what_is_lost_is_named(
    home: Side, keeper: Side, bare: Bare
) -> None:
    await home.publish()
    await keeper.sync.pull(home.sync.url)
    found, missing, _ = await bare.restored(keeper, seed_of("baca-yuk"), wanted=home.guest.did)
    assert (found.contents, missing) == (None, [2])


async def test_erased_parts_do_not_come_back(home: Side, keeper: Side, bare: Bare) -> None:
    uri = await home.publish()
    await deposit(home, keeper)
    draft = Draft("need", uri.id, unchanged, erase=("restricted",))
    await home.sync.node.appender.append(home.guest.scid, [draft])
    await keeper.sync.pull(home.sync.url)
    _, missing, origin = await bare.restored(keeper, seed_of("baca-yuk"))
    async with bare.database.acquire() as connection:
        assert await connection.fetchval("select count(*) from payload where part = 2") == 0
    assert (missing, origin) == ([], home.guest.origin)


async def test_after_an_erasure_the_keeper_drops_what_was_deposited_before(home: Side, keeper: Side) -> None:
    uri = await home.publish()
    for _ in range(2):
        await deposit(home, keeper)
        home.sync.node.clock.advance(seconds=1)
        await home.publish(title="other")
    await deposit(home, keeper)
    home.sync.node.clock.advance(seconds=1)
    chunks = "select data from backup_chunk join backup on backup.id = backup_id where scid = $1"
    before = await keeper.sync.rows(chunks, home.guest.scid)
    assert len(before) == 3
    draft = Draft("need", uri.id, unchanged, erase=("restricted",))
    await home.sync.node.appender.append(home.guest.scid, [draft])
    (told,) = await overview(home.sync.database, 10)
    assert told.listed.backups_at == [keeper.sync.node.operator.scid]
    await backing_up(home).to_targets()  # it is no target any more, and keeps what was erased all the same
    after = await keeper.sync.rows(chunks, home.guest.scid)
    assert len(after) == 1
    assert set(after).isdisjoint(before)
    (told,) = await overview(home.sync.database, 10)
    assert told.listed.backups_at == []
    async with home.sync.database.acquire() as connection:
        assert await backups.due(connection) == []


async def test_an_erasure_of_what_no_backup_holds_has_none_replaced(home: Side, keeper: Side) -> None:
    uri = await home.publish()
    await deposit(home, keeper)
    home.sync.node.clock.advance(seconds=1)
    draft = Draft("need", uri.id, unchanged, erase=("body",))
    await home.sync.node.appender.append(home.guest.scid, [draft])
    (told,) = await overview(home.sync.database, 10)
    assert told.listed.backups_at == []
    assert await deposit(home, keeper) == [0, 0]


async def test_nobody_deposits_without_leave_or_beyond_it(home: Side, keeper: Side) -> None:
    await home.publish()
    await allow(keeper, 0)
    assert await refused(deposit(home, keeper)) == "BACKUP_NOT_ALLOWED"
    await allow(keeper, 100)
    assert await refused(deposit(home, keeper)) == "BACKUP_TOO_LARGE"
    assert await keeper.sync.value("select count(*) from backup") == 0


async def test_chunks_take_no_more_room_than_the_manifest_says(
    home: Side, keeper: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The allowance is counted by what it says."""
    await home.publish()
    sign = sealed.sign_manifest
    monkeypatch.setattr(
        sealed, "sign_manifest", lambda manifest, key: sign(msgspec.structs.replace(manifest, bytes=100), key)
    )
    with pytest.raises(PeerProtocolError) as refused_:
        await deposit(home, keeper)
    assert refused_.value.details["cause"] == "BACKUP_DAMAGED"
    assert await keeper.sync.value("select count(*) from backup_chunk") == 0


async def test_a_deposit_that_was_cut_off_goes_on_and_hides_nothing(
    home: Side, keeper: Side, bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.publish()
    await deposit(home, keeper)
    await keeper.sync.pull(home.sync.url)
    home.sync.node.clock.advance(seconds=1)
    monkeypatch.setattr(sealed, "CHUNK_BYTES_MAX", 64)
    await home.publish()
    maker = backing_up(home)
    async with home.sync.database.acquire() as connection:
        peer = await peers.find(connection, keeper.sync.url)
    assert peer is not None
    true_post = PeerClient.post
    sent: list[str] = []

    async def cut(self: PeerClient, path: str, *args: object, **more: object) -> bytes:
        sent.append(path)
        if len(sent) == 3:
            raise GotongError("cut off")
        return await true_post(self, path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(PeerClient, "post", cut)
    with pytest.raises(GotongError):
        await maker.to(peer)
    assert await keeper.sync.value("select count(*) from backup where is_complete and scid = $1", home.guest.scid) == 1
    await maker.to(peer)
    assert len(sent) == len({*sent}) + 2  # the manifest once more, and the chunk that was cut off
    assert await keeper.sync.value("select count(*) from backup where is_complete and scid = $1", home.guest.scid) == 2


async def test_a_reader_fetches_its_own_backups_only(home: Side, keeper: Side) -> None:

    await home.publish()
    await deposit(home, keeper)
    url = f"{keeper.sync.url}/federation/v1/backup"
    async with http_client() as http:
        for header in ({}, {"authorization": "Gotong-Backup 00"}, {"authorization": "Gotong-Backup " + "0" * 64}):
            response = await http.get(url, headers=header)
            assert (response.status_code, response.json()["code"]) == (404, "BACKUP_NOT_KEPT")


async def test_whoever_is_restored_may_write_although_more_was_heard_of_than_anybody_has(
    home: Side, keeper: Side, bare: Bare
) -> None:
    """A first attempt may have been told of a longer log by somebody who is gone now; the cards end it where it is."""
    await home.publish()
    await keeper.sync.pull(home.sync.url)
    bare.clock.advance(minutes=1)
    async with AsyncExitStack() as stack:
        sources = [await bare.look(stack, keeper, seed_of("baca-yuk"))]
        await restore.take_log(bare.database, sources, home.guest.scid, network="test", clock=bare.clock)
    async with bare.database.acquire() as connection:
        await connection.execute("update log set target = checkpoint, target_size = size + 5")
    await bare.restored(keeper, seed_of("baca-yuk"), wanted=home.guest.scid)
    async with bare.database.acquire() as connection:
        log = await logs.head(connection, home.guest.origin)
        assert log is not None
        assert await guard.contradiction(connection, log.id) is None
