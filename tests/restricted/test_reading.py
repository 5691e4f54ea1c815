"""Who reads contact and exact place through GraphQL: the publisher's own people, at home, and nobody else."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from auth.tokens import Viewer
from schema.context import Caller
from schema.engine import Engine
from schema.root import SCHEMA
from tests.api.conftest import Served
from tests.api.test_following import everything_is_numbered, followed, opened
from tests.api.test_writing import need
from tests.schema.test_statements import counting

ASK = """
query ($id: ID!) { node(id: $id) { ... on Need { title
  contact { name phone whatsapp email note } exactPlace { address lat lon } contactAccess } } }
"""
PUBLISH = """
mutation ($input: PublishNeedInput!) { publishNeed(input: $input) {
  userErrors { code field } need { id contact { phone } contactAccess } } }
"""
PHONE = "+628123456789"
READ = ["records:write", "restricted:read"]


def reachable(served: Served, **changes: Any) -> dict[str, Any]:
    """Return the input of a need with a contact and an exact place."""
    place = {"address": "Kp. Sindanglaya RT 02", "lat": -6.7312345, "lon": 107.04}
    return need(served, **{"contact": {"name": "Sari", "phone": PHONE}, "exactPlace": place, **changes})


@pytest.fixture
async def written(served: Served) -> dict[str, Any]:
    answer = await served.ask(PUBLISH, served.token(scopes=READ), input=reachable(served))
    payload: dict[str, Any] = answer["data"]["publishNeed"]
    assert payload["userErrors"] == []
    need_: dict[str, Any] = payload["need"]
    return need_


async def test_the_publishers_own_people_read_what_they_wrote(served: Served, written: dict[str, Any]) -> None:
    assert written["contact"] == {"phone": PHONE}
    assert written["contactAccess"] == "HERE"
    answer = await served.ask(ASK, served.token(scopes=["restricted:read"]), id=written["id"])
    assert answer["data"]["node"] == {
        "title": "Buku cerita anak",
        "contact": {"name": "Sari", "phone": PHONE, "whatsapp": None, "email": None, "note": None},
        "exactPlace": {"address": "Kp. Sindanglaya RT 02", "lat": -6.7312345, "lon": 107.04},
        "contactAccess": "HERE",
    }


@pytest.mark.parametrize(
    "token",
    [
        lambda served: None,
        lambda served: served.token(),
        lambda served: served.token(scopes=READ, organizations=[served.node.operator.scid]),
        lambda served: served.token(scopes=READ, organizations=[]),
    ],
    ids=["nobody", "without the scope", "another organization of this node", "no organization"],
)
async def test_everybody_else_gets_null_and_where_to_ask(
    served: Served, written: dict[str, Any], token: Callable[[Served], str | None]
) -> None:
    answer = await served.ask(ASK, token(served), id=written["id"])
    assert answer["data"]["node"] == {
        "title": "Buku cerita anak",
        "contact": None,
        "exactPlace": None,
        "contactAccess": "ASK_HOME",
    }


async def test_a_record_without_a_restricted_part_says_none(served: Served) -> None:
    without = reachable(served, contact=None, exactPlace=None)
    answer = await served.ask(PUBLISH, served.token(scopes=READ), input=without)
    assert answer["data"]["publishNeed"]["need"]["contactAccess"] == "NONE"
    assert answer["data"]["publishNeed"]["need"]["contact"] is None


async def test_an_answer_with_a_token_is_never_shared_and_a_shared_one_holds_no_contact(
    served: Served, written: dict[str, Any]
) -> None:
    query = "{ needs { nodes { id contact { phone } contactAccess } } }"
    accept = {"accept": "application/graphql-response+json"}
    own = {**accept, "authorization": f"Bearer {served.token(scopes=READ)}"}
    shared = await served.http.get(served.url, params={"query": query}, headers=accept)
    private = await served.http.get(served.url, params={"query": query}, headers=own)
    assert PHONE in private.text
    assert "etag" not in private.headers
    assert "private" in private.headers["cache-control"] or "no-store" in private.headers["cache-control"]
    assert "etag" in shared.headers
    again = await served.http.get(served.url, params={"query": query}, headers=accept)
    for response in (shared, again):
        assert PHONE not in response.text
        assert '"contactAccess":"ASK_HOME"' in response.text


@pytest.mark.parametrize("query", [ASK, "{ needs { nodes { title contact { phone } contactAccess } } }"])
async def test_those_who_ask_at_one_moment_share_a_statement_and_no_contact(
    served: Served, written: dict[str, Any], monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    engine, now = Engine(SCHEMA, served.services), served.node.clock()
    tokens = [served.token(scopes=READ), served.token(), served.token(scopes=READ, organizations=[])]
    viewers = [None, *(served.services.verifier.verify(token, now) for token in tokens)]
    variables = {"id": written["id"]} if "$id" in query else {}

    async def read_by(viewer: Viewer | None) -> str:
        answer = await engine.ask(query, variables, Caller(viewer))
        assert answer.errors == []
        return answer.json().decode()

    alone = [await read_by(viewer) for viewer in viewers]
    asked = counting(monkeypatch)
    assert await asyncio.gather(*map(read_by, viewers)) == alone
    assert [PHONE in answer for answer in alone] == [False, True, False, False]
    assert len([sql for sql in asked if "from need t" in sql]) == 1


async def test_an_event_holds_no_contact_whoever_follows(served: Served) -> None:
    """Followers of one question share its events; so the publisher's own people get none there either."""
    query = """subscription { needPublished { need { id contact { phone } contactAccess } } }"""
    init = {"authorization": f"Bearer {served.token(scopes=READ)}"}
    async with opened(served.url, init=init) as own, opened(served.url, init={}) as stranger:
        for client in (own, stranger):
            await client.follow(query=query)
        await followed(served.endpoint, 2)
        answer = await served.ask(PUBLISH, served.token(scopes=READ), input=reachable(served))
        id_ = answer["data"]["publishNeed"]["need"]["id"]
        for client in (own, stranger):
            assert await client.event() == {"need": {"id": id_, "contact": None, "contactAccess": "ASK_HOME"}}


async def test_a_poller_of_changes_reads_its_own_only(served: Served, written: dict[str, Any]) -> None:
    query = "{ changes(first: 5) { nodes { record { ... on Need { contact { phone } } } } } }"
    await everything_is_numbered(served)
    for scopes, phone in ((READ, {"phone": PHONE}), (["records:write"], None)):
        answer = await served.ask(query, served.token(scopes=scopes))
        assert {"contact": phone} in [each["record"] for each in answer["data"]["changes"]["nodes"]]


async def test_a_part_that_cannot_be_opened_spoils_its_field_and_tells_nothing(
    served: Served, written: dict[str, Any]
) -> None:
    async with served.node.database.acquire() as connection:
        await connection.execute("update payload set data = data || '\\x00' where part = 2")
    answer = await served.ask(ASK, served.token(scopes=READ), id=written["id"])
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["RESTRICTED_UNREADABLE"]
    assert PHONE not in str(answer)


async def test_a_contact_that_is_refused_is_not_quoted_back_or_logged(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"phone": "0812-3456-789 atau tetangga"}
    answer = await served.ask(PUBLISH, served.token(scopes=READ), input=reachable(served, contact=wrong))
    assert [error["code"] for error in answer["data"]["publishNeed"]["userErrors"]] == ["RECORD_INVALID"]
    assert "3456" not in str(answer)
    assert "3456" not in "".join(capsys.readouterr())
