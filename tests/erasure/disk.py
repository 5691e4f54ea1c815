"""A server of a test's own, and what looks for bytes in all its tables and files."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import outbox, texts
from store.database import Connection, Database, connect
from store.embedded import EmbeddedServer
from tests.conftest import _template
from tests.waiting import eventually


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """A server of its own: all its files are read, and other tests' transactions would be waited for."""
    with tempfile.TemporaryDirectory(prefix="gotong-disk-") as directory:
        Path(directory).chmod(0o755)
        server = EmbeddedServer(Path(directory), durable=False)
        try:
            yield server.start()
        finally:
            server.stop()


@pytest.fixture(scope="session")
def template_database(database_server: str) -> str:
    """The migrated template on that server."""
    return asyncio.run(_template(database_server))


async def tables_with(connection: Connection, *needles: str | bytes) -> list[str]:
    """Return every table that has one of these texts or bytes in any column."""
    patterns = [f"%{each}%" for each in needles if isinstance(each, str)]
    patterns += [f"%{(each.encode() if isinstance(each, str) else each).hex()}%" for each in needles]
    names = [
        row["relname"]
        for row in await connection.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1"
        )
    ]
    each_table = " union all ".join(
        f"select '{name}' where exists (select from \"{name}\" each where each::text ilike any($1))" for name in names
    )
    return [name for (name,) in await connection.fetch(each_table, patterns)]


async def reload(server_dsn: str) -> None:
    """Return when the server has read its configuration anew and told all its processes to."""
    admin = await connect(server_dsn)
    before = await admin.fetchval("select pg_conf_load_time()")
    await admin.execute("select pg_reload_conf()")
    await admin.close()

    async def is_read() -> bool:
        later = await connect(server_dsn)  # a new session knows what the server knew when it began
        try:
            return bool(await later.fetchval("select pg_conf_load_time()") > before)
        finally:
            await later.close()

    await eventually(is_read)


def files_with(directory: Path, *needles: str | bytes) -> list[str]:
    """Return every file below a directory that holds one of these texts or bytes."""
    wanted = [each.encode() if isinstance(each, str) else each for each in needles]
    found = []
    for path in sorted(directory.rglob("*")):
        try:
            data = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # the server removes files all the time
            continue
        if any(each in data for each in wanted):
            found.append(str(path.relative_to(directory)))
    return found


async def index_texts(database: Database) -> None:
    """Number all events and index their text."""
    async with database.acquire() as connection:
        while await outbox.sequence(connection):
            pass
        while (await texts.index(connection)).events:
            pass
