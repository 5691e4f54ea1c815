"""Wait for what comes about by itself: for a condition, never for a length of time."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_S = 180.0
"""After which a test says that something did not come about: nothing takes so long, however slow and busy a machine."""
POLL_S = 0.01


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when the condition holds; raise TimeoutError when it does not within PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - most of what is waited for has no event
            await asyncio.sleep(POLL_S)
