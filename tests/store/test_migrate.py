"""Migrations: applied once, in order, by one of many, and never silently different."""

import asyncio
import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from store.database import Database, connect
from store.migrate import (
    MIGRATIONS_DIR,
    Applied,
    DatabaseNewer,
    Migration,
    MigrationChanged,
    MigrationFailed,
    MigrationInvalid,
    MigrationPending,
    MigrationUnknown,
    applied_migrations,
    check,
    migrate,
    pending,
    read_migrations,
)


def migration(name: str, sql: str = "select 1") -> Migration:
    return Migration(name, sql, hashlib.sha256(sql.encode()).hexdigest())


def applied(*migrations: Migration) -> dict[int, Applied]:
    at = datetime(2026, 3, 14, tzinfo=UTC)
    return {each.number: Applied(each.name, each.sha256, at) for each in migrations}


FIRST = migration("0001_expand_first.sql", "create table first (id integer)")
SECOND = migration("0002_backfill_second.sql", "insert into first values (2)")


async def names_in(dsn: str) -> list[str]:
    connection = await connect(dsn)
    try:
        return [each.name for each in (await applied_migrations(connection)).values()]
    finally:
        await connection.close()


async def test_the_real_migrations_apply_to_an_empty_database_and_then_have_nothing_left_to_do(
    empty_database_dsn: str,
) -> None:
    ours = read_migrations()
    assert await migrate(empty_database_dsn) == ours
    assert await migrate(empty_database_dsn) == []
    assert await names_in(empty_database_dsn) == [each.name for each in ours]


async def test_a_migrated_database_passes_the_check(database: Database) -> None:
    async with database.acquire() as connection:
        await check(connection)


async def test_an_empty_database_fails_the_check_and_is_told_the_command(empty_database_dsn: str) -> None:
    async with Database(empty_database_dsn) as database, database.acquire() as connection:
        with pytest.raises(MigrationPending, match="gotong migrate"):
            await check(connection)


async def test_only_what_is_missing_is_applied(empty_database_dsn: str) -> None:
    await migrate(empty_database_dsn, [FIRST])
    assert await migrate(empty_database_dsn, [FIRST, SECOND]) == [SECOND]


async def test_two_processes_migrating_at_once_apply_everything_once(empty_database_dsn: str) -> None:
    program = "import asyncio, sys; from store.migrate import migrate; print(len(asyncio.run(migrate(sys.argv[1]))))"
    running = [
        subprocess.Popen([sys.executable, "-c", program, empty_database_dsn], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    counts = sorted([int((await asyncio.to_thread(each.communicate))[0]) for each in running])
    assert counts == [0, 0, len(read_migrations())]


async def test_a_file_changed_after_it_was_applied_is_refused_by_name(empty_database_dsn: str) -> None:
    await migrate(empty_database_dsn, [FIRST])
    changed = migration(FIRST.name, FIRST.sql + " -- better")
    with pytest.raises(MigrationChanged, match=FIRST.name):
        await migrate(empty_database_dsn, [changed, SECOND])
    assert await names_in(empty_database_dsn) == [FIRST.name]


async def test_a_failing_file_leaves_nothing_and_keeps_those_before_it(empty_database_dsn: str) -> None:
    failing = migration("0002_expand_second.sql", "create table second (id integer);\nselect 1/0;\n")
    with pytest.raises(MigrationFailed, match=r"0002_expand_second.*division by zero"):
        await migrate(empty_database_dsn, [FIRST, failing])
    async with Database(empty_database_dsn) as database, database.acquire() as connection:
        assert await connection.fetchval("select to_regclass('second')") is None
        assert await connection.fetchval("select to_regclass('first')") is not None
    assert await names_in(empty_database_dsn) == [FIRST.name]


async def test_a_file_that_cannot_be_recorded_is_not_applied_either(empty_database_dsn: str) -> None:
    failing = migration("0002_expand_second.sql", "create table second (id integer); drop table migration")
    with pytest.raises(MigrationFailed, match="migration"):
        await migrate(empty_database_dsn, [FIRST, failing])
    async with Database(empty_database_dsn) as database, database.acquire() as connection:
        assert await connection.fetchval("select to_regclass('second')") is None
    assert await names_in(empty_database_dsn) == [FIRST.name]


async def test_a_syntax_error_is_reported_with_its_line(empty_database_dsn: str) -> None:
    failing = migration("0001_expand_first.sql", "select 1;\nselect 2;\ncreate tabel x ();\n")
    with pytest.raises(MigrationFailed) as caught:
        await migrate(empty_database_dsn, [failing])
    assert caught.value.details == {"name": "0001_expand_first.sql", "line": 3, "sqlstate": "42601"}


def test_a_database_with_a_newer_contraction_is_refused() -> None:
    with pytest.raises(DatabaseNewer, match="0002_contract_later"):
        pending([FIRST], applied(FIRST, migration("0002_contract_later.sql")))


def test_a_database_that_newer_code_only_expanded_still_serves_the_older_code() -> None:
    assert pending([FIRST], applied(FIRST, migration("0002_expand_later.sql"))) == []


def test_a_database_with_another_migration_of_that_number_is_refused() -> None:
    with pytest.raises(MigrationUnknown, match="0001_expand_other"):
        pending([FIRST, SECOND], applied(migration("0001_expand_other.sql")))


def test_a_history_with_a_hole_is_refused() -> None:
    with pytest.raises(MigrationUnknown, match="0001"):
        pending([FIRST, SECOND], applied(SECOND))


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"1_expand_x.sql": "select 1"}, "1_expand_x"),
        ({"0001_change_x.sql": "select 1"}, "0001_change_x"),
        ({"0001_expand_x.sql": "select 1", "0001_expand_y.sql": "select 1"}, "0001_expand_y"),
        ({"0001_expand_x.sql": "select 1;\nCOMMIT;\n"}, "0001_expand_x"),
        ({}, "incomplete"),
    ],
    ids=["short number", "unknown phase", "number twice", "ends its transaction", "no files"],
)
def test_files_that_break_the_rules_are_refused(tmp_path: Path, files: dict[str, str], named: str) -> None:
    for name, sql in files.items():
        (tmp_path / name).write_text(sql)
    with pytest.raises(MigrationInvalid, match=named):
        read_migrations(tmp_path)


def test_numbers_may_be_left_out(tmp_path: Path) -> None:
    for name in ("0001_expand_x.sql", "0003_expand_y.sql"):
        (tmp_path / name).write_text("select 1")
    first, third = read_migrations(tmp_path)
    assert pending([first, third], applied(first)) == [third]
    assert pending([first, third], applied(first, third)) == []


def test_line_ends_do_not_make_another_migration(tmp_path: Path) -> None:
    (tmp_path / "0001_expand_x.sql").write_bytes(b"select 1;\r\nselect 2;\r\n")
    (tmp_path / "unix").mkdir()
    (tmp_path / "unix" / "0001_expand_x.sql").write_bytes(b"select 1;\nselect 2;\n")
    assert read_migrations(tmp_path) == read_migrations(tmp_path / "unix")


def test_the_migrations_lie_beside_the_packages() -> None:
    assert Path(sys.modules["store"].__file__ or "").resolve().parent.parent / "migrations" == MIGRATIONS_DIR
    assert [each.name for each in read_migrations()] == sorted(path.name for path in MIGRATIONS_DIR.glob("*.sql"))
