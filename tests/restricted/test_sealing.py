"""Restricted parts at rest: whoever has the database alone has nothing."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from federation.encoding import canonical
from federation.identity.keys import KeyRing
from federation.lifecycle.enroll import Enrolled
from federation.log import entry
from federation.publish.append import Appender, Draft, Once
from federation.publish.prepare import IdempotencyKeyReused
from federation.sealing.reseal import reseal, rotate
from federation.sealing.vault import RestrictedUnreadable, Vault
from store import logs
from store.database import Database
from store.logs import RESTRICTED, Sealed
from tests.clock import FrozenClock
from tests.nodes import TestNode, fixed, need_body, start_test_node

PHONE = "+628123456789"
ADDRESS = "Kp. Sindanglaya RT 02 RW 05, rumah cat hijau"
PART = {
    "contact": {"name": "Sari", "phone": PHONE},
    "exactPlace": {"address": ADDRESS, "lat": "-6.7312345", "lon": "107.0412345"},
}


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


@pytest.fixture
async def guest(node: TestNode) -> Enrolled:
    return await node.participant("baca-yuk")


async def publish(node: TestNode, guest: Enrolled, part: dict[str, Any] = PART, once: Once | None = None) -> int:
    draft = Draft("need", None, fixed(need_body(), restricted=part))
    (appended,) = await node.appender.append(guest.scid, [draft], once=once)
    return appended.index


async def sealed_at(node: TestNode, guest: Enrolled, index: int) -> Sealed:
    async with node.database.acquire() as connection:
        log = await logs.head(connection, guest.origin)
        assert log is not None
        (stored,) = await logs.entries(connection, log.id, index, 1, restricted=True)
    assert stored.restricted is not None
    return stored.restricted


async def test_a_dump_of_the_database_holds_no_phone_number_and_no_address(node: TestNode, guest: Enrolled) -> None:
    await publish(node, guest, once=Once("row 1", b"d" * 32))
    async with node.database.acquire() as connection:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        rows = [await connection.fetch(f"select t::text from {name} t") for (name,) in tables]
    dump = "\n".join(row[0] for table in rows for row in table)
    assert "Beras untuk dapur umum" in dump
    for secret in (PHONE, PHONE[1:], ADDRESS, "Sindanglaya", "-6.7312345", "107.0412345"):
        assert secret not in dump
        assert secret.encode().hex() not in dump


async def test_the_salt_is_as_hidden_as_the_payload(node: TestNode, guest: Enrolled) -> None:
    """With the salt in the open, trying all phone numbers against the commitment would find the right one."""
    index = await publish(node, guest)
    sealed = await sealed_at(node, guest, index)
    salt, payload = node.appender.vault.open(guest.scid, index, sealed)
    assert salt not in sealed.nonce + sealed.data
    async with node.database.acquire() as connection:
        log = await logs.head(connection, guest.origin)
        assert log is not None
        data = (await logs.entry_data(connection, log.id, [index]))[index]
    assert entry.parse(data).restricted == entry.commit(salt, payload)
    assert canonical.decode(payload) == PART


async def test_a_part_opens_only_in_its_own_place_and_unaltered(node: TestNode, guest: Enrolled) -> None:
    index = await publish(node, guest)
    sealed = await sealed_at(node, guest, index)
    vault = node.appender.vault
    flipped = sealed._replace(data=bytes([sealed.data[0] ^ 1]) + sealed.data[1:])
    for scid, place, altered in (
        (guest.scid, index + 1, sealed),
        (node.operator.scid, index, sealed),
        (guest.scid, index, flipped),
        (guest.scid, index, sealed._replace(nonce=bytes(12))),
        (guest.scid, index, sealed._replace(nonce=b"")),
    ):
        with pytest.raises(RestrictedUnreadable):
            vault.open(scid, place, altered)


async def test_without_the_key_files_nothing_opens(node: TestNode, guest: Enrolled, tmp_path: Path) -> None:
    index = await publish(node, guest)
    sealed = await sealed_at(node, guest, index)
    with pytest.raises(RestrictedUnreadable):
        Vault(KeyRing(tmp_path / "elsewhere")).open(guest.scid, index, sealed)


async def test_a_rotation_seals_everything_anew_and_destroys_the_old_key(
    node: TestNode, guest: Enrolled, tmp_path: Path
) -> None:
    first, second = await publish(node, guest), await publish(node, guest)
    before = [await sealed_at(node, guest, index) for index in (first, second)]
    assert await rotate(node.database, node.appender.vault) == 2
    after = [await sealed_at(node, guest, index) for index in (first, second)]
    assert [sealed.key_number for sealed in before + after] == [1, 1, 2, 2]
    assert [path.name for path in (tmp_path / "keys").glob("restricted-*")] == ["restricted-2.key"]
    fresh = Vault(KeyRing(tmp_path / "keys"))
    assert [canonical.decode(fresh.open(guest.scid, first, each)[1]) for each in after[:1]] == [PART]
    with pytest.raises(RestrictedUnreadable):
        fresh.open(guest.scid, first, before[0])
    assert await rotate(node.database, fresh) == 2


async def test_a_key_that_sealed_what_still_waits_to_be_published_is_kept_until_then(
    node: TestNode, guest: Enrolled, tmp_path: Path
) -> None:
    vault = node.appender.vault
    waits = """
        insert into waiting (participant_id, type, expected_revision, key, digest, key_number, nonce, sealed, asked_at)
        values ($1, 'need', -1, 'k', 'd', $2, 'n', 's', now())
    """
    async with node.database.acquire() as connection:
        await connection.execute(waits, guest.participant_id, vault.number)
    await rotate(node.database, vault)
    assert sorted(path.stem for path in (tmp_path / "keys").glob("restricted-*")) == ["restricted-1", "restricted-2"]
    async with node.database.acquire() as connection:
        await connection.execute("delete from waiting")
    await rotate(node.database, vault)
    assert [path.stem for path in (tmp_path / "keys").glob("restricted-*")] == ["restricted-3"]


async def test_a_process_that_was_running_during_a_rotation_seals_with_the_new_key(
    node: TestNode, guest: Enrolled, tmp_path: Path, clock: FrozenClock
) -> None:
    keys = KeyRing(tmp_path / "keys")
    other = dataclasses.replace(node, keys=keys, appender=Appender(node.database, keys, clock))
    await publish(other, guest)
    await rotate(node.database, node.appender.vault)
    index = await publish(other, guest)
    assert (await sealed_at(node, guest, index)).key_number == 2


async def test_parts_an_earlier_version_stored_in_plain_are_sealed(node: TestNode, guest: Enrolled) -> None:
    index = await publish(node, guest)
    sealed = await sealed_at(node, guest, index)
    salt, payload = node.appender.vault.open(guest.scid, index, sealed)
    async with node.database.acquire() as connection:
        await connection.execute("alter table payload drop constraint payload_restricted_is_sealed")
        update = "update payload set key_number = null, salt = $1, data = $2 where part = $3"
        await connection.execute(update, salt, payload, RESTRICTED)
    assert await reseal(node.database, node.appender.vault) == 1
    again = await sealed_at(node, guest, index)
    assert PHONE.encode() not in again.data
    assert node.appender.vault.open(guest.scid, index, again) == (salt, payload)
    assert await reseal(node.database, node.appender.vault) == 0


async def test_the_digest_of_a_repeated_request_tells_nothing_without_the_secret(
    node: TestNode, guest: Enrolled
) -> None:
    await publish(node, guest, once=Once("row 1", b"d" * 32))
    async with node.database.acquire() as connection:
        stored = await connection.fetchval("select digest from idempotency")
    assert stored != b"d" * 32
    assert stored == node.appender.vault.blinded(b"d" * 32)
    assert await publish(node, guest, once=Once("row 1", b"d" * 32)) == 1
    with pytest.raises(IdempotencyKeyReused):
        await publish(node, guest, once=Once("row 1", b"e" * 32))


async def test_digests_an_earlier_version_stored_are_blinded_and_still_told(node: TestNode, guest: Enrolled) -> None:
    await publish(node, guest, once=Once("row 1", b"d" * 32))
    async with node.database.acquire() as connection:
        await connection.execute("update idempotency set digest = $1, blinded = false", b"d" * 32)
    await reseal(node.database, node.appender.vault)
    await rotate(node.database, node.appender.vault)
    assert await publish(node, guest, once=Once("row 1", b"d" * 32)) == 1


async def test_a_revision_keeps_the_restricted_part_it_does_not_change(node: TestNode, guest: Enrolled) -> None:
    draft = Draft("need", None, fixed(need_body(), restricted=PART))
    (first,) = await node.appender.append(guest.scid, [draft])

    def change(current: Any) -> Any:
        return dataclasses.replace(current.parts, body=need_body("Beras, 30 kg"))

    (second,) = await node.appender.append(guest.scid, [Draft("need", first.record_id, change)])
    sealed = await sealed_at(node, guest, second.index)
    assert canonical.decode(node.appender.vault.open(guest.scid, second.index, sealed)[1]) == PART
