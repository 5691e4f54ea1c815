"""Decide which database a process of this node uses: the one it was given, or the embedded one."""

import contextlib
from collections.abc import AsyncIterator

from node.settings import Settings
from store.embedded import embedded


@contextlib.asynccontextmanager
async def database_dsn(settings: Settings) -> AsyncIterator[str]:
    """Return the DSN to use; raise EmbeddedDatabaseUnavailable or DiskFull when the embedded one cannot start."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with embedded(settings.data_dir) as dsn:
        yield dsn
