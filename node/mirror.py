"""Join a mirror, and what follows from having one: where identities made here say that they are published.

A node that nobody can connect to makes its identities under its mirror's host. The short name that the invitation
reserved is its operator's; those of its other participants begin with it, so no name has to be asked for again.
"""

from typing import ClassVar

from domain.errors import GotongError
from federation.did import webvh
from federation.identity.identities import VERIFIED_BEFORE
from federation.log import service
from federation.log.entry import NetworkMismatch
from federation.mirror.link import JOIN_ANSWER_BYTES_MAX, Invitation, Join, Joined, read_joined, write
from federation.moderation.trust import Trust, add_peer
from node.wiring import Node
from store import depositors, participants


class MirrorDiffers(GotongError):
    """Another operator answers at the mirror's address than the one who made the invitation."""

    code: ClassVar[str] = "MIRROR_DIFFERS"


class NameReserved(GotongError):
    """The invitation reserves one short name, and another one was asked for."""

    code: ClassVar[str] = "NAME_RESERVED"


def invited_slug(invitation: Invitation, asked: str | None) -> str:
    """Return the short name that an identity made for this invitation has; raise NameReserved."""
    if invitation.slug is None:
        raise NameReserved("this invitation reserves no name; ask for one made with --slug")
    if asked is not None and asked != invitation.slug:
        raise NameReserved("the mirror keeps another name for you", reserved=invitation.slug, asked=asked)
    return invitation.slug


def require_network(invitation: Invitation, network: str) -> None:
    """Raise NetworkMismatch when the invitation is for the other network."""
    if invitation.network != network:
        raise NetworkMismatch("that mirror is of another network", expected=network, found=invitation.network)


async def join(node: Node, invitation: Invitation, *, trust: Trust, private: bool, actor: str) -> Joined:
    """Have this node deposit with the mirror from now on and copy from it; raises the Peer errors and MirrorDiffers.

    May be repeated: a mirror knows who used its invitation.
    """
    require_network(invitation, node.settings.network)
    operator = await node.operator()
    async with node.database.acquire() as connection:
        lines = await participants.did_lines(connection, operator.id)
        witness = await participants.did_witness(connection, operator.id)
    joining = Join(invitation.code, [line.decode() for line in lines], None if witness is None else witness.decode())
    peer = await add_peer(node.database, invitation.url, trust=trust, private=private, actor=actor)
    async with node.client(peer) as client:
        answer = await client.post(
            "join",
            write(joining),
            content_type="application/json",
            answer_type="application/json",
            bytes_max=JOIN_ANSWER_BYTES_MAX,
        )
    joined = read_joined(answer)
    if joined.operator != invitation.operator_scid:
        raise MirrorDiffers("another operator answers there", expected=invitation.operator_scid, found=joined.operator)
    async with node.database.transaction() as connection:
        await depositors.add_mirror(connection, peer.id)
    return joined


async def published_at(node: Node) -> str:
    """Return where identities made here say that their logs are: at the mirror the operator's names, else here."""
    operator = await node.operator()
    async with node.database.acquire() as connection:
        mirrors = await depositors.mirrors(connection)
        lines = await participants.did_lines(connection, operator.id) if mirrors else []
    if not mirrors:
        return node.settings.origin
    stated = service.log_service(webvh.verify(lines, now=VERIFIED_BEFORE, scid=operator.scid)).base_url
    return stated if stated in mirrors else node.settings.origin


async def slug_here(node: Node, slug: str) -> str:
    """Return the short name of a new participant: under a mirror's host it begins with the operator's."""
    operator = await node.operator()
    is_ours = await published_at(node) == node.settings.origin
    if is_ours or slug.startswith(f"{operator.slug}-"):
        return slug
    return f"{operator.slug}-{slug}"
