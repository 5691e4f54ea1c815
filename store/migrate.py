"""Bring a database to the state this code was written for: plain SQL files, applied once, in order.

Decides which files are still to be applied and whether this code and a database belong together.
A file is `NNNN_<phase>_<what>.sql`; numbers rise, and one that was never used may be left out (0018). `expand`
adds what older code does not mind, `backfill` fills it, `contract` removes what only older code needed. So code
that is older than its database still runs while nothing has been contracted, and refuses afterwards.
Refuses to go back: migrations only go forward.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal, cast

import asyncpg

from domain.errors import GotongError
from store.database import Connection, connect, translated

# The same in a checkout and when installed: the packages lie side by side (pyproject.toml, `migrations`).
MIGRATIONS_DIR = Path(__file__).resolve().parent.parent / "migrations"
ADVISORY_LOCK_KEY = int.from_bytes(hashlib.sha256(b"gotong migrate").digest()[:8], signed=True)
TABLE_LOCK_TIMEOUT_S = 10.0  # rather fail than queue the whole node behind a lock that somebody holds

Phase = Literal["expand", "backfill", "contract"]

_NAME = re.compile(r"(?P<number>[0-9]{4})_(?P<phase>expand|backfill|contract)_[a-z0-9_]+\.sql")
_TRANSACTION_CONTROL = re.compile(
    r"^\s*(begin|start\s+transaction|commit|end|rollback)\s*;", re.MULTILINE | re.IGNORECASE
)

_CREATE_TABLE = """
create table if not exists migration (
    number     integer primary key,
    name       text not null unique,
    sha256     text not null,
    applied_at timestamptz not null default now()
)
"""


class MigrationInvalid(GotongError):
    """A migration file is misnamed, shares its number, or ends its own transaction; or there is none."""

    code: ClassVar[str] = "MIGRATION_INVALID"


class MigrationChanged(GotongError):
    """A migration file differs from the one that was applied to this database."""

    code: ClassVar[str] = "MIGRATION_CHANGED"


class MigrationUnknown(GotongError):
    """The database has a migration that this code should know and does not: it belongs to something else."""

    code: ClassVar[str] = "MIGRATION_UNKNOWN"


class MigrationFailed(GotongError):
    """A migration could not be applied; the database is as it was before that file."""

    code: ClassVar[str] = "MIGRATION_FAILED"


class MigrationPending(GotongError):
    """The database lacks migrations that this code needs; run `gotong migrate`."""

    code: ClassVar[str] = "MIGRATION_PENDING"


class DatabaseNewer(GotongError):
    """The database was changed by a newer Gotong in a way this one cannot work with; upgrade Gotong."""

    code: ClassVar[str] = "DATABASE_NEWER"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name, what it does in SQL, and the SHA-256 (hex) of that."""

    name: str
    sql: str
    sha256: str

    @property
    def number(self) -> int:
        return int(self.name[:4])

    @property
    def phase(self) -> Phase:
        return _phase(self.name)


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration the database remembers."""

    name: str
    sha256: str
    applied_at: datetime


def read_migrations(directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """Return the migrations of `directory` in order; raise MigrationInvalid for the first file that breaks a rule."""
    migrations: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        if _NAME.fullmatch(path.name) is None:
            raise MigrationInvalid(
                f"{path.name} is not named NNNN_expand_what.sql, NNNN_backfill_what.sql or NNNN_contract_what.sql.",
                file=path.name,
            )
        # A checkout that turned the line ends is still the same migration.
        sql = path.read_bytes().replace(b"\r\n", b"\n").decode()
        migration = Migration(path.name, sql, hashlib.sha256(sql.encode()).hexdigest())
        if migrations and migration.number <= migrations[-1].number:
            raise MigrationInvalid(f"{path.name} has the number of {migrations[-1].name}.", file=path.name)
        if (found := _TRANSACTION_CONTROL.search(sql)) is not None:
            raise MigrationInvalid(
                f"{path.name} says {found[0].strip()!r}; it runs inside one transaction as it is.", file=path.name
            )
        migrations.append(migration)
    if not migrations:
        raise MigrationInvalid(f"No migrations in {directory.name}: the installation is incomplete.")
    return migrations


def pending(migrations: Sequence[Migration], applied: Mapping[int, Applied]) -> list[Migration]:
    """Return the migrations still to be applied, in order.

    Raises MigrationChanged, MigrationUnknown or DatabaseNewer when `applied`, by number, is not a history that this
    code can continue or, being the older one, live with.
    """
    ours = {migration.number: migration for migration in migrations}
    for number in range(1, max(applied, default=0) + 1):
        theirs, mine = applied.get(number), ours.get(number)
        if theirs is None and mine is None:
            continue  # a number that was never used
        if theirs is None:
            raise MigrationUnknown(f"The database lacks migration {number:04} but has later ones.", number=number)
        if mine is None:
            if _phase(theirs.name) == "contract":
                raise DatabaseNewer(
                    f"The database has {theirs.name}, which this version does not know.", name=theirs.name
                )
        elif mine.name != theirs.name:
            raise MigrationUnknown(
                f"The database has {theirs.name} where this version has {mine.name}.",
                theirs=theirs.name,
                ours=mine.name,
            )
        elif mine.sha256 != theirs.sha256:
            raise MigrationChanged(
                f"{mine.name} was changed after it was applied on {theirs.applied_at:%Y-%m-%d}. "
                "Restore the file, and put the change into a new migration.",
                name=mine.name,
            )
    return [migration for migration in migrations if migration.number not in applied]


async def migrate(dsn: str, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Return the migrations it applied, none if the database was up to date. Safe to call from several processes.

    Raises as `pending` does, MigrationFailed for SQL that fails (the files before it stay applied), DiskFull, and
    DatabaseUnavailable.
    """
    migrations = read_migrations() if migrations is None else migrations
    connection = await connect(dsn, statement_timeout_s=None, application_name="gotong migrate")
    try:
        await connection.execute("select pg_advisory_lock($1)", ADVISORY_LOCK_KEY)
        await connection.execute(f"set lock_timeout = '{TABLE_LOCK_TIMEOUT_S:.0f}s'")
        await connection.execute(_CREATE_TABLE)
        todo = pending(migrations, await applied_migrations(connection))
        for migration in todo:
            await _apply(connection, migration)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _failure(error, "preparing") from error
    finally:
        connection.terminate()  # which also gives the advisory lock back
    return todo


async def check(connection: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Return when the database has what this code needs; raise as `pending` does, or MigrationPending."""
    missing = pending(read_migrations() if migrations is None else migrations, await applied_migrations(connection))
    if missing:
        raise MigrationPending(
            f"The database lacks {len(missing)} migrations, {missing[0].name} first. Run `gotong migrate`.",
            missing=len(missing),
            first=missing[0].name,
        )


async def applied_migrations(connection: Connection) -> dict[int, Applied]:
    """Return what was applied to this database, by number; nothing for an empty one."""
    if await connection.fetchval("select to_regclass('migration')") is None:
        return {}
    rows = await connection.fetch("select number, name, sha256, applied_at from migration order by number")
    return {row["number"]: Applied(row["name"], row["sha256"], row["applied_at"]) for row in rows}


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into migration (number, name, sha256) values ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.sha256,
            )
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _failure(error, migration.name, migration.sql) from error


def _failure(error: asyncpg.PostgresError | asyncpg.InterfaceError, name: str, sql: str = "") -> GotongError:
    known = translated(error)
    if known is not None:
        return known
    if not isinstance(error, asyncpg.PostgresError):
        return MigrationFailed(f"{name}: {error}", name=name)
    position = getattr(error, "position", None)
    line = sql.count("\n", 0, int(position)) + 1 if position and sql else None
    where = f"{name}, line {line}" if line else name
    return MigrationFailed(f"{where}: {error.args[0]}", name=name, line=line, sqlstate=error.sqlstate)


def _phase(name: str) -> Phase:
    return cast("Phase", name.split("_")[1])
