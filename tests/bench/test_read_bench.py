"""The read benchmark asks real questions about a real data set: what it loads is what Gotong answers."""

import socket
import threading
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from bench.read import client, dataset, load, questions
from bench.read.dataset import Record
from bench.read.questions import DOCUMENTS, GOTONG
from bench.read.statements import Statements, for_pgbench, literal
from domain.records.registry import RECORDS
from domain.regions import Region, Regions, parse_regions
from schema.engine import Engine
from store.database import Database
from tests.schema.conftest import engine, key, regions, services

__all__ = ["engine", "key", "regions", "services"]  # fixtures

SIZE = load.Size("test", needs=200, communities=12, updated_share=0.5)


def table() -> list[Region]:
    with load.REGIONS_CSV.open(encoding="utf-8", newline="") as lines:
        return parse_regions(lines)


def invented() -> list[Record]:
    """Return the needs of the data set, newest received first."""
    return list(dataset.needs(SIZE.needs, dataset.communities(SIZE.communities, table())))[::-1]


@pytest.fixture
async def loaded(database: Database, database_dsn: str, tmp_path: Path) -> Database:
    """The test's database, filled."""
    await load.load(database_dsn, SIZE, tmp_path / "keys")
    return database


async def asked(engine: Engine, question: str, draw: questions.Draw) -> list[tuple[object, ...]]:
    answer = await engine.ask(DOCUMENTS[GOTONG][question], draw)
    assert answer.errors == []
    return questions.content(GOTONG, orjson.loads(answer.json()))


def shown(row: tuple[object, ...]) -> tuple[object, ...]:
    """Return id, title and time of receipt of an answer's row."""
    return row[0], row[1], row[10]


def expected(needs: list[Record], count: int) -> list[tuple[object, ...]]:
    return [(need.uri("need"), text(need, "title"), _cut(need.received_at)) for need in needs[:count]]


def text(need: Record, field: str) -> str:
    return str(need.body[field][0]["text"])


def _cut(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def is_open(need: Record) -> bool:
    return need.body["status"] == "OPEN" and datetime.fromisoformat(need.body["expiresAt"]) > dataset.AS_OF


def most_asked_for(needs: list[Record]) -> str:
    codes: list[str] = [need.body["category"] for need in needs if "." in need.body["category"]]
    return max(codes, key=codes.count)


async def test_pages_hold_the_newest_open_needs_of_a_category(loaded: Database, engine: Engine) -> None:
    needs = invented()
    category = most_asked_for(needs)
    wanted = [need for need in needs if need.body["category"] == category and is_open(need)]
    assert len(wanted) > 5
    for question, count in (("page", questions.PAGE_ROWS), ("nested", questions.NESTED_ROWS)):
        found = await asked(engine, question, {"category": category})
        assert [shown(row) for row in found] == expected(wanted, count)
    updates = [row[-1] for row in await asked(engine, "nested", {"category": category})]
    updated = {need.id for need in needs[: SIZE.needs // 2]}
    assert [len(each) for each in updates] == [questions.NEWS_ROWS * (need.id in updated) for need in wanted]  # type: ignore[arg-type]


async def test_one_need_is_found_by_its_id(loaded: Database, engine: Engine) -> None:
    need = invented()[7]
    (row,) = await asked(engine, "by_id", {"id": need.uri("need")})
    assert shown(row) == expected([need], 1)[0]
    assert row[-2] == text(need, "description")


async def test_a_word_is_found_inside_its_region_only(loaded: Database, engine: Engine) -> None:
    needs = invented()
    word, regency = text(needs[0], "title").split()[0].lower(), needs[0].body["place"]["code"][:5]
    with_word = [
        need
        for need in needs
        if word in f"{text(need, 'title')} {text(need, 'description')}".lower().replace(".", " ").split()
    ]
    wanted = [need for need in with_word if need.body["place"]["code"].startswith(regency)]
    assert len(with_word) > len(wanted)
    found = await asked(engine, "text", {"text": word, "region": regency})
    assert [shown(row) for row in found] == expected(wanted, questions.PAGE_ROWS)


def test_the_data_set_is_valid_and_the_same_every_time() -> None:
    record_type, known = RECORDS.named("need"), Regions(table())
    needs = invented()
    for need in needs:
        record_type.validate({}, need.body, None, rev=0, previous=None)
        record_type.check_known(need.body, known)
    assert [(need.id, need.body) for need in invented()] == [(need.id, need.body) for need in needs]


async def test_what_pgbench_executes_is_what_the_server_asks(loaded: Database, regions: Regions) -> None:
    statements = Statements(regions)
    async with loaded.acquire() as connection:
        for question, draws in (await questions.draws(connection)).items():
            statement = statements.of(DOCUMENTS[GOTONG][question], draws[0])
            by_server = await connection.fetch(statement.sql, *statement.values)
            await connection.execute(f"prepare by_hand as {for_pgbench(statement.sql)}")
            values = ", ".join(map(literal, statement.values))
            by_hand = [tuple(row) for row in await connection.fetch(f"execute by_hand({values})")]
            await connection.execute("deallocate by_hand")
            assert by_hand == [tuple(row) for row in by_server]


def answering(answers: list[bytes]) -> int:
    """Return the port of a server that gives the answers one after the other, in pieces, and then closes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with listening, connection:
            for answer in answers:
                connection.recv(65_536)
                for start in range(0, len(answer), 7):
                    connection.sendall(answer[start : start + 7])

    threading.Thread(target=serve).start()
    return int(listening.getsockname()[1])


WITH_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b'{"data":{}}'
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + b'{"data":{}}' + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", "500 No"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"errors":[]}', "errors"),
        (b"", "closed"),
    ],
)
def test_an_answer_that_is_none_stops_the_measurement(last: bytes, why: str) -> None:
    with pytest.raises(client.Refused, match=why):
        client.ask(answering([WITH_LENGTH, IN_CHUNKS, last]), [{"query": "{ x }"}], connections=1, seconds=20)
