"""Have a later epoch's log take over from the one shown so far, in one transaction. Shell.

It decides when: as soon as everything the epoch copies is held and proven to be what it says (rules L4.3 and L4.4 of
`epochs`). Until then the old log is shown. Then the participant's rows are made again from the new log alone; followers
hear of what left, what came and what changed, and of nothing that stayed.
"""

from dataclasses import replace
from datetime import datetime

from domain.records.registry import RECORDS
from federation.did import service as did_service
from federation.did.state import DidState
from federation.identity import epochs, identities
from federation.log.entry import EpochStart
from federation.projection import withdraw
from federation.projection.fold import record_uri
from federation.projection.project import arrival_of, project
from store import epochs as rows
from store import logs, outbox
from store.database import Connection
from store.logs import LogRow

PAGE_ENTRIES = 1_024
LEAVES_PER_PAGE = 65_536


async def adopt(connection: Connection, log: LogRow, size: int, *, as_of: datetime) -> int:
    """Return how many records changed when `log`, held up to `size`, took over; 0 while its copy is not complete.

    The caller holds the head of a log that is not shown yet. Raises EpochPrefixDiffers, EpochRewritesHistory.
    """
    state = await identities.load(connection, log.participant_id, log.scid)
    starts = _starts(state)
    if log.epoch not in starts or size < starts[log.epoch].size:
        return 0
    await _require_copied(connection, log, starts[log.epoch])
    shared = await _require_same_history(connection, log, starts)
    for record_type in RECORDS:
        await rows.set_aside(connection, record_type.table, log.participant_id)
    await rows.show_only(connection, log.participant_id, log.id)
    quiet = replace(log, trust="quarantined")  # followers are told once, of what became of it all
    for start in range(0, size, PAGE_ENTRIES):
        page = await logs.entries(connection, log.id, start, min(PAGE_ENTRIES, size - start))
        await project(connection, quiet, [arrival_of(stored) for stored in page], as_of=as_of)
    return await _tell(connection, log, shared, as_of)


def _starts(state: DidState) -> dict[int, EpochStart]:
    stated = did_service.epochs(state)
    return {epoch: service.from_ for epoch, service in stated.items() if service.from_ is not None}


async def _require_copied(connection: Connection, log: LogRow, start: EpochStart) -> None:
    edge = epochs.copied_edge(start)
    while edge.size < start.size:
        count = min(LEAVES_PER_PAGE, start.size - edge.size)
        edge = edge.appended(await logs.tile_hashes(connection, log.id, 0, edge.size, count))
    epochs.require_copied(start, edge)


async def _require_same_history(connection: Connection, log: LogRow, starts: dict[int, EpochStart]) -> int:
    """Return up to which size the newest earlier log held here is the same, 0 without one."""
    shared: list[int] = []
    for held in await rows.earlier(connection, log.participant_id, log.epoch):
        size = min(held.size, epochs.shared_size(held.epoch, log.epoch, starts))
        for first in range(0, size, LEAVES_PER_PAGE):
            count = min(LEAVES_PER_PAGE, size - first)
            ours = await logs.tile_hashes(connection, held.log_id, 0, first, count)
            theirs = await logs.tile_hashes(connection, log.id, 0, first, count)
            if first == 0:
                theirs[0] = starts[held.epoch + 1].genesis
            epochs.require_same(first, ours, theirs)
        shared.append(size)
    return shared[0] if shared else 0


async def _tell(connection: Connection, log: LogRow, shared: int, as_of: datetime) -> int:
    changes: list[outbox.Change] = []
    gone: list[str] = []
    for record_type in RECORDS:
        for row in await rows.changed_rows(connection, record_type.table, log.participant_id, shared):
            kind = outbox.WITHDRAWN if not row.now else outbox.REVISED if row.was else outbox.PUBLISHED
            changes.append(outbox.Change(kind, record_type.name, log.participant_id, row.record_id, row.revision))
            if not row.now:
                gone.append(record_uri(log.scid, record_type, row.record_id))
        if record_type.searched:
            await rows.forget_text(connection, record_type.table, log.participant_id)
    await withdraw.recheck(connection, gone, as_of=as_of)
    if changes and log.trust == "allowed":
        await outbox.record(connection, changes)
        await outbox.announce(connection, outbox.OUTBOX_CHANNEL)
    return len(changes)
