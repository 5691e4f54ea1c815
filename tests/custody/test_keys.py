"""Keys that change: what a participant's people do with their cards, and what every reader makes of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError
from federation.did.state import DidState
from federation.identity import create, identities, rekey
from federation.identity.keys import KeyRing, document_key_name, log_key_name
from federation.identity.rekey import CardsDoNotFit
from federation.lifecycle.custody import renew_kit, rotate
from federation.lifecycle.enroll import Enrolled
from federation.log import note
from federation.log.service import cosign_keys, log_service, request_keys
from store import logs, outbox
from store.database import Database
from tests.clock import FrozenClock
from tests.nodes import TestNode, seed_of, start_test_node

OLD, NEW = seed_of("baca-yuk"), seed_of("kartu baru")


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


@pytest.fixture
async def guest(node: TestNode) -> Enrolled:
    return await node.participant("baca-yuk")


async def state_of(node: TestNode, who: Enrolled) -> DidState:
    async with node.database.acquire() as connection:
        return await identities.load(connection, who.participant_id, who.scid)


async def checkpoint_of(node: TestNode, who: Enrolled) -> bytes:
    async with node.database.acquire() as connection:
        log = await logs.head(connection, who.origin)
    assert log is not None
    assert log.checkpoint is not None
    return log.checkpoint


def signed_by(checkpoint: bytes, who: Enrolled, key: Ed25519PrivateKey) -> bool:
    public = key.public_key().public_bytes_raw()
    with contextlib.suppress(GotongError):
        note.verify_checkpoint(checkpoint, who.origin, [public])
        return True
    return False


async def test_a_rotated_key_signs_what_comes_and_the_old_one_counts_up_to_its_head(
    node: TestNode, guest: Enrolled
) -> None:
    await node.publish_needs(guest.scid, "Beras", "Selimut")
    before = await checkpoint_of(node, guest)
    changed = await rotate(node.database, node.keys, guest.scid, OLD, now=node.clock())
    assert (changed.version, changed.size, changed.signing_key) == (2, 3, "#log-0-1")

    old, new = log_service(await state_of(node, guest)).keys
    assert (old.id, new.id, new.retired) == ("#log-0-0", "#log-0-1", None)
    assert old.retired is not None
    head = note.parse_checkpoint(note.parse_note(before).text)
    assert (old.retired.size, old.retired.root) == (head.size, head.root)
    assert (await node.check(guest.origin)).signed_size == 3  # the old key's note still holds at its last head

    await node.publish_needs(guest.scid, "Obat")
    after = await checkpoint_of(node, guest)
    assert signed_by(after, guest, node.keys.get(log_key_name(guest.scid, 0, 1)))
    assert not signed_by(after, guest, node.keys.get(log_key_name(guest.scid, 0, 0)))
    assert (await node.check(guest.origin)).size == 4


async def test_an_operators_request_and_cosigning_keys_go_with_its_log_key(node: TestNode) -> None:
    scid = node.operator.scid
    was = await state_of(node, node.operator)
    await rotate(node.database, node.keys, scid, seed_of("desa.gotong.test"), now=node.clock())
    state = await state_of(node, node.operator)
    assert [key.id for key in (*request_keys(state), *cosign_keys(state))] == ["#request-1", "#cosign-1"]
    for key in (*request_keys(state), *cosign_keys(state)):
        private = node.keys.get(document_key_name(scid, key.id))
        assert private.public_key().public_bytes_raw() == key.public_key
    assert request_keys(was)[0].public_key != request_keys(state)[0].public_key


async def test_keys_can_change_often_and_every_time_the_next_update_key_signs(node: TestNode, guest: Enrolled) -> None:
    for number in range(1, 4):
        await node.publish_needs(guest.scid, f"Beras {number}")
        await rotate(node.database, node.keys, guest.scid, OLD, now=node.clock.advance(minutes=1))
        assert rekey.update_key_number(OLD, await state_of(node, guest)) == number + 1
    keys = log_service(await state_of(node, guest)).keys
    assert [key.retired and key.retired.size for key in keys] == [2, 3, 4, None]
    assert (await node.check(guest.origin)).size == 4


async def test_cards_of_somebody_else_change_nothing(node: TestNode, guest: Enrolled) -> None:
    with pytest.raises(CardsDoNotFit, match="another participant"):
        await rotate(node.database, node.keys, guest.scid, seed_of("orang lain"), now=node.clock())
    assert (await state_of(node, guest)).version_count == 1


async def test_new_cards_disarm_the_old_ones_and_work_from_their_first_key_on(node: TestNode, guest: Enrolled) -> None:
    kept: list[str] = []
    changed = await renew_kit(
        node.database, node.keys, guest.scid, OLD, new_seed=NEW, now=node.clock(), keep_cards=kept.append
    )
    assert (kept, changed.signing_key) == ([guest.did], "#log-0-0")
    with pytest.raises(CardsDoNotFit, match="replaced by newer ones"):
        await rotate(node.database, node.keys, guest.scid, OLD, now=node.clock())
    assert rekey.update_key_number(NEW, await state_of(node, guest)) == 0
    await rotate(node.database, node.keys, guest.scid, NEW, now=node.clock.advance(minutes=1))
    changed = await rotate(node.database, node.keys, guest.scid, NEW, now=node.clock.advance(minutes=1))
    assert (changed.version, changed.signing_key) == (4, "#log-0-2")
    assert rekey.update_key_number(NEW, await state_of(node, guest)) == 2


async def test_cards_and_keys_can_change_in_one_entry(node: TestNode, guest: Enrolled) -> None:
    changed = await renew_kit(node.database, node.keys, guest.scid, OLD, new_seed=NEW, now=node.clock(), rotating=True)
    assert (changed.version, changed.signing_key) == (2, "#log-0-1")


async def test_cards_that_cannot_be_kept_are_not_committed_to(node: TestNode, guest: Enrolled) -> None:
    def full_disk(_did: str) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        await renew_kit(node.database, node.keys, guest.scid, OLD, new_seed=NEW, now=node.clock(), keep_cards=full_disk)
    assert rekey.update_key_number(OLD, await state_of(node, guest)) == 1


class _PowerCut(Exception):
    pass


@contextlib.asynccontextmanager
async def _power_cut_at(monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> AsyncIterator[None]:
    def cut(*_: object, **__: object) -> None:
        raise _PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(module, name, cut)
        with pytest.raises(_PowerCut):
            yield


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (KeyRing, "get_or_create"),
        (create, "update"),
        (identities, "extend"),
        (outbox, "announce"),
    ],
    ids=["before the key file", "before the entry is signed", "before the entry is stored", "before the commit"],
)
async def test_a_rotation_that_was_cut_off_changes_nothing_and_can_be_given_again(
    node: TestNode, guest: Enrolled, monkeypatch: pytest.MonkeyPatch, module: object, name: str
) -> None:
    async with _power_cut_at(monkeypatch, module, name):
        await rotate(node.database, node.keys, guest.scid, OLD, now=node.clock())
    await node.publish_needs(guest.scid, "Beras")
    assert (await node.check(guest.origin)).size == 2
    changed = await rotate(node.database, node.keys, guest.scid, OLD, now=node.clock())
    assert (changed.version, changed.signing_key) == (2, "#log-0-1")
    await node.publish_needs(guest.scid, "Selimut")
    assert (await node.check(guest.origin)).size == 3


async def test_writers_and_a_rotation_take_turns(node: TestNode, guest: Enrolled) -> None:
    async def write() -> None:
        for number in range(5):
            await node.publish_needs(guest.scid, f"Beras {number}")

    async def turn() -> None:
        await rotate(node.database, node.keys, guest.scid, OLD, now=node.clock())

    await asyncio.gather(write(), turn(), write())
    assert (await node.check(guest.origin)).size == 11
