"""Owners decide through GraphQL, and see who asked."""

from typing import Any

import pytest

from tests.api.conftest import Served
from tests.restricted.test_reading import PUBLISH, READ, reachable

GRANT = """
mutation ($input: ContactAccessInput!) { grantContactAccess(input: $input) {
  grants { organization grantedBy } userErrors { code field } } }
"""
REVOKE = GRANT.replace("grantContactAccess", "revokeContactAccess")
REQUEST = """
mutation ($input: RequestRestrictedInput!) { requestRestricted(input: $input) {
  contact { phone } exactPlace { lat } userErrors { code } clientMutationId } }
"""
SEEN = """
query ($as: ID!) { contactGrants(as: $as) { nodes { organization } }
  contactReleases(as: $as) { nodes { organization record released rule } } }
"""


async def decide(served: Served, mutation: str, **more: Any) -> dict[str, Any]:
    to = f"gotong:{served.node.operator.scid}"
    given = {"as": served.organization, "to": to, **more}
    answer = await served.ask(mutation, served.token(scopes=["restricted:read"]), input=given)
    assert "errors" not in answer, answer
    (payload,) = answer["data"].values()
    return dict(payload)


async def test_an_owner_allows_sees_and_takes_back(served: Served) -> None:
    written = await served.ask(PUBLISH, served.token(scopes=READ), input=reachable(served))
    record, operator = written["data"]["publishNeed"]["need"]["id"], f"gotong:{served.node.operator.scid}"
    operators = served.token(scopes=["restricted:read"], organizations=[served.node.operator.scid])

    async def requested() -> dict[str, Any]:
        given = {"as": operator, "id": record, "clientMutationId": "c"}
        answer = await served.ask(REQUEST, operators, input=given)
        return dict(answer["data"]["requestRestricted"])

    refused = {"contact": None, "exactPlace": None, "userErrors": [{"code": "RESTRICTED_REFUSED"}]}
    assert await requested() == {**refused, "clientMutationId": "c"}
    rehearsed = await decide(served, GRANT, dryRun=True)
    assert rehearsed == {"grants": [], "userErrors": []}
    granted = await decide(served, GRANT)
    assert granted == {"grants": [{"organization": operator, "grantedBy": "sari"}], "userErrors": []}
    given = await requested()
    assert (given["contact"], given["exactPlace"]) == ({"phone": "+628123456789"}, {"lat": -6.7312345})
    assert await decide(served, REVOKE) == {"grants": [], "userErrors": []}
    assert (await requested())["userErrors"] == [{"code": "RESTRICTED_REFUSED"}]
    seen = await served.ask(SEEN, served.token(scopes=["restricted:read"]), variables={"as": served.organization})
    rows = [(each["released"], each["rule"]) for each in seen["data"]["contactReleases"]["nodes"]]
    assert rows == [(False, "NOT_ALLOWED"), (True, "CHOSEN"), (False, "NOT_ALLOWED")]
    assert {each["record"] for each in seen["data"]["contactReleases"]["nodes"]} == {record}


async def test_a_contact_once_told_is_not_in_any_table(served: Served) -> None:
    written = await served.ask(PUBLISH, served.token(scopes=READ), input=reachable(served))
    record = written["data"]["publishNeed"]["need"]["id"]
    given = {"as": served.organization, "id": record, "idempotencyKey": "k"}
    answer = await served.ask(REQUEST, served.token(scopes=READ), headers={"idempotency-key": "x"}, input=given)
    assert answer["data"]["requestRestricted"]["contact"] == {"phone": "+628123456789"}
    async with served.node.database.acquire() as connection:
        for (table,) in await connection.fetch("select tablename from pg_tables where schemaname = 'public'"):
            for (row,) in await connection.fetch(f"select t::text from {table} t"):
                assert "8123456789" not in row
                assert b"8123456789".hex() not in row


@pytest.mark.parametrize(("scopes", "code"), [(["records:write"], "SCOPE_MISSING"), (["restricted:read"], "FORBIDDEN")])
async def test_others_decide_and_see_nothing(served: Served, scopes: list[str], code: str) -> None:
    token = served.token(scopes=scopes, organizations=[served.node.operator.scid])
    asked = {"as": served.organization, "to": served.organization}
    for answer in (
        await served.ask(GRANT, token, input=asked),
        await served.ask(REVOKE, token, input=asked),
        await served.ask(SEEN, token, variables={"as": served.organization}),
    ):
        assert {error["extensions"]["code"] for error in answer["errors"]} == {code}


async def test_a_participant_nobody_knows_is_not_allowed(served: Served) -> None:
    payload = await decide(served, GRANT, to="gotong:Qm" + "1" * 44)
    assert payload["userErrors"] == [{"code": "PARTICIPANT_NOT_FOUND", "field": ["input", "to"]}]
