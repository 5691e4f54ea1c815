"""Who may have an organization's restricted parts and who was given them, as its own people see it."""

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import strawberry

from auth import policy
from domain.ids import parse_uri
from domain.release import Rule
from federation.publish.writing import writable_head
from schema.common.scalars import BigInt, DateTime
from schema.compile.read import Answer, Argument, declare, value
from store import restricted

if TYPE_CHECKING:
    from schema.context import Caller, Services

RELEASES_DEFAULT = 50
RELEASES_MAX = 100


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


def _participant(name: str) -> Any:
    return lambda row, _arguments, _reader: f"gotong:{getattr(row, name)}"


@strawberry.type(description="An organization that may ask for another's contacts and exact places.")
class ContactGrant:
    """Whom an owner allows."""

    organization: strawberry.ID = value("Who may ask: gotong:<SCID>.", _participant("asker_scid"))
    granted_at: DateTime = value("Since when.")
    granted_by: str = value("Who allowed it.")


@strawberry.type(description="One answer to a request for a restricted part; it is never changed or deleted.")
class ContactRelease:
    """One answer."""

    number: BigInt = value("Its number, for `before`.", lambda row, _arguments, _reader: row.id)
    at: DateTime = value("When.")
    organization: strawberry.ID = value("Who asked: gotong:<SCID>.", _participant("asker_scid"))
    node: strawberry.ID = value("The operator of the node it asked through.", _participant("node_scid"))
    record: strawberry.ID = value("For what.", lambda row, _arguments, _reader: row.uri)
    released: bool = value("Whether it was given.", lambda row, _arguments, _reader: row.is_released)
    rule: ReleaseRule = value("Why.", lambda row, _arguments, _reader: ReleaseRule[Rule(row.rule).name])


async def _owner(services: "Services", caller: "Caller", arguments: Mapping[str, Any]) -> int:
    """Return the local number of the organization whose own people ask; raises what `policy.require_scope` does."""
    scid = parse_uri(arguments["as"]).scid
    policy.require_scope(caller.viewer, policy.RESTRICTED_READ, scid)
    async with services.database.acquire() as connection:
        return (await writable_head(connection, scid, lock=False)).participant_id


async def _grants(services: "Services", caller: "Caller", arguments: Mapping[str, Any]) -> list[restricted.Grant]:
    owner = await _owner(services, caller, arguments)
    async with services.database.acquire() as connection:
        return await restricted.grants(connection, owner)


async def _releases(services: "Services", caller: "Caller", arguments: Mapping[str, Any]) -> list[restricted.Release]:
    owner = await _owner(services, caller, arguments)
    limit = max(0, min(arguments.get("first") or RELEASES_DEFAULT, RELEASES_MAX))
    before = arguments.get("before")
    async with services.database.acquire() as connection:
        return await restricted.releases(connection, owner, before=None if before is None else int(before), limit=limit)


AS = Argument("as", strawberry.ID, "The organization, for which the token acts: gotong:<SCID>.")


@strawberry.type(description="Who may have restricted parts, and who was given them.")
class RestrictedQueries:
    """Root fields."""

    contact_grants: list[ContactGrant] = declare(
        Answer(_grants), "Whom an organization allows its contacts and exact places; for its own people.", (AS,)
    )
    contact_releases: list[ContactRelease] = declare(
        Answer(_releases),
        "Every request for them, given or refused, newest first; for its own people.",
        (
            AS,
            Argument("first", int | None, f"How many, at most {RELEASES_MAX}. Default: {RELEASES_DEFAULT}."),
            Argument("before", BigInt | None, "Only those with a lower number."),
        ),
    )
