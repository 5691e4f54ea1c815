"""What operators decide: whom this node copies from, and whom it shows. Every decision is kept with its reason."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import strawberry

from domain.errors import GotongError
from domain.ids import parse_uri
from federation.moderation import suppress
from federation.moderation import trust as decide
from federation.sync.client import checked_url
from schema.common import inputs, writing
from schema.common.inputs import WriteInput
from schema.common.pages import require_operator
from schema.common.writing import RAISED, Deed, Outcome, Written, mutation, own
from schema.compile.read import Value, declare
from schema.moderation.types import Participant, Peer, Suppression, Trust, stored
from schema.needs.types import Urgency, rank
from store import moderation, suppressions
from store.database import Connection

REASON_CHARS_MAX = 2_000


class ReasonTooLong(GotongError):
    """A reason has at most 2,000 characters."""

    code: ClassVar[str] = "REASON_TOO_LONG"


@strawberry.input(
    description="What every decision takes. An idempotency key changes nothing: twice decided is decided."
)
class DecisionInput(WriteInput):
    """Options of a decision."""

    reason: str | None = inputs.optional("Why; kept with the decision.")


@strawberry.input(description="A node to copy from.")
class AddPeerInput(DecisionInput):
    """A new peer."""

    url: str = inputs.required("Its address: http(s)://host[:port].")
    trust: Trust | None = inputs.optional("Default: QUARANTINED.")
    private: bool | None = inputs.optional("True: it may be in a private network, as in a village.")


@strawberry.input(description="What this node does with a peer and those whose home it is.")
class SetPeerTrustInput(DecisionInput):
    """A decision about a peer."""

    url: str = inputs.required("The peer's address.")
    trust: Trust = inputs.required("What this node does with it from now on.")


@strawberry.input(description="What this node does with one participant, whatever its home.")
class SetParticipantTrustInput(DecisionInput):
    """A decision about a participant."""

    id: strawberry.ID = inputs.required("The participant: gotong:<SCID>.")
    trust: Trust = inputs.required("What this node does with it from now on.")


@strawberry.input(description="Whether this node shows one record. Its log and its copies elsewhere stay as they are.")
class SuppressRecordInput(DecisionInput):
    """A decision about a record."""

    id: strawberry.ID = inputs.required("The record: a need, an activity or an update.")
    suppressed: bool | None = inputs.optional("True hides it, false shows it again. Default: true.")


@dataclass(frozen=True, slots=True)
class Decided(Outcome):
    """What became of a decision, before its payload is written."""

    peer: Mapping[str, Any] | None = None
    participant: Mapping[str, Any] | None = None
    suppression: Mapping[str, Any] | None = None


Step = Callable[[Connection], Awaitable[Any]]
Work = Callable[[str, str | None], Awaitable[Any]]


async def _decided(deed: Deed, told_in: str, *, check: Step, work: Work, read: Step) -> Decided:
    """Return what became of a decision: `check` raises what is wrong, `work` is given actor and reason."""
    told = deed.input.client_mutation_id or None
    async with deed.services.database.acquire() as connection:
        actor = await require_operator(connection, deed.caller)
    try:
        reason = deed.input.reason or None
        if reason is not None and len(reason) > REASON_CHARS_MAX:
            raise ReasonTooLong(f"A reason has at most {REASON_CHARS_MAX} characters.", field="reason")
        if reason is not None:
            writing.words(reason, "reason")
        async with deed.services.database.acquire() as connection:
            await check(connection)
        if not deed.input.dry_run:
            await work(actor, reason)
    except RAISED:
        raise
    except GotongError as error:
        return Decided(None, [writing.user_error(error)], told)
    async with deed.services.database.acquire() as connection:
        return Decided(client_mutation_id=told, **{told_in: await read(connection)})


async def add_peer(deed: Deed) -> Decided:
    """Return what became of the peer."""
    given, database = deed.input, deed.services.database

    async def check(_connection: Connection) -> None:
        checked_url(given.url)

    async def work(actor: str, reason: str | None) -> None:
        trust = stored(given.trust or Trust.QUARANTINED)
        private = bool(given.private)
        await decide.add_peer(
            database, checked_url(given.url), trust=trust, private=private, actor=actor, reason=reason
        )

    return await _decided(deed, "peer", check=check, work=work, read=partial(_peer, given.url))


async def set_peer_trust(deed: Deed) -> Decided:
    """Return what became of the decision."""
    given, database = deed.input, deed.services.database

    async def check(connection: Connection) -> None:
        await decide.known_peer(connection, checked_url(given.url))

    async def work(actor: str, reason: str | None) -> None:
        await decide.set_peer_trust(database, checked_url(given.url), stored(given.trust), actor=actor, reason=reason)

    return await _decided(deed, "peer", check=check, work=work, read=partial(_peer, given.url))


async def _peer(url: str, connection: Connection) -> Any:
    return await moderation.peer(connection, checked_url(url))


async def set_participant_trust(deed: Deed) -> Decided:
    """Return what became of the decision."""
    given, database = deed.input, deed.services.database

    async def check(connection: Connection) -> None:
        await decide.another(connection, own(given.id, "organization").scid)

    async def work(actor: str, reason: str | None) -> None:
        scid = own(given.id, "organization").scid
        await decide.set_participant_trust(database, scid, stored(given.trust), actor=actor, reason=reason)

    async def read(connection: Connection) -> Any:
        scid = own(given.id, "organization").scid
        return await moderation.participant(connection, scid, critical=rank(Urgency.CRITICAL))

    return await _decided(deed, "participant", check=check, work=work, read=read)


async def suppress_record(deed: Deed) -> Decided:
    """Return what became of the decision."""
    given, database, clock = deed.input, deed.services.database, deed.services.clock

    async def check(connection: Connection) -> None:
        await suppress.known(connection, parse_uri(given.id))

    async def work(actor: str, reason: str | None) -> None:
        suppressed = given.suppressed is not False
        await suppress.set_suppressed(
            database, parse_uri(given.id), suppressed=suppressed, actor=actor, now=clock(), reason=reason
        )

    async def read(connection: Connection) -> Any:
        return await suppressions.one(connection, parse_uri(given.id))

    return await _decided(deed, "suppression", check=check, work=work, read=read)


@strawberry.type(description="What became of the peer.")
class PeerPayload(Written):
    """The answer of decisions about peers."""

    peer: Peer | None = declare(Value(), "The peer as it is now; null when a rule was broken.")


@strawberry.type(description="What became of the participant.")
class ParticipantPayload(Written):
    """The answer of decisions about participants."""

    participant: Participant | None = declare(Value(), "The participant as it is now; null when a rule was broken.")


@strawberry.type(description="What became of the decision about a record.")
class SuppressRecordPayload(Written):
    """The answer of suppressRecord."""

    suppression: Suppression | None = declare(Value(), "That it is suppressed; null when it is shown, or not here.")


@strawberry.type(description="What operators decide.")
class ModerationMutations:
    """Root fields."""

    add_peer: PeerPayload = mutation(add_peer, AddPeerInput, "Copy from another node from now on. For operators.")
    set_peer_trust: PeerPayload = mutation(
        set_peer_trust, SetPeerTrustInput, "Show, quarantine or block a peer and those whose home it is. For operators."
    )
    set_participant_trust: ParticipantPayload = mutation(
        set_participant_trust, SetParticipantTrustInput, "Show, quarantine or block one participant. For operators."
    )
    suppress_record: SuppressRecordPayload = mutation(
        suppress_record, SuppressRecordInput, "Hide one record on this node, or show it again. For operators."
    )
