"""A PostgreSQL to measure on: the embedded one, kept between runs so that a big data set is loaded once.

It is as `gotong up` starts it but for a larger cache and a load that need not survive a power cut.
Every server measured uses this one, over the same socket.
"""

import contextlib
import os
import shutil
import tempfile
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psutil

from store.database import Connection, connect
from store.embedded import EmbeddedServer

SHARED_BUFFERS_SHARE = 8  # of the machine's memory
SHARED_BUFFERS_MB_MAX = 2_048
PREFIX = "bench_"
UNFINISHED = "unfinished"


def directory() -> Path:
    """Return where benchmarks keep what is worth keeping; PostgreSQL's own user must be able to enter it."""
    return Path(tempfile.gettempdir()) / f"gotong-bench-{os.geteuid()}"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Return the DSN of the server, stopped afterwards."""
    place = directory()
    place.mkdir(mode=0o755, exist_ok=True)
    server = EmbeddedServer(place, durable=False)
    try:
        yield server.start()
    finally:
        server.stop()


async def tune(dsn: str) -> bool:
    """Return whether the server has to be started again for its settings to hold."""
    wanted_mb = min(psutil.virtual_memory().total // 2**20 // SHARED_BUFFERS_SHARE, SHARED_BUFFERS_MB_MAX)
    admin = await connect(dsn, statement_timeout_s=None)
    try:
        for name, value in (("shared_buffers", f"{wanted_mb}MB"), ("max_wal_size", "8GB"), ("autovacuum", "off")):
            await admin.execute(f"alter system set {name} = '{value}'")
        held_mb = await admin.fetchval("select setting::bigint * 8192 / 1048576 from pg_settings "
                                       "where name = 'shared_buffers'")  # fmt: skip
        return bool(held_mb != wanted_mb)
    finally:
        await admin.close()


async def database(dsn: str, name: str, fill: Callable[[str], Awaitable[None]]) -> tuple[str, bool]:
    """Return (DSN of the database `name`, whether it was there), made and filled if need be.

    A database whose filling did not end is dropped and filled anew.
    """
    admin = await connect(dsn, statement_timeout_s=None)
    try:
        if await admin.fetchval("select true from pg_database where datname = $1", name):
            return dsn_of(dsn, name), True
        unfinished = f"{UNFINISHED}_{name}"
        await admin.execute(f'drop database if exists "{unfinished}" with (force)')
        await admin.execute(f'create database "{unfinished}"')
        await fill(dsn_of(dsn, unfinished))
        await admin.execute(f'alter database "{unfinished}" rename to "{name}"')
    finally:
        await admin.close()
    return dsn_of(dsn, name), False


async def drop_others(dsn: str, family: str, keep: str) -> None:
    """Drop the databases of `family` that other data or other migrations made."""
    admin = await connect(dsn, statement_timeout_s=None)
    try:
        for row in await admin.fetch("select datname from pg_database where starts_with(datname, $1)", family):
            if row["datname"] != keep:
                await admin.execute(f'drop database "{row["datname"]}" with (force)')
                shutil.rmtree(directory() / row["datname"], ignore_errors=True)
    finally:
        await admin.close()


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    """Return a connection without a time limit, closed afterwards."""
    connection = await connect(dsn, statement_timeout_s=None)
    try:
        yield connection
    finally:
        await connection.close()


def dsn_of(server_dsn: str, name: str) -> str:
    """Return the DSN of the database `name` on the same server."""
    parts = urllib.parse.urlsplit(server_dsn)
    # Without a netloc urlunsplit drops the slashes: postgresql:/name.
    return urllib.parse.urlunsplit(parts._replace(path=f"/{name}", netloc=parts.netloc or "postgres@"))


def name_of(dsn: str) -> str:
    """Return the name of the database."""
    return urllib.parse.urlsplit(dsn).path.removeprefix("/")


def socket_directory(dsn: str) -> str:
    """Return the directory of the server's socket."""
    return urllib.parse.parse_qs(urllib.parse.urlsplit(dsn).query)["host"][0]
