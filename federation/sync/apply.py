"""Store what `verify` let through: entries, payloads, projection, events and head, all or nothing. Shell.

It takes only a VerifiedBatch, so nothing reaches the database unverified. It
is idempotent: a batch that does not begin where the log ends now changes
nothing and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.errors import GotongError
from domain.records.registry import RECORDS
from federation.did.state import DidState
from federation.identity import identities
from federation.log.evidence import LogFrozen
from federation.log.names import origin as origin_of
from federation.log.note import Checkpoint
from federation.log.service import LogService, log_service
from federation.log.verify import Verified, VerifiedBatch
from federation.projection.adopt import adopt
from federation.projection.fold import Arrival, worked_out
from federation.projection.project import project
from store import logs, outbox, participants
from store.database import Connection, Database
from store.logs import LogRow, StoredEntry


class HeadMoved(GotongError):
    """The log grew or changed since the batch was asked for; ask again from the new head."""

    code: ClassVar[str] = "HEAD_MOVED"


async def meet(
    connection: Connection, state: DidState, lines: list[bytes], *, held: int, witness: bytes | None = None
) -> LogRow:
    """Store the verified DID log lines after the `held` first ones and return the head of the log they state.

    `state` has passed `require_gotong`. A participant met for the first time is quarantined; one that was hosted here
    and is written for with another key by now is not any more. Raises HeadMoved when another process stored other
    lines meanwhile. Call inside a transaction.
    """
    host, slug = identities.host_and_slug(state.did)
    participant_id = await participants.insert(
        connection, scid=state.scid, did=state.did, host=host, slug=slug, hosted=False, trust="quarantined"
    )
    found = await participants.did_version(connection, participant_id)  # its row is locked by the insert
    if found != held or held + len(lines) != state.version_count:
        raise HeadMoved("the DID log grew meanwhile", scid=state.scid, expected=held)
    written = await logs.newest_log(connection, state.scid)
    if written is not None and written.hosted and not _signs(written, log_service(state)):
        await participants.let_go(connection, participant_id)
    await identities.extend(connection, participant_id, state, lines, witness=witness)
    origin = origin_of(state.scid, log_service(state).epoch)
    await logs.create(connection, participant_id, log_service(state).epoch, origin)
    head = await logs.head(connection, origin)
    assert head is not None
    if head.trust == "quarantined":
        await logs.add_quarantined_bytes(connection, head.id, sum(map(len, lines)))
    return head


def _signs(log: LogRow, service: LogService) -> bool:
    """Return whether the key that signs the log here is still stated to do so."""
    signing = f"#log-{log.epoch}-{log.key_number}"
    return any(key.id == signing and key.retired is None for key in service.keys)


@dataclass(frozen=True, slots=True)
class Ready:
    """A verified batch with what its entries would be as rows, worked out where it holds nobody up."""

    batch: VerifiedBatch
    arrivals: Sequence[Arrival]


def ready(batch: VerifiedBatch, as_of: datetime) -> Ready:
    """Return a verified batch ready to be applied: pure, and made beside the writing of the batch before it."""
    arrivals = (Arrival(verified.index, verified.entry, verified.body) for verified in batch.entries)
    return Ready(batch, worked_out(arrivals, RECORDS.get, as_of))


def joined(batches: Sequence[Ready]) -> Ready:
    """Return consecutive batches as one."""
    batch = VerifiedBatch(
        batches[-1].batch.head,
        [each for one in batches for each in one.batch.entries],
        [each for one in batches for each in one.batch.tile_hashes],
    )
    return Ready(batch, [each for one in batches for each in one.arrivals])


async def apply(
    database: Database,
    ready: Ready,
    *,
    start: int,
    note: bytes,
    target: Checkpoint,
    proof: tuple[bytes, ...],
    now: datetime,
) -> int:
    """Append a verified batch that follows `start` entries and return how many records changed, durably.

    Raises, with nothing written, HeadMoved when the log does not hold exactly `start` entries any more, and what
    `adopt` does when the log is of a later epoch that is not what it says.
    """
    batch = ready.batch
    async with database.transaction() as connection:
        log = await logs.lock_head(connection, batch.head.origin)
        if log is None or log.size != start:
            raise HeadMoved("the log is at another size", origin=batch.head.origin, expected=start)
        if log.frozen_size is not None and batch.head.edge.size > log.frozen_size:
            raise LogFrozen("two stories were signed for this log", origin=log.origin, size=log.frozen_size)
        stored = [_stored(verified) for verified in batch.entries]
        await logs.insert_entries(connection, log.id, stored, now)
        await logs.insert_tile_hashes(connection, log.id, batch.tile_hashes)
        if log.trust == "quarantined":
            await logs.add_quarantined_bytes(connection, log.id, sum(map(_bytes, batch.entries)))
        if log.is_projected:
            changed = await project(connection, log, ready.arrivals, as_of=now)
        else:
            changed = await adopt(connection, log, batch.head.edge.size, as_of=now)
        await _move_head(connection, log, batch, note, target, proof, now)
        await outbox.announce(connection, outbox.HEAD_CHANNEL)
    return changed


def _stored(verified: Verified) -> StoredEntry:
    received = verified.received
    body = None if received.body is None or received.salt is None else (received.salt, received.body)
    return StoredEntry(verified.index, verified.leaf, received.data, body)


def _bytes(verified: Verified) -> int:
    return len(verified.received.data) + len(verified.received.body or b"")


async def _move_head(
    connection: Connection,
    log: LogRow,
    batch: VerifiedBatch,
    note: bytes,
    target: Checkpoint,
    proof: tuple[bytes, ...],
    now: datetime,
) -> None:
    edge = batch.head.edge
    if edge.size == target.size:
        await logs.set_head(connection, log.id, size=edge.size, edge=edge.to_bytes(), checkpoint=note, verified_at=now)
        return
    await logs.set_partial_head(
        connection,
        log.id,
        size=edge.size,
        edge=edge.to_bytes(),
        target=note,
        target_size=target.size,
        target_proof=b"".join(proof),
        verified_at=now,
    )
