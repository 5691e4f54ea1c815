"""What operators see and decide through the contract, and that nobody else does."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest

from auth.policy import PEERS_ADMIN
from auth.tokens import Viewer
from federation.log.note import NoteMalformed
from federation.moderation.trust import add_peer
from federation.sync.plan import QUARANTINE_ENTRIES_MAX, LogForked, OwnLogLonger
from node.background import tell_alerts
from schema.context import Caller
from schema.engine import Engine
from store import peers
from store.alerts import AlertKind
from store.database import Database
from tests.schema.world import NOW, World, scid

PEER = "http://127.0.0.1:1"
DECIDE = """
mutation ($input: SetParticipantTrustInput!) {
  setParticipantTrust(input: $input) { participant { id trust trustSetBy } userErrors { code field } clientMutationId }
}
"""
PAGES = "{ %s(first: 1%s) { nodes { %s } pageInfo { hasNextPage hasPreviousPage endCursor } } }"


@pytest.fixture
async def operator(world: World, database: Database) -> Caller:
    """Somebody who acts for the node's operator."""
    number = await world.participant(9)
    async with database.acquire() as connection:
        await connection.execute("insert into node_state (network, operator_id) values ('test', $1)", number)
    return caller(scid(9), PEERS_ADMIN)


def caller(organization: str, *scopes: str) -> Caller:
    return Caller(Viewer("orang", frozenset([organization]), frozenset(scopes), NOW + timedelta(minutes=10)))


async def asked(engine: Engine, query: str, who: Caller, **variables: Any) -> Mapping[str, Any]:
    answer = await engine.ask(query, variables, caller=who)
    assert not answer.errors, answer.errors
    data: Mapping[str, Any] = orjson.loads(answer.data or b"")
    return data


@pytest.mark.parametrize(
    ("scopes", "organization", "code"),
    [((), 9, "SCOPE_MISSING"), ((PEERS_ADMIN,), 1, "FORBIDDEN"), (None, 9, "NOT_AUTHENTICATED")],
)
async def test_nobody_but_the_operator_sees_or_decides(
    engine: Engine, operator: Caller, scopes: tuple[str, ...] | None, organization: int, code: str
) -> None:
    who = Caller() if scopes is None else caller(scid(organization), *scopes)
    for field in ("peers { nodes { url } }", "participants { nodes { id } }", "decisions { nodes { at } }"):
        answer = await engine.ask(f"{{ {field} }}", caller=who)
        assert [error["extensions"]["code"] for error in answer.errors] == [code]
    answer = await engine.ask("{ alerts { kind } }", caller=who)
    assert [error["extensions"]["code"] for error in answer.errors] == [code]
    answer = await engine.ask(DECIDE, {"input": {"id": f"gotong:{scid(9)}", "trust": "BLOCKED"}}, caller=who)
    assert [error["extensions"]["code"] for error in answer.errors] == [code]


async def test_a_decision_is_carried_out_and_kept_with_its_reason(
    engine: Engine, world: World, operator: Caller
) -> None:
    await world.participant(1, trust="quarantined")
    given = {"id": f"gotong:{scid(1)}", "trust": "ALLOWED", "reason": "Bu Sri kenal mereka", "clientMutationId": "a"}
    done = (await asked(engine, DECIDE, operator, input=given))["setParticipantTrust"]
    assert done == {
        "participant": {"id": f"gotong:{scid(1)}", "trust": "ALLOWED", "trustSetBy": "operator"},
        "userErrors": [],
        "clientMutationId": "a",
    }
    decisions = await asked(engine, "{ decisions { nodes { actor action subject reason } } }", operator)
    assert decisions["decisions"]["nodes"] == [
        {"actor": "orang", "action": "participant.trust", "subject": scid(1), "reason": "Bu Sri kenal mereka"}
    ]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"id": f"gotong:{scid(7)}", "trust": "ALLOWED"}, "PARTICIPANT_NOT_FOUND"),
        ({"id": "gotong:x", "trust": "ALLOWED"}, "ID_MALFORMED"),
        ({"id": f"gotong:{scid(1)}", "trust": "ALLOWED", "reason": "x" * 2_001}, "REASON_TOO_LONG"),
    ],
)
async def test_a_decision_that_cannot_be_is_told(
    engine: Engine, world: World, operator: Caller, given: dict[str, Any], code: str
) -> None:
    await world.participant(1, trust="quarantined")
    done = (await asked(engine, DECIDE, operator, input=given))["setParticipantTrust"]
    assert (done["participant"], [error["code"] for error in done["userErrors"]]) == (None, [code])


async def test_pages_are_walked_to_their_end(
    engine: Engine, world: World, operator: Caller, database: Database
) -> None:
    for number in (1, 2, 3):
        await world.participant(number, trust="quarantined")
        await add_peer(database, f"{PEER}{number}", trust="quarantined", actor="uji")
    for field, member in (("peers", "url"), ("participants", "id"), ("decisions", "subject")):
        seen: list[str] = []
        after = ""
        while True:
            page = (await asked(engine, PAGES % (field, after, member), operator))[field]
            seen += [node[member] for node in page["nodes"]]
            assert page["pageInfo"]["hasPreviousPage"] == bool(after)
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = f', after: "{page["pageInfo"]["endCursor"]}"'
        assert len(seen) == len(set(seen)) >= 3
    answer = await engine.ask(PAGES % ("peers", ', after: "x"', "url"), caller=operator)
    assert [error["extensions"]["code"] for error in answer.errors] == ["CURSOR_INVALID"]
    filtered = await asked(engine, "{ participants(trust: BLOCKED) { nodes { id } } }", operator)
    assert filtered["participants"]["nodes"] == []


async def test_a_peer_is_added_and_decided_on(engine: Engine, operator: Caller) -> None:
    add = "mutation ($i: AddPeerInput!) { addPeer(input: $i) { peer { url trust failures } userErrors { code } } }"
    made = (await asked(engine, add, operator, i={"url": f"{PEER}/"}))["addPeer"]
    assert made == {"peer": {"url": PEER, "trust": "QUARANTINED", "failures": 0}, "userErrors": []}
    refused = (await asked(engine, add, operator, i={"url": "ftp://x"}))["addPeer"]
    assert refused == {"peer": None, "userErrors": [{"code": "PEER_URL_INVALID"}]}
    decide = "mutation ($i: SetPeerTrustInput!) { setPeerTrust(input: $i) { peer { trust } userErrors { code } } }"
    decided = (await asked(engine, decide, operator, i={"url": PEER, "trust": "BLOCKED"}))["setPeerTrust"]
    assert decided == {"peer": {"trust": "BLOCKED"}, "userErrors": []}


async def test_a_peer_without_an_address_is_named_by_its_operator_and_silences_no_alert(
    engine: Engine, world: World, operator: Caller, database: Database
) -> None:
    await world.participant(1, trust="quarantined")
    async with database.transaction() as connection:
        peer_id = await connection.fetchval(
            "insert into peer (operator_scid, trust, deposits_here) values ($1, 'quarantined', true) returning id",
            scid(2),
        )
        for error in (NoteMalformed("x"), OwnLogLonger("x"), LogForked("x")):  # the others are about a log's own key
            await peers.report(connection, error, peer_id=peer_id, origin=None, evidence=None)
        await connection.execute("update refusal set at = $1", NOW)
        assert [row.peer for row in await peers.refusals(connection, 10)] == [f"gotong:{scid(2)}"] * 3
    expected = {
        (AlertKind.RULES_BROKEN, f"gotong:{scid(2)}"),
        (AlertKind.PEER_WAITS, f"gotong:{scid(2)}"),
        (AlertKind.PARTICIPANT_WAITS, f"gotong:{scid(1)}"),
    }
    assert {(each.kind, each.subject) for each in await tell_alerts(database, NOW)} == expected
    shown = (await asked(engine, "{ alerts { kind subject count } }", operator))["alerts"]
    assert {(AlertKind(each["kind"]), each["subject"]) for each in shown} == expected
    assert [each["count"] for each in shown if each["kind"] == "RULES_BROKEN"] == [1]


async def test_alerts_begin_and_end_with_their_reasons(
    engine: Engine, world: World, operator: Caller, database: Database
) -> None:
    waiting = await world.participant(1, trust="quarantined")
    await world.need(waiting, urgency="CRITICAL")
    peer = await add_peer(database, PEER, trust="allowed", actor="uji")
    async with database.transaction() as connection:
        await connection.execute("update log set size = $2 where participant_id = $1", waiting, QUARANTINE_ENTRIES_MAX)
        await connection.execute("update peer set failures = 3, added_at = $1", NOW - timedelta(days=2))
        await peers.report(connection, NoteMalformed("x"), peer_id=peer.id, origin=None, evidence=None)
        await connection.execute("update refusal set at = $1", NOW)
    expected = {
        (AlertKind.CRITICAL_NEED_WAITS, f"gotong:{scid(1)}"),
        (AlertKind.QUOTA_REACHED, f"gotong/{scid(1)}/0"),
        (AlertKind.RULES_BROKEN, PEER),
        (AlertKind.PEER_SILENT, PEER),
        (AlertKind.PARTICIPANT_WAITS, f"gotong:{scid(1)}"),
    }
    assert {(each.kind, each.subject) for each in await tell_alerts(database, NOW)} == expected
    assert await tell_alerts(database, NOW) == []  # told once

    shown = (await asked(engine, "{ alerts { kind subject count since } }", operator))["alerts"]
    assert {(AlertKind(each["kind"]), each["subject"]) for each in shown} == expected
    assert shown[0]["kind"] == "CRITICAL_NEED_WAITS"
    assert {each["count"] for each in shown if each["kind"] == "PEER_SILENT"} == {3}

    await asked(engine, DECIDE, operator, input={"id": f"gotong:{scid(1)}", "trust": "ALLOWED"})
    left = (await asked(engine, "{ alerts { kind } }", operator))["alerts"]
    assert {each["kind"] for each in left} == {"RULES_BROKEN", "PEER_SILENT"}
    assert await tell_alerts(database, NOW) == []
    again = {"id": f"gotong:{scid(1)}", "trust": "QUARANTINED"}
    await asked(engine, DECIDE, operator, input=again)
    assert len(await tell_alerts(database, NOW)) == 3  # it began again, so it is told again


async def test_a_dry_run_decides_nothing(engine: Engine, world: World, operator: Caller) -> None:
    await world.participant(1, trust="quarantined")
    given = {"id": f"gotong:{scid(1)}", "trust": "BLOCKED", "dryRun": True}
    done = (await asked(engine, DECIDE, operator, input=given))["setParticipantTrust"]
    assert (done["participant"]["trust"], done["userErrors"]) == ("QUARANTINED", [])
    assert (await asked(engine, "{ decisions { nodes { at } } }", operator))["decisions"]["nodes"] == []
