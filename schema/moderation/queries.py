"""What operators ask: who waits, who was let in and why, what needs them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import strawberry

from federation.identity.room import IDENTITY_ROOM
from federation.sync.plan import QUOTAS
from schema.common import pages
from schema.common.pages import AFTER, FIRST, PAGE_COST, Listed, Page, pages_of
from schema.compile.read import Answer, Argument, declare
from schema.context import Caller, Services
from schema.moderation.types import Alert, Decision, Participant, Peer, Suppression, Trust, stored
from schema.needs.types import Urgency, rank
from store import alerts as alerts_
from store import moderation, suppressions
from store.alerts import AlertRow


async def _participants(services: Services, caller: Caller, arguments: Mapping[str, Any]) -> Page:
    trust = arguments.get("trust")
    wanted = None if trust is None else stored(trust)
    fetch = partial(moderation.participants, trust=wanted, critical=rank(Urgency.CRITICAL))
    return await pages.listed(services, caller, arguments, fetch)


async def _alerts(services: Services, caller: Caller, _arguments: Mapping[str, Any]) -> list[AlertRow]:
    async with services.database.acquire() as connection:
        await pages.require_operator(connection, caller)
        return await alerts_.current(
            connection, now=services.clock(), critical=rank(Urgency.CRITICAL), quotas=QUOTAS, room=IDENTITY_ROOM
        )


@strawberry.type(description="What operators ask.")
class ModerationQueries:
    """Root fields."""

    peers: Listed[Peer] = declare(
        Answer(pages_of(moderation.peers), cost=PAGE_COST),
        "The nodes this one copies from. For operators.",
        (FIRST, AFTER),
    )
    participants: Listed[Participant] = declare(
        Answer(_participants, cost=PAGE_COST),
        "Participants of other nodes, those met last first; what is in quarantine is shown here alone. For operators.",
        (Argument("trust", Trust | None, "Only those of this trust."), FIRST, AFTER),
    )
    decisions: Listed[Decision] = declare(
        Answer(pages_of(moderation.decisions), cost=PAGE_COST),
        "What operators decided, and why. For operators.",
        (FIRST, AFTER),
    )
    suppressions: Listed[Suppression] = declare(
        Answer(pages_of(suppressions.page), cost=PAGE_COST),
        "Records that are not shown here, one by one, because you said so. For operators.",
        (FIRST, AFTER),
    )
    alerts: list[Alert] = declare(
        Answer(_alerts, cost=PAGE_COST), "What needs an operator, the most urgent first. For operators."
    )
