"""What a node does by itself: number events, index their words, bring records whose time has come, advance states.

Each loop is woken by the database and polls besides. Any number of processes
may run them: advisory and row locks decide who does the work.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from domain.errors import GotongError
from domain.records.need import URGENCY_RANK, Urgency
from federation.backup.backing_up import BackingUp
from federation.identity.room import IDENTITY_ROOM
from federation.projection.project import advance_states, make_known_types_due, settle
from federation.requests import caller
from federation.restricted import mailbox
from federation.sync.plan import QUOTAS
from store import alerts, outbox, records, texts
from store.alerts import AlertRow
from store.database import Database
from store.wake import Wake

SWEEP_S = 2.0
BACK_UP_S = 60.0
FORGET_NONCES_S = 60.0
FORGET_MAIL_S = 60.0
ALERTS_S = 10.0
CRITICAL = URGENCY_RANK[Urgency.CRITICAL]
PAUSE_AFTER_ERROR_S = 1.0
AGAIN_S = 5.0

Clock = Callable[[], datetime]
Work = Callable[[], Awaitable[None]]
"""Begins, each time it is called, work that goes on until it is cancelled."""

_log = structlog.get_logger()


async def lasting(work: Work) -> None:
    """Do work until cancelled: what nobody foresaw is logged, and ends no part of a node that goes on running."""
    while True:
        try:
            await work()
        except Exception:
            _log.exception("background_task_ended", task=repr(work))
        await asyncio.sleep(AGAIN_S)


async def sequence_events(database: Database, wake: Wake) -> None:
    """Number committed changes as they come, until cancelled."""
    async with wake.watch(outbox.OUTBOX_CHANNEL) as watch:
        while True:
            await _guarded("sequence_events", lambda: _sequence_all(database))
            await watch.wait()


async def index_texts(database: Database, wake: Wake) -> None:
    """Index the words of what was numbered, as it comes, until cancelled."""
    looked = 0

    async def index_all() -> None:
        nonlocal looked
        async with database.acquire() as connection:
            while (done := await texts.index(connection, looked)).events:
                looked = done.looked

    async with wake.watch(outbox.EVENT_CHANNEL) as watch:
        while True:
            await _guarded("index_texts", index_all)
            await watch.wait()


async def sweep(database: Database, clock: Clock) -> None:
    """Apply what the clock changes, every SWEEP_S, until cancelled; first give newly known types their rows."""
    await _guarded("make_known_types_due", lambda: _make_due(database, clock()))
    while True:
        await _guarded("sweep", lambda: sweep_once(database, clock()))
        await asyncio.sleep(SWEEP_S)


async def watch_alerts(database: Database, clock: Clock) -> None:
    """Say in the log what begins to need an operator, every ALERTS_S until cancelled; one process says it."""
    while True:
        await _guarded("watch_alerts", lambda: tell_alerts(database, clock()))
        await asyncio.sleep(ALERTS_S)


async def tell_alerts(database: Database, now: datetime) -> list[AlertRow]:
    """Return what began to need an operator since this was last done, each of it logged."""
    async with database.transaction() as connection:
        began = await alerts.refresh(connection, now=now, critical=CRITICAL, quotas=QUOTAS, room=IDENTITY_ROOM)
    for each in began:
        _log.warning("alert", kind=each.kind.value, subject=each.subject)
    return began


async def forget_nonces(database: Database, clock: Clock) -> None:
    """Forget, every minute until cancelled, which signed requests were heard long ago."""
    while True:
        await _guarded("forget_nonces", lambda: caller.forget_nonces(database, clock()))
        await asyncio.sleep(FORGET_NONCES_S)


async def forget_mail(database: Database, clock: Clock) -> None:
    """Delete, every minute until cancelled, requests for restricted parts and answers that are over."""
    while True:
        await _guarded("forget_mail", lambda: mailbox.forget_mail(database, clock()))
        await asyncio.sleep(FORGET_MAIL_S)


async def sweep_once(database: Database, as_of: datetime) -> None:
    """Project entries that are due and store the states that `as_of` brings, each in transactions of its own.

    A log whose entries cannot be settled holds up neither other logs nor the states.
    """
    async with database.acquire() as connection:
        origins = await records.due_logs(connection, as_of)
    for origin in origins:
        await _guarded(f"settle {origin}", lambda: _settle(database, origin, as_of))  # noqa: B023 - called at once
    async with database.transaction() as connection:
        await advance_states(connection, as_of=as_of)


async def _settle(database: Database, origin: str, as_of: datetime) -> None:
    async with database.transaction() as connection:
        await settle(connection, origin, as_of=as_of)


async def back_up(backing_up: BackingUp) -> None:
    """Deposit backups with the peers that keep them, every BACK_UP_S where something changed, until cancelled."""
    while True:
        await asyncio.sleep(BACK_UP_S)
        await _guarded("back_up", backing_up.to_targets)


async def _sequence_all(database: Database) -> None:
    async with database.acquire() as connection:
        while await outbox.sequence(connection):
            pass


async def _make_due(database: Database, as_of: datetime) -> None:
    async with database.transaction() as connection:
        await make_known_types_due(connection, as_of=as_of)


async def _guarded(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Run one round; a refused or failed one is logged and tried again, never ends the loop."""
    try:
        await work()
    except GotongError as error:
        _log.warning("background_failed", task=name, code=error.code, message=error.message)
        await asyncio.sleep(PAUSE_AFTER_ERROR_S)
    except Exception:
        _log.exception("background_failed", task=name)
        await asyncio.sleep(PAUSE_AFTER_ERROR_S)
