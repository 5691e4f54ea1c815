"""Requests for records by id that come at one moment share a statement, and nothing else."""

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest

from schema.compile import gathering
from schema.engine import Engine
from schema.errors import Formatted
from tests.schema.test_statements import counting, endless_statements
from tests.schema.world import World, scid, uuid
from tests.waiting import PATIENCE_S

QUERY = "query ($id: ID!) { node(id: $id) { id ... on Need { title } } }"
MISSING = uuid(999)


def need_id(publisher: int, number: int) -> str:
    return f"gotong:{scid(publisher)}/need/{uuid(number)}"


async def title_of(engine: Engine, uri: str) -> tuple[Any, list[Formatted]]:
    answer = await engine.ask(QUERY, {"id": uri})
    return answer.data and (orjson.loads(answer.data)["node"] or {}).get("title"), answer.errors


async def villages(world: World) -> None:
    """Add what is asked for: needs 10 to 13 of an allowed community, 20 of a quarantined one."""
    community, stranger = await world.participant(1), await world.participant(2, trust="quarantined")
    for number in range(10, 14):
        await world.need(community, number=number, title=[{"lang": "id", "text": f"Kebutuhan {number}"}])
    await world.need(stranger, number=20)


async def test_each_is_answered_as_if_alone(engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await villages(world)
    wanted = [need_id(1, 11), need_id(1, 10), need_id(1, 11), need_id(2, 20), f"gotong:{scid(1)}/need/{MISSING}"]
    alone = [await title_of(engine, uri) for uri in wanted]
    assert [title for title, _ in alone] == ["Kebutuhan 11", "Kebutuhan 10", "Kebutuhan 11", None, None]
    asked = counting(monkeypatch)
    assert await asyncio.gather(*(title_of(engine, uri) for uri in wanted)) == alone
    assert len(asked) == 1


async def test_more_than_a_statement_takes_are_several(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    await title_of(engine, need_id(1, 10))
    asked = counting(monkeypatch)
    found = await asyncio.gather(*(title_of(engine, need_id(1, 10 + n % 4)) for n in range(150)))
    assert [title for title, _ in found] == [f"Kebutuhan {10 + n % 4}" for n in range(150)]
    assert len(asked) == 3


async def test_who_leaves_takes_nobody_along(engine: Engine, world: World) -> None:
    await villages(world)
    leaving = asyncio.create_task(title_of(engine, need_id(1, 10)))
    staying = asyncio.create_task(title_of(engine, need_id(1, 11)))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == ("Kebutuhan 11", [])
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_statement_nobody_waits_for_is_stopped(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    await title_of(engine, need_id(1, 10))
    started, stopped = endless_statements(monkeypatch)
    tasks = [asyncio.create_task(title_of(engine, need_id(1, number))) for number in (10, 11)]
    async with asyncio.timeout(PATIENCE_S):
        await started.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stopped.wait()


async def test_a_damaged_row_spoils_its_own_answer_only(engine: Engine, world: World) -> None:
    await villages(world)
    async with world.database.acquire() as connection:
        await connection.execute("update need set title_text = '[]' where record_id = $1", uuid(12))
    damaged, whole = await asyncio.gather(title_of(engine, need_id(1, 12)), title_of(engine, need_id(1, 13)))
    assert whole == ("Kebutuhan 13", [])
    assert damaged[0] is None
    assert damaged[1] != []


async def test_records_with_lists_of_others_are_asked_for_alone(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    query = QUERY.replace("title", "title updates { nodes { text } }")
    asked = counting(monkeypatch)
    await asyncio.gather(*(engine.ask(query, {"id": need_id(1, number)}) for number in (10, 11, 12)))
    assert len(asked) == 3


async def test_those_who_come_while_a_statement_runs_share_the_next(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    await title_of(engine, need_id(1, 10))
    asked = counting(monkeypatch)
    monkeypatch.setattr(gathering, "WAITED_S_MAX", 60)
    first = asyncio.create_task(title_of(engine, need_id(1, 10)))
    while not asked:  # noqa: ASYNC110 - a few turns of the loop
        await asyncio.sleep(0)
    later = [asyncio.create_task(title_of(engine, need_id(1, number))) for number in (11, 12)]
    await asyncio.sleep(0)
    later.append(asyncio.create_task(title_of(engine, need_id(1, 13))))
    assert await asyncio.gather(first, *later) == [(f"Kebutuhan {number}", []) for number in (10, 11, 12, 13)]
    assert len(asked) == 2


async def test_a_statement_that_hangs_holds_nobody_else_up(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await villages(world)
    await title_of(engine, need_id(1, 10))
    fetch, hanging = asyncpg.Connection.fetch, asyncio.Event()

    async def hangs_once(connection: Any, sql: str, *args: Any, **more: Any) -> Any:
        if not hanging.is_set():
            hanging.set()
            await asyncio.Event().wait()
        return await fetch(connection, sql, *args, **more)

    monkeypatch.setattr(asyncpg.Connection, "fetch", hangs_once)
    stuck = asyncio.create_task(title_of(engine, need_id(1, 10)))
    await hanging.wait()
    async with asyncio.timeout(PATIENCE_S):
        assert await title_of(engine, need_id(1, 11)) == ("Kebutuhan 11", [])
    stuck.cancel()
