"""An engine over a database of the test's own, and rows to ask about."""

import itertools
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.tokens import TokenVerifier
from domain.regions import Regions, parse_regions
from schema.context import Services
from schema.engine import Engine
from schema.root import SCHEMA
from store.database import Database, connect
from store.wake import Wake
from tests.clock import FrozenClock
from tests.schema.world import NOW, World

REGIONS = Path(__file__).parents[2] / "domain" / "data" / "regions.csv"


@pytest.fixture(scope="session")
def regions() -> Regions:
    """The whole code list."""
    with REGIONS.open(encoding="utf-8", newline="") as lines:
        return Regions(parse_regions(lines))


@pytest.fixture
def key() -> Ed25519PrivateKey:
    """The key that signs access tokens."""
    return Ed25519PrivateKey.generate()


@pytest.fixture
def services(database: Database, regions: Regions, key: Ed25519PrivateKey, clock: FrozenClock) -> Services:
    """The services of one process."""
    return Services(
        database=database,
        appender=None,  # type: ignore[arg-type]
        asking=None,  # type: ignore[arg-type]
        regions=regions,
        wake=Wake(lambda: connect(database.dsn)),
        verifier=TokenVerifier([key.public_key()], issuer="https://node.test", audience="https://node.test/graphql"),
        base_url="https://node.test",
        network="test",
        node_name="A node",
        version="0.0.0",
        clock=lambda: NOW,
    )


@pytest.fixture
def engine(services: Services) -> Engine:
    """The contract over the test's database."""
    return Engine(SCHEMA, services)


@pytest.fixture
def world(database: Database) -> World:
    """Rows to ask about."""
    return World(database, itertools.count(1))
