"""Questions answered by compiled statements over a real database."""

import orjson

from schema.engine import Engine
from tests.schema.world import World, scid, uuid


async def test_a_page_of_needs_names_their_publishers(engine: Engine, world: World) -> None:
    publisher = await world.participant(1)
    await world.need(publisher, number=10)
    answer = await engine.ask("{ needs { nodes { id title publisher { name } } } }")
    assert answer.errors == []
    assert orjson.loads(answer.json()) == {
        "data": {
            "needs": {
                "nodes": [
                    {
                        "id": f"gotong:{scid(1)}/need/{uuid(10)}",
                        "title": "Buku cerita anak",
                        "publisher": {"name": "Baca Yuk!"},
                    }
                ]
            }
        }
    }
