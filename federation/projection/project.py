"""Write what `fold` decides: rows, reasons, and the outbox. Shell; runs inside the caller's transaction.

The caller holds the log's head, so nothing else touches this publisher's
records meanwhile.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from domain.ids import parse_uri
from domain.records.base import record_uri
from domain.records.registry import RECORDS
from federation.encoding import canonical
from federation.log.entry import parse as parse_entry
from federation.projection import withdraw
from federation.projection.fold import (
    OUTSIDE_CHAIN,
    OVERTAKEN,
    TARGET_RETRY,
    Arrival,
    Folded,
    History,
    Key,
    Reason,
    Row,
    Tip,
    fold,
    references,
)
from store import logs, outbox, records
from store.database import Connection
from store.logs import LogRow, StoredEntry

SETTLE_ENTRIES_MAX = 1_000
STATE_ROWS_MAX = 500
AT_WORK_S = 1.0
"""Far less than TARGET_RETRY: whoever was writing when an entry was decided, and still is, has been for longer."""
COLUMN_INT_MAX = 2**31 - 1
"""A newer program may write any number up to 2**53; no known version or chained revision lies beyond this one."""


async def project(
    connection: Connection,
    log: LogRow,
    arrivals: Sequence[Arrival],
    *,
    as_of: datetime,
    retried: bool = False,
    is_last: bool = False,
    destroying: bool = True,
) -> int:
    """Project `arrivals` of `log` in index order and return how many records changed.

    The entries and payloads are stored already: what `arrivals` erase is destroyed, unless this is only a comparison.
    After the `last` time, what waits for a record is tried when that comes, and not before.
    """
    history = await _history(connection, log, arrivals)
    again_at = None if is_last else as_of + TARGET_RETRY
    folded = fold(arrivals, history, RECORDS.get, scid=log.scid, as_of=as_of, retried=retried, again_at=again_at)
    if folded.erased:
        await withdraw.erase(connection, log, folded.erased, as_of=as_of, destroying=destroying)
    await _write_rows(connection, log, folded, as_of)
    await _write_skipped(connection, log, folded)
    if folded.erased:
        await withdraw.recheck(connection, withdraw.erased_uris(log, folded.erased), as_of=as_of)
    if folded.rows and log.trust == "allowed":
        await outbox.record(connection, [_change(log, row) for row in folded.rows.values()])
        await outbox.announce(connection, outbox.OUTBOX_CHANNEL)
    return len(folded.rows)


async def settle(connection: Connection, origin: str, *, as_of: datetime) -> int:
    """Try due entries of one log again and return how many were tried. Call inside a transaction.

    Who brings the record that an entry waits for wakes the entries that it sees. One whose transaction was under way
    when an entry was decided may not see it, nor does the entry see the record: so entries are tried until nobody is
    left who was at work then.
    """
    log = await logs.lock_head(connection, origin)
    if log is None:
        return 0
    indexes = await records.take_due(connection, log.id, as_of, SETTLE_ENTRIES_MAX)
    is_last = not await records.is_anybody_writing(connection, AT_WORK_S)
    await decide_again(connection, log, indexes, as_of=as_of, is_last=is_last)
    return len(indexes)


async def decide_again(
    connection: Connection,
    log: LogRow,
    indexes: Sequence[int],
    *,
    as_of: datetime,
    is_last: bool = False,
    destroying: bool = True,
) -> None:
    """Project these entries again: those without a row, and those whose row may have to go because its target went."""
    arrivals = await stored_arrivals(connection, log, indexes)
    shown = await _shown_dependents(connection, log, arrivals)
    waiting = [arrival for arrival in arrivals if arrival.index not in shown]
    if waiting:
        await project(connection, log, waiting, as_of=as_of, retried=True, is_last=is_last, destroying=destroying)
    for arrival in arrivals:
        if arrival.index in shown:
            await _decide_shown(connection, log, arrival, shown[arrival.index], as_of=as_of, destroying=destroying)


async def _decide_shown(
    connection: Connection, log: LogRow, arrival: Arrival, shown: records.Shown, *, as_of: datetime, destroying: bool
) -> None:
    record_type = RECORDS.get(arrival.entry.type, arrival.entry.v)
    assert record_type is not None
    needed = references(record_type, arrival)
    if await existing_targets(connection, needed) >= set(needed):
        return
    if await existing_targets(connection, needed, staying=False) >= set(needed):  # one is being revised, or taken away
        await withdraw.recheck(connection, needed, as_of=as_of + TARGET_RETRY)
        return
    chain = await withdraw.unshow(connection, log, record_type, shown)
    arrivals = await stored_arrivals(connection, log, chain)
    await project(connection, log, arrivals, as_of=as_of, destroying=destroying)
    if not await records.shown(connection, record_type.table, log.participant_id, [shown.record_id]):
        await withdraw.tell(connection, log, record_type.name, shown.record_id, shown.revision)
        await withdraw.recheck(connection, [record_uri(log.scid, record_type, shown.record_id)], as_of=as_of)


async def _shown_dependents(
    connection: Connection, log: LogRow, arrivals: Sequence[Arrival]
) -> dict[int, records.Shown]:
    """Return, by index, the entries among these that have a row now and are of a type that depends on other records."""
    found: dict[int, records.Shown] = {}
    for record_type in RECORDS:
        ids = [arrival.entry.id for arrival in arrivals if arrival.entry.type == record_type.name]
        if ids and record_type.target_column is not None:
            shown = await records.shown(connection, record_type.table, log.participant_id, ids)
            found |= {each.index: each for each in shown.values()}
    return found


async def advance_states(connection: Connection, *, as_of: datetime) -> int:
    """Store the states that the clock brought about and return how many rows changed. Call inside a transaction."""
    changes: list[outbox.Change] = []
    for record_type in RECORDS:
        for row in await records.due_rows(connection, record_type.table, as_of, STATE_ROWS_MAX):
            columns = record_type.row({}, row["doc"], at=row["revised_at"], received=as_of)
            key = (row["publisher_id"], row["record_id"])
            await records.set_state(
                connection, record_type.table, *key, state=columns["state"], next_due_at=columns["next_due_at"]
            )
            changes.append(outbox.Change(outbox.STATE, record_type.name, *key, row["revision"]))
    if changes:
        await outbox.record(connection, changes)
        await outbox.announce(connection, outbox.OUTBOX_CHANNEL)
    return len(changes)


async def make_known_types_due(connection: Connection, *, as_of: datetime) -> None:
    """After an upgrade: have entries of types and versions known by now tried again."""
    known = [(record_type.name, record_type.version) for record_type in RECORDS]
    await records.make_due(connection, [Reason.UNKNOWN_TYPE], known, as_of)


async def stored_arrivals(connection: Connection, log: LogRow, indexes: Sequence[int]) -> list[Arrival]:
    """Return these stored entries as they would arrive now, in the order given."""
    return [arrival_of(stored) for stored in await logs.entries_at(connection, log.id, indexes)]


def arrival_of(stored: StoredEntry) -> Arrival:
    """Return a stored entry as it would arrive now."""
    body = None if stored.body is None else canonical.decode(stored.body[1])
    return Arrival(stored.index, parse_entry(stored.data), body if isinstance(body, dict) else None)


async def _history(connection: Connection, log: LogRow, arrivals: Sequence[Arrival]) -> History:
    ids: dict[str, set[UUID]] = {}
    uris: set[str] = set()
    for arrival in arrivals:
        entry = arrival.entry
        ids.setdefault(entry.type, set()).add(entry.id)
        record_type = RECORDS.get(entry.type, entry.v)
        if record_type is not None:
            uris.update(references(record_type, arrival))
    return History(
        tips=await _tips(connection, log, ids),
        targets=await existing_targets(connection, uris),
        singleton_id=await _singleton_id(connection, log, ids),
    )


async def _tips(connection: Connection, log: LogRow, ids: dict[str, set[UUID]]) -> dict[Key, Tip]:
    tips: dict[Key, Tip] = {}
    for record_type in RECORDS:
        wanted = ids.get(record_type.name)
        if not wanted:
            continue
        for shown in (await records.shown(connection, record_type.table, log.participant_id, list(wanted))).values():
            tips[record_type.name, shown.record_id] = Tip(
                shown.revision, shown.index, shown.published_at, shown.received_at, shown.revision
            )
    every_id = [record_id for some in ids.values() for record_id in some]
    for waiting in await records.unprojected_tips(connection, log.id, every_id, [*OUTSIDE_CHAIN]):
        key = (waiting.type, waiting.record_id)
        tip = tips.get(key)
        if tip is None:
            data, received_at = await records.first_revision(connection, log.id, waiting, [*OUTSIDE_CHAIN])
            tips[key] = Tip(waiting.revision, waiting.index, parse_entry(data).at, received_at, None)
        elif waiting.revision > tip.revision:
            tips[key] = Tip(waiting.revision, waiting.index, tip.published_at, tip.received_at, tip.shown_revision)
    return tips


async def existing_targets(connection: Connection, uris: Iterable[str], *, staying: bool = True) -> frozenset[str]:
    """Return which of these URIs name records that have a row here, seen or hidden by trust.

    `staying`: until the caller's transaction ends nobody takes them away, so that whoever does sees what was made of
    them. What somebody is just taking away or revising is left out then: the caller waits for nobody, and asks again.
    """
    found: set[str] = set()
    parsed = [parse_uri(uri) for uri in uris]
    for record_type in RECORDS:
        if record_type.one_per_log:
            scids = [target.scid for target in parsed if target.type is None]
            if scids:
                found |= {
                    f"gotong:{s}"
                    for s in await records.existing_publishers(connection, record_type.table, scids, staying=staying)
                }
            continue
        keys = [(target.scid, target.id) for target in parsed if target.type == record_type.name and target.id]
        if keys:
            existing = await records.existing(connection, record_type.table, keys, staying=staying)
            found |= {record_uri(scid, record_type, record_id) for scid, record_id in existing}
    return frozenset(found)


async def _singleton_id(connection: Connection, log: LogRow, ids: dict[str, set[UUID]]) -> UUID | None:
    """Return the id of the log's genesis entry if this batch needs it and it is stored already."""
    if not any(record_type.one_per_log and record_type.name in ids for record_type in RECORDS):
        return None
    stored = await logs.entry_data(connection, log.id, [0])
    return parse_entry(stored[0]).id if stored else None


async def _write_rows(connection: Connection, log: LogRow, folded: Folded, as_of: datetime) -> None:
    by_type: dict[str, list[Row]] = {}
    for (name, _), row in folded.rows.items():
        by_type.setdefault(name, []).append(row)
    new_uris: list[str] = []
    for name, rows in by_type.items():
        record_type = RECORDS.get(name, rows[0].entry.v)
        assert record_type is not None
        await records.replace(
            connection,
            record_type.table,
            [_columns(log, row) for row in rows],
            existing=[row.entry.id for row in rows if not row.first],
        )
        revised = [(name, row.entry.id, row.index) for row in rows if row.entry.rev]
        if revised:
            await records.forget_earlier(connection, log.id, revised, reasons=OVERTAKEN)
        new_uris += [row.uri for row in rows if row.first]
    if new_uris:
        await records.wake_waiting(connection, new_uris, as_of)


def _columns(log: LogRow, row: Row) -> dict[str, object]:
    return {
        "publisher_id": log.participant_id,
        "record_id": row.entry.id,
        "revision": row.entry.rev,
        "log_id": log.id,
        "index": row.index,
        "published_at": row.published_at,
        "revised_at": row.entry.at,
        "received_at": row.received_at,
        "exercise": row.entry.exercise,
        **row.columns,
    }


def _change(log: LogRow, row: Row) -> outbox.Change:
    kind = outbox.PUBLISHED if row.first else outbox.REVISED
    return outbox.Change(kind, row.entry.type, log.participant_id, row.entry.id, row.entry.rev)


async def _write_skipped(connection: Connection, log: LogRow, folded: Folded) -> None:
    if not folded.skipped:
        return
    await records.insert_unprojected(
        connection,
        log.id,
        [
            records.Unprojected(
                skipped.index,
                skipped.reason,
                skipped.entry.type,
                min(skipped.entry.v, COLUMN_INT_MAX),
                skipped.entry.id,
                min(skipped.entry.rev, COLUMN_INT_MAX),
                skipped.due_at,
                skipped.waits_for,
            )
            for skipped in folded.skipped
        ],
    )
