"""Keep what verified DID logs say, so that it is not verified for every batch. Shell.

What is kept is for speed alone: whoever needs a state is given it, remembered or read again. An identity that cannot be
read is told in the log and left out, so that it holds up nobody else's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import structlog

from federation.did import webvh
from federation.did.errors import DidError
from federation.did.state import DidState
from federation.identity.identities import VERIFIED_BEFORE
from store import held as held_
from store.database import Database
from store.held import Held

STATES_CACHED_MAX = 1_024
READ_AT_ONCE = 64

_log = structlog.get_logger()


class DidStates:
    """DID logs verified lately, so that a log that grows often does not cost their signatures every time."""

    def __init__(self) -> None:
        self._states: OrderedDict[tuple[str, int], DidState] = OrderedDict()

    def put(self, state: DidState) -> None:
        """Remember a verified state that is stored."""
        self._states[state.scid, state.version_count] = state
        if len(self._states) > STATES_CACHED_MAX:
            self._states.popitem(last=False)

    async def of(self, database: Database, scid: str, version: int) -> DidState | None:
        """Return the state of a participant held here with so many DID lines, None if it has others by now."""
        return (await self._load(database, {scid: version})).get(scid)

    async def load(self, database: Database, held: Sequence[Held]) -> dict[str, DidState]:
        """Return by SCID what these identities say, without those of which other DID lines are held by now."""
        return await self._load(database, {each.scid: each.did_version for each in held})

    async def _load(self, database: Database, wanted: Mapping[str, int]) -> dict[str, DidState]:
        found = {scid: state for scid, version in wanted.items() if (state := self._get(scid, version)) is not None}
        missing = [scid for scid, version in wanted.items() if version and scid not in found]
        for start in range(0, len(missing), READ_AT_ONCE):
            read = await self._read(database, missing[start : start + READ_AT_ONCE])
            found |= {state.scid: state for state in read if state.version_count == wanted[state.scid]}
        return found

    def _get(self, scid: str, version: int) -> DidState | None:
        state = self._states.get((scid, version))
        if state is not None:
            self._states.move_to_end((scid, version))
        return state

    async def _read(self, database: Database, scids: Sequence[str]) -> list[DidState]:
        async with database.acquire() as connection:
            logs = await held_.did_logs(connection, scids)
        read = await asyncio.to_thread(lambda: [_verified(scid, *log) for scid, log in logs.items()])
        states = [state for state in read if state is not None]
        for state in states:
            self.put(state)
        return states


def _verified(scid: str, lines: Sequence[bytes], witness: bytes | None) -> DidState | None:
    try:
        return webvh.verify(lines, now=VERIFIED_BEFORE, witness=witness, scid=scid)
    except DidError as error:
        _log.error("identity_unreadable", scid=scid, code=error.code, message=error.message)
        return None
