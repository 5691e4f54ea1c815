"""What every test may ask for: a database of its own on a real PostgreSQL, and a clock it can move.

One embedded server serves the whole run, all xdist workers included. A template database is built by
the real migrations once; each test gets a clone of it, dropped afterwards. GOTONG_TEST_DATABASE_URL
names a server to use instead; its user must be allowed to create databases.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from hypothesis import HealthCheck, settings

from domain.errors import GotongError
from store.database import Connection, Database, connect
from store.embedded import EmbeddedServer
from store.migrate import migrate, read_migrations
from tests.clock import FrozenClock
from tests.dsn import dsn_of

GIVEN_URL = "GOTONG_TEST_DATABASE_URL"
RUN_DIR_PREFIX = "gotong-tests-"
TEMPLATE_PREFIX = "gotong_template_"
TEMPLATE_LOCK_KEY = 7_203_118
CONNECTIONS_PER_TEST = 6
MEMORY_DIR = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 * 1024**3
"""How much must be free there for the run's server: a database made and dropped is mostly files made and dropped."""

# The same examples in every run, or a change is refused for what it did not touch; `make fuzz` draws new ones, and what
# it finds becomes a test by name. No deadline and no judgement about speed: a busy machine is no failure.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("gotong", UNHURRIED, derandomize=True)
settings.register_profile("fuzz", UNHURRIED, print_blob=True)
settings.load_profile("gotong")

_run_dir = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the directory of this run, or take over the one the controller made for its workers."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is not None:
        config.stash[_run_dir] = Path(given["gotong_run_dir"])
        return
    _sweep()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes of tests start as a user's do: compiled once
    # Not pytest's tmp_path: that is closed to the user PostgreSQL runs as, and too long for a socket.
    run_dir = Path(tempfile.mkdtemp(prefix=f"{RUN_DIR_PREFIX}{os.getpid()}-", dir=_server_dir()))
    run_dir.chmod(0o755)
    config.stash[_run_dir] = run_dir


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where the run's directory is."""
    node.workerinput["gotong_run_dir"] = str(node.config.stash[_run_dir])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the directory once every worker has let go of its server."""
    if getattr(config, "workerinput", None) is None and _run_dir in config.stash:
        shutil.rmtree(config.stash[_run_dir], ignore_errors=True)


def _server_dir() -> Path:
    """Return where this run's server lies: in memory if there is room, and else where temporary files do."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY_DIR, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY_DIR).free >= MEMORY_BYTES_MIN:
            return MEMORY_DIR
    return Path(tempfile.gettempdir())


def _sweep() -> None:
    """Stop and remove what a run that was killed left behind."""
    directories = (MEMORY_DIR, Path(tempfile.gettempdir()))
    for left in (each for directory in directories for each in directory.glob(f"{RUN_DIR_PREFIX}*")):
        pid = left.name.removeprefix(RUN_DIR_PREFIX).split("-")[0]
        if pid.isdigit() and not _alive(int(pid)) and _abandoned(left):
            with contextlib.suppress(GotongError):
                if (left / "postgres").exists():
                    server = EmbeddedServer(left, durable=False)
                    server.start()
                    server.stop()
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _abandoned(run_dir: Path) -> bool:
    """Return whether nobody holds the server there; a run in another container is not seen by its pid."""
    try:
        with (run_dir / "postgres.users").open("r+") as users:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:  # held by a run, or not ours to touch
        return False
    return True


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of the run's PostgreSQL server."""
    given = os.environ.get(GIVEN_URL)
    if given:
        yield given
        return
    server = EmbeddedServer(request.config.stash[_run_dir], durable=False)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def template_database(database_server: str) -> str:
    """The name of a database in the state the migrations make, never connected to."""
    return asyncio.run(_template(database_server))


@pytest.fixture
async def new_database(database_server: str, template_database: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Call it for the DSN of one more migrated, empty database; each is dropped after the test."""
    names: list[str] = []
    admin = await connect(database_server, statement_timeout_s=None)

    async def make() -> str:
        name = f"gotong_test_{uuid.uuid4().hex}"
        await admin.execute(f'create database "{name}" template "{template_database}" {_strategy()}')
        names.append(name)
        return dsn_of(database_server, name)

    try:
        yield make
    finally:
        for name in names:
            await admin.execute(f'drop database if exists "{name}" with (force)')
        await admin.close()


@pytest.fixture
async def database_dsn(new_database: Callable[[], Awaitable[str]]) -> str:
    """The DSN of a migrated, empty database of the test's own."""
    return await new_database()


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    """A migrated, empty database of the test's own."""
    async with Database(database_dsn, connections=CONNECTIONS_PER_TEST) as database:
        yield database


@pytest.fixture
async def empty_database_dsn(database_server: str) -> AsyncIterator[str]:
    """The DSN of a database without any table."""
    name = f"gotong_test_{uuid.uuid4().hex}"
    admin = await connect(database_server, statement_timeout_s=None)
    await admin.execute(f'create database "{name}" template template0')
    try:
        yield dsn_of(database_server, name)
    finally:
        await admin.execute(f'drop database if exists "{name}" with (force)')
        await admin.close()


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that stands still until the test moves it."""
    return FrozenClock()


def _strategy() -> str:
    """Return how a database is copied: as files, where that writes to no disk."""
    return "" if os.environ.get(GIVEN_URL) else "strategy file_copy"


async def _template(server_dsn: str) -> str:
    migrations = read_migrations()
    state = hashlib.sha256("".join(migration.sha256 for migration in migrations).encode()).hexdigest()[:16]
    name = f"{TEMPLATE_PREFIX}{state}"
    admin = await connect(server_dsn, statement_timeout_s=None)
    try:
        await admin.execute("select pg_advisory_lock($1)", TEMPLATE_LOCK_KEY)
        if not await admin.fetchval("select true from pg_database where datname = $1", name):
            await _drop_outdated(admin)
            unfinished = f"{name}_unfinished"
            await admin.execute(f'drop database if exists "{unfinished}" with (force)')
            await admin.execute(f'create database "{unfinished}" template template0')
            await migrate(dsn_of(server_dsn, unfinished), migrations)
            await _renamed(admin, unfinished, name)
    finally:
        await admin.close()
    return name


async def _renamed(admin: Connection, unfinished: str, name: str) -> None:
    for _ in range(100):
        with contextlib.suppress(asyncpg.ObjectInUseError):  # the connection of migrate() is still on its way out
            await admin.execute(f'alter database "{unfinished}" rename to "{name}"')
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"{unfinished} stays in use")


async def _drop_outdated(admin: Connection) -> None:
    """Drop the templates of earlier migrations, which a given server would collect."""
    for row in await admin.fetch("select datname from pg_database where starts_with(datname, $1)", TEMPLATE_PREFIX):
        with contextlib.suppress(asyncpg.ObjectInUseError):
            await admin.execute(f'drop database if exists "{row["datname"]}"')
