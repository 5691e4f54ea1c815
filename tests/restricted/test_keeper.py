"""Who keeps backups may lose them: it is asked what it has."""

from typing import Any

import pytest

from federation.sync.client import PeerClient, PeerProtocolError
from store import backups, peers
from tests.nodes import seed_of
from tests.restricted.backups import Bare, backing_up, deposit, refused
from tests.restricted.nodes import Side
from tests.sync.conftest import client_of


async def test_a_keeper_that_lost_its_disk_is_given_the_backup_again(home: Side, keeper: Side, bare: Bare) -> None:
    await home.publish()
    await deposit(home, keeper)
    await keeper.sync.pull(home.sync.url)
    assert await deposit(home, keeper) == [0, 0]  # asked, it has them
    async with keeper.sync.database.acquire() as connection:
        await connection.execute("delete from backup where scid = $1", home.guest.scid)
    others, lost = sorted(await deposit(home, keeper))
    assert (others, lost > 0) == (0, True)
    found, missing, _ = await bare.restored(keeper, seed_of("baca-yuk"))
    assert found.contents is not None
    assert missing == []


async def test_in_the_background_a_keeper_is_asked_once_whether_it_still_has_a_backup(
    home: Side, keeper: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.publish()
    async with home.sync.database.acquire() as connection:
        peer = await peers.find(connection, keeper.sync.url)
        assert peer is not None
        await backups.add_target(connection, peer.id)
    asked: list[str] = []
    get = PeerClient.get

    async def heard(self: PeerClient, path: str, **options: Any) -> bytes:
        asked.append(path)
        return await get(self, path, **options)

    monkeypatch.setattr(PeerClient, "get", heard)
    maker = backing_up(home)
    for _ in range(3):
        await maker.to_targets()
    assert asked == []  # it was given all of it just now
    maker = backing_up(home)
    for _ in range(3):
        await maker.to_targets()
    assert sorted(asked) == sorted(f"backup/{each}" for each in (home.guest.scid, home.sync.node.operator.scid))


@pytest.mark.parametrize("path", ["backup/x", f"backup/x/{10**16 - 1}/0", f"backup/x/1/{2**31}"])
async def test_a_backup_that_nobody_could_have_is_not_kept(home: Side, keeper: Side, path: str) -> None:
    headers = {"authorization": f"Gotong-Backup {'0' * 64}"}
    async with client_of(home.sync.node, keeper.sync.url) as client:
        with pytest.raises(PeerProtocolError) as caught:
            await client.get(path, headers=headers, answer_type="application/json", bytes_max=1_000)
    assert (caught.value.details["status"], caught.value.details["cause"]) == (404, "BACKUP_NOT_KEPT")


@pytest.mark.parametrize("slug", ["pengurus", "baca-yuk"])
async def test_whose_cards_are_from_before_backups_keeps_nobody_else_from_being_backed_up(
    home: Side, keeper: Side, slug: str
) -> None:
    await home.publish()
    await keeper.sync.pull(home.sync.url)
    await home.sync.value(
        "update participant set backup_key = null, backup_reader_hash = null where hosted and slug = $1", slug
    )
    assert await refused(deposit(home, keeper)) == "BACKUP_KEY_MISSING"
    assert await keeper.sync.value("select count(*) from backup where is_complete") == 1
