"""Compute every projection again from the logs and compare it with what is stored. Shell; leaves nothing behind.

The same code that projects on arrival runs here against empty temporary
tables that hide the real ones, inside a transaction that is rolled back. So
what is compared is the state itself, not a second idea of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.records.registry import RECORDS
from federation.projection.fold import TARGET_RETRY
from federation.projection.project import arrival_of, decide_again, project
from store import logs, rebuild, records
from store.database import Connection, Database
from store.logs import LogRow

PAGE_ENTRIES = 1_024
ROUNDS_MAX = 64
"""How long a chain of records that wait for each other is followed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A record whose stored row is not what its log says, or in table `unprojected` the reasons for having none.

    `stored` and `rebuilt` say which of the two has it.
    """

    table: str
    publisher: str
    record_id: str
    stored: bool
    rebuilt: bool


async def compare(database: Database, *, as_of: datetime) -> list[Difference]:
    """Return every record whose row, or lack of one, differs from what its log gives at `as_of`; none: all is well."""
    tables = [record_type.table for record_type in RECORDS]
    async with database.acquire() as connection:
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            await rebuild.hide(connection, tables)
            held = await logs.heads(connection, trust=["allowed", "quarantined", "blocked"])
            rows = [log for log in held if log.is_projected]
            for log in rows:
                await _project_all(connection, log, as_of)
            await _settle_all(connection, rows, as_of)
            found = [Difference(*each) for table in tables for each in await rebuild.differences(connection, table)]
            found += [Difference(*each) for table in tables for each in await rebuild.strayed(connection, table)]
            found += [Difference(*each) for each in await rebuild.odd_reasons(connection)]
            found += [Difference(*each) for each in await rebuild.out_of_step(connection)]
        finally:
            await transaction.rollback()
    return found


async def _project_all(connection: Connection, log: LogRow, as_of: datetime) -> None:
    start = 0
    stop = log.size if log.frozen_size is None else min(log.size, log.frozen_size)
    while page := await logs.entries(connection, log.id, start, min(PAGE_ENTRIES, stop - start)):
        await project(connection, log, [arrival_of(stored) for stored in page], as_of=as_of, destroying=False)
        start += len(page)


async def _settle_all(connection: Connection, rows: list[LogRow], as_of: datetime) -> None:
    """Give rows to what waited for a record of a log that came later."""
    by_origin = {log.origin: log for log in rows}
    for round_number in range(1, ROUNDS_MAX + 1):
        due_at = as_of + round_number * (TARGET_RETRY + timedelta(seconds=1))
        origins = await records.due_logs(connection, due_at)
        if not origins:
            return
        for origin in origins:
            log = by_origin[origin]
            due = await records.take_due(connection, log.id, due_at, log.size)
            await decide_again(connection, log, due, as_of=as_of, is_last=True, destroying=False)
