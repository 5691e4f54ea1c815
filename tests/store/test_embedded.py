"""The embedded server: shared by processes, gone with the last, back after a crash, clear when it cannot run."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from store.database import Database, DatabaseUnavailable, DiskFull, connect
from store.embedded import SOCKET_NAME, SOCKET_PATH_BYTES_MAX, EmbeddedServer, embedded
from store.programs import EmbeddedDatabaseUnavailable, Programs, find_programs
from tests.waiting import PATIENCE_S

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the server to another user")

HOLDER = """
import sys
from pathlib import Path
from store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), durable=False)
print(server.start(), flush=True)
sys.stdin.readline()
server.stop()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory the server's user can reach, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="gotong-embedded-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        left = postmaster(path)
        if left is not None:
            left.kill()
            left.wait(PATIENCE_S)


@contextlib.contextmanager
def holder(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the server until it is told to stop, and the DSN it got."""
    command = [sys.executable, "-c", HOLDER, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            if process.poll() is None:
                process.communicate("stop\n", timeout=PATIENCE_S)


def postmaster(data_dir: Path) -> psutil.Process | None:
    """The running server of the directory, found without asking the code under test."""
    for process in psutil.process_iter(["name", "cwd", "cmdline"]):
        if process.info["cwd"] == str(data_dir / "postgres") and "-D" in (process.info["cmdline"] or []):
            return process
    return None


async def one(dsn: str, sql: str) -> object:
    connection = await connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_it_starts_serves_over_its_socket_alone_and_stops(data_dir: Path) -> None:
    async with embedded(data_dir) as dsn:
        assert await one(dsn, "select current_database()") == "gotong"
        assert await one(dsn, "show listen_addresses") == ""
        running = postmaster(data_dir)
        assert running is not None
        assert running.net_connections("tcp") == []
    assert postmaster(data_dir) is None


async def test_what_was_committed_is_there_the_next_time(data_dir: Path) -> None:
    async with embedded(data_dir) as dsn:
        await one(dsn, "create table kept ()")
    async with embedded(data_dir) as dsn:
        assert await one(dsn, "select to_regclass('kept') is not null")


async def test_real_data_is_written_through_to_the_disk(data_dir: Path) -> None:
    async with embedded(data_dir) as dsn:
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert (setting, await one(dsn, f"show {setting}")) == (setting, "on")


async def test_text_sorts_alike_on_every_system(data_dir: Path) -> None:
    async with embedded(data_dir, durable=False) as dsn:
        assert await one(
            dsn, "select datlocprovider::text || ' ' || datlocale from pg_database where datname = 'gotong'"
        ) == ("b C.UTF-8")


async def test_the_data_is_closed_to_other_users_of_the_machine(data_dir: Path) -> None:
    async with embedded(data_dir, durable=False):
        assert (data_dir / "postgres").stat().st_mode & 0o077 == 0


async def test_two_processes_share_one_server_and_the_last_stops_it(data_dir: Path) -> None:
    with holder(data_dir) as (_, first), holder(data_dir) as (process, second):
        assert first == second
        before = postmaster(data_dir)
        process.communicate("stop\n", timeout=PATIENCE_S)
        assert await one(first, "select 1") == 1
        assert postmaster(data_dir) == before
    assert postmaster(data_dir) is None


async def test_many_processes_starting_at_once_get_the_same_new_server(data_dir: Path) -> None:
    with contextlib.ExitStack() as stack:
        starting = [asyncio.to_thread(stack.enter_context, holder(data_dir)) for _ in range(4)]
        dsns = {dsn for _, dsn in await asyncio.gather(*starting)}
        assert len(dsns) == 1
        assert await one(dsns.pop(), "select 1") == 1
    assert postmaster(data_dir) is None


async def test_a_process_that_was_killed_does_not_keep_the_server_forever(data_dir: Path) -> None:
    with holder(data_dir) as (process, _):
        process.kill()
        process.wait(PATIENCE_S)
        assert postmaster(data_dir) is not None  # nobody was left to stop it
        async with embedded(data_dir, durable=False) as dsn:
            assert await one(dsn, "select 1") == 1
        assert postmaster(data_dir) is None


async def test_it_recovers_from_the_server_being_killed(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir)
    dsn = server.start()
    try:
        async with Database(dsn, connections=2) as database:
            async with database.transaction() as connection:
                await connection.execute("create table kept as select 1 as one")
            running = postmaster(data_dir)
            assert running is not None
            running.kill()
            running.wait(PATIENCE_S)
            with pytest.raises(DatabaseUnavailable):
                async with database.acquire() as connection:
                    await connection.fetchval("select one from kept")
            assert server.start() == dsn
            async with database.acquire() as connection:
                assert await connection.fetchval("select one from kept") == 1
    finally:
        server.stop()
    assert postmaster(data_dir) is None


async def test_it_waits_for_what_a_killed_server_left_running(data_dir: Path) -> None:
    busy = "do $$ begin while clock_timestamp() < now() + interval '2 s' loop end loop; end $$"
    server = EmbeddedServer(data_dir, durable=False)
    connection = await connect(server.start())
    working = asyncio.create_task(connection.execute(busy))
    await asyncio.sleep(0.2)
    running = postmaster(data_dir)
    assert running is not None
    running.kill()
    try:
        dsn = await asyncio.to_thread(server.start)
        assert await one(dsn, "select 1") == 1
    finally:
        await asyncio.gather(working, return_exceptions=True)
        connection.terminate()
        server.stop()


async def test_a_server_whose_directory_was_deleted_under_it_does_not_take_the_next_ones_socket_away(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL looks once a minute whether its directory is still its own, ends, and removes the socket's file."""
    monkeypatch.setattr("store.embedded.ORPHAN_TIMEOUT_S", 1.0)
    lost = EmbeddedServer(data_dir, durable=False)
    lost.start()
    before = postmaster(data_dir)
    assert before is not None
    before.suspend()  # or it may notice by itself before anybody starts the next one
    shutil.rmtree(data_dir / "postgres")
    lost._let_go()
    async with embedded(data_dir, durable=False) as dsn:
        assert not before.is_running() or before.status() == psutil.STATUS_ZOMBIE
        assert await one(dsn, "select 1") == 1
    assert postmaster(data_dir) is None


async def test_processes_that_may_not_be_looked_at_keep_no_server_from_starting(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where /proc is mounted with hidepid=1, the name of what others run is unknown."""
    hidden = psutil.Process()
    hidden.info = {"name": None}
    monkeypatch.setattr(psutil, "process_iter", lambda _attributes: iter([hidden]))
    async with embedded(data_dir, durable=False) as dsn:
        assert await one(dsn, "select 1") == 1


async def test_a_server_whose_socket_was_removed_is_started_anew(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir)
    dsn = server.start()
    try:
        await one(dsn, "create table kept ()")
        (data_dir / "postgres" / SOCKET_NAME).unlink()
        with pytest.raises(DatabaseUnavailable):
            await connect(dsn)
        assert server.start() == dsn
        assert await one(dsn, "select to_regclass('kept') is not null")
    finally:
        server.stop()
    assert postmaster(data_dir) is None


async def test_a_server_that_stays_out_of_reach_is_told_of_with_its_number_its_state_and_its_last_words(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.embedded.START_TIMEOUT_S", 0.2)
    server = EmbeddedServer(data_dir, durable=False)
    with holder(data_dir):
        running = postmaster(data_dir)
        assert running is not None
        monkeypatch.setattr("store.embedded._answers", lambda path: False)
        with pytest.raises(EmbeddedDatabaseUnavailable, match=r"process .* 'ready'.*ready to accept") as raised:
            server.start()
    assert raised.value.details == {"pid": running.pid, "state": "ready"}


@pytest.mark.parametrize("left_behind", ["a dead process", "an unrelated process", "nonsense", "nothing"])
def test_a_stale_pid_file_is_no_obstacle(data_dir: Path, left_behind: str) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    server.start()
    server.stop()
    owner = find_programs().owner
    with subprocess.Popen(["sleep", "60"], user=owner.uid if owner else None) as unrelated:
        dead = subprocess.Popen(["true"])
        dead.wait()
        content = {
            "a dead process": f"{dead.pid}\n",
            "an unrelated process": f"{unrelated.pid}\n{server.cluster}\n1\n5432\n{server.cluster}\n\n1 1\nready\n",
            "nonsense": "\x00\x00",
            "nothing": "",
        }[left_behind]
        pid_file = server.cluster / "postmaster.pid"
        pid_file.write_text(content)
        os.chown(pid_file, (data_dir / "postgres").stat().st_uid, -1)
        try:
            server.start()
            server.stop()
        finally:
            unrelated.kill()
    assert postmaster(data_dir) is None


def test_a_creation_that_was_interrupted_is_begun_again(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    server = EmbeddedServer(data_dir, durable=False)
    server.start()
    server.stop()
    assert not (data_dir / "postgres.new").exists()


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.5])
async def test_a_start_that_is_cancelled_leaves_no_server(data_dir: Path, after_s: float) -> None:
    async def use() -> None:
        async with embedded(data_dir, durable=False):
            await asyncio.sleep(60)

    task = asyncio.create_task(use())
    await asyncio.sleep(after_s)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await asyncio.get_running_loop().shutdown_default_executor()  # no start goes on behind our back
    assert postmaster(data_dir) is None


async def test_a_path_too_long_for_a_socket_and_full_of_odd_signs_works(data_dir: Path) -> None:
    deep = data_dir / "sebuah, desa 'jauh' \"di\" gunung\\%41" / ("x" * SOCKET_PATH_BYTES_MAX)
    deep.mkdir(parents=True)
    async with embedded(deep, durable=False) as dsn:
        assert await one(dsn, "select 1") == 1
        socket_dir = Path(str(await one(dsn, "show unix_socket_directories")).strip('"'))
        assert not socket_dir.is_relative_to(data_dir)
    assert not socket_dir.exists()
    async with embedded(data_dir / "desa 'jauh' \\%41?&=", durable=False) as dsn:
        assert await one(dsn, "select 1") == 1


def test_an_interrupt_at_the_keyboard_does_not_take_the_server_down_before_its_users(data_dir: Path) -> None:
    with holder(data_dir):
        running = postmaster(data_dir)
        assert running is not None
        assert os.getpgid(running.pid) != os.getpgid(0)


def test_a_database_made_by_another_postgresql_is_left_alone(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    server.start()
    server.stop()
    version = server.cluster / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(EmbeddedDatabaseUnavailable, match="made by PostgreSQL 12"):
        server.start()
    assert version.read_text() == "12\n"


def test_a_damaged_configuration_is_reported_in_the_servers_words(data_dir: Path) -> None:
    server = EmbeddedServer(data_dir, durable=False)
    server.start()
    server.stop()
    with (server.cluster / "postgresql.auto.conf").open("a") as configuration:
        configuration.write("max_connections = 'many'\n")
    with pytest.raises(EmbeddedDatabaseUnavailable, match="did not start"):
        server.start()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("initdb: error: could not write: No space left on device", DiskFull),
        ("initdb: error: could not look up effective user ID 10001: user does not exist", EmbeddedDatabaseUnavailable),
        ("initdb: error: something else", EmbeddedDatabaseUnavailable),
    ],
)
def test_a_creation_that_fails_has_a_name_and_leaves_nothing(
    data_dir: Path, tmp_path: Path, said: str, error: type[Exception]
) -> None:
    failing = tmp_path / "initdb"
    failing.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(error):
        EmbeddedServer(data_dir, programs=Programs(tmp_path, None)).start()
    assert sorted(path.name for path in data_dir.iterdir()) == ["postgres.lock", "postgres.users"]


def test_a_data_directory_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedDatabaseUnavailable, match="file"):
        EmbeddedServer(tmp_path / "file").start()


def test_a_program_that_is_missing_is_an_error_that_names_it(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedDatabaseUnavailable, match="initdb could not be run"):
        EmbeddedServer(data_dir, programs=Programs(tmp_path, None)).start()


@as_root
def test_a_directory_closed_to_the_servers_user_is_refused_with_the_ways_out_and_stays_closed(data_dir: Path) -> None:
    closed = data_dir / "home"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedDatabaseUnavailable, match=r"may not enter .*--data.*GOTONG_DATABASE_URL"):
        EmbeddedServer(closed / "gotong").start()
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_an_installation_closed_to_the_servers_user_is_copied_once(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import store.programs

    monkeypatch.setattr(store.programs, "ROOT_COPY_DIR", data_dir / "cache")
    reaches = store.programs._reaches
    monkeypatch.setattr(
        store.programs, "_reaches", lambda owner, path: "site-packages" not in str(path) and reaches(owner, path)
    )
    programs = find_programs()
    assert programs == find_programs()
    assert programs.directory.is_relative_to(data_dir / "cache")
    server = EmbeddedServer(data_dir / "data", durable=False, programs=programs)
    server.start()
    server.stop()


def test_a_terminated_process_group_leaves_a_database_that_starts_again(data_dir: Path) -> None:
    with holder(data_dir) as (process, _):
        running = postmaster(data_dir)
        assert running is not None
        os.kill(process.pid, signal.SIGKILL)
        os.killpg(os.getpgid(running.pid), signal.SIGKILL)
        server = EmbeddedServer(data_dir, durable=False)
        server.start()
        server.stop()
