"""Act on evidence: verify it, keep it, freeze the log it is about. Shell; nothing has an effect that was not verified.

A frozen log ends, for this node, before the smallest size at which two trees are shown to have been signed: nothing
from there on is pulled, shown or relayed, and its owner signs no more in that epoch. A new epoch goes on.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog

from domain.records.registry import RECORDS
from federation.did import webvh
from federation.identity.identities import VERIFIED_BEFORE
from federation.log import evidence, service
from federation.log.evidence import IDENTITY, Finding
from federation.projection.project import project, stored_arrivals
from store import epochs, logs, outbox
from store import evidence as rows
from store import held as held_
from store.database import Connection, Database
from store.logs import LogRow

REPROJECTED_AT_ONCE = 512

_log = structlog.get_logger()


async def accept(database: Database, data: bytes, now: datetime, *, peer_id: int | None = None) -> Finding | None:
    """Return what evidence proves, kept and acted on; None when it is about nobody known or shows nothing new.

    Raises what `evidence.verify` raises.
    """
    scid = evidence.accused(data)
    async with database.acquire() as connection:
        held = await held_.did_log(connection, scid)
    if held is None:
        return None
    lines, witness = held

    def verified() -> Finding:  # hundreds of signatures, if somebody likes
        known = webvh.verify(lines, now=VERIFIED_BEFORE, witness=witness, scid=scid)
        found = evidence.verify(data, now, known)
        # Of an identity in two tellings either may be ours: what is frozen is the log that is gone on with here.
        return replace(found, origin=service.origin(known)) if found.kind == IDENTITY else found

    finding = await asyncio.to_thread(verified)
    async with database.transaction() as connection:
        log = await logs.lock_head(connection, finding.origin)
        if not await rows.add(
            connection,
            id_=finding.id,
            kind=finding.kind,
            scid=finding.scid,
            origin=finding.origin,
            size=finding.size,
            data=data,
            found_at=now,
            peer_id=peer_id,
        ):
            return None
        if log is not None:
            await _freeze(connection, log, log.size if finding.kind == IDENTITY else finding.size - 1, now)
    _log.error("log_frozen", origin=finding.origin, kind=finding.kind, size=finding.size, evidence=finding.id.hex())
    return finding


async def _freeze(connection: Connection, log: LogRow, size: int, now: datetime) -> None:
    if not await rows.freeze(connection, log.id, size):
        return
    changes: list[outbox.Change] = []
    gone: list[UUID] = []
    for record_type in RECORDS:
        dropped = await rows.drop_rows(connection, record_type.table, log.id, size)
        ids = [record_id for record_id, _, _ in dropped]
        gone += ids
        if dropped and record_type.searched:
            await rows.drop_search(connection, record_type.table, log.participant_id, ids)
        changes += [outbox.Change(outbox.STATE, record_type.name, who, id_, rev) for id_, who, rev in dropped]
    await rows.drop_unprojected(connection, log.id, size, gone)
    if changes and log.trust == "allowed":
        await outbox.record(connection, changes)
        await outbox.announce(connection, outbox.OUTBOX_CHANNEL)
    if gone:
        await epochs.take_time(connection)
        indexes = await rows.indexes_of(connection, log.id, size, gone)
        for start in range(0, len(indexes), REPROJECTED_AT_ONCE):
            arrivals = await stored_arrivals(connection, log, indexes[start : start + REPROJECTED_AT_ONCE])
            await project(connection, log, arrivals, as_of=now)
    await outbox.announce(connection, outbox.HEAD_CHANNEL)
