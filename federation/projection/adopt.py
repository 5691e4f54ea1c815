"""Have a later epoch's log take over from the one shown so far, in one transaction. Shell.

It decides when: as soon as everything the epoch copies is held and proven to be what it says (rules L4.3 and L4.4 of
`epochs`). Until then the old log is shown. Then the participant's rows are those of the new log alone. Both logs begin
with the same entries: what follows from these alone stays as it is, untouched, however much it is; the rest is decided
again. Followers hear of what left, what came and what changed,
and of nothing that stayed.
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from domain.records.base import record_uri
from domain.records.registry import RECORDS
from federation.did.state import DidState
from federation.identity import identities
from federation.log import epochs
from federation.log import service as did_service
from federation.log.entry import EpochStart
from federation.projection import withdraw
from federation.projection.project import arrival_of, decide_again, project
from store import epochs as rows
from store import evidence, logs, outbox, records
from store.database import Connection
from store.epochs import EarlierLog
from store.logs import LogRow

PAGE_ENTRIES = 1_024
LEAVES_PER_PAGE = 65_536
TABLES = tuple(record_type.table for record_type in RECORDS)


async def adopt(connection: Connection, log: LogRow, size: int, *, as_of: datetime) -> int:
    """Return how many records changed when `log`, held up to `size`, took over; 0 while its copy is not complete.

    The caller holds the head of a log that is not shown yet. Raises EpochPrefixDiffers, EpochRewritesHistory.
    """
    state = await identities.load(connection, log.participant_id, log.scid)
    starts = _starts(state)
    if log.epoch not in starts or size < starts[log.epoch].size:
        return 0
    await rows.take_time(connection)
    await _require_copied(connection, log, starts[log.epoch])
    await _require_same_history(connection, log, starts)
    shown = await rows.shown_log(connection, log.participant_id, log.epoch)
    if shown is None:
        await rows.show_only(connection, log.participant_id, log.id)
        return await _project_pages(connection, log, 0, size, as_of)
    shared = min(shown.size, epochs.shared_size(shown.epoch, log.epoch, starts))
    return await _take_over(connection, log, shown, shared, size, as_of)


async def _take_over(
    connection: Connection, log: LogRow, shown: EarlierLog, shared: int, size: int, as_of: datetime
) -> int:
    """Return how many records changed. What both logs say the same of stays where it is; the rest is decided again."""
    await rows.choose(connection, shown.log_id, log.id, shared)
    for table in TABLES:
        await rows.set_aside(connection, table, log.participant_id)
    await rows.complete_bodies(connection, shown.log_id, log.id, shared)
    await rows.show_only(connection, log.participant_id, log.id)
    quiet = replace(log, trust="quarantined")  # followers are told once, of what became of it all
    for start in range(0, shared, PAGE_ENTRIES):
        indexes = set(await rows.chosen_indexes(connection, log.id, start, min(start + PAGE_ENTRIES, shared)))
        if indexes:
            page = await logs.entries(connection, log.id, start, PAGE_ENTRIES)
            arrivals = [arrival_of(stored) for stored in page if stored.index in indexes]
            await project(connection, quiet, arrivals, as_of=as_of)
    await _project_pages(connection, quiet, shared, size, as_of)
    return await _tell(connection, log, shared, as_of)


async def _project_pages(connection: Connection, log: LogRow, start: int, stop: int, as_of: datetime) -> int:
    changed = 0
    for first in range(start, stop, PAGE_ENTRIES):
        page = await logs.entries(connection, log.id, first, min(PAGE_ENTRIES, stop - first))
        changed += await project(connection, log, [arrival_of(stored) for stored in page], as_of=as_of)
    return changed


def _starts(state: DidState) -> dict[int, EpochStart]:
    stated = did_service.epochs(state)
    return {epoch: service.from_ for epoch, service in stated.items() if service.from_ is not None}


async def _require_copied(connection: Connection, log: LogRow, start: EpochStart) -> None:
    edge = epochs.copied_edge(start)
    while edge.size < start.size:
        count = min(LEAVES_PER_PAGE, start.size - edge.size)
        edge = edge.appended(await logs.tile_hashes(connection, log.id, 0, edge.size, count))
    epochs.require_copied(start, edge)


async def _require_same_history(connection: Connection, log: LogRow, starts: dict[int, EpochStart]) -> None:
    for held in await rows.earlier(connection, log.participant_id, log.epoch):
        size = min(held.size, epochs.shared_size(held.epoch, log.epoch, starts))
        for first in range(0, size, LEAVES_PER_PAGE):
            count = min(LEAVES_PER_PAGE, size - first)
            ours = await logs.tile_hashes(connection, held.log_id, 0, first, count)
            theirs = await logs.tile_hashes(connection, log.id, 0, first, count)
            if first == 0:
                theirs[0] = starts[held.epoch + 1].genesis
            epochs.require_same(first, ours, theirs)


async def _tell(connection: Connection, log: LogRow, shared: int, as_of: datetime) -> int:
    changes: list[outbox.Change] = []
    gone: list[str] = []
    for record_type in RECORDS:
        dropped: list[UUID] = []
        for row in await rows.changed_rows(connection, record_type.table, log.participant_id, shared):
            kind = outbox.WITHDRAWN if not row.now else outbox.REVISED if row.was else outbox.PUBLISHED
            changes.append(outbox.Change(kind, record_type.name, log.participant_id, row.record_id, row.revision))
            if not row.now:
                dropped.append(row.record_id)
                gone.append(record_uri(log.scid, record_type, row.record_id))
        if record_type.searched:
            await evidence.drop_search(connection, record_type.table, log.participant_id, dropped)
    if changes and log.trust == "allowed":
        await outbox.record(connection, changes)
        await outbox.announce(connection, outbox.OUTBOX_CHANNEL)
    await withdraw.recheck(connection, gone, as_of=as_of)
    while due := await records.take_due(connection, log.id, as_of, PAGE_ENTRIES):
        await decide_again(connection, log, due, as_of=as_of)
    return len(changes)
