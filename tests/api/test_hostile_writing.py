"""Mutations given what no honest client sends: told what is wrong, never an accident."""

from typing import Any

import pytest

from auth.policy import PEERS_ADMIN, RECORDS_WRITE, RESTRICTED_READ
from tests.api.conftest import Served
from tests.api.test_writing import PUBLISH, need, published

NUL = "a\u0000b"
UUID = "019a0000-0000-7000-8000-000000000000"
POST = "mutation ($input: PostUpdateInput!) { postUpdate(input: $input) { update { id } userErrors { code field } } }"


def mutation(name: str, input_type: str) -> str:
    return f"mutation ($input: {input_type}!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"


HOSTILE: list[tuple[str, str, dict[str, Any]]] = [
    ("publishNeed", "PublishNeedInput", {"idempotencyKey": NUL}),
    ("publishNeed", "PublishNeedInput", {"idempotencyKey": "x" * 300}),
    ("publishNeed", "PublishNeedInput", {"category": NUL}),
    ("publishNeed", "PublishNeedInput", {"permit": NUL}),
    ("publishNeed", "PublishNeedInput", {"recipient": NUL}),
    ("publishNeed", "PublishNeedInput", {"externalIds": [{"scheme": "a", "value": NUL}]}),
    ("publishNeed", "PublishNeedInput", {"contact": {"name": NUL}}),
    ("publishNeed", "PublishNeedInput", {"exactPlace": {"address": NUL}}),
    ("publishNeed", "PublishNeedInput", {"place": {"code": NUL}}),
    ("publishNeed", "PublishNeedInput", {"place": {"code": "32.03.28", "lat": 1e300, "lon": 0}}),
    ("publishNeed", "PublishNeedInput", {"exactPlace": {"lat": -1e300}}),
    ("publishNeed", "PublishNeedInput", {"place": {"code": "32.03.28", "lat": 91, "lon": 0}}),
    ("publishNeed", "PublishNeedInput", {"quantity": {"value": "1e999999", "unit": "kg"}}),
    ("publishNeed", "PublishNeedInput", {"quantity": {"value": "9" * 5_000, "unit": "kg"}}),
    ("publishNeed", "PublishNeedInput", {"minimum": NUL}),
    ("publishNeed", "PublishNeedInput", {"title": [{"text": "x", "lang": NUL}]}),
    ("reviseNeed", "ReviseNeedInput", {"id": "NEED", "expectedRevision": -1}),
    ("reviseNeed", "ReviseNeedInput", {"id": "NEED", "title": None}),
    ("reviseNeed", "ReviseNeedInput", {"id": f"gotong:OWN/dream/{UUID}"}),
    ("withdrawNeed", "WithdrawNeedInput", {"id": f"gotong:OWN/need/{UUID}"}),
    ("confirmNeed", "ConfirmNeedInput", {"id": "NEED", "expiresAt": "0001-01-01T00:00:00Z"}),
    ("eraseRecord", "EraseRecordInput", {"id": f"gotong:OWN/dream/{UUID}", "parts": ["BODY"]}),
    ("eraseRecord", "EraseRecordInput", {"id": f"gotong:OWN/organization/{UUID}", "parts": ["BODY", "BODY"]}),
    ("eraseRecord", "EraseRecordInput", {"id": "NEED", "parts": []}),
    ("postUpdate", "PostUpdateInput", {"as": "OWN", "about": f"gotong:OWN/dream/{UUID}", "text": [{"text": "x"}]}),
    ("postUpdate", "PostUpdateInput", {"as": "OWN", "about": "OWN", "text": [{"text": "x"}], "media": [NUL]}),
    ("updateOrganization", "UpdateOrganizationInput", {"id": "OWN", "slug": NUL}),
    ("updateOrganization", "UpdateOrganizationInput", {"id": "OWN", "links": [{"url": NUL}]}),
    ("updateOrganization", "UpdateOrganizationInput", {"id": "OWN", "languages": [NUL]}),
    ("updateOrganization", "UpdateOrganizationInput", {"id": "OWN", "parent": NUL}),
    ("requestRemoval", "RequestRemovalInput", {"id": "NEED", "reason": NUL}),
    ("requestRemoval", "RequestRemovalInput", {"id": "NEED", "reason": "x", "contact": NUL}),
    ("requestRestricted", "RequestRestrictedInput", {"as": "OWN", "id": f"gotong:OWN/dream/{UUID}"}),
    ("grantContactAccess", "ContactAccessInput", {"as": "OWN", "to": "NEED"}),
    ("addPeer", "AddPeerInput", {"url": NUL}),
    ("addPeer", "AddPeerInput", {"url": "http://127.0.0.1:1", "reason": NUL}),
    ("setPeerTrust", "SetPeerTrustInput", {"url": "http://[", "trust": "ALLOWED"}),
    ("setParticipantTrust", "SetParticipantTrustInput", {"id": "NEED", "trust": "ALLOWED"}),
    ("suppressRecord", "SuppressRecordInput", {"id": "NEED", "reason": NUL}),
    ("suppressRecord", "SuppressRecordInput", {"id": "OWN"}),
]


@pytest.mark.parametrize(("name", "input_type", "changes"), HOSTILE)
async def test_what_is_wrong_is_told_and_is_no_accident(
    served: Served, name: str, input_type: str, changes: dict[str, Any]
) -> None:
    record = (await published(served))["need"]["id"]
    own = served.organization

    def filled(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return record if value == "NEED" else own if value == "OWN" else value.replace("gotong:OWN", own)

    given = {key: filled(value) for key, value in changes.items()}
    if name == "publishNeed":
        given = need(served, **given)
    operator = served.node.operator.scid
    token = served.token(
        scopes=[RECORDS_WRITE, RESTRICTED_READ, PEERS_ADMIN], organizations=[served.guest.scid, operator]
    )
    answer = await served.ask(mutation(name, input_type), token, input=given)
    told = [error["extensions"]["code"] for error in answer.get("errors", ())]
    assert "INTERNAL" not in told, (answer, given)
    payload = (answer.get("data") or {}).get(name) or {}
    assert told or payload.get("userErrors"), "it was taken as it is"


async def test_nobody_without_a_token_is_told_what_is_here_by_posting_about_it(served: Served) -> None:
    record = (await published(served))["need"]["id"]
    answers = []
    for about in (record, f"{served.organization}/need/{UUID}", "nonsense"):
        given = {"as": served.organization, "about": about, "text": [{"text": "x"}]}
        answer = await served.ask(POST, input=given)
        answers.append([error["extensions"]["code"] for error in answer.get("errors", ())])
    assert answers == [["NOT_AUTHENTICATED"]] * 3


async def test_a_key_is_refused_by_its_form_before_anything_is_written(served: Served) -> None:
    answer = await served.ask(PUBLISH, served.token(), input=need(served, idempotencyKey=NUL))
    [error] = answer["data"]["publishNeed"]["userErrors"]
    assert (error["code"], error["field"]) == ("IDEMPOTENCY_KEY_MALFORMED", ["input", "idempotencyKey"])
    assert (await served.ask("{ needs { totalCount } }"))["data"]["needs"]["totalCount"] == 0
