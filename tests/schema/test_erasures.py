"""Who has erased what he was told to, as operators and authors see it."""

from datetime import timedelta
from typing import Any

import pytest

from auth.policy import PEERS_ADMIN, RECORDS_WRITE
from federation.moderation.trust import add_peer
from node.background import tell_alerts
from schema.context import Caller
from schema.engine import Engine
from store.alerts import AlertKind
from store.database import Database
from store.erasures import NAMES_MAX
from tests.schema.test_moderation import asked, caller, operator
from tests.schema.world import NOW, World, scid, uuid

__all__ = ["operator"]

PEER = "http://127.0.0.1:1"
OF = """
query ($publisher: ID, $first: Int, $after: String) {
  erasures(publisher: $publisher, first: $first, after: $after) {
    nodes { id parts erasedAt outOfFilesAt acknowledgedBy missing missingCount hoursLeft state waitsFor backupsAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""


async def erased(database: Database, publisher: int, number: int, *, ago_h: int, swept: bool = True) -> None:
    """Have a participant of this node erase the need of that number so many hours ago."""
    at = NOW - timedelta(hours=ago_h)
    async with database.acquire() as connection:
        await connection.execute("update participant set hosted = true where id = $1", publisher)
        await connection.execute(
            """
            insert into erasure (log_id, index, type, record_id, parts, at, executed_at, swept_at)
            select id, $2::bigint, 'need', $3, '{1}', $4, $4, $5 from log where participant_id = $1
            """,
            publisher,
            number,
            uuid(number),
            at,
            at if swept else None,
        )


@pytest.fixture
async def author(world: World, database: Database) -> int:
    """A participant of this node that erased two needs, and a peer that has acknowledged neither."""
    author = await world.participant(1)
    for number, ago_h in ((11, 80), (12, 2)):
        await world.need(author, number=number)
        await erased(database, author, number, ago_h=ago_h)
    await add_peer(database, PEER, trust="allowed", actor="uji")
    return author


async def test_operators_see_who_is_overdue_page_by_page(
    engine: Engine, database: Database, author: int, operator: Caller
) -> None:
    first = (await asked(engine, OF, operator, first=1))["erasures"]
    assert first["nodes"] == [
        {
            "id": f"gotong:{scid(1)}/need/{uuid(12)}",
            "parts": ["BODY"],
            "erasedAt": "2026-11-22T05:00:00.123Z",
            "outOfFilesAt": "2026-11-22T05:00:00.123Z",
            "acknowledgedBy": [],
            "missing": [PEER],
            "missingCount": 1,
            "hoursLeft": 70,
            "state": "WAITING",
            "waitsFor": None,
            "backupsAt": [],
        }
    ]
    assert first["pageInfo"]["hasNextPage"]
    last = (await asked(engine, OF, operator, first=1, after=first["pageInfo"]["endCursor"]))["erasures"]
    assert [(each["state"], each["hoursLeft"]) for each in last["nodes"]] == [("OVERDUE", -8)]
    assert not last["pageInfo"]["hasNextPage"]


async def test_what_keeps_an_erasure_from_being_done_is_told(
    engine: Engine, database: Database, author: int, operator: Caller
) -> None:
    async with database.acquire() as connection:
        await connection.execute("update erasure set swept_at = null, waits_for = 'TRANSACTION' where index = 12")
        await connection.execute("update erasure set parts = '{1,2}', at = $1 where index = 11", NOW)
        await connection.execute("update peer set operator_scid = $1", scid(5))
        await connection.execute(
            """
            insert into backup_sent (peer_id, participant_id, version, fingerprint, sent_at, size)
            select id, $1, 1, '', $2, 11 from peer
            """,
            author,
            NOW,
        )
    nodes = (await asked(engine, OF, operator))["erasures"]["nodes"]
    assert [(each["state"], each["waitsFor"], each["backupsAt"]) for each in nodes] == [
        ("IN_FILES", "TRANSACTION", []),
        ("WAITING", None, [f"gotong:{scid(5)}"]),
    ]


async def test_an_overdue_erasure_is_an_alert_until_everybody_has_said_that_it_is_done(
    engine: Engine, database: Database, author: int, operator: Caller
) -> None:
    async def alerts() -> list[Any]:
        return [each for each in await alerts_now(engine, operator) if each["kind"] == "ERASURE_OVERDUE"]

    overdue = {"kind": "ERASURE_OVERDUE", "subject": f"gotong/{scid(1)}/0", "count": 1}
    assert await alerts() == [overdue]
    assert AlertKind.ERASURE_OVERDUE in {each.kind for each in await tell_alerts(database, NOW)}
    await erased(database, author, 10, ago_h=100, swept=False)
    assert await alerts() == [overdue | {"count": 2}]
    async with database.acquire() as connection:
        await connection.execute("update erasure set swept_at = at")
        await connection.execute("update peer set operator_scid = $1", scid(5))
        await connection.execute(
            """
            insert into erasure_acknowledgement (log_id, operator_scid, size, at, note, received_at)
            select id, $1, 12, $2, '', $2 from log where participant_id = $3
            """,
            scid(5),
            NOW,
            author,
        )
    assert await alerts() == []
    states = [each["state"] for each in (await asked(engine, OF, operator))["erasures"]["nodes"]]
    assert states == ["DONE", "WAITING", "DONE"]  # of 12 it has not said so yet, for which it has time
    by = [each["acknowledgedBy"] for each in (await asked(engine, OF, operator))["erasures"]["nodes"]]
    assert by == [[f"gotong:{scid(5)}"], [], [f"gotong:{scid(5)}"]]


async def test_authors_see_their_own_and_nobody_sees_those_of_others(
    engine: Engine, world: World, database: Database, author: int, operator: Caller
) -> None:
    other = await world.participant(2)
    await world.need(other, number=21)
    await erased(database, other, 21, ago_h=1)
    mine = f"gotong:{scid(1)}"
    for who in (caller(scid(1), RECORDS_WRITE), operator):
        shown = (await asked(engine, OF, who, publisher=mine))["erasures"]["nodes"]
        assert [each["id"] for each in shown] == [f"{mine}/need/{uuid(12)}", f"{mine}/need/{uuid(11)}"]
    assert len((await asked(engine, OF, operator))["erasures"]["nodes"]) == 3
    refused: list[tuple[Caller, str | None, str]] = [
        (Caller(), mine, "NOT_AUTHENTICATED"),
        (Caller(), None, "NOT_AUTHENTICATED"),
        (caller(scid(1), RECORDS_WRITE), None, "SCOPE_MISSING"),
        (caller(scid(1), RECORDS_WRITE), f"gotong:{scid(2)}", "SCOPE_MISSING"),
        (caller(scid(1), RECORDS_WRITE, PEERS_ADMIN), f"gotong:{scid(2)}", "FORBIDDEN"),
    ]
    for who, publisher, code in refused:
        answer = await engine.ask(OF, {"publisher": publisher}, caller=who)
        assert [error["extensions"]["code"] for error in answer.errors] == [code]


async def test_a_page_goes_on_where_it_stopped_although_an_erasure_was_executed_anew(
    engine: Engine, database: Database, author: int, operator: Caller
) -> None:
    first = (await asked(engine, OF, operator, first=1))["erasures"]
    async with database.acquire() as connection:
        await connection.execute("update erasure set executed_at = $1 where index = 11", NOW + timedelta(hours=1))
    last = (await asked(engine, OF, operator, first=1, after=first["pageInfo"]["endCursor"]))["erasures"]
    assert [each["id"][-36:] for each in first["nodes"] + last["nodes"]] == [str(uuid(12)), str(uuid(11))]


async def test_who_is_missing_is_counted_and_only_so_many_are_named(
    engine: Engine, database: Database, author: int, operator: Caller
) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "insert into peer (url, operator_scid, trust) select 'https://p' || n, 'op' || n, 'allowed' "
            "from generate_series(1, $1) n",
            2 * NAMES_MAX,
        )
        await connection.execute("update peer set trust = 'blocked' where operator_scid = 'op7'")
        await connection.execute(
            "insert into erasure_acknowledgement select log.id, 'op' || n, 12, $1, '', $1 "
            "from log, generate_series(1, 5) n where participant_id = $2",
            NOW,
            author,
        )
    newest, oldest = (await asked(engine, OF, operator))["erasures"]["nodes"]
    assert (len(newest["missing"]), newest["missingCount"]) == (NAMES_MAX, 2 * NAMES_MAX)  # all but the blocked one
    assert (len(oldest["missing"]), oldest["missingCount"]) == (NAMES_MAX, 2 * NAMES_MAX - 5)
    assert oldest["acknowledgedBy"] == [f"gotong:op{n}" for n in range(1, 6)]
    overdue = [each for each in await alerts_now(engine, operator) if each["kind"] == "ERASURE_OVERDUE"]
    assert [each["count"] for each in overdue] == [1]


async def alerts_now(engine: Engine, operator: Caller) -> list[Any]:
    return list((await asked(engine, "{ alerts { kind subject count } }", operator))["alerts"])
