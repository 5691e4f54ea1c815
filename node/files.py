"""Read and write files that a person names on the command line."""

import os
from pathlib import Path
from typing import ClassVar

from domain.errors import GotongError
from federation.lifecycle.moving import PACKAGE_BYTES_MAX


class FileRefused(GotongError):
    """A file that was named cannot be read, is there already, or is too large."""

    code: ClassVar[str] = "FILE_REFUSED"


def write_secret(path: Path, data: bytes) -> None:
    """Write a new file durably that only its owner may read, or raise FileRefused rather than replace one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FileRefused("this file cannot be written", file=str(path), reason=error.strerror) from None


def write_unfinished(path: Path, data: bytes) -> None:
    """Write durably what gets its name by `finish` only; raise FileRefused, also where that name is taken.

    What an attempt that died left behind is replaced.
    """
    if path.exists():
        raise FileRefused("this file is there already", file=str(path))
    unfinished = _unfinished(path)
    unfinished.unlink(missing_ok=True)
    try:
        write_secret(unfinished, data)
    except FileRefused:
        unfinished.unlink(missing_ok=True)
        raise


def finish(path: Path) -> None:
    """Give what was written its name, durably."""
    _unfinished(path).rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def forget_unfinished(path: Path) -> None:
    """Remove what was written and is not to get its name."""
    _unfinished(path).unlink(missing_ok=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")


def read_bounded(path: Path) -> bytes:
    """Return the content of a file of at most PACKAGE_BYTES_MAX bytes, or raise FileRefused."""
    try:
        with path.open("rb") as file:
            data = file.read(PACKAGE_BYTES_MAX + 1)
    except OSError as error:
        raise FileRefused("this file cannot be read", file=str(path), reason=error.strerror) from None
    if len(data) > PACKAGE_BYTES_MAX:
        raise FileRefused("this file is too large", file=str(path), bytes_max=PACKAGE_BYTES_MAX)
    return data
