"""Ask another's home for its contact, and decide who may ask for one's own."""

from dataclasses import asdict, dataclass
from typing import Any

import strawberry

from auth import policy
from domain.errors import GotongError
from domain.ids import parse_uri
from federation.restricted import release as federated
from federation.restricted.asking import Waiting
from schema.common import inputs, writing
from schema.common.inputs import WriteInput
from schema.common.scalars import DateTime
from schema.common.writing import Deed, Outcome, Written, mutation, user_error
from schema.compile.connection import PAGE_ROWS_MAX
from schema.compile.read import value
from schema.restricted.access import ContactGrant
from schema.restricted.types import Contact, ExactPlace, contact_of, exact_place_of, read_part
from store import audit, restricted


@strawberry.input(description="Whose contact is wanted, and for whom.")
class RequestRestrictedInput(WriteInput):
    """A request for a restricted part. A dry run asks nobody; an idempotency key changes nothing."""

    as_: strawberry.ID = inputs.required("The organization that asks, for which the token acts.", name="as")
    id: strawberry.ID = inputs.required("The record.")


@strawberry.input(description="Whom an organization allows its contacts and exact places, or does not any more.")
class ContactAccessInput(WriteInput):
    """A decision of an owner."""

    as_: strawberry.ID = inputs.required("The owner, for which the token acts.", name="as")
    to: strawberry.ID = inputs.required("The organization that may ask: gotong:<SCID>.")


@dataclass(frozen=True, slots=True)
class Told(Outcome):
    """What a home told, for this one answer."""

    contact: Contact | None = None
    exact_place: ExactPlace | None = None
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class Decided(Outcome):
    """Whom the owner allows now."""

    grants: tuple[dict[str, Any], ...] = ()


async def request_restricted(deed: Deed) -> Told:
    """Return what the record's home told."""
    told = deed.input.client_mutation_id or None
    try:
        asker = writing.organization(deed.input.as_)
        viewer = policy.require(deed.caller.viewer, deed.action, asker)
        uri = parse_uri(deed.input.id)
        if deed.input.dry_run:
            return Told(None, [], told)
        answer = await deed.services.asking.request(asker, uri)
        if isinstance(answer, Waiting):
            return Told(None, [], told, waiting=answer)
        part = read_part(answer)
    except writing.RAISED:
        raise
    except GotongError as error:
        return Told(None, [user_error(error)], told)
    async with deed.services.database.acquire() as connection:
        details = {"record": str(uri)}
        await audit.record(
            connection, actor=viewer.subject, action="restricted.request", subject=asker, details=details
        )
    return Told(None, [], told, contact_of(part), exact_place_of(part))


async def grant_contact_access(deed: Deed) -> Decided:
    """Return whom the owner allows now."""
    return await _decided(deed, federated.allow)


async def revoke_contact_access(deed: Deed) -> Decided:
    """Return whom the owner allows now."""
    return await _decided(deed, federated.deny)


async def _decided(deed: Deed, decide: Any) -> Decided:
    told = deed.input.client_mutation_id or None
    database = deed.services.database
    try:
        owner, asker = writing.organization(deed.input.as_), writing.organization(deed.input.to, "to")
        viewer = policy.require(deed.caller.viewer, deed.action, owner)
        await decide(database, owner, asker, actor=viewer.subject, is_rehearsed=bool(deed.input.dry_run))
    except writing.RAISED:
        raise
    except GotongError as error:
        return Decided(None, [user_error(error)], told)
    async with database.acquire() as connection:
        grants = await restricted.grants_of(connection, owner, limit=PAGE_ROWS_MAX)
    return Decided(None, [], told, tuple(asdict(each) for each in grants))


@strawberry.type(
    description="A request that waits for the record's home to come online: nobody can connect to that node, so the "
    "request lies at its mirror until the home fetches it. Ask again later in the same way."
)
class RestrictedWaiting:
    """Since when a request waits, and until when."""

    since: DateTime = value("When you asked.")
    until: DateTime = value("When the request is given up, unless its home fetches it before. Then ask anew.")


@strawberry.type(description="What the home of a record told. It is kept nowhere: use it now, or ask again.")
class RequestRestrictedPayload(Written):
    """The answer of requestRestricted."""

    contact: Contact | None = value("Whom to reach; null when a rule was broken, or there is none.")
    exact_place: ExactPlace | None = value("The house and lane; null when a rule was broken, or there is none.")
    waiting: RestrictedWaiting | None = value("The home is not online: the request waits for it. Null otherwise.")


@strawberry.type(description="What became of the decision.")
class ContactAccessPayload(Written):
    """The answer of both decisions."""

    grants: list[ContactGrant] = value(
        f"Whom the owner allows now, those allowed last first, at most {PAGE_ROWS_MAX}: `contactGrants` has all."
    )


@strawberry.type(description="Restricted parts.")
class RestrictedMutations:
    """Root fields."""

    request_restricted: RequestRestrictedPayload = mutation(
        request_restricted, RequestRestrictedInput, "Ask a record's home for its contact and exact place."
    )
    grant_contact_access: ContactAccessPayload = mutation(
        grant_contact_access, ContactAccessInput, "Allow another organization your contacts and exact places."
    )
    revoke_contact_access: ContactAccessPayload = mutation(
        revoke_contact_access, ContactAccessInput, "Allow them no longer; what it was given it has."
    )
