"""When all cards of a participant are lost: a new one says that it is who the old one was, and people decide. Shell.

Nothing can be proven here, so nothing is automatic. The claim stands in the successor's own signed record; operators
who know the people vouch for it (`vouch`); whether it is true is decided by a person on each node. Nothing of the
predecessor changes: its log, its records and its keys stay what they are, and readers are told who goes on.
"""

from typing import ClassVar, Final, NamedTuple

from domain.errors import GotongError
from federation.identity import identities, vouching
from federation.log.service import cosign_keys
from federation.moderation.trust import ParticipantNotFound
from store import audit, participants, successions, vouches
from store.database import Connection, Database
from store.participants import ParticipantRow
from store.vouches import VouchRow

VOUCHES_MAX: Final = 64


class SuccessionNotClaimed(GotongError):
    """The organization record of the successor does not say that it succeeds that participant."""

    code: ClassVar[str] = "SUCCESSION_NOT_CLAIMED"


class SuccessorAccepted(GotongError):
    """The participant has a successor on this node already."""

    code: ClassVar[str] = "SUCCESSOR_ACCEPTED"


class SuccessorNotVouched(GotongError):
    """No operator whom this node's people allowed vouches for the successor."""

    code: ClassVar[str] = "SUCCESSOR_NOT_VOUCHED"


class Claim(NamedTuple):
    """A participant, and the one that says to be its successor."""

    old: ParticipantRow
    new: ParticipantRow


async def accept_successor(
    database: Database, predecessor: str, successor: str, *, actor: str, without_vouch: bool = False
) -> None:
    """Have this node tell that one participant goes on as another; both are SCIDs or their URIs.

    Raises ParticipantNotFound, SuccessionNotClaimed, SuccessorNotVouched unless `without_vouch`, SuccessorAccepted.
    """
    async with database.transaction() as connection:
        old, new = claim = await claimed(connection, predecessor, successor)
        found = await vouchers(connection, claim)
        if not found and not without_vouch:
            raise SuccessorNotVouched("no operator that is allowed here vouches for it", successor=new.scid)
        if not await successions.accept(connection, old.id, new.id, actor):
            raise SuccessorAccepted("it has a successor already", predecessor=old.scid)
        details = {"successor": new.scid, "vouchers": [each.operator_scid for each in found]}
        await audit.record(connection, actor=actor, action="participant.successor", subject=old.scid, details=details)


async def claimed(connection: Connection, predecessor: str, successor: str) -> Claim:
    """Return who is said to go on as whom; raises ParticipantNotFound, SuccessionNotClaimed."""
    old, new = await _known(connection, predecessor), await _known(connection, successor)
    if old.id == new.id or not await successions.claims(connection, new.id, f"gotong:{old.scid}"):
        raise SuccessionNotClaimed("the successor's own record has to name whom it succeeds", successor=new.scid)
    return Claim(old, new)


async def vouchers(connection: Connection, claim: Claim) -> list[VouchRow]:
    """Return who vouches for a claim, of the operators that this node's people allowed."""
    found = [each for each in await standing(connection, claim.new.id) if each.predecessor_id == claim.old.id]
    return [each for each in found if not vouching.read(each.note).withdrawn]


async def standing(connection: Connection, successor_id: int) -> list[VouchRow]:
    """Return the last word of allowed operators on a successor: that they vouch for it, or that they do so no more.

    A key that was replaced says nothing any more.
    """
    rows = await vouches.of_allowed(connection, successor_id, VOUCHES_MAX)
    return [row for row in rows if await is_signed(connection, row.note, row.operator_id, row.operator_scid)]


async def is_signed(connection: Connection, note: bytes, operator_id: int, operator_scid: str) -> bool:
    """Return whether a key that the operator's newest DID document lists signed a statement (rule I1.5)."""
    keys = cosign_keys(await identities.load(connection, operator_id, operator_scid))
    try:
        vouching.verify(note, vouching.read(note), [key.public_key for key in keys])
    except vouching.VouchSignatureInvalid:
        return False
    return True


async def _known(connection: Connection, named: str) -> ParticipantRow:
    found = await participants.find(connection, named.removeprefix("gotong:"))
    if found is None:
        raise ParticipantNotFound("no participant with this id is known here", named=named[:128])
    return found
