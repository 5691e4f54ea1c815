"""Compiled answers are the answers graphql-core gives with naive resolvers over the same rows."""

import asyncio
import os
from datetime import timedelta
from typing import Any

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.instants import format_instant
from domain.regions import Regions
from schema.context import Caller
from schema.engine import Engine
from schema.root import SCHEMA
from store.database import Database
from tests.schema.oracle import BAND, Oracle
from tests.schema.world import NOW, World, scid, uuid

EXAMPLES = int(os.environ.get("GOTONG_ORACLE_EXAMPLES", "150"))
DEPTH_MAX = 4
PEOPLED = ("needs", "activities", "updates", "organizations", "communities")
POINTS: list[dict[str, Any]] = [
    {"lat": "-6.75", "lon": "107", "precision_m": 5000},
    {"lat": "-6.6", "lon": "106.25", "precision_m": 5000},
    {"lat": "70", "lon": "179.9", "precision_m": 5000},
    {},
]
CENTRES = [(-6.75, 107.0), (-6.7, 106.5), (70.5, -179.9), (89.0, 0.0), (0.0, 0.0)]
LANGS = ["id", "en", "en-GB", "su", "fr"]
TIMES = [format_instant(NOW + timedelta(seconds=s)) for s in (-5, 3, 12, 20, 40, 5000)]


async def peopled(world: World) -> None:
    """Fill a world in which every filter, order, null and link has something to say."""
    first = await world.participant(1, description=[{"lang": "en", "text": 'Quotes " and \\ and 🌊\n'}])
    second = await world.participant(
        2, kind="NGO", focus=["food", "water.holy"], parent=f"gotong:{scid(1)}", links=None
    )
    hidden = await world.participant(3, trust="quarantined")
    blocked = await world.participant(4, trust="blocked")
    await cosigned(world, first, second, await world.participant(5, host="b.test"), hidden)
    urgencies = ["LOW", "MEDIUM", "HIGH", "CRITICAL"]
    money: dict[str, Any] = {"kind": "MONEY", "money": {"amount": "120000000", "currency": "IDR"}, "quantity": None}
    for number in range(24):
        publisher = [first, second, first, hidden, second, blocked][number % 6]
        await world.need(
            publisher,
            number=100 + number,
            exercise=number % 8 == 7,
            received=NOW + timedelta(seconds=number // 3),  # ties
            urgency=urgencies[number % 4],
            category=["food", "food.rice", "education.books", "food.insects", "water.holy.spring"][number // 2 % 5],
            neededBy=format_instant(NOW + timedelta(days=number % 5)) if number % 3 else None,
            place={"code": ["32.03.28", "36.02.04", "34.71"][number % 3], "edition": "2025", **POINTS[number % 4]},
            externalIds=[{"scheme": "sheet", "value": f"row:{number % 4}"}] if number % 2 else None,
            status=["OPEN", "OPEN", "WITHDRAWN"][number % 3],
            minimum="0.5" if number % 4 == 1 else None,
            **(money if number % 5 == 0 else {}),
        )
    for publisher in (first, second):  # one uuid at one instant, twice
        await world.need(publisher, number=150, received=NOW + timedelta(seconds=3), published=NOW)
    for number in range(6):
        await world.record(
            "activity",
            [first, second, hidden][number % 3],
            {
                "title": [{"lang": "id", "text": f"Kerja bakti {number}"}],
                "start": format_instant(NOW + timedelta(hours=number % 4)),
                "zone": "Asia/Jakarta",
                "place": {"code": "32.03.28", "edition": "2025"},
                "status": ["PLANNED", "DONE"][number % 2],
                **({"attendance": number, "outcome": [{"lang": "en", "text": "Clean"}]} if number % 2 else {}),
            },
            number=200 + number,
        )
    about = [
        f"gotong:{scid(1)}/need/{uuid(100)}",
        f"gotong:{scid(3)}/need/{uuid(103)}",
        f"gotong:{scid(2)}",
        f"gotong:{scid(1)}/activity/{uuid(200)}",
    ]
    for number in range(9):
        uri = about[number % 4]
        await world.record(
            "update",
            [first, second][number % 2],
            {
                "about": {"uri": uri, **({} if uri.count("/") == 0 else {"leaf": "ab" * 32})},
                "text": [{"lang": "id", "text": f"Kabar {number}"}, {"lang": "en", "text": f"News {number}"}],
            },
            number=300 + number,
        )


async def cosigned(world: World, signer: int, neighbour: int, elsewhere: int, hidden: int) -> None:
    """Have one log cosigned by its own host's guest, by another host at two sizes, and by one that is not shown."""
    other = await world.participant(6, host="c.test")
    async with world.database.acquire() as connection:
        await connection.execute("update participant set host = 'd.test' where id = $1", hidden)
    await world.sign(signer, 210)
    for cosigner, size, at_s in ((neighbour, 210, 1), (elsewhere, 210, 2), (hidden, 210, 4), (other, 210, 3)):
        await world.cosign(signer, cosigner, size, at_s)
    await world.cosign(signer, elsewhere, 120, 9)
    await world.cosign(neighbour, elsewhere, 500, 5)  # but the signed head held here is of another size


async def suppressed(world: World) -> None:
    """Hide some of these records one by one."""
    hidden_one_by_one = [("need", number) for number in (101, 102, 103, 119, 123)]  # 103 is in quarantine, and critical
    for type_, number in [*hidden_one_by_one, ("activity", 200), ("activity", 201), ("update", 302)]:
        await world.suppress(type_, number)


class Writer:
    """Writes a random operation of the contract."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.variables: dict[str, tuple[str, Any]] = {}
        self.aliases = 0

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def operation(self) -> tuple[str, dict[str, Any]]:
        roots = [f"r{number}: {self.root()}" for number in range(self.draw(st.integers(1, 2)))]
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in self.variables.items())
        head = f"query ({declared}) " if declared else ""
        return f"{head}{{ {' '.join(roots)} }}", {name: value for name, (_, value) in self.variables.items()}

    def root(self) -> str:
        kind = self.pick([*PEOPLED, *PEOPLED, "node", "nodes", "organization", "_entities", "needStats"])
        query: Any = SCHEMA.query_type
        if kind in PEOPLED:
            return self.field(query, kind, 0)
        if kind == "needStats":
            return self.stats(query.fields[kind])
        uris = [f"gotong:{scid(n)}" for n in (1, 2, 3, 9)] + [
            f"gotong:{scid(1)}/need/{uuid(n)}" for n in (100, 102, 999)
        ]
        ids = []
        if kind in ("nodes", "_entities"):
            ids = self.draw(st.lists(st.sampled_from(uris), max_size=4))
        if kind == "_entities":
            of = [{"__typename": "Need" if "/need/" in uri else "Organization", "id": uri} for uri in ids]
            argument = f"representations: {self.value('[_Any!]!', of, self.literal(of))}"
        elif kind == "nodes":
            argument = f"ids: {self.value('[ID!]!', ids)}"
        else:
            argument = f"id: {self.value('ID' if kind == 'organization' else 'ID!', self.pick(uris))}"
        return f"{kind}({argument}) {self.selection(get_named_type(query.fields[kind].type), 1)}"

    def stats(self, declared: Any) -> str:
        dimension: Any = SCHEMA.type_map["NeedDimension"]
        regions_ = ["REGION_PROVINCE", "REGION_REGENCY", "REGION_DISTRICT"]
        others = [name for name in dimension.values if name not in regions_]
        by = self.draw(st.lists(st.sampled_from(others), max_size=3)) + self.draw(
            st.lists(st.sampled_from(regions_), max_size=1)
        )
        arguments = [f"groupBy: {self.value('[NeedDimension!]!', by, '[' + ', '.join(by) + ']')}"]
        if self.draw(st.booleans()):
            arguments.append(self.filter(declared))
        return f"needStats({', '.join(arguments)}) {self.selection(get_named_type(declared.type), 1)}"

    def value(self, type_: str, value: Any, literal: str | None = None) -> str:
        if self.draw(st.booleans()):
            name = f"v{len(self.variables)}"
            self.variables[name] = (type_, value)
            return f"${name}"
        return literal if literal is not None else orjson.dumps(value).decode()

    def field(self, parent: Any, name: str, depth: int) -> str:
        declared = parent.fields[name]
        arguments = []
        if "lang" in declared.args and self.draw(st.booleans()):
            arguments.append(f"lang: {self.value('String', self.pick(LANGS))}")
        if "filter" in declared.args:
            arguments += self.page(declared)
        type_ = get_named_type(declared.type)
        text = name + (f"({', '.join(arguments)})" if arguments else "")
        return text if is_leaf_type(type_) else f"{text} {self.selection(type_, depth + 1)}"

    def page(self, declared: Any) -> list[str]:
        arguments = []
        if self.draw(st.booleans()):
            size = self.value("Int", self.draw(st.integers(1, 7)))
            arguments.append(f"{self.pick(['first', 'last'])}: {size}")
        if self.draw(st.booleans()):
            order = get_named_type(declared.args["orderBy"].type)
            assert isinstance(order, GraphQLEnumType)
            chosen = self.pick(order.values)
            arguments.append(f"orderBy: {self.value(order.name, chosen, chosen)}")
        if self.draw(st.booleans()):
            arguments.append(self.filter(declared))
        return arguments

    def filter(self, declared: Any) -> str:
        filter_type = get_named_type(declared.args["filter"].type)
        assert isinstance(filter_type, GraphQLInputObjectType)
        names = self.draw(
            st.lists(st.sampled_from([n for n in filter_type.fields if n != "text"]), max_size=2, unique=True)
        )
        given_ = {name: self.condition(name, filter_type.fields[name].type) for name in names}
        for after, before in (("publishedAfter", "publishedBefore"), ("startsAfter", "startsBefore")):
            if given_.get(after, "") >= given_.get(before, "9"):
                del given_[before]
        literal = "{" + ", ".join(f"{name}: {self.literal(value)}" for name, value in given_.items()) + "}"
        return f"filter: {self.value(filter_type.name, plain(given_), literal)}"

    def condition(self, name: str, type_: Any) -> Any:
        named = get_named_type(type_)
        if name in ("exercise", "unverifiedCritical"):
            return self.draw(st.booleans())
        if name == "region":
            return self.pick(["32", "32.03", "36.02.04", "34.71", "11"])
        if name == "near":
            lat, lon = self.pick(CENTRES)
            return {"lat": lat, "lon": lon, "radiusKm": self.pick([0.001, 60, 85.5, 120, 500])}
        if name == "languages":
            return self.draw(st.lists(st.sampled_from(LANGS), max_size=2))
        if name in ("parent", "programme"):
            return f"gotong:{scid(self.draw(st.integers(1, 2)))}"
        if name == "externalId":
            return {"scheme": "sheet", "value": f"row:{self.draw(st.integers(0, 4))}"}
        if isinstance(named, GraphQLEnumType):
            one = st.sampled_from([Name(value) for value in named.values])
        elif named.name == "DateTime":
            one = st.sampled_from(TIMES)
        elif name == "publishers":
            one = st.sampled_from([f"gotong:{scid(n)}" for n in (1, 2, 3)])
        elif name == "about":
            one = st.sampled_from([f"gotong:{scid(2)}", f"gotong:{scid(1)}/need/{uuid(100)}"])
        else:
            one = st.sampled_from(["food", "food.rice", "education", "water", "water.holy", "foo_", "%", "nothing"])
        return self.draw(st.lists(one, max_size=3) if is_list_type(get_nullable_type(type_)) else one)

    def literal(self, value: Any) -> str:
        if isinstance(value, Name):
            return value.text
        if isinstance(value, list):
            return "[" + ", ".join(self.literal(member) for member in value) + "]"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name}: {self.literal(member)}" for name, member in value.items()) + "}"
        return orjson.dumps(value).decode()

    def selection(self, type_: Any, depth: int) -> str:
        fields = {} if isinstance(type_, GraphQLUnionType) else type_.fields
        leaves = [n for n, f in fields.items() if is_leaf_type(get_named_type(f.type)) and n != "proof"]
        inner = [n for n, f in fields.items() if not is_leaf_type(get_named_type(f.type))]
        names = self.draw(st.lists(st.sampled_from([*leaves, "__typename"]), min_size=1, max_size=4, unique=True))
        if depth < DEPTH_MAX and inner:
            names += self.draw(st.lists(st.sampled_from(inner), max_size=2, unique=True))
        parts = []
        for name in names:
            self.aliases += 1
            alias = f"a{self.aliases}: " if self.draw(st.booleans()) or name != "__typename" else ""
            text = alias + (name if name == "__typename" else self.field(type_, name, depth))
            wrap = self.draw(st.integers(0, 9))
            if wrap == 0:
                text = f"... on {type_.name} {{ {text} }}"
            elif wrap == 1 and "{" not in text:
                flag = self.value("Boolean!", self.draw(st.booleans()))
                text += f" @{self.pick(['skip', 'include'])}(if: {flag})"
            parts.append(text)
        parts.append("kept: __typename")
        if is_abstract_type(type_) and depth < DEPTH_MAX:
            for possible in SCHEMA.get_possible_types(type_):
                if self.draw(st.booleans()):
                    assert isinstance(possible, GraphQLObjectType)
                    parts.append(f"... on {possible.name} {self.selection(possible, depth + 1)}")
        return "{ " + " ".join(parts) + " }"


class Name:
    """An enum value in a literal."""

    def __init__(self, text: str) -> None:
        self.text = text


def plain(value: Any) -> Any:
    if isinstance(value, Name):
        return value.text
    if isinstance(value, list):
        return [plain(member) for member in value]
    return {name: plain(member) for name, member in value.items()} if isinstance(value, dict) else value


def ordered(value: Any) -> Any:
    """Return a value whose comparison minds the order of members."""
    if isinstance(value, dict):
        return [(name, ordered(member)) for name, member in value.items()]
    return [ordered(member) for member in value] if isinstance(value, list) else value


async def test_random_questions_have_the_oracles_answers(
    engine: Engine, world: World, database: Database, regions: Regions
) -> None:
    await peopled(world)
    await suppressed(world)
    oracles = {languages: await Oracle.of(database, regions, languages) for languages in ((), ("en-GB", "su"))}
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        query, variables = Writer(data.draw).operation()
        languages = data.draw(st.sampled_from(list(oracles)))
        answer = asyncio.run_coroutine_threadsafe(
            engine.ask(query, variables, Caller(languages=languages)), loop
        ).result()
        expected, errors = oracles[languages].ask(query, variables)
        assert not errors, (errors, query)
        assert answer.errors == [], (query, variables)
        assert answer.data is not None
        assert ordered(orjson.loads(answer.data)) == ordered(expected), (query, variables)

    await asyncio.to_thread(check)


async def test_paging_through_meets_every_row_once_in_every_order(
    engine: Engine, world: World, database: Database, regions: Regions
) -> None:
    await peopled(world)
    oracle = await Oracle.of(database, regions)
    query_type: Any = SCHEMA.query_type
    for field, name in [
        (f, n) for f in PEOPLED for n in get_named_type(query_type.fields[f].args["orderBy"].type).values
    ]:
        for size, way, place, more in (
            ("first", "after", "endCursor", "hasNextPage"),
            ("last", "before", "startCursor", "hasPreviousPage"),
        ):
            query = (
                f"query ($c: String) {{ rows: {field}({size}: 1, {way}: $c, orderBy: {name}) "
                f"{{ edges {{ cursor node {{ id }} }} pageInfo {{ {place} {more} hasNextPage hasPreviousPage }} }} }}"
            )
            seen, cursor = [], None
            while True:
                answer = await engine.ask(query, {"c": cursor})
                expected, errors = oracle.ask(query, {"c": cursor})
                assert not errors
                assert answer.data is not None
                found = orjson.loads(answer.data)
                assert found == expected
                seen += [edge["node"]["id"] for edge in found["rows"]["edges"]]
                if not found["rows"]["pageInfo"][more]:
                    break
                cursor = found["rows"]["pageInfo"][place]
            rows = [row for row in oracle.visible(BAND[field]) if not row["exercise"]]
            assert len(seen) == len(set(seen))
            assert len(seen) == len([r for r in rows if field != "communities" or r["kind"] == "COMMUNITY"])


STATS = """
query ($by: [NeedDimension!]!, $f: NeedFilter) {
  needStats(groupBy: $by, filter: $f) {
    regionCode region { name } category { code } kind urgency state month
    count quantities { value unit } money { amount currency }
  }
}
"""


async def test_statistics_are_the_oracles_in_every_grouping(
    engine: Engine, world: World, database: Database, regions: Regions
) -> None:
    await peopled(world)
    oracle = await Oracle.of(database, regions)
    dimensions: Any = SCHEMA.type_map["NeedDimension"]
    names = list(dimensions.values)
    filters: list[dict[str, Any]] = [{}, {"states": ["OPEN"], "urgencyAtLeast": "HIGH"}, {"kinds": []}]
    groupings = [[], *([name] for name in names), *([a, b] for a in names[3:] for b in names[:3])]
    for by in groupings:
        for f in filters:
            answer = await engine.ask(STATS, {"by": by, "f": f})
            expected, errors = oracle.ask(STATS, {"by": by, "f": f})
            assert not errors
            assert answer.errors == []
            assert answer.data is not None
            assert ordered(orjson.loads(answer.data)) == ordered(expected), (by, f)
