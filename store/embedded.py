"""Run the PostgreSQL that Gotong brings along, one server for one data directory.

Decides when that server starts and stops: it starts with the first process that uses the data
directory and stops with the last one. Processes know of each other by a shared file lock, which the
kernel drops however a process ends, so no list of pids can go stale. Decides nothing about what is
in the database.

    <data>/postgres/        the cluster: complete from the moment it exists (made aside, then renamed)
    <data>/postgres.lock    held while one process starts or stops the server
    <data>/postgres.users   held, shared, by every process that uses the server
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil

from store.programs import EmbeddedDatabaseUnavailable, Programs, find_programs, known_failure, told_as_ours

SUPERUSER = "postgres"
DATABASE = "gotong"
PORT = 5432  # only the name of the socket: nothing listens on TCP
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_BYTES_MAX = 103  # sun_path: 108 on Linux, 104 on macOS, with the closing NUL
START_TIMEOUT_S = 120.0  # recovery after a crash replays up to max_wal_size
STOP_TIMEOUT_S = 60.0
ORPHAN_TIMEOUT_S = 10.0
POLL_INTERVAL_S = 0.05
RELIABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
DISPOSABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "300"}


@contextlib.asynccontextmanager
async def embedded(data_dir: Path, *, durable: bool = True) -> AsyncIterator[str]:
    """Return the DSN of the server under `data_dir`, started if need be; raises as `EmbeddedServer.start` does."""
    server = EmbeddedServer(data_dir, durable=durable)
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        yield await asyncio.shield(starting)
    finally:
        await asyncio.wait([starting])  # a start that was cancelled halfway still has to be undone
        await asyncio.to_thread(server.stop)


class EmbeddedServer:
    """One process's hold on the server of one data directory."""

    def __init__(self, data_dir: Path, *, durable: bool = True, programs: Programs | None = None) -> None:
        """`durable=False` is for databases that are thrown away: a power cut may corrupt them."""
        self.data_dir = data_dir.absolute()
        self.cluster = self.data_dir / "postgres"
        self._durable = durable
        self._given_programs = programs
        self._users: int | None = None

    def start(self) -> str:
        """Return the DSN, the server running and held; raise EmbeddedDatabaseUnavailable or DiskFull when it cannot.

        Calling it again is allowed, and restarts a server that has died since.
        """
        with told_as_ours(f"The database under {self.data_dir} cannot be started"):
            self.data_dir.mkdir(parents=True, exist_ok=True)
            programs = self._given_programs or find_programs()
            with self._guard():
                self._hold()
                try:
                    if not self.cluster.exists():
                        self._initialise(programs)
                    self._check_version(programs)
                    return _dsn(self._running_socket_dir(programs) or self._start(programs))
                except BaseException:
                    self._let_go()
                    raise

    def stop(self) -> None:
        """Let go of the server; the last process to do so stops it. Does nothing when not started."""
        if self._users is None:
            return
        with told_as_ours(f"The database under {self.data_dir} cannot be stopped"), self._guard():
            if self._last() and self._postmaster() is not None:
                programs = self._given_programs or find_programs()
                done = self._control(programs, "stop", "-m", "fast", timeout_s=STOP_TIMEOUT_S)
                if done.returncode != 0 and self._postmaster() is not None:
                    raise known_failure(done.stdout, "The database did not stop")
                with contextlib.suppress(OSError):
                    self._short_socket_dir().rmdir()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        handle = os.open(self.data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _hold(self) -> None:
        if self._users is None:
            self._users = os.open(self.data_dir / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._users, fcntl.LOCK_SH)

    def _let_go(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _last(self) -> bool:
        """Return whether no other process holds the server; let go of it either way."""
        assert self._users is not None
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            self._let_go()
        return True

    def _initialise(self, programs: Programs) -> None:
        """Make the cluster aside and rename it, so that a crash in between leaves nothing half-made in its place."""
        unfinished = self.cluster.with_name("postgres.new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir(mode=0o700)
        try:
            programs.adopt(unfinished)
            done = programs.run(
                "initdb",
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                "--auth=trust",  # whoever may enter the directory of the socket is let in; nobody else can
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",  # sorts alike everywhere, and after every upgrade of the system
                "--no-instructions",
                *([] if self._durable else ["--no-sync"]),
            )
            if done.returncode == 0:
                create = f"create database {DATABASE}\n"
                done = programs.run("postgres", "--single", "-D", str(unfinished), "template1", given=create)
            if done.returncode != 0:
                raise known_failure(done.stdout, "The database could not be created")
            with (unfinished / "postgresql.conf").open("a") as configuration:
                configuration.write("\ninclude_if_exists = 'gotong.conf'\n")
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        unfinished.rename(self.cluster)

    def _check_version(self, programs: Programs) -> None:
        made_with = (self.cluster / "PG_VERSION").read_text().strip()
        words = programs.run("postgres", "--version").stdout.split()
        ours = words[2].split(".")[0] if len(words) > 2 else "unknown"
        if made_with != ours:
            raise EmbeddedDatabaseUnavailable(
                f"The database under {self.cluster} was made by PostgreSQL {made_with}, and this is PostgreSQL {ours}. "
                "Back it up with the version of Gotong that made it and restore the backup here.",
                database_version=made_with,
                program_version=ours,
            )

    def _start(self, programs: Programs) -> Path:
        """Return the directory of the socket of a server started here; raise when it does not come up."""
        socket_dir = self._choose_socket_dir(programs)
        self._end_orphans()
        self._write_configuration(socket_dir)
        # Nobody else may hold it: we have the guard, and no server of this cluster is alive.
        (socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
        log = self.cluster / "start.log"
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            log.unlink(missing_ok=True)
            done = self._control(programs, "start", "-l", log.name, timeout_s=START_TIMEOUT_S)
            if done.returncode == 0:
                return socket_dir
            said = (log.read_text(errors="replace") if log.exists() else done.stdout) + self._log_of_last_start()
            # The children of a server that was killed need a moment to notice.
            if "shared memory block" not in said or time.monotonic() > deadline_s:
                raise known_failure(_fatal_line(said), "The database did not start")
            time.sleep(POLL_INTERVAL_S)

    def _control(
        self, programs: Programs, action: str, *arguments: str, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        # From inside, by relative paths: pg_ctl hands paths to a shell and quotes them badly.
        arguments = (action, "-D", ".", "-w", "-t", f"{timeout_s:.0f}", *arguments)
        return programs.run("pg_ctl", *arguments, cwd=self.cluster, timeout_s=timeout_s + 10)

    def _log_of_last_start(self) -> str:
        """Return what the server's own log says since it last began; its collector takes over from start.log early."""
        logs = sorted((self.cluster / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
        return logs[-1].read_text(errors="replace").rpartition("starting PostgreSQL")[2] if logs else ""

    def _write_configuration(self, socket_dir: Path) -> None:
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(socket_dir).replace('"', '""').join('""'),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "on",  # a week of logs, each day overwriting that of the week before
            "log_directory": "log",
            "log_filename": "server-%a.log",
            "log_rotation_age": "1d",
            "log_truncate_on_rotation": "on",
            "log_error_verbosity": "terse",  # the detail of a failed row may be somebody's phone number
            "jit": "off",
            "wal_recycle": "off",  # an old segment would keep what was erased under a new name
            **(RELIABLE if self._durable else DISPOSABLE),
        }
        lines = [f"{name} = {_quoted(value)}" for name, value in settings.items()]
        path = self.cluster / "gotong.conf"
        path.write_text("# Written at every start. ALTER SYSTEM overrides it.\n" + "\n".join(lines) + "\n")
        path.chmod(0o644)  # inside a directory nobody else may enter

    def _choose_socket_dir(self, programs: Programs) -> Path:
        """Return the cluster's own directory, or a short one when that makes too long a path for a socket."""
        path = str(self.cluster / SOCKET_NAME)
        if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX and "," not in path:
            return self.cluster
        short = self._short_socket_dir()
        with contextlib.suppress(FileExistsError):
            short.mkdir(mode=0o700)
            programs.adopt(short)
        status = short.lstat()
        owner_uid = os.geteuid() if programs.owner is None else programs.owner.uid
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner_uid or stat.S_IMODE(status.st_mode) != 0o700:
            raise EmbeddedDatabaseUnavailable(f"{short} belongs to somebody else.", path=str(short))
        return short

    def _short_socket_dir(self) -> Path:
        identity = hashlib.sha256(f"{os.geteuid()} {self.cluster.resolve()}".encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"gotong-{identity}"

    def _running_socket_dir(self, programs: Programs) -> Path | None:
        """Return the socket directory of a server that already answers, waiting for one that is about to.

        One that runs and whose socket is gone will never answer: it is stopped.
        """
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while (lines := self._pid_file()) is not None:
            if len(lines) > 4 and lines[4] and _answers(Path(lines[4]) / SOCKET_NAME):
                if "ready" in lines[-1]:
                    return Path(lines[4])
            elif self._postmaster() is None:
                # PostgreSQL itself would take any process that got the number since for its own server.
                (self.cluster / "postmaster.pid").unlink(missing_ok=True)
                return None
            elif "ready" in lines[-1] and not (Path(lines[4]) / SOCKET_NAME).exists():
                self._control(programs, "stop", "-m", "fast", timeout_s=STOP_TIMEOUT_S)
            if time.monotonic() > deadline_s:
                said = self._log_of_last_start().strip().splitlines()
                raise EmbeddedDatabaseUnavailable(
                    f"The database is running (process {lines[0]}) and cannot be reached after "
                    f"{START_TIMEOUT_S:.0f} s. It says that it is {lines[-1]!r}. Its log ends: {said[-1:]}",
                    pid=int(lines[0]),
                    state=lines[-1],
                )
            time.sleep(POLL_INTERVAL_S)
        return None

    def _end_orphans(self) -> None:
        """End servers whose directory had this name and was deleted under them.

        Such a one notices by itself within a minute, and then takes its socket away: by that time ours.
        """
        servers = [each for each in psutil.process_iter(["name"]) if (each.info["name"] or "").startswith("postgres")]
        orphans = [each for each in servers if _was_deleted_under(each, self.cluster.resolve())]
        for each in orphans:
            with contextlib.suppress(psutil.Error):
                each.send_signal(signal.SIGQUIT)
        unmoved = psutil.wait_procs(orphans, timeout=ORPHAN_TIMEOUT_S)[1]
        for each in unmoved:
            with contextlib.suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(unmoved, timeout=ORPHAN_TIMEOUT_S)

    def _pid_file(self) -> list[str] | None:
        """Return the lines of postmaster.pid: pid, directory, start, port, socket directory, address, memory, state."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        return [line.strip() for line in lines] if lines and lines[0].strip().isdigit() else ["0"]

    def _postmaster(self) -> psutil.Process | None:
        """Return the process named by the pid file if it really is this cluster's server."""
        lines = self._pid_file()
        if lines is None:
            return None
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(lines[0]))
            if process.name().startswith("postgres") and Path(process.cwd()) == self.cluster.resolve():
                return process
        return None


def _was_deleted_under(process: psutil.Process, directory: Path) -> bool:
    """Return whether a process works in a directory that had this name, as Linux tells it; psutil leaves that out."""
    try:
        return str(Path(f"/proc/{process.pid}/cwd").readlink()) == f"{directory} (deleted)"
    except OSError:
        return False


def _dsn(socket_dir: Path) -> str:
    host = urllib.parse.quote(str(socket_dir), safe="/")
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={host}&port={PORT}"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _fatal_line(log: str) -> str:
    """Return what a server's log says killed it."""
    fatal = [line for line in log.splitlines() if "FATAL:" in line or "PANIC:" in line]
    return fatal[-1] if fatal else log
