"""Bundles and deposits between real nodes."""

from collections.abc import Iterable

from federation import bundle
from federation.bundle import Extent
from federation.intake import Intake, Taken
from store.database import connect
from store.locks import Claims
from tests.sync.conftest import MakeNode, SyncNode, make_node

__all__ = ["MakeNode", "SyncNode", "exported", "imported", "make_node"]


async def exported(node: SyncNode, *scids: str, since: dict[str, Extent] | None = None) -> bytes:
    """Return a bundle of these participants, of everybody relayed by default."""
    wanted = await bundle.wanted_logs(node.database, list(scids) or None, since or {})
    return b"".join([piece async for piece in bundle.export(node.database, wanted)])


async def imported(node: SyncNode, pieces: bytes | Iterable[bytes]) -> dict[str, Taken]:
    """Import a bundle; raises what ends it early."""
    intake = new_intake(node)
    return await run_import(intake, pieces)


def new_intake(node: SyncNode) -> Intake:
    """Return an intake of a node."""
    claims = Claims(lambda: connect(node.database.dsn))
    return Intake(node.database, "test", node.node.clock, claims)


async def run_import(intake: Intake, pieces: bytes | Iterable[bytes]) -> dict[str, Taken]:
    """Have the intake take a bundle."""
    try:
        await bundle.import_(intake, [pieces] if isinstance(pieces, bytes) else pieces)
    finally:
        await intake._claims.close()
    return intake.taken
