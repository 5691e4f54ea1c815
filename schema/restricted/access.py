"""Who may have an organization's restricted parts and who was given them, as its own people see it."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict
from enum import Enum
from typing import Any, Protocol

import strawberry

from auth import policy
from domain.release import Rule
from federation.identity.writing import ParticipantNotHosted
from schema.common.pages import AFTER, FIRST, PAGE_COST, Listed, Page, Rows, listed
from schema.common.scalars import DateTime
from schema.common.writing import organization
from schema.compile.read import Answer, Argument, declare, value
from schema.context import Caller, Services
from store import participants, restricted
from store.database import Connection


@strawberry.enum(description="Why a request for a restricted part was granted or refused.")
class ReleaseRule(Enum):
    """Why it was granted or refused."""

    OWNER = strawberry.enum_value("OWNER", description="It asked for its own.")
    CHOSEN = strawberry.enum_value("CHOSEN", description="The owner allows it.")
    PLEDGE_ACCEPTED = strawberry.enum_value("PLEDGE_ACCEPTED", description="Its pledge on that record was accepted.")
    ATTESTED = strawberry.enum_value("ATTESTED", description="Someone whom the owner trusts attests it.")
    NOT_ALLOWED = strawberry.enum_value("NOT_ALLOWED", description="Refused: nothing allows it.")
    BLOCKED = strawberry.enum_value("BLOCKED", description="Refused: it is blocked here.")
    NOT_PROVEN = strawberry.enum_value("NOT_PROVEN", description="Refused: it did not sign, or is not known here.")
    REVISED = strawberry.enum_value("REVISED", description="Allowed, but it asked for an older revision.")
    GONE = strawberry.enum_value("GONE", description="Allowed, but nothing is there any more.")


def _of(name: str) -> Any:
    return lambda row, _arguments, _reader: row[name]


def _participant(name: str) -> Any:
    return lambda row, _arguments, _reader: f"gotong:{row[name]}"


@strawberry.type(description="An organization that may ask for another's contacts and exact places.")
class ContactGrant:
    """Whom an owner allows."""

    organization: strawberry.ID = value("Who may ask: gotong:<SCID>.", _participant("asker_scid"))
    granted_at: DateTime = value("Since when.", _of("granted_at"))
    granted_by: str = value("Who allowed it.", _of("granted_by"))


@strawberry.type(description="One answer to a request for a restricted part; it is never changed or deleted.")
class ContactRelease:
    """One answer."""

    at: DateTime = value("When.", _of("at"))
    organization: strawberry.ID = value("Who asked: gotong:<SCID>.", _participant("asker_scid"))
    node: strawberry.ID = value("The operator of the node it asked through.", _participant("node_scid"))
    record: strawberry.ID = value("For what.", _of("uri"))
    released: bool = value("Whether it was given.", _of("is_released"))
    rule: ReleaseRule = value("Why.", lambda row, _arguments, _reader: ReleaseRule[Rule(row["rule"]).name])


class Read(Protocol):
    """Gives what an owner has of one sort, each with its `id`, newest first."""

    def __call__(
        self, connection: Connection, participant_id: int, /, *, before: int | None, limit: int
    ) -> Awaitable[Sequence[restricted.Grant] | Sequence[restricted.Release]]:
        """Return what is numbered below `before`."""


async def _page(services: Services, caller: Caller, arguments: Mapping[str, Any], read: Read) -> Page:
    """Return a page of what one organization's own people may see; raises what `policy.require_scope` does."""
    scid = organization(arguments["as"])

    async def may(_connection: Connection) -> None:
        policy.require_scope(caller.viewer, policy.RESTRICTED_READ, scid)

    async def fetch(connection: Connection, /, *, before: int | None, count: int) -> Rows:
        owner = await participants.find(connection, scid)
        if owner is None or not owner.hosted:
            raise ParticipantNotHosted("that organization is not at home on this node", scid=scid)
        found = await read(connection, owner.id, before=before, limit=count)
        return [asdict(each) | {"number": each.id} for each in found]

    return await listed(services, caller, arguments, fetch, may=may)


async def _grants(services: Services, caller: Caller, arguments: Mapping[str, Any]) -> Page:
    return await _page(services, caller, arguments, restricted.grants)


async def _releases(services: Services, caller: Caller, arguments: Mapping[str, Any]) -> Page:
    return await _page(services, caller, arguments, restricted.releases)


AS = Argument("as", strawberry.ID, "The organization, for which the token acts: gotong:<SCID>.")


@strawberry.type(description="Who may have restricted parts, and who was given them.")
class RestrictedQueries:
    """Root fields."""

    contact_grants: Listed[ContactGrant] = declare(
        Answer(_grants, cost=PAGE_COST),
        "Whom an organization allows its contacts and exact places, those allowed last first; for its own people.",
        (AS, FIRST, AFTER),
    )
    contact_releases: Listed[ContactRelease] = declare(
        Answer(_releases, cost=PAGE_COST),
        "Every request for them, given or refused, newest first; for its own people.",
        (AS, FIRST, AFTER),
    )
