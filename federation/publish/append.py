"""Extend the logs of participants hosted here: the only place where something is signed and published.

Writers to one log queue; one task per log takes all who wait, and gives them
one transaction, one lock of the head and one signed checkpoint (group commit).
Across processes the head's row lock does the queueing. A request fails alone:
what it got wrong is found before anything is written, and when the database
refuses a whole batch, its requests are committed one by one to find the
culprit. An answer is given only after COMMIT; when COMMIT's outcome is
unknown, the log itself is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import asyncpg

from domain.errors import GotongError
from federation.identity.keys import KeyRing, log_key_name
from federation.identity.writing import writable_head
from federation.log import merkle, note, tiles
from federation.projection.project import project
from federation.publish.prepare import Appended, Batch, Change, Current, Draft, Once, Parts, Prepared, to_answer
from federation.sealing.vault import Vault
from store import idempotency, logs, outbox
from store.database import Connection, Database, DatabaseUnavailable
from store.logs import LogRow

__all__ = ["Appended", "Appender", "Change", "Current", "Draft", "Once", "Parts"]

BATCH_REQUESTS_MAX = 256
BATCH_ENTRIES_MAX = 4_096
OUTCOME_RETRY_S = 0.5
OUTCOME_RETRIES_MAX = 20

Clock = Callable[[], datetime]
MaySign = Callable[[Connection, LogRow], Awaitable[None]]
"""Raises when nothing may be signed in a log now; `federation.publish.guard` decides for a node."""


async def at_once(_connection: Connection, _log: LogRow) -> None:
    """Have nothing wait: for a database that nobody else has ever seen anything of."""


class OutcomeUnknown(GotongError):
    """The database went away during COMMIT and did not come back in time; ask again with the same idempotency key."""

    code: ClassVar[str] = "APPEND_OUTCOME_UNKNOWN"


class StoredBytesDiffer(GotongError):
    """The database did not give back the bytes that were written; nothing was signed."""

    code: ClassVar[str] = "STORED_BYTES_DIFFER"


@dataclass(slots=True)
class _Request:
    drafts: Sequence[Draft]
    once: Once | None
    answer: "asyncio.Future[list[Appended]]"


class Appender:
    """Group commit for the logs whose keys are in `keys`."""

    def __init__(self, database: Database, keys: KeyRing, clock: Clock, may_sign: MaySign = at_once) -> None:
        """`may_sign` is asked in each transaction, the head locked, before anything is written."""
        self._database = database
        self._keys = keys
        self.vault = Vault(keys)
        self._clock = clock
        self._may_sign = may_sign
        self._waiting: dict[str, list[_Request]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}

    def now(self) -> datetime:
        """Return the present instant, by the clock that dates entries."""
        return self._clock()

    async def append(
        self, scid: str, drafts: Sequence[Draft], *, once: Once | None = None, dry_run: bool = False
    ) -> list[Appended]:
        """Return where each draft went, durably, or raise and have written none of them.

        Raises ParticipantNotHosted, ParticipantMoved, ParticipantEnded, RecordNotFound, RevisionConflict,
        IdempotencyKeyReused, ClockOff, what the drafts' `change` raises, RECORD_INVALID and the database's errors. A
        cancelled caller's drafts may still be appended. `dry_run` checks everything and writes nothing; its indexes
        are what they would be now.
        """
        request = _Request(drafts, once, asyncio.get_running_loop().create_future())
        if dry_run:
            return await self._rehearse(scid, request)
        self._waiting.setdefault(scid, []).append(request)
        if scid not in self._writers:
            self._writers[scid] = asyncio.create_task(self._write(scid), name=f"append {scid}")
        return await request.answer

    async def rehearse(self, scid: str, drafts: Sequence[Draft]) -> None:
        """Return if the drafts could be appended but for the clock and the guard; raise as `append` does."""
        async with self._database.acquire() as connection:
            log = await writable_head(connection, scid, lock=False)
            await Batch(connection, log, self.vault, self._clock()).prepare(drafts, None)

    async def _rehearse(self, scid: str, request: _Request) -> list[Appended]:
        async with self._database.acquire() as connection:
            log = await writable_head(connection, scid, lock=False)
            batch = Batch(connection, log, self.vault, self._clock())
            await batch.check_clock()
            await batch.load_answers([] if request.once is None else [request.once.key])
            return (await batch.prepare(request.drafts, request.once)).appended

    async def _write(self, scid: str) -> None:
        try:
            while requests := self._take(scid):
                await self._commit_or_split(scid, requests)
        finally:
            del self._writers[scid]  # no await since the queue was seen empty: a later request starts a new task

    def _take(self, scid: str) -> list[_Request]:
        waiting = self._waiting.pop(scid, [])
        taken: list[_Request] = []
        entries = 0
        while waiting and len(taken) < BATCH_REQUESTS_MAX:
            entries += len(waiting[0].drafts)
            if taken and entries > BATCH_ENTRIES_MAX:
                break
            taken.append(waiting.pop(0))
        if waiting:
            self._waiting[scid] = waiting
        return taken

    async def _commit_or_split(self, scid: str, requests: list[_Request]) -> None:
        try:
            await self._commit(scid, requests)
        except Exception as error:
            pending = [request for request in requests if not request.answer.done()]
            if len(pending) > 1 and isinstance(error, asyncpg.PostgresError):
                for request in pending:
                    await self._commit_or_split(scid, [request])
                return
            for request in pending:
                request.answer.set_exception(error)
        except BaseException:
            for request in requests:
                request.answer.cancel()
            raise

    async def _commit(self, scid: str, requests: list[_Request]) -> None:
        now = self._clock()
        prepared: list[tuple[_Request, Prepared]] = []
        committing: tuple[LogRow, Batch] | None = None
        try:
            async with self._database.acquire() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    log = await writable_head(connection, scid)
                    await self._may_sign(connection, log)
                    batch = Batch(connection, log, self.vault, now)
                    await batch.check_clock()
                    prepared = await _prepare_each(batch, requests)
                    if batch.entries:
                        await self._extend(connection, log, batch, [one for _, one in prepared], now)
                except BaseException:
                    await _roll_back(connection, transaction)
                    raise
                committing = (log, batch)
                await transaction.commit()
        except DatabaseUnavailable:
            if committing is None or not await self._is_committed(*committing):
                raise
        for request, one in prepared:
            if not request.answer.done():
                request.answer.set_result(one.appended)

    async def _extend(
        self, connection: Connection, log: LogRow, batch: Batch, prepared: Sequence[Prepared], now: datetime
    ) -> None:
        """Write the batch and, as the last statement, the signed head."""
        await logs.insert_entries(connection, log.id, batch.entries, now)
        await project(connection, log, batch.arrivals, as_of=now)
        answers = [(one.once.key, one.blinded, to_answer(one.appended)) for one in prepared if one.once is not None]
        if answers:
            await idempotency.insert(connection, log.participant_id, answers)
        await outbox.announce(connection, outbox.HEAD_CHANNEL)
        leaf_hashes = await _stored_leaf_hashes(connection, log, len(batch.entries))
        if leaf_hashes != [stored.leaf_hash for stored in batch.entries]:
            raise StoredBytesDiffer("the database did not return what was written to it", origin=log.origin)
        edge, completed = tiles.append(merkle.Edge.from_bytes(log.size, log.edge), leaf_hashes)
        await logs.insert_tile_hashes(connection, log.id, completed)
        await logs.set_head(
            connection,
            log.id,
            size=edge.size,
            edge=edge.to_bytes(),
            checkpoint=self._signed(log, edge),
            verified_at=now,
        )

    def _signed(self, log: LogRow, edge: merkle.Edge) -> bytes:
        private = self._keys.get(log_key_name(log.scid, log.epoch, log.key_number))
        return note.sign_checkpoint(
            note.Checkpoint(log.origin, edge.size, edge.root()), note.Signer(log.origin, private)
        )

    async def _is_committed(self, log: LogRow, batch: Batch) -> bool:
        """Return whether the batch is in the log, asking until the database answers; raise OutcomeUnknown."""
        if not batch.entries:
            return True
        first = batch.entries[0]
        for _ in range(OUTCOME_RETRIES_MAX):
            await asyncio.sleep(OUTCOME_RETRY_S)
            try:
                async with self._database.acquire() as connection:
                    found = await logs.entry_data(connection, log.id, [first.index])
                    return found.get(first.index) == first.data
            except GotongError:
                continue
        raise OutcomeUnknown("the database went away while the records were being committed")


async def _prepare_each(batch: Batch, requests: Sequence[_Request]) -> list[tuple[_Request, Prepared]]:
    """Return the requests that can be appended; the others have their error as their answer."""
    prepared: list[tuple[_Request, Prepared]] = []
    await batch.load_answers([request.once.key for request in requests if request.once is not None])
    for request in requests:
        try:
            prepared.append((request, await batch.prepare(request.drafts, request.once)))
        except GotongError as error:
            if isinstance(error, DatabaseUnavailable):
                raise
            if not request.answer.done():
                request.answer.set_exception(error)
    return prepared


async def _roll_back(connection: Connection, transaction: asyncpg.transaction.Transaction) -> None:
    """Undo what was written; a connection that cannot is thrown away, which undoes it as well."""
    try:
        await transaction.rollback()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection.terminate()


async def _stored_leaf_hashes(connection: Connection, log: LogRow, count: int) -> list[bytes]:
    """Return the leaf hashes recomputed from what the database holds now."""
    data = await logs.entry_data(connection, log.id, range(log.size, log.size + count))
    return [merkle.leaf_hash(data[index]) for index in sorted(data)]
