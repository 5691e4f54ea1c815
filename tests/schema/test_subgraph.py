"""This node as an Apollo Federation 2 subgraph: its SDL, and records by their keys as a gateway asks."""

from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType, GraphQLUnionType, ObjectTypeDefinitionNode, parse

from schema.compile.several import REPRESENTATIONS_MAX
from schema.engine import Engine
from schema.root import RECORDS, SCHEMA, sdl
from schema.subgraph.sdl import subgraph_sdl
from tests.schema.test_oracle import peopled
from tests.schema.test_statements import counting
from tests.schema.world import World, need_body, scid, uuid

ENTITIES = """
query ($of: [_Any!]!) {
  _entities(representations: $of) {
    __typename
    ... on Need { id title publisher { name } updates { totalCount } }
    ... on Organization { id name needs(first: 2) { nodes { id } } }
    ... on Record { revision }
  }
}
"""


def keyed(typename: str, id_: Any) -> dict[str, Any]:
    return {"__typename": typename, "id": id_}


def need(publisher: int, number: int) -> dict[str, Any]:
    return keyed("Need", f"gotong:{scid(publisher)}/need/{uuid(number)}")


async def ask(engine: Engine, of: list[Any], query: str = ENTITIES) -> Any:
    return orjson.loads((await engine.ask(query, {"of": of})).json())


def keyed_types() -> set[str]:
    return {
        definition.name.value
        for definition in parse(subgraph_sdl(sdl())).definitions
        if isinstance(definition, ObjectTypeDefinitionNode)
        and any(directive.name.value == "key" for directive in definition.directives or ())
    }


def test_every_node_type_has_a_key_and_is_an_entity() -> None:
    nodes = {
        type_.name
        for type_ in SCHEMA.type_map.values()
        if isinstance(type_, GraphQLObjectType) and any(each.name == "Node" for each in type_.interfaces)
    }
    union = SCHEMA.type_map["_Entity"]
    assert isinstance(union, GraphQLUnionType)
    assert keyed_types() == {type_.name for type_ in union.types} == nodes == {cls.__name__ for cls in RECORDS}


def test_what_only_gateways_ask_is_in_neither_sdl() -> None:
    for text in (sdl(), subgraph_sdl(sdl())):
        assert "_entities" not in text
        assert "_Service" not in text


async def test_the_service_tells_the_sdl_to_compose(engine: Engine) -> None:
    answer = await engine.ask("{ _service { sdl } }")
    assert orjson.loads(answer.json()) == {"data": {"_service": {"sdl": subgraph_sdl(sdl())}}}


async def test_a_batch_of_a_hundred_of_mixed_types_is_one_statement_in_the_order_asked(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publishers = [await world.participant(number) for number in range(1, 5)]
    for number in range(46):
        await world.need(publishers[number % 4], number=100 + number)
    of = [need(number % 4 + 1, 100 + number) for number in range(46)]
    of += [keyed("Organization", f"gotong:{scid(number % 4 + 1)}") for number in range(54)]
    of = of[::2] + of[1::2]
    asked = counting(monkeypatch)
    found = (await ask(engine, of, "query ($of: [_Any!]!) { _entities(representations: $of) { ... on Node { id } } }"))[
        "data"
    ]["_entities"]
    assert len(asked) == 1
    assert [each["id"] for each in found] == [each["id"] for each in of]


async def test_entities_are_what_node_says_of_the_same_id(engine: Engine, world: World) -> None:
    await peopled(world)
    fields = "{ __typename ... on Need { id title publisher { name } } ... on Organization { id name } }"
    of = [need(1, 100), keyed("Organization", f"gotong:{scid(2)}"), need(1, 100), need(3, 103), need(1, 999)]
    entities = await ask(engine, of, f"query ($of: [_Any!]!) {{ found: _entities(representations: $of) {fields} }}")
    nodes = await engine.ask(
        f"query ($ids: [ID!]!) {{ found: nodes(ids: $ids) {fields} }}", {"ids": [o["id"] for o in of]}
    )
    assert entities == orjson.loads(nodes.json())
    assert [each is None for each in entities["data"]["found"]] == [False, False, False, True, True]


async def test_what_trust_hides_and_what_is_not_here_look_the_same(engine: Engine, world: World) -> None:
    allowed = await world.participant(1)
    await world.need(allowed, number=100)
    of = [need(2, 200), need(1, 100), keyed("Organization", f"gotong:{scid(2)}"), need(3, 300)]
    before = (await engine.ask(ENTITIES, {"of": of})).json()
    quarantined, blocked = await world.participant(2, trust="quarantined"), await world.participant(3, trust="blocked")
    await world.need(quarantined, number=200)
    await world.record("need", blocked, need_body(), number=300)
    assert (await engine.ask(ENTITIES, {"of": of})).json() == before


async def test_fragments_may_name_the_union_and_interfaces(engine: Engine, world: World) -> None:
    await world.need(await world.participant(1), number=100)
    query = """
    query ($id: ID!) {
      _entities(representations: [{__typename: "Need", id: $id}]) {
        ... on _Entity { kind: __typename ...Named }
        ... on Record { revision }
        ... on Update { text }
      }
    }
    fragment Named on Node { id }
    """
    for _ in range(2):  # compiled, and from the cache
        answer = await engine.ask(query, {"id": need(1, 100)["id"]})
        assert orjson.loads(answer.json()) == {
            "data": {"_entities": [{"kind": "Need", "id": need(1, 100)["id"], "revision": 0}]}
        }


async def test_a_representation_written_into_the_document_is_understood(engine: Engine, world: World) -> None:
    await world.participant(1)
    wanted = f'{{__typename: "Organization", id: "gotong:{scid(1)}"}}'
    query = f"{{ _entities(representations: [{wanted}]) {{ __typename }} }}"
    assert (await engine.ask(query)).data == b'{"_entities":[{"__typename":"Organization"}]}'


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"__typename": "Village", "id": "gotong:x"}, "REPRESENTATION_INVALID"),
        ({"__typename": "_Entity", "id": "gotong:x"}, "REPRESENTATION_INVALID"),
        ({"__typename": None, "id": "gotong:x"}, "REPRESENTATION_INVALID"),
        ({"__typename": ["Need"]}, "REPRESENTATION_INVALID"),
        ({"id": f"gotong:{scid(1)}"}, "REPRESENTATION_INVALID"),
        ({"__typename": "Need"}, "REPRESENTATION_INVALID"),
        ({"__typename": "Need", "id": 7}, "REPRESENTATION_INVALID"),
        ({"__typename": "Need", "id": {"id": {}}}, "REPRESENTATION_INVALID"),
        ({"__typename": "Need", "id": f"gotong:{scid(1)}"}, "REPRESENTATION_INVALID"),
        ({"__typename": "Organization", "id": need(1, 100)["id"]}, "REPRESENTATION_INVALID"),
        ({"__typename": "Need", "id": ""}, "ID_MALFORMED"),
        ({"__typename": "Need", "id": "gotong:\0"}, "ID_MALFORMED"),
        ({"__typename": "Need", "id": "x" * 10_000}, "ID_MALFORMED"),
        ({}, "REPRESENTATION_INVALID"),
    ],
)
async def test_a_wrong_representation_is_told_at_its_place_and_the_others_are_answered(
    engine: Engine, world: World, wrong: dict[str, Any], code: str
) -> None:
    await world.need(await world.participant(1), number=100)
    query = "query ($of: [_Any!]!) { x: _entities(representations: $of) { __typename } }"
    answer = await ask(engine, [need(1, 100), wrong, need(1, 100)], query)
    assert answer["data"] == {"x": [{"__typename": "Need"}, None, {"__typename": "Need"}]}
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [(["x", 1], code)]
    assert len(str(answer["errors"])) < 1_000


@pytest.mark.parametrize("wrong", ["Need", 7, None, ["Need"], [[]]])
async def test_what_is_no_representation_is_refused_with_its_place(engine: Engine, wrong: Any) -> None:
    answer = await ask(engine, [need(1, 100), wrong])
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "[1]" in answer["errors"][0]["message"]


async def test_too_many_representations_are_refused_in_the_fields_path(engine: Engine) -> None:
    assert (await ask(engine, [need(1, 100)] * REPRESENTATIONS_MAX))["data"]["_entities"] == [
        None
    ] * REPRESENTATIONS_MAX
    answer = await ask(engine, [need(1, 100)] * (REPRESENTATIONS_MAX + 1))
    assert answer["data"] is None
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        (["_entities"], "TOO_MANY_IDS")
    ]


async def test_batches_of_any_size_and_mixture_share_a_plan(engine: Engine) -> None:
    for of in ([], [need(1, 100)], [keyed("Update", 7), need(1, 1), {**need(1, 2), "budget": 12, "more": {"a": [1]}}]):
        await ask(engine, of)
    assert len(engine.compiler._plans) == 1
