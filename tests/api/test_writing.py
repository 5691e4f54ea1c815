"""Mutations over HTTP, into a real log."""

import asyncio
from typing import Any

import pytest

from federation.publish.guard import PublicationWaits
from federation.publish.waiting import publish_waiting
from store.database import Connection
from store.logs import LogRow
from tests.api.conftest import Served

PUBLISH = """
mutation ($input: PublishNeedInput!) {
  publishNeed(input: $input) {
    clientMutationId
    userErrors { code message field }
    need { id title revision state urgency expiresAt place { code lat region { name } } quantity { value unit }
           publisher { id name } provenance { index } }
  }
}
"""
REVISE = """
mutation ($input: ReviseNeedInput!) {
  reviseNeed(input: $input) {
    userErrors { code field } need { revision title(lang: "id") description neededBy urgency }
  }
}
"""


def need(served: Served, **changes: Any) -> dict[str, Any]:
    return {
        "as": served.organization,
        "title": [{"text": "Buku cerita anak"}],
        "kind": "GOODS",
        "category": "education.books",
        "quantity": {"value": "40.50", "unit": "{buku}"},
        "urgency": "HIGH",
        "place": {"code": "32.03.28"},
        "modes": ["DONATE"],
        "clientMutationId": "c1",
        **changes,
    }


async def published(served: Served, **changes: Any) -> dict[str, Any]:
    answer = await served.ask(PUBLISH, served.token(), input=need(served, **changes))
    assert "errors" not in answer
    payload: dict[str, Any] = answer["data"]["publishNeed"]
    return payload


async def test_a_published_need_is_given_back_as_it_can_be_asked_for(served: Served) -> None:
    payload = await published(served)
    assert payload["userErrors"] == []
    assert payload["clientMutationId"] == "c1"
    written = payload["need"]
    assert written["quantity"] == {"value": "40.5", "unit": "{buku}"}
    assert written["place"]["region"]["name"] == "Cipanas"
    assert written["expiresAt"] == "2026-03-21T09:26:53.589Z"
    asked = await served.ask("{ needs { nodes { id title } } }")
    assert asked["data"]["needs"]["nodes"] == [{"id": written["id"], "title": "Buku cerita anak"}]


async def test_without_a_token_nothing_is_written(served: Served) -> None:
    answer = await served.ask(PUBLISH, input=need(served))
    assert answer["errors"][0]["extensions"]["code"] == "NOT_AUTHENTICATED"
    assert answer["data"] is None
    assert (await served.ask("{ needs { totalCount } }"))["data"]["needs"]["totalCount"] == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"scopes": []}, "SCOPE_MISSING"), ({"organizations": []}, "FORBIDDEN")],
)
async def test_a_token_that_does_not_cover_the_writing_is_refused(
    served: Served, changes: dict[str, Any], code: str
) -> None:
    answer = await served.ask(PUBLISH, served.token(**changes), input=need(served))
    assert answer["errors"][0]["extensions"]["code"] == code


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"place": {"code": "99"}}, "REGION_UNKNOWN", ["input", "place"]),
        ({"place": {"code": "nowhere"}}, "REGION_CODE_MALFORMED", ["input", "place"]),
        ({"category": "foo"}, "CATEGORY_UNKNOWN", ["input", "category"]),
        ({"title": []}, "RECORD_INVALID", ["input", "title"]),
        ({"title": [{"text": " "}]}, "TEXT_INVALID", ["input", "title"]),
        ({"title": [{"text": "a\u0000b"}]}, "TEXT_INVALID", ["input", "title"]),
        ({"quantity": None}, "RECORD_INVALID", ["input", "quantity"]),
        ({"quantity": {"value": "-1", "unit": "kg"}}, "QUANTITY_INVALID", ["input", "quantity"]),
        ({"as": "gotong:nobody"}, "ID_MALFORMED", None),
    ],
)
async def test_a_broken_rule_is_told_with_its_field(
    served: Served, changes: dict[str, Any], code: str, field: list[str] | None
) -> None:
    payload = await published(served, **changes)
    assert payload["need"] is None
    assert [(error["code"], error["field"]) for error in payload["userErrors"]] == [(code, field)]


async def test_a_revision_changes_only_what_is_given_and_null_removes(served: Served) -> None:
    first = await published(served, description=[{"text": "Untuk pojok baca"}], neededBy="2026-05-01T00:00:00Z")
    answer = await served.ask(
        REVISE,
        served.token(),
        input={"id": first["need"]["id"], "expectedRevision": 0, "urgency": "LOW", "neededBy": None},
    )
    assert answer["data"]["reviseNeed"] == {
        "userErrors": [],
        "need": {
            "revision": 1,
            "title": "Buku cerita anak",
            "description": "Untuk pojok baca",
            "neededBy": None,
            "urgency": "LOW",
        },
    }
    again = await served.ask(
        REVISE, served.token(), input={"id": first["need"]["id"], "expectedRevision": 0, "urgency": "HIGH"}
    )
    assert again["data"]["reviseNeed"]["userErrors"][0]["code"] == "REVISION_CONFLICT"


async def test_a_need_is_confirmed_until_it_is_withdrawn(served: Served) -> None:
    first = await published(served)
    served.node.clock.advance(days=1)
    confirm = "mutation ($id: ID!) { confirmNeed(input: {id: $id}) { userErrors { code } need { confirmedAt state } } }"
    withdraw = "mutation ($id: ID!) { withdrawNeed(input: {id: $id}) { userErrors { code } need { state } } }"
    token = served.token()
    confirmed = await served.ask(confirm, token, id=first["need"]["id"])
    assert confirmed["data"]["confirmNeed"]["need"] == {"confirmedAt": "2026-03-15T09:26:53.589Z", "state": "OPEN"}
    withdrawn = await served.ask(withdraw, token, id=first["need"]["id"])
    assert withdrawn["data"]["withdrawNeed"]["need"] == {"state": "WITHDRAWN"}
    refused = await served.ask(confirm, token, id=first["need"]["id"])
    assert refused["data"]["confirmNeed"]["userErrors"] == [{"code": "NEED_NOT_OPEN"}]


async def test_the_same_idempotency_key_writes_once(served: Served) -> None:
    headers = {"idempotency-key": "k-1"}
    token = served.token()
    answers = await asyncio.gather(*(served.ask(PUBLISH, token, headers=headers, input=need(served)) for _ in range(5)))
    assert len({answer["data"]["publishNeed"]["need"]["id"] for answer in answers}) == 1
    other = await served.ask(PUBLISH, token, headers=headers, input=need(served, urgency="LOW"))
    assert other["data"]["publishNeed"]["userErrors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert (await served.ask("{ needs { totalCount } }"))["data"]["needs"]["totalCount"] == 1


async def test_a_dry_run_checks_and_writes_nothing(served: Served) -> None:
    assert (await published(served, dryRun=True))["userErrors"] == []
    assert (await published(served, dryRun=True, category="foo"))["userErrors"][0]["code"] == "CATEGORY_UNKNOWN"
    assert (await served.ask("{ needs { totalCount } }"))["data"]["needs"]["totalCount"] == 0


async def test_activities_updates_and_organizations_are_written(served: Served) -> None:
    answer = await served.ask(
        """
        mutation ($as: ID!) {
          publishActivity(input: {as: $as, title: [{text: "Lomba puisi"}], start: "2026-04-01T09:00:00+07:00",
            zone: "Asia/Jakarta", place: {code: "32.03.28"}, status: PLANNED}) {
            userErrors { code message field } activity { id start title } }
          updateOrganization(input: {id: $as, name: [{text: "Baca Yuk Cipanas"}]}) {
            userErrors { code message } organization { name revision } }
        }
        """,
        served.token(),
        variables={"as": served.organization},
    )
    assert answer["data"]["publishActivity"]["userErrors"] == []
    activity = answer["data"]["publishActivity"]["activity"]
    assert activity["start"] == "2026-04-01T02:00:00.000Z"
    assert answer["data"]["updateOrganization"]["organization"] == {"name": "Baca Yuk Cipanas", "revision": 1}
    revised = await served.ask(
        "mutation ($id: ID!) { reviseActivity(input: {id: $id, status: DONE, attendance: 60}) "
        "{ userErrors { code } activity { status attendance } } }",
        served.token(),
        id=activity["id"],
    )
    assert revised["data"]["reviseActivity"]["activity"] == {"status": "DONE", "attendance": 60}
    posted = await served.ask(
        'mutation ($as: ID!, $about: ID!) { postUpdate(input: {as: $as, about: $about, text: [{text: "Ramai!"}]}) '
        "{ userErrors { code message field } update { text about { id ... on Activity { title } } } } }",
        served.token(),
        variables={"as": served.organization, "about": activity["id"]},
    )
    assert posted["data"]["postUpdate"]["update"] == {
        "text": "Ramai!",
        "about": {"id": activity["id"], "title": "Lomba puisi"},
    }
    missing = activity["id"][:-1] + ("0" if activity["id"][-1] != "0" else "1")
    lost = await served.ask(
        'mutation ($as: ID!, $about: ID!) { postUpdate(input: {as: $as, about: $about, text: [{text: "?"}]}) '
        "{ userErrors { code field } } }",
        served.token(),
        variables={"as": served.organization, "about": missing},
    )
    assert lost["data"]["postUpdate"]["userErrors"] == [{"code": "RECORD_NOT_FOUND", "field": ["input", "about"]}]


async def test_while_nothing_may_be_signed_it_is_kept_and_published_later_once(served: Served) -> None:
    appender = served.services.appender
    open_again = appender._may_sign

    async def closed(_connection: Connection, _log: LogRow) -> None:
        raise PublicationWaits("a peer has to confirm first")

    appender._may_sign = closed
    for _ in range(2):
        payload = await published(served, idempotencyKey="kunci", contact={"name": "Bu Sri"})
        assert [error["code"] for error in payload["userErrors"]] == ["PUBLICATION_WAITS"]
        assert payload["need"] is None
    broken = await published(served, category="no.such.category")
    assert [error["code"] for error in broken["userErrors"]] != ["PUBLICATION_WAITS"]
    appender._may_sign = open_again
    assert await publish_waiting(served.services.database, appender) == 1
    payload = await published(served, idempotencyKey="kunci", contact={"name": "Bu Sri"})
    assert payload["userErrors"] == []
    asked = await served.ask("{ needs { nodes { id } } }")
    assert asked["data"]["needs"]["nodes"] == [{"id": payload["need"]["id"]}]
