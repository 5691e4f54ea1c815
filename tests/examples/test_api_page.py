"""Every block of GraphQL in docs/api.md runs against a node, and every root field has one."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import websockets
from graphql import FieldNode, OperationDefinitionNode, OperationType, parse

from schema.root import SCHEMA
from tests.examples.conftest import NEIGHBOUR_ID, ExampleNode
from tests.house.source import ROOT
from tests.waiting import PATIENCE_S

BLOCK = re.compile(
    r"^```graphql\n(?P<query>.*?)^```\n(?:\n```json\n(?P<variables>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = [(match["query"], match["variables"] or "{}") for match in BLOCK.finditer(PAGE)]
REVISE = "mutation($id: ID!) { reviseNeed(input: {id: $id, urgency: CRITICAL}) { userErrors { code message } } }"
ACTIVITY = """
mutation($in: PublishActivityInput!) { publishActivity(input: $in) { activity { id } userErrors { code message } } }
"""


def operation(query: str) -> OperationDefinitionNode:
    (found,) = parse(query).definitions
    assert isinstance(found, OperationDefinitionNode)
    return found


def root_fields(query: str) -> list[str]:
    return [each.name.value for each in operation(query).selection_set.selections if isinstance(each, FieldNode)]


@pytest.fixture
def ids(example_node: ExampleNode) -> dict[str, str]:
    """What stands for the ids and the short name of the page."""
    return {
        "gotong:Qm.../need/...": example_node.publish("Contoh"),
        "gotong:Qm.../activity/...": _activity(example_node),
        "gotong:QmTetangga...": NEIGHBOUR_ID,
        "gotong:Qm...": example_node.organization,
        "baca-yuk": "simpul-contoh",
    }


def filled(text: str, ids: dict[str, str]) -> str:
    for shown, real in ids.items():
        text = text.replace(f'"{shown}"', f'"{real}"')
    return text


def user_errors(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.get("userErrors") or ()
        for member in value.values():
            yield from user_errors(member)


@pytest.mark.parametrize(("query", "variables"), BLOCKS, ids=[",".join(root_fields(query)) for query, _ in BLOCKS])
def test_a_block_of_the_page_runs(example_node: ExampleNode, ids: dict[str, str], query: str, variables: str) -> None:
    query = filled(query, ids)
    if operation(query).operation is OperationType.SUBSCRIPTION:
        asyncio.run(_is_told(example_node, query))
        return
    answer = example_node.ask(query, **json.loads(filled(variables, ids)))
    assert "errors" not in answer
    assert list(user_errors(answer["data"])) == []
    assert None not in answer["data"].values()


def _activity(node: ExampleNode) -> str:
    activity = {
        "as": node.organization,
        "title": [{"text": "Kerja bakti"}],
        "start": "2026-12-06T08:00:00+07:00",
        "zone": "Asia/Jakarta",
        "place": {"code": "32.03.28"},
        "status": "PLANNED",
        "contact": {"phone": "+628123456789"},
    }
    return str(node.ask(ACTIVITY, **{"in": activity})["data"]["publishActivity"]["activity"]["id"])


def _stir(node: ExampleNode) -> None:
    """Do something that every subscription tells of."""
    need = node.publish("Ikuti")
    assert node.ask(REVISE, id=need)["data"]["reviseNeed"]["userErrors"] == []
    _activity(node)


async def _is_told(node: ExampleNode, query: str) -> None:
    address = node.url.replace("http://", "ws://") + "/graphql"
    protocols = [websockets.Subprotocol("graphql-transport-ws")]
    async with websockets.connect(address, subprotocols=protocols, open_timeout=PATIENCE_S) as socket:
        await socket.send('{"type":"connection_init"}')
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": query}}))
        async with asyncio.timeout(PATIENCE_S):
            told = asyncio.ensure_future(socket.recv())
            while not told.done():  # it is told what comes after it has subscribed
                await asyncio.to_thread(_stir, node)
                await asyncio.wait([told], timeout=0.1)
        message = json.loads(told.result())
    assert (message["type"], "errors" in message["payload"]) == ("next", False)


@pytest.mark.parametrize("kind", OperationType, ids=lambda kind: kind.value)
def test_every_root_field_has_a_block(kind: OperationType) -> None:
    type_ = SCHEMA.get_root_type(kind)
    assert type_ is not None
    shown = {name for query, _ in BLOCKS if operation(query).operation is kind for name in root_fields(query)}
    assert set(type_.fields) - shown == set()
