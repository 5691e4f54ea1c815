"""An identity that fills up: what people need can be done after all that they chose, and they are told in time."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import pytest

from domain.errors import GotongError
from federation.did import webvh
from federation.identity import room
from federation.identity.room import IDENTITY_ROOM, Purpose
from federation.lifecycle import custody
from federation.lifecycle.enroll import Enrolled
from federation.lifecycle.recover import recover
from federation.sync.plan import QUOTAS
from store import alerts, logs, participants
from store.alerts import AlertKind, Room
from store.database import Database
from tests.clock import FrozenClock
from tests.nodes import TestNode, seed_of, start_test_node

SEED, NEW = seed_of("baca-yuk"), seed_of("kartu baru")


class Owner:
    """A guest and what its people do with their cards, a minute after one another."""

    def __init__(self, node: TestNode, guest: Enrolled) -> None:
        self.node, self.guest, self.seed = node, guest, SEED

    async def rotate(self) -> None:
        await custody.rotate(self.node.database, self.node.keys, self.guest.scid, self.seed, now=self._later())

    async def renew(self, *, rotating: bool = False) -> None:
        new = NEW if self.seed == SEED else SEED
        who = self.node.database, self.node.keys, self.guest.scid, self.seed
        await custody.renew_kit(*who, new_seed=new, now=self._later(), rotating=rotating)
        self.seed = new

    async def recover(self) -> None:
        who = self.node.database, self.node.keys, self.guest.scid, self.seed
        async with self.node.database.acquire() as connection:
            log = await logs.newest_log(connection, self.guest.scid)
        assert log is not None
        await recover(*who, size=log.size, now=self._later())

    async def end(self) -> None:
        await custody.end(self.node.database, self.node.keys, self.guest.scid, self.seed, now=self._later())

    async def lines(self) -> list[bytes]:
        async with self.node.database.acquire() as connection:
            return await participants.did_lines(connection, self.guest.participant_id)

    def _later(self) -> datetime:
        return self.node.clock.advance(minutes=1)


@pytest.fixture
async def owner(database: Database, tmp_path: Path, clock: FrozenClock) -> Owner:
    node = await start_test_node(database, tmp_path, clock)
    return Owner(node, await node.participant("baca-yuk"))


async def refused(act: Callable[..., Awaitable[None]], **how: bool) -> str:
    with pytest.raises(GotongError) as caught:
        await act(**how)
    return caught.value.code


async def test_new_keys_that_are_chosen_leave_room_for_keys_that_are_needed(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "DOCUMENT_KEYS_MAX", Purpose.CHOSEN.value.keys + 3)
    await owner.rotate()
    await owner.rotate()
    for act, how in ((owner.rotate, {}), (owner.renew, {"rotating": True})):
        assert await refused(act, **how) == "LOG_KEYS_FULL"
    assert len(await owner.lines()) == 3
    await owner.renew()
    await owner.recover()  # the whole log, under one key
    await owner.rotate()
    await owner.node.publish_needs(owner.guest.scid, "Beras")


async def test_changes_that_are_chosen_leave_room_for_those_that_are_needed_and_these_for_the_end(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await owner.rotate()
    size = sum(map(len, await owner.lines()))
    monkeypatch.setattr(room, "LOG_BYTES_MAX", size + Purpose.CHOSEN.value.bytes)
    for act, how in ((owner.rotate, {}), (owner.renew, {"rotating": True})):
        assert await refused(act, **how) == "IDENTITY_FULL"
    await owner.recover()
    await owner.renew()
    size = sum(map(len, await owner.lines()))
    monkeypatch.setattr(room, "LOG_BYTES_MAX", size + Purpose.NEEDED.value.bytes)
    assert await refused(owner.recover) == "IDENTITY_FULL"
    assert await refused(owner.renew) == "IDENTITY_FULL"
    await owner.end()


async def test_versions_are_kept_for_what_is_needed_like_bytes(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "VERSIONS_MAX", Purpose.CHOSEN.value.versions + 1)
    assert await refused(owner.rotate) == "IDENTITY_FULL"
    await owner.renew()
    monkeypatch.setattr(room, "VERSIONS_MAX", Purpose.NEEDED.value.versions + 2)
    assert await refused(owner.renew) == "IDENTITY_FULL"
    await owner.end()


def test_what_is_left_is_enough_for_the_largest_lines() -> None:
    assert Purpose.NEEDED.value.bytes >= webvh.LINE_BYTES_MAX
    assert Purpose.CHOSEN.value.bytes >= Purpose.NEEDED.value.bytes + 4 * webvh.LINE_BYTES_MAX


async def test_an_operator_is_told_while_there_is_room_left(owner: Owner) -> None:
    await owner.rotate()
    size = sum(map(len, await owner.lines()))
    assert await told(owner, IDENTITY_ROOM) == {}
    assert await told(owner, Room(size * 5 // 4, 4_096, 64)) == {f"gotong:{owner.guest.scid}": 80}
    assert await told(owner, Room(4 << 20, 2, 64)) == {f"gotong:{owner.guest.scid}": 100}
    assert await told(owner, Room(4 << 20, 4_096, 2)) == {f"gotong:{owner.guest.scid}": 100}
    await owner.end()
    assert await told(owner, Room(4 << 20, 4_096, 2)) == {}


async def told(owner: Owner, limits: Room) -> dict[str, int]:
    async with owner.node.database.acquire() as connection:
        now = owner.node.clock()
        found = await alerts.current(connection, now=now, critical=1, quotas=QUOTAS, room=limits)
    return {each.subject: each.count for each in found if each.kind is AlertKind.IDENTITY_NEARLY_FULL}
