"""The four questions, as each server is asked them, and the one form in which their answers must be equal.

A question's variables are drawn once from a seed; every server gets the same draws in its own spelling.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from bench.read import dataset
from domain.categories import CATEGORIES
from domain.records.need import URGENCY_RANK
from schema.common.filters import words
from store.database import Connection

DRAWS: Final = 64
PAGE_ROWS, NESTED_ROWS, NEWS_ROWS = 20, 100, dataset.UPDATES_PER_NEED
NESTED_CATEGORIES: Final = 10  # the most frequent: their newest hundred all have updates
GOTONG, POSTGRAPHILE, MERCURIUS = "gotong", "postgraphile", "mercurius"
QUESTIONS: Final = {
    "page": f"{PAGE_ROWS} open needs of a category, newest first, with publisher",
    "nested": f"{NESTED_ROWS} needs, each with publisher and {NEWS_ROWS} updates",
    "by_id": "one need by its id, with publisher",
    "text": f"{PAGE_ROWS} needs with a word inside a region, newest first, with publisher",
}

Draw = Mapping[str, Any]

_GOTONG_NEED = """id title kind category { code } urgency state quantity { value unit } place { code } neededBy
    receivedAt publisher { id slug name }"""
_POSTGRAPHILE_NEED = """uri title kind category urgency state quantityValue quantityUnit region neededBy receivedAt
    publisher { uri slug name }"""
_MERCURIUS_NEED = """id title kind category urgency state quantityValue quantityUnit region neededBy receivedAt
    publisher { id slug name }"""
_NEWEST = "orderBy: [RECEIVED_AT_DESC, RECORD_ID_DESC]"

DOCUMENTS: Final = {
    GOTONG: {
        "page": f"""query ($category: String!) {{ rows: needs(filter: {{categories: [$category], states: [OPEN]}},
            first: {PAGE_ROWS}) {{ nodes {{ {_GOTONG_NEED} }} }} }}""",
        "nested": f"""query ($category: String!) {{ rows: needs(filter: {{categories: [$category], states: [OPEN]}},
            first: {NESTED_ROWS}) {{ nodes {{ {_GOTONG_NEED}
            updates(first: {NEWS_ROWS}) {{ nodes {{ id text publishedAt }} }} }} }} }}""",
        "by_id": f"query ($id: ID!) {{ rows: node(id: $id) {{ ... on Need {{ {_GOTONG_NEED} description }} }} }}",
        "text": f"""query ($text: String!, $region: String!) {{ rows: needs(filter: {{text: $text, region: $region}},
            first: {PAGE_ROWS}) {{ nodes {{ {_GOTONG_NEED} }} }} }}""",
    },
    POSTGRAPHILE: {
        "page": f"""query ($category: String!) {{
            rows: allNeedsList(condition: {{category: $category, state: "OPEN"}}, {_NEWEST},
            first: {PAGE_ROWS}) {{ {_POSTGRAPHILE_NEED} }} }}""",
        "nested": f"""query ($category: String!) {{
            rows: allNeedsList(condition: {{category: $category, state: "OPEN"}}, {_NEWEST},
            first: {NESTED_ROWS}) {{ {_POSTGRAPHILE_NEED}
            news: newsList({_NEWEST}, first: {NEWS_ROWS}) {{ id: uri text: body publishedAt }} }} }}""",
        "by_id": f"""query ($scid: String!, $recordId: UUID!) {{ rows: needByScidAndRecordId(scid: $scid,
            recordId: $recordId) {{ {_POSTGRAPHILE_NEED} description }} }}""",
        "text": f"""query ($words: [String], $region: String!) {{ rows: searchNeedsList(words: $words, inside: $region,
            first: {PAGE_ROWS}) {{ {_POSTGRAPHILE_NEED} }} }}""",
    },
    MERCURIUS: {
        "page": f"""query ($category: String!) {{ rows: needs(category: $category, state: "OPEN", first: {PAGE_ROWS})
            {{ {_MERCURIUS_NEED} }} }}""",
        "nested": f"""query ($category: String!) {{ rows: needs(category: $category, state: "OPEN",
            first: {NESTED_ROWS}) {{ {_MERCURIUS_NEED} news(first: {NEWS_ROWS}) {{ id text publishedAt }} }} }}""",
        "by_id": f"""query ($scid: String!, $recordId: ID!) {{ rows: need(scid: $scid, recordId: $recordId)
            {{ {_MERCURIUS_NEED} description }} }}""",
        "text": f"""query ($words: [String]!, $region: String!) {{ rows: search(words: $words, region: $region,
            first: {PAGE_ROWS}) {{ {_MERCURIUS_NEED} }} }}""",
    },
}

# The same rows without any JSON: what a program pays that speaks SQL itself. On the views of peers.sql.
_FLAT = """select n.uri, n.title, n.kind, n.category, n.urgency, n.state, n.quantity_value, n.quantity_unit, n.region,
    n.needed_by, n.received_at, c.uri, c.slug, c.name"""
_FLAT_FROM = "join peer.community c on c.publisher_id = n.publisher_id"
_FLAT_NEWEST = "order by n.received_at desc, n.record_id desc limit"
_FLAT_PAGE = f"""{_FLAT} from peer.need n {_FLAT_FROM}
    where n.category = {{category}} and n.state = 'OPEN' {_FLAT_NEWEST}"""
FLAT: Final = {
    "page": f"{_FLAT_PAGE} {PAGE_ROWS}",
    "nested": f"""select n.*, u.uri, u.body, u.published_at from ({_FLAT_PAGE} {NESTED_ROWS})
        as n(uri, title, kind, category, urgency, state, value, unit, region, needed_by, received_at, c_uri, slug, name)
        left join lateral (select * from peer.news where about_uri = n.uri
        order by received_at desc, record_id desc limit {NEWS_ROWS}) u on true""",
    "by_id": f"{_FLAT}, n.description from peer.need n {_FLAT_FROM} "
    "where n.scid = {scid} and n.record_id = {recordId}::uuid",
    "text": f"""{_FLAT} from peer.search_needs({{words}}::text[], {{region}}) n {_FLAT_FROM}
        {_FLAT_NEWEST} {PAGE_ROWS}""",
}


def variables(server: str, draw: Draw) -> Draw:
    """Return the draw as the server takes it: Gotong has one id and one text, the others get them taken apart."""
    if server == GOTONG or "category" in draw:
        return draw
    if "id" in draw:
        _, scid, _, record_id = draw["id"].replace("/", ":").split(":")
        return {"scid": scid, "recordId": record_id}
    return {"words": words(draw["text"]), "region": draw["region"]}


async def draws(connection: Connection) -> dict[str, list[Draw]]:
    """Return DRAWS draws a question, fit for the data set in the database."""
    rng = random.Random(dataset.SEED + 3)  # noqa: S311
    leaves = [code for code in CATEGORIES if not any(other.startswith(f"{code}.") for other in CATEGORIES)]
    frequent = [row[0] for row in await connection.fetch("select category from need group by 1 order by count(*) desc")]
    frequent = [code for code in frequent if code in leaves][:NESTED_CATEGORIES]
    ids = await connection.fetch(
        "select 'gotong:' || scid || '/need/' || record_id as id from need join participant on id = publisher_id "
        f"order by md5(record_id::text) limit {DRAWS}"
    )
    regencies = await connection.fetch("select region_path[2] from organization where publisher_id >= 1000 order by 1")
    return {
        "page": _categories(rng, leaves),
        "nested": _categories(rng, frequent),
        "by_id": [dict(row) for row in ids],
        "text": [
            {"text": rng.choice(dataset.THINGS), "region": rng.choice(regencies)[0]}
            for _ in range(DRAWS)
        ],
    }  # fmt: skip


def _categories(rng: random.Random, among: Sequence[str]) -> list[Draw]:
    """Return categories as they are asked for: frequent ones more often."""
    found: list[Draw] = []
    while len(found) < DRAWS:
        if (code := dataset.CATEGORY(rng)) in among:
            found.append({"category": code})
    return found


def content(server: str, answer: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of an answer, equal for equal content; raises KeyError where it has errors instead."""
    if answer.get("errors"):
        raise KeyError(str(answer["errors"])[:500])
    rows = answer["data"]["rows"]
    found = rows if isinstance(rows, list) else rows.get("nodes", [rows])
    return [(_ours if server == GOTONG else _theirs)(row) for row in found]


def _ours(row: Mapping[str, Any]) -> tuple[Any, ...]:
    quantity = row["quantity"] or {"value": None, "unit": None}
    return (
        row["id"], row["title"], row["kind"], row["category"]["code"], row["urgency"], row["state"],
        quantity["value"], quantity["unit"], row["place"]["code"], _instant(row["neededBy"]),
        _instant(row["receivedAt"]), *row["publisher"].values(), row.get("description"),
        _news(row["updates"]["nodes"] if "updates" in row else []),
    )  # fmt: skip


def _theirs(row: Mapping[str, Any]) -> tuple[Any, ...]:
    urgency = next(name.value for name, rank in URGENCY_RANK.items() if rank == row["urgency"])
    return (
        row.get("id") or row["uri"], row["title"], row["kind"], row["category"], urgency, row["state"],
        row["quantityValue"], row["quantityUnit"], row["region"], _instant(row["neededBy"]),
        _instant(row["receivedAt"]), *row["publisher"].values(), row.get("description"), _news(row.get("news", [])),
    )  # fmt: skip


def _news(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple((row["id"], row["text"], _instant(row["publishedAt"])) for row in rows)


def _instant(text: str | None) -> datetime | None:
    """Return the instant, cut to the milliseconds that all spellings have."""
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)
