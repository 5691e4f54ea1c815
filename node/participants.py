"""Find the participant that a person names on the command line."""

from typing import ClassVar

from domain.errors import GotongError
from domain.records.registry import RECORDS
from federation.moderation.trust import ParticipantNotFound
from node.wiring import Node
from store import participants, records
from store.participants import ParticipantRow


class OrganizationNotHosted(GotongError):
    """This node hosts no participant of that short name or id."""

    code: ClassVar[str] = "ORGANIZATION_NOT_HOSTED"


async def hosted_participant(node: Node, named: str) -> ParticipantRow:
    """Return the participant hosted here with this slug, SCID or `gotong:<SCID>`, or raise OrganizationNotHosted."""
    async with node.database.acquire() as connection:
        found = await participants.find_hosted(connection, named)
        if found is None:
            found = await participants.find(connection, named.removeprefix("gotong:"))
    if found is None or not found.hosted:
        raise OrganizationNotHosted(
            "no such organization on this node; `gotong org list` names them", named=named[:128]
        )
    return found


async def known_scid(node: Node, named: str) -> str:
    """Return the SCID of the participant hosted here with this slug, or what `gotong:<SCID>` names, met or not."""
    async with node.database.acquire() as connection:
        found = await participants.find_hosted(connection, named)
    return named.removeprefix("gotong:") if found is None else found.scid


async def known_participant(node: Node, named: str) -> ParticipantRow:
    """Return the participant that is known here by this SCID or `gotong:<SCID>`, or raise ParticipantNotFound."""
    async with node.database.acquire() as connection:
        found = await participants.find(connection, named.removeprefix("gotong:"))
    if found is None:
        raise ParticipantNotFound("no participant with this id is known here", named=named[:128])
    return found


async def name_of(node: Node, participant: ParticipantRow) -> str:
    """Return the name that its organization record gives first, else its short name."""
    async with node.database.acquire() as connection:
        doc = await records.doc_of_any(connection, RECORDS.named("organization").table, participant.id)
    return participant.slug if doc is None else str(doc["name"][0]["text"])
