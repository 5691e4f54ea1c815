"""This node, and who asks it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import strawberry

from schema.common.scalars import BigInt, DateTime
from schema.compile.read import Reader, value


@strawberry.type(description="A log this node holds.")
class LogHead:
    """One log."""

    origin: strawberry.ID = value("The log's origin: gotong/<SCID>/<epoch>.")
    size: BigInt = value("How many of its entries this node holds, all verified.")
    checkpoint_size: BigInt = value("How many of them the newest signed head covers.")
    hosted: bool = value("Whether its participant is a guest of this node, which signs for it.")
    verified_at: DateTime | None = value("When the newest of them was verified.")
    as_of: DateTime | None = value("When another host last signed what it had seen of it: how fresh it is.")
    frozen_size: BigInt | None = value("Where it ends here, if it is proven that two stories of it were signed.")


@strawberry.type(description="This node.")
class NodeInfo:
    """What a node says about itself."""

    name: str = value("What its operator calls it.")
    version: str = value("The version of Gotong it runs.")
    network: str = value("live or test; the two never mix.")
    base_url: str = value("Where it answers.")
    operator: strawberry.ID | None = value("The participant that runs it.")
    time: DateTime = value("Its clock, now.")
    peers: int = value("How many nodes it copies from.")
    mirrored_regions: list[str] | None = value(
        "Codes of the regions whose logs it copies, when it does not copy everything, and ids of participants besides."
    )
    logs_left_out: int = value("How many logs of other regions one of its peers has, at most.")
    changes_waiting: int = value(
        "How many changes here are no events yet, or not found by their words yet, counted up to 10,000: 0 but for "
        "moments."
    )
    logs: list[LogHead] = value("The logs it holds whose publishers its operator allows, largest first, at most 100.")


def _full_at(charge: Any, _arguments: Mapping[str, Any], _reader: Reader) -> datetime:
    return datetime.fromtimestamp(charge.full_at_s, UTC)


@strawberry.type(description="The caller's budget, and what this question took from it. A unit is about one row.")
class RateLimit:
    """A budget."""

    limit: int = value("What the caller may spend at once; as much comes back within each minute.")
    cost: int = value("What this question cost.")
    remaining: int = value("What is left.")
    reset_at: DateTime = value("When all of it is there again, if nothing else is spent.", _full_at)


@strawberry.type(description="Who asks.")
class Viewer:
    """The holder of the access token."""

    subject: str = value("The person or machine the token was given to.")
    organizations: list[strawberry.ID] = value(
        "The organizations it acts for.",
        lambda viewer, _arguments, _reader: sorted(f"gotong:{scid}" for scid in viewer.organizations),
    )
    scopes: list[str] = value("What it may do.", lambda viewer, _arguments, _reader: sorted(viewer.scopes))
    expires_at: DateTime = value("Until when.")
