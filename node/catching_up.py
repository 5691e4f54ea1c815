"""Hear from all peers before the first answer if this database may be an older one: what was erased since is not shown.

Decides how long is waited for whom. A node whose peers are away serves all the same, and says so in its log; an
identity is changed on no copy that may be an older one.
"""

import asyncio
import random

import structlog

from domain.errors import GotongError
from federation.peers.loop import Syncer
from federation.publish.guard import PublicationWaits
from node.wiring import Node, now
from store import peers
from store.database import Connection, connect

CATCH_UP_S = 10.0

_log = structlog.get_logger()


async def catch_up(node: Node) -> list[str]:
    """Return the peers that were not heard to the end within CATCH_UP_S; what came until then is kept."""

    async def own_connection() -> Connection:
        return await connect(node.dsn, application_name="gotong catching up")

    async with node.database.acquire() as connection:
        urls = [peer.url for peer in await peers.every(connection) if peer.trust != "blocked" and peer.url]
    if not urls:
        return []
    syncer = Syncer(node.database, node.client, node.settings.network, now, own_connection, random.random)
    tasks = {asyncio.create_task(_heard(syncer, url)): url for url in urls}
    done, late = await asyncio.wait(tasks, timeout=CATCH_UP_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    await syncer.close()
    missed = sorted({tasks[task] for task in late} | {tasks[task] for task in done if not task.result()})
    if missed:
        _log.warning("not_caught_up", peers=missed)
    return missed


async def require_newest_identity(node: Node, scid: str) -> None:
    """Return if nothing newer of an identity can be lost here, peers being asked where that is not known yet.

    Raises PublicationWaits, and what `writable_head` does of what they told.
    """
    try:
        await node.require_newest_identity(scid)
    except PublicationWaits:
        await catch_up(node)
        await node.require_newest_identity(scid)


async def _heard(syncer: Syncer, url: str) -> bool:
    try:
        await syncer.once(url)
    except GotongError:
        return False
    return True
