"""Carry out what an operator decides about peers and participants. Shell; every decision leaves an audit line.

A decision is seen at once: the one visibility predicate reads the trust column,
and what becomes visible enters the outbox in the same transaction.
"""

from typing import ClassVar, Final, Literal, cast, get_args

from domain.errors import GotongError
from domain.records.registry import RECORDS
from store import audit, depositors, participants, peers
from store.database import Connection, Database
from store.participants import ParticipantRow
from store.peers import PeerRow

Trust = Literal["allowed", "quarantined", "blocked"]
TRUSTS: Final[tuple[str, ...]] = get_args(Trust)


class PeerNotFound(GotongError):
    """No peer was added under this address."""

    code: ClassVar[str] = "PEER_NOT_FOUND"


class ParticipantNotFound(GotongError):
    """No participant with this id is known here."""

    code: ClassVar[str] = "PARTICIPANT_NOT_FOUND"


class ParticipantHostedHere(GotongError):
    """A participant of this node cannot be put into quarantine or blocked as others can."""

    code: ClassVar[str] = "PARTICIPANT_HOSTED_HERE"


async def add_peer(
    database: Database, url: str, *, trust: Trust, actor: str, private: bool = False, reason: str | None = None
) -> PeerRow:
    """Return the peer under this checked address, added if it was not there; `trust` is set if it is not quarantine.

    `private` lets it be in a private network; a peer that was added so stays so.
    """
    async with database.transaction() as connection:
        peer = await peers.add(connection, url, private=private)
        await peers.make_due(connection, [peer.id])
        await audit.record(
            connection,
            actor=actor,
            action="peer.add",
            subject=url,
            details={"trust": trust, "private": private, **_because(reason)},
        )
    if trust != "quarantined" and peer.trust != trust:
        await set_peer_trust(database, url, trust, actor=actor, reason=reason)
    async with database.acquire() as connection:
        return await known_peer(connection, url)


async def set_peer_trust(database: Database, url: str, trust: Trust, *, actor: str, reason: str | None = None) -> int:
    """Set a peer's trust and that of the participants whose home it is; return how many of these changed.

    What an operator decided about a single participant stands. Raises PeerNotFound.
    """
    async with database.transaction() as connection:
        peer = await known_peer(connection, url)
        await peers.set_trust(connection, peer.id, trust)
        changed = await inherit(connection, trust, await peers.hosted_by(connection, peer.id), decided=True)
        details = {"trust": trust, "before": peer.trust, "participants": changed, **_because(reason)}
        await audit.record(connection, actor=actor, action="peer.trust", subject=url, details=details)
        await peers.make_due(connection, [peer.id])
    return changed


async def set_depositor_trust(
    database: Database, scid: str, trust: Trust, *, actor: str, reason: str | None = None
) -> int | None:
    """Set the trust of the depositor whose operator this is, as `set_peer_trust` does; None if there is none."""
    async with database.transaction() as connection:
        peer_id = await depositors.find(connection, scid)
        if peer_id is None:
            return None
        before = await trust_of_peer(connection, peer_id)
        await peers.set_trust(connection, peer_id, trust)
        changed = await inherit(connection, trust, await peers.hosted_by(connection, peer_id), decided=True)
        details = {"trust": trust, "before": before, "participants": changed, **_because(reason)}
        await audit.record(connection, actor=actor, action="peer.trust", subject=f"gotong:{scid}", details=details)
    return changed


async def set_participant_trust(
    database: Database, scid: str, trust: Trust, *, actor: str, reason: str | None = None
) -> bool:
    """Set one participant's trust, whatever its peer's; return whether that changed anything.

    Raises ParticipantNotFound, ParticipantHostedHere.
    """
    async with database.transaction() as connection:
        participant = await another(connection, scid)
        changed = await participants.set_trust(connection, [participant.id], trust, set_by="operator", tables=_tables())
        details = {"trust": trust, "before": participant.trust, **_because(reason)}
        await audit.record(connection, actor=actor, action="participant.trust", subject=scid, details=details)
        await peers.make_due(connection, None)  # any of them may hold what was left alone so far
    return bool(changed)


async def trust_of_peer(connection: Connection, peer_id: int) -> Trust:
    """Return a peer's trust, with or without an address."""
    return cast("Trust", await peers.trust_of(connection, peer_id))


async def inherit(connection: Connection, trust: str, participant_ids: list[int], *, decided: bool = False) -> int:
    """Give participants the trust of the peer that is their home and return how many changed; in a transaction.

    Nobody becomes trusted or loses trust by moving: what a participant had from its old home it keeps at the new one,
    until an operator decides about that home (`decided`) or about the participant.
    """
    if not participant_ids:
        return 0
    changed = await participants.set_trust(
        connection, participant_ids, trust, set_by="peer", tables=_tables(), kept_too=decided
    )
    return len(changed)


async def another(connection: Connection, scid: str) -> ParticipantRow:
    """Return a participant of another node, or raise ParticipantNotFound or ParticipantHostedHere."""
    participant = await participants.find(connection, scid)
    if participant is None:
        raise ParticipantNotFound("no participant with this id is known here", scid=scid[:64])
    if participant.hosted:
        raise ParticipantHostedHere("this participant is hosted here: let it go first (gotong org move out)", scid=scid)
    return participant


async def known_peer(connection: Connection, url: str) -> PeerRow:
    """Return the peer under an address, or raise PeerNotFound."""
    peer = await peers.find(connection, url)
    if peer is None:
        raise PeerNotFound("no peer was added under this address", url=url)
    return peer


def _because(reason: str | None) -> dict[str, str]:
    return {} if reason is None else {"reason": reason}


def _tables() -> dict[str, str]:
    return {record_type.name: record_type.table for record_type in RECORDS}
