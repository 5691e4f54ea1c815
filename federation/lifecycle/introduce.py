"""Tell a peer of one's newest DID entries, and take those of a participant known here. Shell.

A node that nobody can connect to changes its keys, or is restored with new ones: its mirror then knows none of the keys
that it signs with. DID entries need no signature around them. They are signed by keys that the entries before them
committed to, so whoever brings them, they are the participant's own, or they are refused.

Rules, with the error that answers each:
- O1.1 the participant is known here, and the lines begin with those held: DID_LINES_UNKNOWN.
- O1.2 the lines hold (rules D and D4).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from domain.errors import GotongError
from federation.did import webvh
from federation.log import service
from federation.sync.apply import meet
from federation.sync.client import PeerClient
from federation.sync.sections import DID_BYTES_MAX
from store import participants
from store.database import Database

LINES_TYPE = "text/jsonl"
ANSWER_BYTES_MAX = 4_096


class DidLinesUnknown(GotongError):
    """These DID entries do not continue what is held of a participant known here."""

    code: ClassVar[str] = "DID_LINES_UNKNOWN"


async def take_lines(database: Database, scid: str, body: bytes, *, now: datetime) -> int:
    """Return which version is held of this participant now, after its whole DID log was brought.

    Raises DidLinesUnknown, HeadMoved, or the DidError of what is wrong with it.
    """
    lines = list(webvh.split_lines(body))
    async with database.acquire() as connection:
        known = await participants.find(connection, scid)
        held = [] if known is None else await participants.did_lines(connection, known.id)
        witness = None if known is None else await participants.did_witness(connection, known.id)
    if not held or _version_ids(lines[: len(held)]) != _version_ids(held):
        raise DidLinesUnknown("these do not begin with what is held here", scid=scid[:64], held=len(held))
    if len(lines) > len(held):
        state = await asyncio.to_thread(webvh.verify, lines, now=now, witness=witness, scid=scid)
        service.require_gotong(state)
        async with database.transaction() as connection:
            await meet(connection, state, lines[len(held) :], held=len(held))
    return len(lines)


async def tell_operator(database: Database, client: PeerClient) -> None:
    """Bring the DID log of this node's operator to a peer; raises the Peer errors."""
    async with database.acquire() as connection:
        operator = await participants.operator(connection)
        assert operator is not None
        lines = await participants.did_lines(connection, operator.id)
    body = b"\n".join(lines)
    assert len(body) <= DID_BYTES_MAX
    path = f"did/{operator.scid}/did.jsonl"
    await client.post(path, body, content_type=LINES_TYPE, answer_type="application/json", bytes_max=ANSWER_BYTES_MAX)


def _version_ids(lines: Sequence[bytes]) -> list[str]:
    return [webvh.version_id_of(line) for line in lines]
