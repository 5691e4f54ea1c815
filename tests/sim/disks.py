"""The databases of simulated machines: emptied and used again, copied to be restored from later."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from store.database import Connection, connect
from tests.dsn import dsn_of

PATIENCE_ROUNDS = 2_000
POLL_S = 0.005


class Disks:
    """Databases `sim_<prefix>_<n>` on one server, each a clone of a migrated template."""

    def __init__(self, server_dsn: str, template: str, prefix: str) -> None:
        self._server_dsn = server_dsn
        self._template = template
        self._prefix = prefix
        self._made: list[str] = []
        self._wiping: str | None = None
        self._administering: Connection | None = None

    def dsn(self, number: int) -> str:
        """Return the address of database `number`."""
        return dsn_of(self._server_dsn, self._name(number))

    async def empty(self, count: int) -> list[str]:
        """Return the addresses of this many databases in the state that migrations leave."""
        for number in range(count):
            await self.quiesce(number)
            if self._name(number) in self._made:
                await self._wipe(number)
            else:
                await self._clone(self._template, self._name(number))
            if self._wiping is None:
                self._wiping = await self._statements_that_wipe(number)
        return [self.dsn(number) for number in range(count)]

    async def backup(self, number: int, label: str) -> None:
        """Copy a database that nobody uses; an older copy under this label is replaced."""
        await self.quiesce(number)
        await self._clone(self._name(number), f"{self._name(number)}_{label}")

    async def restore(self, number: int, label: str) -> None:
        """Put a copy in the place of a database that nobody uses."""
        await self.quiesce(number)
        await self._clone(f"{self._name(number)}_{label}", self._name(number))

    async def wipe(self, number: int) -> None:
        """Bring a database that nobody uses back to the state that migrations leave."""
        await self.quiesce(number)
        await self._clone(self._template, self._name(number))

    async def copy(self, number: int, to: int) -> str:
        """Return the address of a database made a copy of another one that nobody uses."""
        await self.quiesce(number)
        await self.quiesce(to)
        await self._clone(self._name(number), self._name(to))
        return self.dsn(to)

    async def drop(self) -> None:
        """Remove everything made here."""
        async with self._admin() as admin:
            for name in self._made:
                await admin.execute(f'drop database if exists "{name}" with (force)')
            await admin.close()

    async def quiesce(self, number: int) -> None:
        """Return once nobody is connected to a database: what a killed process left has ended."""
        async with self._admin() as admin:
            for _ in range(PATIENCE_ROUNDS):
                left = await admin.fetchval(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1",
                    self._name(number),
                )
                if not left:
                    return
                await asyncio.sleep(POLL_S)
        raise RuntimeError(f"{self._name(number)} stays in use")

    def _name(self, number: int) -> str:
        return f"sim_{self._prefix}_{number}"

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[Connection]:
        """Yield one connection, the same every time."""
        if self._administering is None or self._administering.is_closed():
            self._administering = await connect(self._server_dsn, statement_timeout_s=None)
        yield self._administering

    async def _clone(self, source: str, target: str) -> None:
        async with self._admin() as admin:
            await admin.execute(f'drop database if exists "{target}" with (force)')
            await admin.execute(f'create database "{target}" template "{source}"')
        if target not in self._made:
            self._made.append(target)

    async def _wipe(self, number: int) -> None:
        assert self._wiping is not None
        connection = await connect(self.dsn(number))
        try:
            await connection.execute(self._wiping)
        finally:
            await connection.close()

    async def _statements_that_wipe(self, number: int) -> str:
        """Return what empties every table but those that migrations fill; deleting is faster than truncating here."""
        connection = await connect(self.dsn(number))
        try:
            tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
            emptied = [
                f'delete from "{table}"'
                for (table,) in tables
                if not await connection.fetchval(f'select exists (select from "{table}")')
            ]
        finally:
            await connection.close()
        return "; ".join(["set session_replication_role = replica", *emptied, "reset session_replication_role"])
