"""Learn from a peer's heads what others say of the logs held here. Shell.

Cosignatures that a peer has are kept here too, once verified with the cosigner's own identity. What is not verified
leaves no trace: a peer can withhold, never invent. A witness that nobody can connect to brings its own.

Rules for what is brought; a line that breaks W3.3 is left out:
- W3.2 the request is signed (rules V) by the operator whose cosignatures it brings: CALLER_UNKNOWN.
- W3.3 the log's participant is allowed here, its note has that size, and the line is a valid cosignature on it
  (rules W2).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from federation.identity.states import DidStates
from federation.log.cosigners import Cosigned, cosigned, named, own_note, same_text
from federation.log.note import NoteMalformed, parse_note
from federation.log.service import DocumentKey, cosign_keys
from federation.sync.messages import HeadOfLog
from federation.witness.brought import Brought
from store import cosignatures
from store import held as held_
from store.database import Database
from store.held import Held

VERIFIED_PER_EXCHANGE_MAX = 2_000


async def keep_cosignatures(
    database: Database, states: DidStates, heads: Sequence[HeadOfLog], held: dict[str, Held], now: datetime
) -> int:
    """Return how many cosignatures on notes held here were new, verified and kept."""
    offered = [
        (head.checkpoint.encode(), ours)
        for head in heads
        if "/witness " in head.checkpoint
        and (ours := held.get(head.origin)) is not None
        and ours.checkpoint is not None
        and same_text(head.checkpoint.encode(), ours.checkpoint)
    ]
    async with database.acquire() as connection:
        known = await cosignatures.lines(connection, [ours.log_id for _, ours in offered if ours.log_id is not None])
    new = [(note, ours) for note, ours in offered if _unknown(note, known)][:VERIFIED_PER_EXCHANGE_MAX]
    keys = await _cosign_keys(database, states, {scid for note, _ in new for scid in _scids(note)})
    kept = 0
    for note, ours in new:
        found = [
            each
            for each in cosigned(note, lambda scid: keys.get(scid, ()), int(now.timestamp()))
            if each.line not in known
        ]
        if found and ours.log_id is not None:
            await _keep(database, ours.log_id, ours.checkpoint_size, found)
            kept += len(found)
    return kept


async def _keep(database: Database, log_id: int, size: int, found: Sequence[Cosigned]) -> None:
    async with database.transaction() as connection:
        await cosignatures.keep(connection, log_id, size, [(each.scid, each.at_s, each.line) for each in found])


async def _cosign_keys(database: Database, states: DidStates, scids: set[str]) -> dict[str, tuple[DocumentKey, ...]]:
    """Return the cosigning keys of those of these participants whose identity is held here."""
    async with database.acquire() as connection:
        held = await held_.held(connection, [(scid, scid) for scid in scids])
    await states.remember(database, list(held.values()))
    found: dict[str, tuple[DocumentKey, ...]] = {}
    for scid, each in held.items():
        state = await states.of(database, scid, each.did_version)
        if state is not None:
            found[scid] = cosign_keys(state)
    return found


def _unknown(note: bytes, known: set[bytes]) -> bool:
    try:
        return any(signature.line().encode() not in known for _, signature in named(parse_note(note)))
    except NoteMalformed:
        return False


def _scids(note: bytes) -> set[str]:
    return {scid for scid, _ in named(parse_note(note))}


async def take_brought(
    database: Database, states: DidStates, scid: str, brought: Sequence[Brought], now: datetime
) -> list[str]:
    """Return of which logs the cosignature by the operator `scid`, which signed the request, was kept (rules W3)."""
    async with database.acquire() as connection:
        (held,) = (await held_.held(connection, [(scid, scid)])).values()
        notes = await cosignatures.notes(connection, [each.origin for each in brought])
    state = await states.of(database, scid, held.did_version)
    keys = () if state is None else cosign_keys(state)
    kept = []
    for each in brought:
        found = notes.get(each.origin)
        if found is None or found.size != each.size:
            continue
        line = await asyncio.to_thread(_verified, found.note, each, scid, keys, int(now.timestamp()))
        if line is not None:
            async with database.transaction() as connection:
                await cosignatures.keep(connection, found.log_id, found.size, [line])
            kept.append(each.origin)
    return kept


def _verified(
    note: bytes, brought: Brought, scid: str, keys: Sequence[DocumentKey], now_s: int
) -> tuple[str, int, bytes] | None:
    """Return the row of a cosignature that holds on the note held here, or None."""
    try:
        found = cosigned(own_note(note) + brought.line.encode(), lambda other: keys if other == scid else (), now_s)
    except NoteMalformed:
        return None
    return next(((each.scid, each.at_s, each.line) for each in found), None)
