"""What a node says of itself."""

from schema.engine import Engine
from store import outbox, texts
from store.database import Database
from store.outbox import Change
from tests.schema.world import World, uuid

SEARCH = '{ needs(filter: {text: "beras"}) { totalCount textPending } }'


async def test_a_node_says_how_much_is_not_found_by_words_yet(engine: Engine, world: World, database: Database) -> None:
    seen, hidden = await world.participant(1), await world.participant(2, trust="quarantined")
    async with database.acquire() as connection:
        await outbox.record(
            connection, [Change(outbox.PUBLISHED, "need", each, uuid(9), 0) for each in (seen, hidden, seen)]
        )
        answer = await engine.ask("{ thisNode { changesWaiting } }")
        assert answer.data == b'{"thisNode":{"changesWaiting":2}}'
        assert (await engine.ask(SEARCH)).data == b'{"needs":{"totalCount":0,"textPending":2}}'
        await outbox.sequence(connection)
        assert (await engine.ask(SEARCH)).data == b'{"needs":{"totalCount":0,"textPending":2}}'
        await texts.index(connection)
    answer = await engine.ask("{ thisNode { changesWaiting } }")
    assert answer.data == b'{"thisNode":{"changesWaiting":0}}'
    assert (await engine.ask(SEARCH)).data == b'{"needs":{"totalCount":0,"textPending":0}}'
