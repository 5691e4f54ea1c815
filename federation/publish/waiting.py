"""Keep what may not be signed now, durably, and publish it later, in order, once. Shell.

What is kept is the record as it would have been signed, checked as far as it can be now, and sealed: it may hold
contacts. A time that was counted from when it was asked for, such as a need's end, is counted from when it is
published: the clock may have been years off before. Once holds by the idempotency key that it came with, or one made
up here: a crash between signing and forgetting repeats the answer and not the record.
"""

import asyncio
import hashlib
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import structlog

from domain.errors import GotongError
from domain.records.registry import RECORDS
from federation.encoding import canonical
from federation.log.entry import SALT_BYTES
from federation.publish.append import Appender
from federation.publish.guard import PublicationWaits
from federation.publish.prepare import ClockOff, Current, Draft, IdempotencyKeyReused, Once, Parts
from store import waiting
from store.database import OUR_OWN, Database
from store.waiting import WaitingRow

NOT_NOW = (PublicationWaits, ClockOff)
"""What passes by itself or by an operator's hand; the publication then goes on."""
NO_REVISION = -1
SEALED_AT = -1
"""The place that sealing binds to: an index that no entry has."""
PUBLISH_S = 1.0

_log = structlog.get_logger()


async def keep(
    database: Database, appender: Appender, scid: str, draft: Draft, once: Once | None, now: datetime
) -> None:
    """Keep a draft to be published later, durably; raise what is wrong with it, or IdempotencyKeyReused."""
    made: list[tuple[int, Parts]] = []

    def noticing(current: Current | None) -> Parts:
        parts = draft.change(current)
        made.append((NO_REVISION if current is None else current.revision, parts))
        return parts

    await appender.rehearse(scid, [replace(draft, change=noticing)])
    revision, parts = made[-1]
    content = canonical.encode(
        {
            "core": parts.core,
            "body": parts.body,
            "restricted": parts.restricted,
            "exercise": parts.exercise,
            "digest": None if once is None else once.digest.hex(),
        }
    )
    digest = hashlib.sha256(content).digest() if once is None else once.digest
    blinded = appender.vault.blinded(digest)
    sealed = appender.vault.seal(scid, SEALED_AT, secrets.token_bytes(SALT_BYTES), content)
    async with database.acquire() as connection:
        kept = await waiting.add(
            connection,
            scid=scid,
            type_=draft.type,
            record_id=draft.record_id,
            expected_revision=revision,
            key=f"waiting-{secrets.token_hex(16)}" if once is None else once.key,
            blinded=blinded,
            sealed=sealed,
            asked_at=now,
        )
    if kept != blinded:
        raise IdempotencyKeyReused("this idempotency key was used for something else")


async def publish_waiting(database: Database, appender: Appender) -> int:
    """Return how many records were published now: of each participant in order, until one has to wait on."""
    published = 0
    done: set[str] = set()
    while True:
        async with database.acquire() as connection:
            rows = [row for row in await waiting.first_of_each(connection) if row.scid not in done]
        if not rows:
            return published
        for row in rows:
            try:
                await _publish(appender, row)
            except (*NOT_NOW, *OUR_OWN):
                done.add(row.scid)
                continue
            except GotongError as error:
                _log.warning("waiting_refused", id=row.id, code=error.code)
                async with database.acquire() as connection:
                    await waiting.refuse(connection, row.id, error.code, error.message)
                continue
            except Exception:  # kept, and asked for again: what holds up one participant's holds up nobody else's
                _log.exception("waiting_not_published", id=row.id)
                done.add(row.scid)
                continue
            async with database.acquire() as connection:
                await waiting.remove(connection, row.id)
            published += 1


async def publish_for_ever(database: Database, appender: Appender) -> None:
    """Publish what waits as soon as it may be, until cancelled."""
    while True:
        try:
            if published := await publish_waiting(database, appender):
                _log.info("waiting_published", records=published)
        except GotongError as error:
            _log.warning("waiting_not_read", code=error.code)
        await asyncio.sleep(PUBLISH_S)


async def _publish(appender: Appender, row: WaitingRow) -> None:
    _, content = appender.vault.open(row.scid, SEALED_AT, row.sealed)
    read = cast("dict[str, Any]", canonical.decode(content))
    digest = hashlib.sha256(content).digest() if read["digest"] is None else bytes.fromhex(read["digest"])
    body = None if read["body"] is None else _body_now(row, read["body"], appender.now())
    parts = Parts(read["core"], body, read["restricted"], read["exercise"])
    draft = Draft(row.type, row.record_id, lambda _current: parts, row.expected_revision)
    await appender.append(row.scid, [draft], once=Once(row.key, digest))


def _body_now(row: WaitingRow, body: dict[str, Any], now: datetime) -> dict[str, Any]:
    return dict(RECORDS.named(row.type).wait(body, row.asked_at, now))
