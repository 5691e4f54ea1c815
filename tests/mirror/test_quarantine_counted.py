"""How full quarantine is costs a look at everybody there: it is counted where that matters, not for every section."""

from collections.abc import Callable

import pytest

from federation.bundles import intake
from federation.moderation.trust import set_participant_trust
from store import held as held_
from store.database import Connection
from store.held import Quarantine
from tests.mirror.conftest import MakeNode, SyncNode, exported, imported

GUESTS = 8


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return how often quarantine was counted since the last time."""
    count, times = held_.quarantine, [0]

    async def counting(connection: Connection) -> Quarantine:
        times[0] += 1
        return await count(connection)

    def since() -> int:
        so_far, times[0] = times[0], 0
        return so_far

    monkeypatch.setattr(held_, "quarantine", counting)
    return since


@pytest.fixture
async def sender(make_node: MakeNode) -> SyncNode:
    made = await make_node("a")
    for number in range(GUESTS):
        guest = await made.node.participant(f"warga-{number}", host="a.gotong.test")
        await made.node.publish_needs(guest.scid, "Beras")
    return made


async def test_sections_of_publishers_that_are_shown_count_nothing(
    sender: SyncNode, make_node: MakeNode, counted: Callable[[], int]
) -> None:
    reader = await make_node("b")
    bundle = await exported(sender)
    await imported(reader, bundle)
    assert counted() == GUESTS + 1  # each of them takes room
    for (scid,) in await reader.rows("select scid from participant where not hosted"):
        await set_participant_trust(reader.database, scid, "allowed", actor="test")
    await imported(reader, bundle)
    assert counted() == 0


async def test_a_quarantine_that_is_full_is_not_counted_again_for_every_stranger(
    sender: SyncNode, make_node: MakeNode, counted: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "QUARANTINED_PARTICIPANTS_MAX", 3)
    reader = await make_node("b")
    taken = await imported(reader, await exported(sender))
    assert sum(each.error is None for each in taken.values()) == 3
    assert {each.error.code for each in taken.values() if each.error} == {"QUARANTINE_FULL"}
    assert counted() == 4
    assert await reader.value("select count(*) from participant where not hosted") == 3
