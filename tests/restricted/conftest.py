"""Served nodes of other rooms' tests, for those who read and ask for restricted parts."""

import pytest

from tests.api.conftest import node, regions, served, services
from tests.restricted.nodes import Side, introduce, side_of
from tests.sync.conftest import MakeNode, make_node

__all__ = ["make_node", "node", "regions", "served", "services"]


@pytest.fixture
async def home(make_node: MakeNode) -> Side:
    """A village's node with a guest."""
    return await side_of(await make_node("desa"), "baca-yuk")


@pytest.fixture
async def asker(make_node: MakeNode, home: Side) -> Side:
    """An NGO's node with a guest; both nodes know each other."""
    made = await side_of(await make_node("lsm"), "relawan")
    await introduce(home, made)
    return made
