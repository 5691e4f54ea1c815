"""Keep what verified DID logs say, so that it is not verified for every batch. Shell."""

from collections import OrderedDict
from collections.abc import Sequence

from federation.did import webvh
from federation.did.state import DidState
from federation.identity.identities import VERIFIED_BEFORE
from store import held as held_
from store.database import Database
from store.held import Held

STATES_CACHED_MAX = 512


class DidStates:
    """DID logs verified lately, so that a log that grows often does not cost their signatures every time."""

    def __init__(self) -> None:
        self._states: OrderedDict[tuple[str, int], DidState] = OrderedDict()

    def get(self, scid: str, version: int) -> DidState | None:
        """Return the state of exactly that version, if it is remembered."""
        state = self._states.get((scid, version))
        if state is not None:
            self._states.move_to_end((scid, version))
        return state

    def put(self, state: DidState) -> None:
        """Remember a verified state."""
        self._states[state.scid, state.version_count] = state
        if len(self._states) > STATES_CACHED_MAX:
            self._states.popitem(last=False)

    async def of(self, database: Database, scid: str, version: int) -> DidState | None:
        """Return the state of a participant held here with so many DID lines, None if it has others by now."""
        state = self.get(scid, version)
        if state is None:
            await self._read(database, [scid])
            state = self.get(scid, version)
        return state

    async def load(self, database: Database, held: Sequence[Held]) -> None:
        """Verify and remember what is held of these participants, by one statement."""
        missing = [each.scid for each in held if each.did_version and not self.get(each.scid, each.did_version)]
        if missing:
            await self._read(database, missing)

    async def _read(self, database: Database, scids: Sequence[str]) -> None:
        async with database.acquire() as connection:
            found = await held_.did_logs(connection, scids)
        for scid, (lines, witness) in found.items():
            self.put(webvh.verify(lines, now=VERIFIED_BEFORE, witness=witness, scid=scid))
