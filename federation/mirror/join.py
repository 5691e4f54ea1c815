"""Invite nodes that nobody can connect to, and take them in when they join. Shell.

A node behind NAT has no address, and no host for its DID. A mirror's operator makes a link with a one-time code; the
node makes its identity under the mirror's host, sends its DID log with the code, signed by the request key in it, and
is a peer from then on: without an address, known by its operator's SCID, with a trust of its own.

Rules, with the error that answers each:
- J3.1 what joins is a Gotong participant (rules D) of this network: NETWORK_MISMATCH.
- J3.2 the request is signed by a request key of the DID log that it carries (rules V1, V3.2).
- J3.3 the code is of an invitation that has not expired and was not used by another operator: MIRROR_LINK_UNKNOWN.
  Joining again with the same code does nothing more.
- J3.4 the DID log continues the one that is held of this operator, if there is one: IDENTITY_DIFFERS.
- J3.5 a name that is reserved is not taken here, nor within one that was given away: NAME_TAKEN.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from domain.errors import GotongError
from federation.did import webvh
from federation.did.state import DidState
from federation.lifecycle.enroll import NodeMissing
from federation.log.entry import Network, NetworkMismatch
from federation.log.service import log_service
from federation.mirror.link import CODE_BYTES, Invitation, Joined, code_hash, new_code
from federation.moderation import trust as trust_
from federation.moderation.trust import Trust
from federation.sync.apply import meet
from store import audit, depositors, mail_places, participants
from store import held as held_
from store.database import Connection, Database


class MirrorLinkUnknown(GotongError):
    """No invitation has this code: it was used by somebody else, has expired, or a letter of it is wrong."""

    code: ClassVar[str] = "MIRROR_LINK_UNKNOWN"


class IdentityDiffers(GotongError):
    """What joins shows an older or another version of its identity than is held here."""

    code: ClassVar[str] = "IDENTITY_DIFFERS"


class NameTaken(GotongError):
    """That short name is in use on this node, or lies within one that was given away."""

    code: ClassVar[str] = "NAME_TAKEN"


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation that was made, and until when it can be used."""

    invitation: Invitation
    expires_at: datetime


async def invite(
    database: Database,
    *,
    url: str,
    network: Network,
    slug: str | None,
    trust: Trust,
    days: int,
    now: datetime,
    actor: str,
) -> Invited:
    """Return a new invitation to deposit at this node, reached under `url`; raises NameTaken, NodeMissing."""
    code = new_code(secrets.token_bytes(CODE_BYTES))
    expires_at = now + timedelta(days=days)
    async with database.transaction() as connection:
        operator = await participants.operator(connection)
        if operator is None:
            raise NodeMissing("there is no node in this database yet; run `gotong init` first")
        await depositors.lock_names(connection)
        if slug is not None and await depositors.name_is_taken(connection, slug, now):
            raise NameTaken("that short name is taken here", slug=slug)
        await depositors.invite(
            connection, code_hash=code_hash(code), slug=slug, trust=trust, made_at=now, expires_at=expires_at
        )
        details = {"slug": slug, "trust": trust, "expiresAt": expires_at.isoformat()}
        await audit.record(connection, actor=actor, action="peer.invite", subject=slug or "-", details=details)
    return Invited(Invitation(url, network, operator.scid, operator.host, slug, code), expires_at)


async def require_code(database: Database, code: str, now: datetime) -> None:
    """Raise MirrorLinkUnknown for a code that nobody can use, before anything is verified for it."""
    async with database.transaction() as connection:
        invitation = await depositors.lock_invitation(connection, code_hash(code))
    if invitation is None or (invitation.used_at is None and invitation.expires_at <= now):
        raise MirrorLinkUnknown("no invitation has this code")


async def join(
    database: Database,
    *,
    network: Network,
    state: DidState,
    lines: Sequence[bytes],
    witness: bytes | None,
    code: str,
    now: datetime,
) -> Joined:
    """Take in the node whose operator's DID log is `state`; raises rules J3 but J3.2, which comes before this."""
    service = log_service(state)
    if service.network != network:
        raise NetworkMismatch("that node is of another network", expected=network, found=service.network)
    async with database.transaction() as connection:
        operator = await participants.operator(connection)
        invitation = await depositors.lock_invitation(connection, code_hash(code))
        if operator is None or invitation is None:
            raise MirrorLinkUnknown("no invitation has this code")
        peer_id = await depositors.find(connection, state.scid)
        if invitation.used_at is not None and invitation.peer_id != peer_id:
            raise MirrorLinkUnknown("no invitation has this code")
        if invitation.used_at is None:
            if invitation.expires_at <= now:
                raise MirrorLinkUnknown("no invitation has this code")
            peer_id = await _admit(connection, state, lines, witness, invitation.trust)
            await depositors.use_invitation(connection, invitation.id, peer_id, now)
            details = {"slug": invitation.slug, "trust": invitation.trust}
            await audit.record(
                connection, actor=f"peer:{state.scid}", action="peer.join", subject=state.scid, details=details
            )
        assert peer_id is not None
        seen_as = await trust_.trust_of_peer(connection, peer_id)
    return Joined(network, operator.scid, seen_as)


async def _admit(
    connection: Connection, state: DidState, lines: Sequence[bytes], witness: bytes | None, trust: str
) -> int:
    """Store what joins: its operator's identity, and the peer."""
    known = await participants.find(connection, state.scid)
    version = 0 if known is None else known.did_version
    held = [] if known is None else await participants.did_lines(connection, known.id)
    if [webvh.version_id_of(line) for line in held] != [each.version_id for each in state.versions[:version]]:
        raise IdentityDiffers("another or a newer version of this identity is held here", scid=state.scid)
    if len(lines) > version:
        await meet(connection, state, list(lines[version:]), held=version, witness=witness)
    peer_id = await depositors.admit(connection, state.scid, trust)
    await depositors.mark_deposited(connection, peer_id, [state.scid])
    at_home = await held_.find_homes(connection, peer_id, state.scid, [state.scid])
    await mail_places.settle(connection, peer_id, state.scid, [state.scid])
    await trust_.inherit(connection, await trust_.trust_of_peer(connection, peer_id), at_home)
    return peer_id
