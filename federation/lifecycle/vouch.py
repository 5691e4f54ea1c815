"""Vouch for a successor or take that back, keep who else does, and tell it to peers and hear it from them. Shell.

What is kept is what operators signed whose identity is held here, about claims that the successors' own records make.
Handed on is what those say whom this node's people allowed, as the bytes that were signed. All connections are this
node's own: what it knows it brings along, so that it works behind a router.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import ClassVar, Final

import orjson

from domain.errors import GotongError
from federation.identity import identities, vouching
from federation.identity.keys import KeyRing, document_key_name
from federation.identity.vouching import Vouch, VouchMalformed, VouchSignatureInvalid
from federation.lifecycle import succession
from federation.lifecycle.enroll import NodeMissing
from federation.lifecycle.succession import VOUCHES_MAX
from federation.log.service import cosign_keys
from federation.sync.client import PeerClient, PeerProtocolError
from store import audit, participants, vouches
from store.database import Connection, Database
from store.participants import ParticipantRow

ANSWER_BYTES_MAX: Final = 128 * 1024


class NotVouching(GotongError):
    """This node's operator does not vouch for that, so there is nothing to take back."""

    code: ClassVar[str] = "NOT_VOUCHING"


async def vouch(
    database: Database,
    keys: KeyRing,
    predecessor: str,
    successor: str,
    *,
    reason: str,
    actor: str,
    now: datetime,
    withdrawn: bool = False,
) -> bool:
    """Have this node's operator vouch that one participant goes on as another; return False if it does so already.

    `withdrawn`: have it take that back; then NotVouching if it does not vouch. Raises ParticipantNotFound,
    SuccessionNotClaimed, VouchForOneself, NodeMissing. `reason` is not published.
    """
    async with database.transaction() as connection:
        claim = await succession.claimed(connection, predecessor, successor)
        operator = await participants.operator(connection)
        if operator is None:
            raise NodeMissing("there is no operator here yet; run `gotong init` first")
        before = await _standing(connection, claim, operator)
        if withdrawn and (before is None or before.withdrawn):
            raise NotVouching("this node's operator does not vouch for that", successor=claim.new.scid)
        if before is not None and before.withdrawn == withdrawn:
            return False
        # A clock that went back must not have the new word pass for the older one.
        at = now if before is None else max(now, before.at + timedelta(milliseconds=1))
        fragment = cosign_keys(await identities.load(connection, operator.id, operator.scid))[-1].id
        network = await participants.network(connection)
        said = Vouch(operator.scid, claim.old.scid, claim.new.scid, network, at, withdrawn)
        note = vouching.sign(said, keys.get(document_key_name(operator.scid, fragment)))
        await _keep(connection, claim, operator, note, said, now)
        action = "participant.unvouch" if withdrawn else "participant.vouch"
        details = {"successor": claim.new.scid, "reason": reason}
        await audit.record(connection, actor=actor, action=action, subject=claim.old.scid, details=details)
    return True


async def take(database: Database, note: bytes, *, successor: str, now: datetime) -> bool:
    """Keep what an operator says of a successor and return whether that was not known.

    Raises VouchMalformed, VouchForOneself, VouchOfAnotherNetwork, VouchSignatureInvalid, ParticipantNotFound,
    SuccessionNotClaimed.
    """
    said = vouching.read(note)
    if said.successor != successor:
        raise VouchMalformed("about another successor than the one asked for", successor=said.successor)
    async with database.transaction() as connection:
        vouching.check_network(said, await participants.network(connection))
        claim = await succession.claimed(connection, said.predecessor, said.successor)
        operator = await participants.find(connection, said.operator)
        if operator is None or not await succession.is_signed(connection, note, operator.id, operator.scid):
            raise VouchSignatureInvalid("that operator is not known here or did not sign this", operator=said.operator)
        return await _keep(connection, claim, operator, note, said, now)


async def known(database: Database, successor: str) -> list[bytes]:
    """Return what allowed operators say of a successor, as they signed it; of one that is not known, nothing."""
    async with database.acquire() as connection:
        found = await participants.find(connection, successor)
        return [] if found is None else [row.note for row in await succession.standing(connection, found.id)]


async def compare(client: PeerClient, database: Database, successor: str, *, now: datetime) -> int:
    """Take what a peer knows of a successor and bring it what it does not; return how much was new here.

    Raises PeerProtocolError, VouchMalformed and what a connection raises.
    """
    path = f"vouches/{successor}"
    data = await client.read(path, {}, answer_type="application/json", bytes_max=ANSWER_BYTES_MAX)
    theirs = read_list(data)
    taken = 0
    for note in theirs:
        with suppress(GotongError):  # of an operator not known here, or of a claim that is not
            taken += await take(database, note, successor=successor, now=now)
    for note in await known(database, successor):
        if note not in theirs:
            with suppress(PeerProtocolError):
                await client.post(
                    path, note, content_type="text/plain; charset=utf-8", answer_type="application/json", bytes_max=64
                )
    return taken


def write_list(notes: Sequence[bytes]) -> bytes:
    """Return statements as the JSON that nodes give each other."""
    return orjson.dumps({"vouches": [note.decode() for note in notes]})


def read_list(data: bytes) -> list[bytes]:
    """Return the statements of such a JSON, at most as many as are served; raises VouchMalformed."""
    try:
        found = orjson.loads(data)["vouches"]
        return [note.encode() for note in found[:VOUCHES_MAX]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise VouchMalformed("not a list of statements") from None


async def _keep(
    connection: Connection,
    claim: succession.Claim,
    operator: ParticipantRow,
    note: bytes,
    said: Vouch,
    now: datetime,
) -> bool:
    """Keep a statement, of the operator's own key, unless a later one of that operator stands (rule I1.6)."""
    before = await _standing(connection, claim, operator)
    if before is not None and not vouching.supersedes(said, before):
        return False
    ids = (claim.new.id, claim.old.id, operator.id)
    await vouches.keep(connection, ids, note=note, at=said.at, received_at=now)
    return True


async def _standing(connection: Connection, claim: succession.Claim, operator: ParticipantRow) -> Vouch | None:
    """Return what an operator says of a claim by a key that it still has, or None."""
    before = await vouches.kept(connection, (claim.new.id, claim.old.id, operator.id))
    if before is None or not await succession.is_signed(connection, before, operator.id, operator.scid):
        return None
    return vouching.read(before)
