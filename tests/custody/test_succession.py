"""All cards are lost: a successor says so itself, and a person on each node decides."""

from pathlib import Path

import pytest

from federation.lifecycle.succession import (
    SuccessionNotClaimed,
    SuccessorAccepted,
    SuccessorNotVouched,
    accept_successor,
)
from federation.moderation.trust import ParticipantNotFound
from federation.publish.append import Draft
from store.database import Database
from tests.clock import FrozenClock
from tests.nodes import fixed, start_test_node


async def test_a_successor_is_accepted_once_and_only_if_it_says_so_itself(
    database: Database, tmp_path: Path, clock: FrozenClock
) -> None:
    node = await start_test_node(database, tmp_path, clock)
    old, new, other = [await node.participant(slug) for slug in ("lama", "baru", "lain")]
    body = {
        "slug": "baru",
        "name": [{"lang": "id", "text": "Baru"}],
        "kind": "COMMUNITY",
        "place": {"code": "32.03.28", "edition": "2025"},
        "languages": ["id"],
        "succeeds": f"gotong:{old.scid}",
    }
    with pytest.raises(SuccessionNotClaimed):
        await accept_successor(database, old.scid, new.scid, actor="test")
    for who in (new, other):
        await node.appender.append(who.scid, [Draft("organization", None, fixed(body))])
    with pytest.raises(ParticipantNotFound):
        await accept_successor(database, old.scid, "gotong:nobody", actor="test")
    with pytest.raises(SuccessorNotVouched):
        await accept_successor(database, old.scid, new.scid, actor="test")
    uris = [f"gotong:{each.scid}" for each in (old, new)]
    await accept_successor(database, *uris, actor="test", without_vouch=True)
    with pytest.raises(SuccessorAccepted):
        await accept_successor(database, old.scid, other.scid, actor="test", without_vouch=True)
    async with database.acquire() as connection:
        rows = await connection.fetch("select predecessor_id, successor_id, accepted_by from succession")
    assert [tuple(row) for row in rows] == [(old.participant_id, new.participant_id, "test")]
