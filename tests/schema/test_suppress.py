"""An operator hides one record on this node: nothing here shows it, the rest is as before, and it can be undone."""

from typing import Any

import orjson
import pytest

from domain.ids import RecordUri
from federation.moderation.suppress import ParticipantNotSuppressible, set_suppressed
from federation.publish.prepare import RecordNotFound
from schema.context import Caller
from schema.engine import Engine
from store.database import Database
from store.outbox import sequence
from store.rebuild import out_of_step
from tests.schema.test_moderation import asked, operator
from tests.schema.world import NOW, World, introduced_again, introduced_meanwhile, need_body, scid, uuid

__all__ = ["operator"]

URI = f"gotong:{scid(1)}/need/{uuid(11)}"
OTHER = f"gotong:{scid(1)}/need/{uuid(12)}"
SUPPRESS = """
mutation ($i: SuppressRecordInput!) {
  suppressRecord(input: $i) { suppression { id actor reason } userErrors { code } }
}
"""
EVERYWHERE = """
query ($id: ID!, $about: ID!) {
  node(id: $id) { id }
  nodes(ids: [$id]) { id }
  _entities(representations: [{__typename: "Need", id: $id}]) { ... on Need { id } }
  needs { nodes { id } totalCount hiddenByTrust { count critical } }
  organization(id: $about) { needs { nodes { id } totalCount hiddenByTrust { count critical } } }
  needStats(groupBy: []) { count }
  updates { nodes { about { id } } }
}
"""


@pytest.fixture
async def publisher(world: World) -> int:
    """A participant with two needs, and news about the first."""
    publisher = await world.participant(1)
    await world.need(publisher, number=11, urgency="CRITICAL")
    await world.need(publisher, number=12)
    news = {"about": {"uri": URI, "leaf": "ab" * 32}, "text": [{"lang": "id", "text": "Kabar"}]}
    await world.record("update", publisher, news, number=31)
    return publisher


async def everywhere(engine: Engine) -> dict[str, Any]:
    return dict(await asked(engine, EVERYWHERE, Caller(), id=URI, about=f"gotong:{scid(1)}"))


async def told(engine: Engine, database: Database, after: str | None) -> tuple[list[tuple[str, bool]], str]:
    """Return (kind, whether there is a record) of what happened to the need behind a cursor, and the next cursor."""
    async with database.acquire() as connection:
        while await sequence(connection):
            pass
    query = "query ($a: String) { changes(after: $a) { nodes { kind record { id } } pageInfo { endCursor } } }"
    page = (await asked(engine, query, Caller(), a=after))["changes"]
    return [(each["kind"], each["record"] is not None) for each in page["nodes"]], page["pageInfo"]["endCursor"]


async def test_a_suppressed_record_is_shown_nowhere_and_counted_and_comes_back(
    engine: Engine, database: Database, publisher: int, operator: Caller
) -> None:
    before = await everywhere(engine)
    assert before["needs"]["totalCount"] == 2
    done = await asked(engine, SUPPRESS, operator, i={"id": URI, "reason": "Alamat orang"})
    assert done["suppressRecord"] == {
        "suppression": {"id": URI, "actor": "orang", "reason": "Alamat orang"},
        "userErrors": [],
    }
    needs = {"nodes": [{"id": OTHER}], "totalCount": 1, "hiddenByTrust": {"count": 1, "critical": 1}}
    assert await everywhere(engine) == {
        "node": None,
        "nodes": [None],
        "_entities": [None],
        "needs": needs,
        "organization": {"needs": needs},
        "needStats": [{"count": 1}],
        "updates": {"nodes": [{"about": None}]},
    }
    listed = "{ suppressions { nodes { id reason } } decisions(first: 1) { nodes { action subject reason } } }"
    assert await asked(engine, listed, operator) == {
        "suppressions": {"nodes": [{"id": URI, "reason": "Alamat orang"}]},
        "decisions": {"nodes": [{"action": "record.suppress", "subject": URI, "reason": "Alamat orang"}]},
    }
    undone = await asked(engine, SUPPRESS, operator, i={"id": URI, "suppressed": False})
    assert undone["suppressRecord"] == {"suppression": None, "userErrors": []}
    assert await everywhere(engine) == before
    async with database.acquire() as connection:
        assert (
            await connection.fetchval("select suppresses from organization where publisher_id = $1", publisher) is False
        )


async def test_followers_are_told_that_it_went_and_that_it_came_back(
    engine: Engine, database: Database, publisher: int, operator: Caller
) -> None:
    _, cursor = await told(engine, database, None)
    await asked(engine, SUPPRESS, operator, i={"id": URI})
    await asked(engine, SUPPRESS, operator, i={"id": URI})  # once more changes nothing, so nobody is told
    gone, cursor = await told(engine, database, cursor)
    assert gone == [("SUPPRESSED", False)]
    await asked(engine, SUPPRESS, operator, i={"id": URI, "suppressed": False})
    back, _ = await told(engine, database, cursor)
    assert back == [("PUBLISHED", True)]


async def test_it_stays_hidden_when_its_row_and_its_publishers_are_written_anew(
    engine: Engine, database: Database, world: World, publisher: int, operator: Caller
) -> None:
    await asked(engine, SUPPRESS, operator, i={"id": URI})
    async with database.transaction() as connection:
        await connection.execute("create table kept as select * from organization")
        await connection.execute("delete from organization where publisher_id = $1", publisher)
        await connection.execute("delete from need where record_id = $1", uuid(11))
    await world.record("need", publisher, need_body(urgency="LOW"), number=13)
    async with database.transaction() as connection:
        await connection.execute(
            "update need set record_id = $1, revision = 1 where record_id = $2", uuid(11), uuid(13)
        )
        await introduced_again(connection)
        assert await out_of_step(connection) == []
    shown = await everywhere(engine)
    assert (shown["node"], shown["needs"]["hiddenByTrust"]) == (None, {"count": 1, "critical": 0})


async def test_an_introduction_that_arrives_while_a_record_is_suppressed_shows_nothing_of_it(
    engine: Engine, database: Database, publisher: int, operator: Caller
) -> None:
    async with database.acquire() as connection:
        await connection.execute("create table kept as select * from organization")
        await connection.execute("delete from organization where publisher_id = $1", publisher)
        change = connection.transaction()
        await change.start()
        await connection.execute(
            "insert into suppression (publisher_id, type, record_id, at, actor) values ($1, 'need', $2, $3, 'uji')",
            publisher,
            uuid(11),
            NOW,
        )
        await introduced_meanwhile(database, connection, change)
    assert (await everywhere(engine))["node"] is None


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (RecordUri(scid(1), "need", uuid(99)), RecordNotFound),
        (RecordUri(scid(7), "need", uuid(11)), RecordNotFound),
        (RecordUri(scid(1), "dream", uuid(11)), RecordNotFound),
        (RecordUri(scid(1), "organization", uuid(11)), RecordNotFound),
        (RecordUri(scid(1)), ParticipantNotSuppressible),
        (RecordUri(scid(7)), RecordNotFound),
    ],
)
async def test_only_a_record_that_is_here_is_suppressed(
    database: Database, publisher: int, record: RecordUri, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await set_suppressed(database, record, suppressed=True, actor="uji", now=NOW)


async def test_nobody_but_the_operator_suppresses(engine: Engine, publisher: int, operator: Caller) -> None:
    for query, variables in ((SUPPRESS, {"i": {"id": URI}}), ("{ suppressions { nodes { id } } }", {})):
        answer = await engine.ask(query, variables, caller=Caller())
        assert [error["extensions"]["code"] for error in answer.errors] == ["NOT_AUTHENTICATED"]
    dry = await asked(engine, SUPPRESS, operator, i={"id": URI, "dryRun": True})
    assert dry["suppressRecord"] == {"suppression": None, "userErrors": []}
    assert orjson.loads((await engine.ask("{ needs { totalCount } }")).data or b"")["needs"]["totalCount"] == 2
