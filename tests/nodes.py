"""A node in a test: a database with an operator and participants, ready to append."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation.identity.create import Place
from federation.identity.keys import KeyRing
from federation.lifecycle.enroll import Enrolled, create_participant, start_node
from federation.projection.check import Checked, check_log
from federation.publish.append import Appender, Change, Current, Draft, Parts
from store import logs
from store.database import Database
from tests.clock import FrozenClock

HOST = "desa.gotong.test"
BASE_URL = "http://127.0.0.1:1"


@dataclass
class TestNode:
    """A node without its HTTP edge."""

    __test__ = False

    database: Database
    keys: KeyRing
    clock: FrozenClock
    operator: Enrolled
    appender: Appender

    async def participant(self, slug: str, *, base_url: str = BASE_URL, host: str = HOST) -> Enrolled:
        """Return a new participant hosted here."""
        return await create_participant(
            self.database,
            self.keys,
            place=Place(host, None, slug),
            base_url=base_url,
            seed=seed_of(slug),
            now=self.clock(),
        )

    async def publish_needs(self, scid: str, *titles: str) -> list[Any]:
        """Append one need a title, each by a request of its own, one after the other."""
        return [(await self.appender.append(scid, [need_draft(title)]))[0] for title in titles]

    async def check(self, origin: str) -> Checked:
        """Return what checking the stored log says, or raise for what is broken."""
        async with self.database.transaction(isolation="repeatable_read") as connection:
            log = await logs.head(connection, origin)
            assert log is not None
            return await check_log(connection, log, network="test")


def seed_of(name: str) -> bytes:
    """Return a kit's seed that depends on the name alone."""
    return hashlib.sha256(name.encode()).digest()


async def start_test_node(
    database: Database, directory: Path, clock: FrozenClock, *, host: str = HOST, base_url: str = BASE_URL
) -> TestNode:
    """Return a node begun in an empty database."""
    keys = KeyRing(directory / "keys")
    operator = await start_node(
        database,
        keys,
        place=Place(host, None, "pengurus"),
        base_url=base_url,
        network="test",
        seed=seed_of(host),
        now=clock(),
    )
    return TestNode(database, keys, clock, operator, Appender(database, keys, clock))


def need_body(title: str = "Beras untuk dapur umum", **changes: Any) -> dict[str, Any]:
    """Return a valid need's body."""
    return {
        "title": [{"lang": "id", "text": title}],
        "kind": "GOODS",
        "category": "food.rice",
        "quantity": {"value": "25", "unit": "kg"},
        "urgency": "HIGH",
        "place": {"code": "32.03.28", "edition": "2025"},
        "expiresAt": "2026-12-31T00:00:00.000Z",
        "modes": ["DONATE"],
        "status": "OPEN",
        **changes,
    }


def fixed(body: dict[str, Any] | None, **parts: Any) -> Change:
    """Return a change that gives the same content whatever was there."""

    def change(_current: Current | None) -> Parts:
        return Parts({}, body, **parts)

    return change


def need_draft(title: str = "Beras untuk dapur umum", **changes: Any) -> Draft:
    """Return a draft of a new need."""
    return Draft("need", None, fixed(need_body(title, **changes)))
