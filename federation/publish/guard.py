"""Decide whether this node may sign: never while somebody may have seen a longer log than it holds. Shell.

After a restore, a promotion or a stop that was not clean, a log here may lack what others have already seen of it;
signing then would fork it. So nothing is signed until it is known that nothing was lost:

- a process that knows works on this database right now; or
- the last one stopped cleanly, and what it left matches: a row in the database and a file beside the keys. The row
  names the file's inode and change time, which no copy has, and the database's identity, so that neither an older
  database nor a copied directory passes; or
- nobody else has ever read a log of this node; or
- peers confirm it (`store.guard.unconfirmed` says when); or
- an operator confirms on screen, which leaves the same marker as a clean stop.

What a peer shows to be longer, signed by our own key, is waited for whatever was confirmed: it is taken back first.
Knowing ends with the process. Nothing here asks a clock.

An older database also gives its events and heads numbers that others have heard with other news. So they get another
name whenever the database is not known to go on from where it was: by the marker, or, after a stop that was not clean,
by a file that says every second which database it is and how far its transactions had come.
"""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import structlog

from domain.errors import GotongError
from store import guard
from store.database import Connection, DatabaseUnavailable
from store.logs import LogRow

MARKER_FILE = "clean-stop"
REACHED_FILE = "reached"
SEEN_FILE = "seen"
WATCH_S = 1.0

_log = structlog.get_logger()


class PublicationWaits(GotongError):
    """It is not known yet whether this node lost anything of its logs, so nothing is signed; ask again later."""

    code: ClassVar[str] = "PUBLICATION_WAITS"


class Guard:
    """One process's knowledge that its database lacks nothing that was signed. `directory` is the data directory."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], directory: Path) -> None:
        self._connect = connect
        self._directory = directory
        self._deciding = asyncio.Lock()
        self._session: Connection | None = None
        self._identity: str | None = None  # of the database, while something is known of it
        self._run: int | None = None
        self._sizes: dict[int, int] = {}  # of logs, when they were last seen here
        self._is_marked = False
        self._reached: dict[str, Any] | None = None  # what REACHED_FILE says, once this process wrote it
        self.is_unbroken = False
        """Whether the database is the one that the last process left, rather than one that may be older."""

    async def check(self, connection: Connection, log: LogRow) -> None:
        """Return if a log, its head locked by this transaction, may be extended; raise PublicationWaits."""
        found = await guard.contradiction(connection, log.id)
        if found is not None:
            raise PublicationWaits("a peer holds another or a longer version of this log", held=log.size, found=found)
        await self.check_identity(connection, log)

    async def check_identity(self, connection: Connection, log: LogRow) -> None:
        """Return if nothing newer of the identity can be lost here, its log's head locked; raises like `check`.

        What a thief signed contradicts the log for good and says nothing about the identity, which only cards change.
        """
        if log.size < self._sizes.get(log.id, 0):
            self._forget()
            raise PublicationWaits("the database holds less than a moment ago", held=log.size)
        if (
            not self.is_sure
            and not await self.decide()
            and await guard.unconfirmed(connection, self._run or 0, [log.id], contradicted_too=True)
        ):
            raise PublicationWaits("nobody has confirmed yet that nothing of this log was lost", held=log.size)
        self._sizes[log.id] = log.size

    @property
    def is_sure(self) -> bool:
        """Whether it is known that nothing was lost; a lost connection to the database ends it."""
        return self._session is not None and not self._session.is_closed()

    async def decide(self) -> bool:
        """Return whether it is known by now that nothing was lost of any log hosted here."""
        async with self._deciding:
            if self.is_sure:
                return True
            session = await self._connect()
            try:
                await guard.take_turn(session)
                if self._run is None:
                    self._run = await guard.next_run(session)
                is_known = await self._is_known(session)
                await self._note_reached(session)
                if not is_known:
                    session.terminate()
                    return False
                await guard.go_live(session)
                self._identity = await guard.identity(session)
                await guard.end_turn(session)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                session.terminate()
                raise DatabaseUnavailable("The guard's connection was lost.", reason=type(error).__name__) from error
            self._session = session
            return True

    async def watch(self) -> None:
        """Decide until it is known, and again whenever that was lost, until cancelled."""
        told = False
        while True:
            with contextlib.suppress(GotongError, OSError):
                if self.is_sure:
                    await self._note_reached_meanwhile()
                else:
                    is_sure = await self.decide()
                    if is_sure != told:
                        _log.info("signing_confirmed" if is_sure else "signing_waits")
                    elif not is_sure and not told:
                        _log.debug("signing_waits")
                    told = is_sure
            await asyncio.sleep(WATCH_S)

    async def confirm(self) -> None:
        """Take an operator's word that nothing was lost: leave what the last process to stop cleanly leaves."""
        session = await self._connect()
        try:
            await guard.take_turn(session)
            await self._leave_marker(session)
        finally:
            session.terminate()

    async def mark_seen(self, acquire: Callable[[], AbstractAsyncContextManager[Connection]]) -> None:
        """Remember, in the database and beside the keys, that somebody else reads the logs of this node."""
        if self._is_marked:
            return
        async with acquire() as connection:
            await guard.mark_seen(connection)
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / SEEN_FILE).touch()
        self._is_marked = True

    async def close(self) -> None:
        """Stop; the last process that knows that nothing was lost leaves that behind."""
        session, self._session = self._session, None
        if session is None or session.is_closed():
            return
        try:
            await guard.take_turn(session)
            await guard.stop_living(session)  # while it is our turn: whoever stops next must not take us for alive
            if not await guard.is_anyone_live(session):
                await self._leave_marker(session)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("clean_stop_not_marked", error=type(error).__name__)
        finally:
            session.terminate()

    # ---- how it is known ---------------------------------------------------------------------------------------------

    async def _is_known(self, session: Connection) -> bool:
        if await guard.is_anyone_live(session):
            self.is_unbroken = True
            return True
        if self._identity is not None and self._identity == await guard.identity(session):
            return not await self._has_shrunk(session)  # the database was away, and is the same one
        if await self._takes_marker(session):
            self.is_unbroken = True
            return True
        if not (self._directory / SEEN_FILE).exists() and not await guard.was_seen(session):
            return True
        assert self._run is not None
        return not await guard.unconfirmed(session, self._run)

    async def _has_shrunk(self, session: Connection) -> bool:
        rows = await session.fetch("select id, size from log where id = any($1)", list(self._sizes))
        held = {row["id"]: row["size"] for row in rows}
        return any(held.get(number, 0) < size for number, size in self._sizes.items())

    async def _takes_marker(self, session: Connection) -> bool:
        """Return whether the marker of a clean stop is whole; it is used up either way."""
        file = self._directory / MARKER_FILE
        row = await guard.take_clean_stop(session)
        found = _marker_of(file)
        if found is not None:
            with contextlib.suppress(OSError):
                file.unlink()
        if row is None and found is None:
            if not await self._goes_on(session):
                if (self._directory / REACHED_FILE).exists():
                    _log.info("stream_renewed", message="the database may be older than what was told of it")
                await guard.renew_stream(session)
            return False
        if row is None or found is None or row != {**found, "identity": await guard.identity(session)}:
            _log.error("restore_detected", message="this database or this data directory is a copy or a backup")
            await guard.renew_stream(session)
            return False
        return True

    async def _goes_on(self, session: Connection) -> bool:
        """Return whether the database is the one that the last process worked on, and no older than it was then."""
        try:
            then = json.loads((self._directory / REACHED_FILE).read_bytes())
            identity, before = then["identity"], int(then["transaction"])
        except (OSError, ValueError, TypeError, KeyError):
            return False
        if identity != await guard.identity(session):
            return False
        return before <= await guard.next_transaction(session)

    async def _note_reached(self, session: Connection) -> None:
        """Write down how far the database has come. A disk that is full is told of by others."""
        transaction = await guard.next_transaction(session)
        if self._reached is not None and transaction == self._reached["transaction"]:
            return
        reached = {"identity": self._identity or await guard.identity(session), "transaction": transaction}
        unfinished = self._directory / f"{REACHED_FILE}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(reached))
            unfinished.replace(self._directory / REACHED_FILE)
            self._reached = reached

    async def _note_reached_meanwhile(self) -> None:
        async with self._deciding:
            if self._session is not None and not self._session.is_closed():
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError):  # it is decided anew then
                    await self._note_reached(self._session)

    async def _leave_marker(self, session: Connection) -> None:
        file = self._directory / MARKER_FILE
        self._directory.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_hex(16))
            opened.flush()
            os.fsync(opened.fileno())
        marker = _marker_of(file)
        assert marker is not None
        await guard.set_clean_stop(session, {**marker, "identity": await guard.identity(session)})

    def _forget(self) -> None:
        session, self._session = self._session, None
        self._identity = None
        if session is not None:
            session.terminate()


def _marker_of(file: Path) -> dict[str, Any] | None:
    """Return what only this very file has: its content, its inode, and when it was last changed in any way."""
    try:
        status = file.stat()
        return {"token": file.read_text(), "inode": str(status.st_ino), "ctime_ns": str(status.st_ctime_ns)}
    except (OSError, UnicodeDecodeError):
        return None
