"""eraseRecord over HTTP: what is gone, what stays, what is refused."""

from typing import Any

import pytest

from store import removals
from tests.api.conftest import Served
from tests.api.test_following import everything_is_numbered
from tests.api.test_writing import REVISE, published

ERASE = """
mutation ($input: EraseRecordInput!) {
  eraseRecord(input: $input) { erasedId clientMutationId userErrors { code message field } }
}
"""
MARKER = "Jangan-disimpan-7431"


async def erased(served: Served, id_: str, *parts: str, **changes: Any) -> dict[str, Any]:
    given = {"id": id_, "parts": list(parts), **changes}
    answer = await served.ask(ERASE, served.token(), input=given)
    assert "errors" not in answer
    payload: dict[str, Any] = answer["data"]["eraseRecord"]
    return payload


def codes(payload: dict[str, Any]) -> list[str]:
    return [error["code"] for error in payload["userErrors"]]


async def stored_payloads(served: Served) -> list[tuple[int, int]]:
    async with served.node.database.acquire() as connection:
        rows = await connection.fetch("select index, part from payload where index > 1 order by index, part")
    return [(row["index"], row["part"]) for row in rows]


async def test_an_erased_body_is_in_no_answer_and_in_no_table(served: Served) -> None:
    need = (await published(served, title=[{"text": MARKER}], contact={"phone": "+62811000000"}))["need"]
    before = await stored_payloads(served)
    assert {part for _, part in before} == {1, 2}
    assert await erased(served, need["id"], "BODY", "RESTRICTED") == {
        "erasedId": need["id"],
        "clientMutationId": None,
        "userErrors": [],
    }
    assert await stored_payloads(served) == []
    asked = await served.ask("query ($id: ID!) { node(id: $id) { id } needs { totalCount } }", id=need["id"])
    assert asked["data"] == {"node": None, "needs": {"totalCount": 0}}


async def test_without_its_contact_a_need_is_shown_as_before_and_can_be_revised(served: Served) -> None:
    need = (await published(served, contact={"phone": "+62811000000"}))["need"]
    assert codes(await erased(served, need["id"], "RESTRICTED")) == []
    assert [part for _, part in await stored_payloads(served)] == [1]
    changes = {"id": need["id"], "expectedRevision": need["revision"], "urgency": "LOW"}
    answer = await served.ask(REVISE, served.token(), input=changes)
    revised = answer["data"]["reviseNeed"]
    assert revised["userErrors"] == []
    assert (revised["need"]["revision"], revised["need"]["urgency"]) == (2, "LOW")
    assert [part for _, part in await stored_payloads(served)] == [1, 1]


@pytest.mark.parametrize(
    ("parts", "code"),
    [(["CORE"], "CORE_NOT_ERASABLE"), (["BODY", "CORE"], "CORE_NOT_ERASABLE"), ([], "ERASE_MALFORMED")],
)
async def test_what_cannot_be_erased_is_refused(served: Served, parts: list[str], code: str) -> None:
    need = (await published(served))["need"]
    assert codes(await erased(served, need["id"], *parts)) == [code]
    assert len(await stored_payloads(served)) == 1


async def test_what_is_not_there_cannot_be_erased(served: Served) -> None:
    need = (await published(served))["need"]
    assert codes(await erased(served, need["id"], "RESTRICTED")) == ["NOTHING_TO_ERASE"]
    assert codes(await erased(served, need["id"], "BODY")) == []
    assert codes(await erased(served, need["id"], "BODY")) == ["NOTHING_TO_ERASE"]
    absent = need["id"][:-4] + "ffff"
    assert codes(await erased(served, absent, "BODY")) == ["RECORD_NOT_FOUND"]


async def test_only_the_author_erases(served: Served) -> None:
    need = (await published(served))["need"]
    given = {"id": need["id"], "parts": ["BODY"]}
    for token, code in ((None, "NOT_AUTHENTICATED"), (served.token(organizations=[]), "FORBIDDEN")):
        answer = await served.ask(ERASE, token, input=given)
        assert answer["errors"][0]["extensions"]["code"] == code
    assert len(await stored_payloads(served)) == 1


async def test_the_request_that_published_it_does_not_publish_it_again(served: Served) -> None:
    need = (await published(served, idempotencyKey="satu"))["need"]
    assert codes(await erased(served, need["id"], "BODY", idempotencyKey="dua")) == []
    assert codes(await published(served, idempotencyKey="satu")) == ["IDEMPOTENCY_KEY_REUSED"]
    assert await erased(served, need["id"], "BODY", idempotencyKey="dua") == {
        "erasedId": need["id"],
        "clientMutationId": None,
        "userErrors": [],
    }


async def test_an_erased_need_cannot_be_revised_and_an_erased_organization_introduces_itself_again(
    served: Served,
) -> None:
    need = (await published(served))["need"]
    assert codes(await erased(served, need["id"], "BODY")) == []
    answer = await served.ask(REVISE, served.token(), input={"id": need["id"], "urgency": "LOW"})
    assert codes(answer["data"]["reviseNeed"]) == ["RECORD_UNREADABLE"]
    assert codes(await erased(served, served.organization, "BODY")) == []
    update = """mutation ($input: UpdateOrganizationInput!) {
      updateOrganization(input: $input) { userErrors { code message } organization { name } } }"""
    given = {
        "id": served.organization,
        "slug": "baca-yuk",
        "name": [{"text": "Baca Lagi"}],
        "kind": "COMMUNITY",
        "place": {"code": "32.03.28"},
        "languages": ["id"],
    }
    answer = await served.ask(update, served.token(), input=given)
    assert answer["data"]["updateOrganization"] == {"userErrors": [], "organization": {"name": "Baca Lagi"}}


async def test_a_rehearsal_erases_nothing(served: Served) -> None:
    need = (await published(served))["need"]
    assert codes(await erased(served, need["id"], "BODY", dryRun=True)) == []
    assert len(await stored_payloads(served)) == 1


async def test_followers_and_pollers_are_told_what_is_gone_and_nothing_of_what_it_said(served: Served) -> None:
    gone = (await published(served, title=[{"text": MARKER}]))["need"]
    stays = (await published(served))["need"]
    assert codes(await erased(served, gone["id"], "BODY")) == []
    query = """query ($filter: ChangeFilter) {
      changes(filter: $filter) { nodes { kind recordId record { id ... on Need { title publisher { name } } } } } }"""

    async def told(**filter_: Any) -> list[tuple[str, str, Any]]:
        await everything_is_numbered(served)
        answer = await served.ask(query, filter=filter_)
        assert MARKER not in str(answer)
        nodes = answer["data"]["changes"]["nodes"]
        return [(node["kind"], node["recordId"], node["record"] and node["record"]["id"]) for node in nodes]

    event = ("ERASED", gone["id"], None)
    assert await told(types=["NEED"]) == [("PUBLISHED", stays["id"], stays["id"]), event]
    assert await told(kinds=["ERASED"], region="34.71", publishers=[served.organization]) == [event]
    assert await told(kinds=["ERASED"], types=["ACTIVITY"]) == []
    stranger = served.organization[:-3] + "abc"
    assert await told(kinds=["ERASED"], publishers=[stranger]) == []


async def test_anybody_asks_the_operator_to_remove_something_within_bounds(served: Served) -> None:
    query = """mutation ($input: RequestRemovalInput!) {
      requestRemoval(input: $input) { requested userErrors { code field } } }"""

    async def asked(**given: Any) -> Any:
        answer = await served.ask(query, input={"id": served.organization, "reason": "Nomor ibu saya", **given})
        return answer["data"]["requestRemoval"]

    taken = {"requested": True, "userErrors": []}
    assert await asked(dryRun=True) == {"requested": False, "userErrors": []}
    assert await asked(contact="sari@example.org") == taken
    unclear = {"code": "REMOVAL_UNCLEAR", "field": ["input", "reason"]}
    assert await asked(reason=" ") == {"requested": False, "userErrors": [unclear]}
    for _ in range(removals.PER_HOUR_MAX - 1):
        assert await asked() == taken
    assert [error["code"] for error in (await asked())["userErrors"]] == ["REMOVALS_EXHAUSTED"]
    async with served.node.database.transaction() as connection:
        first, *rest = await removals.waiting(connection)
        assert (first.reason, first.contact, len(rest)) == ("Nomor ibu saya", "sari@example.org", 59)
        assert await removals.settle(connection, first.id, "erased by its author")
        assert not await removals.settle(connection, first.id, "again")
        assert await removals.waiting(connection) == rest
