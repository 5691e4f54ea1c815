"""Ask what was erased and who has not done so yet: operators about all, an organization's own people about theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

import strawberry

from auth import policy
from auth.policy import Forbidden, ScopeMissing
from federation.erasing import overview
from schema.common import pages
from schema.common.pages import AFTER, FIRST, PAGE_COST, Listed, Page
from schema.common.writing import organization
from schema.compile.read import Answer, Argument, declare
from schema.context import Caller, Services
from schema.erasure.types import Erasure
from store.database import Connection


async def _erasures(services: Services, caller: Caller, arguments: Mapping[str, Any]) -> Page:
    publisher = arguments.get("publisher")
    scid = None if publisher is None else organization(publisher, "publisher")

    async def may(connection: Connection) -> None:
        try:
            if scid is not None:
                policy.require(caller.viewer, "eraseRecord", scid)
                return
        except (ScopeMissing, Forbidden):
            pass  # perhaps it is the operator who asks
        await pages.require_operator(connection, caller)

    async def fetch(connection: Connection, /, *, before: int | None, count: int) -> Sequence[Mapping[str, Any]]:
        found = await overview.page(connection, before=before, count=count, scid=scid)
        return [each.told(services.clock()) | {"number": each.listed.number} for each in found]

    return await pages.listed(services, caller, arguments, fetch, may=may)


@strawberry.type(description="What was erased.")
class ErasureQueries:
    """Root fields."""

    erasures: Listed[Erasure] = declare(
        Answer(_erasures, cost=PAGE_COST),
        "What was erased, newest here first, with the peers that have not acknowledged it. For operators; with "
        "`publisher`, also for those who write for it.",
        (Argument("publisher", strawberry.ID | None, "Only what this one erased: gotong:<SCID>."), FIRST, AFTER),
    )
