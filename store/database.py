"""Own the connections to PostgreSQL: open them, hand them out in turn, replace the dead ones.

Decides how many connections a process holds, who gets the next one, and what a failure of the
database is called. Writes no SQL of its own and retries no statement: whether a write may be
repeated is its caller's decision.

A connection comes back as it is: nothing resets it, because that round trip costs more than most
queries. So whoever borrows one leaves no session state behind (`SET`, `LISTEN`, temporary tables,
session advisory locks); what needs those opens a connection of its own with `connect`.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import asyncpg
import orjson

from domain.errors import GotongError

CONNECTIONS_DEFAULT = 10
CONNECT_TIMEOUT_S = 10.0
ACQUIRE_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 10.0
CLOSE_POLL_INTERVAL_S = 0.01
STATEMENT_TIMEOUT_S = 15.0
IDLE_IN_TRANSACTION_TIMEOUT_S = 60.0
DEAD_PEER_TIMEOUT_S = 30.0
STATEMENTS_CACHED_MAX = 1024
STATEMENT_CACHED_CHARS_MAX = 65_536
PLANNING = {
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",  # planning costs more than most statements
    "enable_memoize": "off",  # setting it up costs a page more than looking its publishers up
    "random_page_cost": "1.1",  # no disk that turns: what is looked up a few rows at a time is looked up by index
}
JSONB_VERSION = b"\x01"  # the first byte of a jsonb value on the wire

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]  # generic to the type checker only
else:
    Connection = asyncpg.Connection

_GONE = (
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.InvalidAuthorizationSpecificationError,  # class 28, wrong passwords included
    asyncpg.InvalidCatalogNameError,  # 3D000: no such database
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # what was the primary is a standby now
)


_DRIVER_LOST = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class DatabaseUnavailable(GotongError):
    """The database does not answer, refused the connection, or went away during the work."""

    code: ClassVar[str] = "DATABASE_UNAVAILABLE"


class DatabaseBusy(GotongError):
    """Every connection of this process was in use for longer than a caller may wait."""

    code: ClassVar[str] = "DATABASE_BUSY"


class DiskFull(GotongError):
    """The database's disk is full; nothing was written."""

    code: ClassVar[str] = "DISK_FULL"


class StatementTimedOut(GotongError):
    """A statement ran longer than its time limit and was cancelled by the database."""

    code: ClassVar[str] = "STATEMENT_TIMED_OUT"


OUR_OWN = (DatabaseUnavailable, DatabaseBusy, DiskFull, StatementTimedOut)
"""What is wrong with this node, and says nothing about what it was given."""


def translated(error: BaseException) -> GotongError | None:
    """Return what a driver's `error` is called here, or None when it is not about the database's health.

    The one place that does so. Details carry the SQLSTATE and the driver's class, never its message:
    a message can quote an address, a user name or a row.
    """
    details = {"reason": type(error).__name__}
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate:
        details["sqlstate"] = error.sqlstate
    if isinstance(error, asyncpg.DiskFullError):
        return DiskFull("The disk of the database is full; free some space and try again.", **details)
    if isinstance(error, asyncpg.QueryCanceledError):
        return StatementTimedOut("The statement took too long and was cancelled.", **details)
    if isinstance(error, _GONE):
        return DatabaseUnavailable("The database is not available.", **details)
    return None


async def connect(
    dsn: str, *, statement_timeout_s: float | None = STATEMENT_TIMEOUT_S, application_name: str = "gotong"
) -> Connection:
    """Return a new connection to `dsn`, the caller's own; raise DatabaseUnavailable when there is none to have.

    jsonb comes parsed and is taken as anything orjson encodes; json, which the compiled questions select, stays text;
    uuid is `uuid.UUID`. `statement_timeout_s=None` means no limit.
    """
    limit_ms = 0 if statement_timeout_s is None else round(statement_timeout_s * 1000)
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            statement_cache_size=STATEMENTS_CACHED_MAX,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=STATEMENT_CACHED_CHARS_MAX,
            server_settings={
                "application_name": application_name,
                "statement_timeout": str(limit_ms),
                "idle_in_transaction_session_timeout": str(round(IDLE_IN_TRANSACTION_TIMEOUT_S * 1000)),
                "timezone": "UTC",
                **PLANNING,
            },
        )
        await _install_codecs(connection)
    except asyncpg.PostgresError as error:
        raise (translated(error) or _unreachable(error)) from error
    except (OSError, TimeoutError, ValueError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise _unreachable(error) from error
    _notice_dead_peer(connection)
    return connection


def _unreachable(error: BaseException) -> DatabaseUnavailable:
    return DatabaseUnavailable("No connection to the database could be made.", reason=type(error).__name__)


async def _install_codecs(connection: Connection) -> None:
    """Read and write jsonb as values; in the binary format, so that COPY takes them too."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )


def _to_jsonb(value: Any) -> bytes:
    return JSONB_VERSION + orjson.dumps(value)


def _from_jsonb(data: bytes) -> Any:
    return orjson.loads(data[len(JSONB_VERSION) :])


def _notice_dead_peer(connection: Connection) -> None:
    """Let the kernel end a TCP connection whose other side fell silent, at no cost to a query."""
    transport = getattr(connection, "_transport", None)
    peer = transport.get_extra_info("socket") if transport is not None else None
    if peer is None or peer.family == socket.AF_UNIX:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT") and hasattr(socket, "TCP_KEEPIDLE"):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, round(DEAD_PEER_TIMEOUT_S / 3))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, round(DEAD_PEER_TIMEOUT_S / 6))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(DEAD_PEER_TIMEOUT_S * 1000))


class Database:
    """A process's connections to one database, handed to waiters in the order they came."""

    def __init__(
        self,
        dsn: str,
        *,
        connections: int = CONNECTIONS_DEFAULT,
        statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
        acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
        application_name: str = "gotong",
    ) -> None:
        if connections < 1:
            raise ValueError("a Database needs at least one connection")
        self.dsn = dsn
        self._connections_max = connections
        self._statement_timeout_s = statement_timeout_s
        self._acquire_timeout_s = acquire_timeout_s
        self._application_name = application_name
        self._idle: deque[Connection] = deque()
        self._leased: set[Connection] = set()
        self._opening = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Database {len(self._leased)} leased, {len(self._idle)} idle of {self._connections_max}>"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Return once a first connection stands; raise DatabaseUnavailable when none can be made."""
        async with self.acquire():
            pass

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Return when every connection is closed; those still in use after `timeout_s` are cut."""
        self._closed = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(_closed())
        self._waiters.clear()
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while self._leased and loop.time() < deadline_s:  # noqa: ASYNC110 - an event would cost every lease
            await asyncio.sleep(CLOSE_POLL_INTERVAL_S)
        for connection in list(self._leased):
            connection.terminate()
        while self._idle:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await self._idle.pop().close(timeout=max(0.1, deadline_s - loop.time()))

    def acquire(self) -> "Lease":
        """Return a lease: `async with database.acquire() as connection`.

        Entering raises DatabaseUnavailable when no connection can be opened and DatabaseBusy when none came free in
        time. Driver errors that leave the block are raised as the errors of `translated`.
        """
        return Lease(self)

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        *,
        isolation: Literal["read_committed", "repeatable_read", "serializable"] = "read_committed",
        readonly: bool = False,
    ) -> AsyncIterator[Connection]:
        """Return a connection inside a transaction: committed when the block ends, rolled back when it raises."""
        async with self.acquire() as connection, connection.transaction(isolation=isolation, readonly=readonly):
            yield connection

    async def take(self) -> Connection:
        """Return a connection that `give` must get back; `acquire` is the safe way to call this."""
        if self._closed:
            raise _closed()
        while self._idle:
            connection = self._idle.pop()  # the warmest
            if not connection.is_closed():
                self._leased.add(connection)
                return connection
        if self._total() < self._connections_max:
            return await self._opened()
        return await self._waited()

    def give(self, connection: Connection) -> None:
        """Take `connection` back and hand it to whoever waited longest; a dead or unfinished one is replaced."""
        self._leased.discard(connection)
        if connection.is_closed() or connection.is_in_transaction() or self._closed:
            connection.terminate()
            self._wake(None)
        elif not self._wake(connection):
            self._idle.append(connection)

    def _total(self) -> int:
        return len(self._idle) + len(self._leased) + self._opening

    def _wake(self, connection: Connection | None) -> bool:
        """Return whether a waiter took `connection`; None tells it that it may open one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if waiter.done():
                continue
            if connection is None:
                self._opening += 1  # the place is the waiter's from now on
            else:
                self._leased.add(connection)
            waiter.set_result(connection)
            return True
        return False

    async def _opened(self, *, reserved: bool = False) -> Connection:
        if not reserved:
            self._opening += 1
        connection: Connection | None = None
        try:
            connection = await connect(
                self.dsn, statement_timeout_s=self._statement_timeout_s, application_name=self._application_name
            )
        finally:
            self._opening -= 1
            if connection is None:
                self._wake(None)
        if self._closed:
            connection.terminate()
            raise _closed()
        self._leased.add(connection)
        return connection

    async def _waited(self) -> Connection:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_later(self._acquire_timeout_s, _expire, waiter, self._connections_max)
        try:
            connection = await waiter
        except asyncio.CancelledError:
            self._decline(waiter)
            raise
        finally:
            timer.cancel()
        if connection is None:
            return await self._opened(reserved=True)
        if connection.is_closed():
            self._leased.discard(connection)
            return await self._opened()
        return connection

    def _decline(self, waiter: "asyncio.Future[Connection | None]") -> None:
        """Pass on what a cancelled waiter had been given already."""
        if not waiter.done() or waiter.cancelled() or waiter.exception() is not None:
            return
        connection = waiter.result()
        if connection is not None:
            self.give(connection)
            return
        self._opening -= 1
        self._wake(None)


class Lease:
    """One borrowing of a connection; an async context manager that translates what the driver raises."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        connection = await self._database.take()
        self._connection = connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        if error is None:
            self._database.give(connection)
            return
        chain = list(_chain(error))
        if any(isinstance(each, asyncpg.ReadOnlySQLTransactionError | asyncpg.InternalClientError) for each in chain):
            connection.terminate()  # a standby now, or a driver that a cut connection left out of step
        gone = connection.is_closed()
        self._database.give(connection)
        if isinstance(error, GotongError):
            return
        known = next(filter(None, map(translated, chain)), None)
        if known is None and gone and any(isinstance(each, _DRIVER_LOST) for each in chain):
            known = DatabaseUnavailable("The database went away during the work.", reason=type(error).__name__)
        if known is not None:
            raise known from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and what it was raised while handling: a failed rollback hides why it was needed."""
    while error is not None:
        yield error
        error = error.__context__


def _expire(waiter: "asyncio.Future[Connection | None]", connections_max: int) -> None:
    if not waiter.done():
        waiter.set_exception(
            DatabaseBusy("Every connection to the database is in use.", connections_max=connections_max)
        )


def _closed() -> DatabaseUnavailable:
    return DatabaseUnavailable("This process is closing its connections to the database.", reason="Closed")
