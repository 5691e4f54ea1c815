"""The command line against databases of the test's own, in processes of their own; one machine, or several."""

import shutil
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from store.database import connect
from tests.driver import people
from tests.driver.machine import Machine, Ran, free_ports
from tests.waiting import PATIENCE_S

Gotong = Callable[..., Ran]

POLL_S = "2"
WAITS = """
    select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')
"""
"""SQL: whether anybody waits for a lock in this database."""
TITLES = """
query Titles($publisher: ID!) { needs(first: 100, filter: {publishers: [$publisher]}) { nodes { title } } }
"""


@pytest.fixture
def gotong(database_dsn: str, tmp_path: Path) -> Gotong:
    """Run `gotong ...` with a data directory and a database of this test's own."""
    return Machine("node", tmp_path / "data", environment={"GOTONG_DATABASE_URL": database_dsn}).run


@pytest.fixture
def begun(gotong: Gotong) -> Gotong:
    """The same, with a node begun on the test network."""
    assert gotong("init", "Simpul Uji", "--region", "34.71", "--network", "test", "--no-cards").code == 0
    return gotong


class Machines:
    """Machines on this one, each with a data directory, a port and a database of its own."""

    def __init__(self, server_dsn: str, new_database: Callable[[], Awaitable[str]], directory: Path) -> None:
        self._server_dsn = server_dsn
        self._new_database = new_database
        self._directory = directory
        self.every: list[Machine] = []

    async def empty(self, name: str, *, port: int | None = None) -> Machine:
        """Return a machine with nothing on it, at a port of its own or the one of somebody who is gone."""
        at = port or free_ports(1)[0]
        environment = {
            "GOTONG_DATABASE_URL": await self._new_database(),
            "GOTONG_NETWORK": "test",
            "GOTONG_BASE_URL": f"http://127.0.0.1:{at}",
            "GOTONG_POLL_INTERVAL_S": POLL_S,
            "GOTONG_DATABASE_CONNECTIONS": "4",  # many nodes share the tests' server
        }
        machine = Machine(name, self._directory / name / "data", port=at, environment=environment)
        self.every.append(machine)
        return machine

    async def begin(self, name: str) -> Machine:
        """Return a machine on which a node of that name runs; its operator's cards are in `cards_of(machine, name)`."""
        machine = await self.empty(name)
        directory = str(machine.data.parent / name)
        people.begin(machine, name, "--did-host", f"{name}.gotong.test", "--cards", directory)
        return machine

    async def copy(self, machine: Machine, name: str, *, port: int | None = None) -> Machine:
        """Return a machine with a copy of all that is on another one, which is stopped."""
        made = await self.empty(name, port=port)
        await self._copy_database(machine.environment["GOTONG_DATABASE_URL"], made.environment["GOTONG_DATABASE_URL"])
        shutil.copytree(machine.data, made.data)
        return made

    async def _copy_database(self, old: str, new: str) -> None:
        admin = await connect(self._server_dsn, statement_timeout_s=None)
        try:
            await admin.execute(f'drop database "{_name_of(new)}"')
            await admin.execute(f'create database "{_name_of(new)}" template "{_name_of(old)}"')
        finally:
            await admin.close()


@pytest.fixture
async def machines(
    database_server: str, new_database: Callable[[], Awaitable[str]], tmp_path: Path
) -> AsyncIterator[Machines]:
    """Make machines; nothing runs on them afterwards."""
    made = Machines(database_server, new_database, tmp_path)
    try:
        yield made
    finally:
        for machine in made.every:
            machine.kill()


def cards_of(machine: Machine, slug: str, *numbers: int) -> list[str]:
    """Return the arguments that hand over cards: those of `numbers`, the first two unless told otherwise."""
    directory = machine.data.parent / slug
    return [each for n in numbers or (1, 2) for each in ("--card", str(directory / f"{slug}-{n}.html"))]


def titles_of(machine: Machine, publisher: str) -> list[str]:
    """Return the titles of all needs that a machine answers with of one publisher, in order."""
    return sorted(each["title"] for each in machine.ask(TITLES, publisher=publisher)["needs"]["nodes"])


def shows(machine: Machine, publisher: str, *titles: str) -> None:
    """Wait until a machine answers with exactly these needs of a publisher."""
    machine.wait(
        lambda: sorted(titles) == titles_of(machine, publisher), PATIENCE_S, f"it does not show {titles} alone"
    )


def _name_of(dsn: str) -> str:
    return urllib.parse.urlsplit(dsn).path.removeprefix("/")
