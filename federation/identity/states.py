"""Keep what verified DID logs say, so that it is not verified for every batch. Shell.

What is kept is for speed alone: whoever needs a state is given it, remembered or read again. An identity that cannot be
read is told in the log and left out, so that it holds up nobody else's.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping, Sequence

import structlog

from federation.did import webvh
from federation.did.errors import DidError
from federation.did.state import DidState
from federation.identity.identities import VERIFIED_BEFORE
from store import held as held_
from store.database import Database
from store.held import Held

STATES_CACHED_MAX = 1_024
STATES_BYTES_MAX = 16 * 1024 * 1024
"""Of the DID lines of what is remembered: a usual identity has some kilobytes, one may have 4 MiB."""
READ_AT_ONCE = 64
READ_BYTES_MAX = 8 * 1024 * 1024
"""DID lines read by one statement, or one identity that has more."""

_log = structlog.get_logger()


class DidStates:
    """DID logs verified lately, so that a log that grows often does not cost their signatures every time."""

    def __init__(self) -> None:
        self._states: OrderedDict[tuple[str, int], DidState] = OrderedDict()
        self._bytes = 0

    def put(self, state: DidState) -> None:
        """Remember a verified state that is stored."""
        if self._get(state.scid, state.version_count) is not None:
            return
        self._states[state.scid, state.version_count] = state
        self._bytes += state.canonical_bytes
        while len(self._states) > STATES_CACHED_MAX or self._bytes > STATES_BYTES_MAX:
            _, oldest = self._states.popitem(last=False)
            self._bytes -= oldest.canonical_bytes

    async def of(self, database: Database, scid: str, version: int) -> DidState | None:
        """Return the state of a participant held here with so many DID lines, None if it has others by now."""
        return (await self._load(database, {scid: version})).get(scid)

    async def load(self, database: Database, held: Sequence[Held]) -> dict[str, DidState]:
        """Return by SCID what these identities say, without those of which other DID lines are held by now.

        For identities of few: whoever has many at hand has `remember` read them and asks for one at a time.
        """
        return await self._load(database, {each.scid: each.did_version for each in held})

    async def remember(self, database: Database, held: Sequence[Held]) -> None:
        """Read as many of these identities together as are remembered."""
        missing = [each.scid for each in held if each.did_version and self._get(each.scid, each.did_version) is None]
        read_bytes = 0
        async with contextlib.aclosing(self._read(database, missing)) as reading:
            async for states in reading:
                read_bytes += sum(state.canonical_bytes for state in states)
                if read_bytes >= STATES_BYTES_MAX // 2:
                    return

    async def _load(self, database: Database, wanted: Mapping[str, int]) -> dict[str, DidState]:
        found = {scid: state for scid, version in wanted.items() if (state := self._get(scid, version)) is not None}
        missing = [scid for scid, version in wanted.items() if version and scid not in found]
        async with contextlib.aclosing(self._read(database, missing)) as reading:
            async for states in reading:
                found |= {state.scid: state for state in states if state.version_count == wanted[state.scid]}
        return found

    def _get(self, scid: str, version: int) -> DidState | None:
        state = self._states.get((scid, version))
        if state is not None:
            self._states.move_to_end((scid, version))
        return state

    async def _read(self, database: Database, scids: Sequence[str]) -> AsyncGenerator[list[DidState]]:
        left = list(scids)
        while left:
            asked = left[:READ_AT_ONCE]
            async with database.acquire() as connection:
                logs = await held_.did_logs(connection, asked, READ_BYTES_MAX)
            done = logs.keys() or set(asked)  # of those none is here
            left = [scid for scid in left if scid not in done]
            read = await asyncio.to_thread(_all_verified, logs)
            states = [state for state in read if state is not None]
            for state in states:
                self.put(state)
            yield states


def _all_verified(logs: Mapping[str, tuple[list[bytes], bytes | None]]) -> list[DidState | None]:
    return [_verified(scid, *log) for scid, log in logs.items()]


def _verified(scid: str, lines: Sequence[bytes], witness: bytes | None) -> DidState | None:
    try:
        return webvh.verify(lines, now=VERIFIED_BEFORE, witness=witness, scid=scid)
    except DidError as error:
        _log.error("identity_unreadable", scid=scid, code=error.code, message=error.message)
        return None
