"""Find out whether a peer holds another story of a log or identity than this node, and prove it if so. Shell.

What a peer shows is compared with what is held: its notes, and the hash of its newest DID entry of each log. Where both
cannot be, the peer's own static reads are asked for the proof: hashes that lead to the note it shows, or its DID log.
Without a valid proof nobody is accused, so whoever shows a hash of nothing costs itself a read and us no more.
"""

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from datetime import datetime

import structlog

from domain.errors import GotongError
from federation.did import webvh
from federation.identity.states import DidStates
from federation.log import evidence, service
from federation.log.cosigners import same_text
from federation.log.evidence import Finding
from federation.log.note import Checkpoint, checkpoint_and_keys, parse_checkpoint, parse_note
from federation.log.service import log_service
from federation.sync.client import PeerClient
from federation.sync.messages import HeadOfLog
from federation.witness.freeze import accept
from federation.witness.tellings import HeldTelling, PeerTelling, fork_evidence
from store import evidence as rows
from store import held as held_
from store.database import OUR_OWN, Database
from store.held import Held

COMPARED_PER_EXCHANGE_MAX = 1_000
IDENTITIES_PER_EXCHANGE_MAX = 32
"""DID logs that are read because a peer shows another hash."""
EVIDENCE_PER_EXCHANGE_MAX = 64

_log = structlog.get_logger()


class Forks:
    """Looks for forks in one exchange with one peer."""

    def __init__(self, database: Database, client: PeerClient, peer_id: int, states: DidStates, now: datetime) -> None:
        self._database = database
        self._client = client
        self._peer_id = peer_id
        self._states = states
        self._now = now
        self.findings: list[Finding] = []

    async def look(self, heads: Sequence[HeadOfLog], held: dict[str, Held], suspects: Collection[str]) -> None:
        """Compare what the peer's notes say with what is held; `suspects` are logs whose pull was refused.

        Raises the database's errors. What cannot be proven leaves no trace here.
        """
        compared = 0
        doubles = await self._other_hashes(heads, held)
        for head in heads:
            ours = held.get(head.origin)
            if ours is None or ours.checkpoint is None or ours.log_id is None:
                continue
            suspect, double = head.origin in suspects, head.origin in doubles
            if same_text(head.checkpoint.encode(), ours.checkpoint) and not suspect and not double:
                continue
            compared += 1
            if compared > COMPARED_PER_EXCHANGE_MAX:
                break
            if ours.frozen_size is not None:
                await self._prove(head.origin, self._earlier(head, ours, ours.frozen_size))
                continue
            is_proven = await self._prove(head.origin, self._fork(head, ours, suspect))
            if not is_proven and (suspect or double):
                await self._prove(head.origin, self._other_identity(ours))

    async def _prove(self, origin: str, work: Awaitable[bytes | None]) -> bool:
        """Return whether that gave evidence which holds, acted on by now."""
        try:
            data = await work
            if data is not None:
                await self._accept(data)
                return True
        except OUR_OWN:
            raise
        except GotongError as error:
            _log.info("fork_not_proven", origin=origin, code=error.code)
        return False

    async def take_evidence(self, newest: int, *, in_full: bool) -> None:
        """Take what the peer passes on, if its newest is not what we saw last; verified before it has any effect."""
        async with self._database.acquire() as connection:
            seen = await rows.seen_of_peer(connection, self._peer_id)
        if newest == seen and not (in_full and newest):
            return
        after = 0 if in_full or newest < seen else seen
        offered = await self._client.evidence_after(after)
        async with self._database.acquire() as connection:
            wanted = await rows.unknown(connection, [(bytes.fromhex(each.id), each.scid) for each in offered])
        now = wanted[:EVIDENCE_PER_EXCHANGE_MAX]
        for id_ in now:
            data = await self._client.evidence(id_.hex())
            try:
                await self._accept(data)
            except GotongError as error:
                _log.warning("evidence_refused", evidence=id_.hex(), code=error.code, peer=self._peer_id)
        looked_at = max((each.number for each in offered if wanted == now or each.id == now[-1].hex()), default=newest)
        async with self._database.acquire() as connection:
            await rows.set_seen_of_peer(connection, self._peer_id, looked_at)

    async def _other_hashes(self, heads: Sequence[HeadOfLog], held: dict[str, Held]) -> set[str]:
        """Return the logs of which the peer shows another DID entry of a number that is held here; some of them."""
        shown = [(head, ours) for head in heads if head.did_hash and (ours := held.get(head.origin)) is not None]
        same = {head.origin for head, ours in shown if head.did_version == ours.did_version}
        earlier = [
            (ours.participant_id, head.did_version) for head, ours in shown if head.did_version < ours.did_version
        ]
        lines: dict[tuple[int, int], bytes] = {}
        if earlier:
            async with self._database.acquire() as connection:
                lines = await held_.earlier_did_lines(connection, earlier)
        others = []
        for head, ours in shown:
            line = lines.get((ours.participant_id, head.did_version))
            mine = ours.did_hash if head.origin in same else "" if line is None else _hash_of(line)
            if mine and mine != head.did_hash:
                others.append(head.origin)
        return set(others[:IDENTITIES_PER_EXCHANGE_MAX])

    async def _accept(self, data: bytes) -> None:
        finding = await accept(self._database, data, self._now, peer_id=self._peer_id)
        if finding is not None:
            self.findings.append(finding)

    async def _fork(self, head: HeadOfLog, ours: Held, is_suspect: bool) -> bytes | None:
        note = head.checkpoint.encode()
        theirs = parse_checkpoint(parse_note(note).text)
        held = parse_checkpoint(parse_note(ours.checkpoint or b"").text)
        assert ours.log_id is not None
        local = HeldTelling(ours.checkpoint or b"", held, self._database, ours.log_id)
        if theirs.origin != head.origin or theirs.size == 0 or (theirs.size > held.size and not is_suspect):
            return None
        if theirs.size <= held.size and await local.root(theirs.size) == theirs.root:
            return None
        return await self._evidence(head, ours, local, theirs)

    async def _earlier(self, head: HeadOfLog, ours: Held, frozen_size: int) -> bytes | None:
        """Return evidence of a frozen log if what this node still shows of it is not what the peer shows.

        Evidence proves that two tellings differ at a size. Where they part may be before, and only who has one of them
        and is given the tiles of the other can tell.
        """
        note = head.checkpoint.encode()
        theirs = parse_checkpoint(parse_note(note).text)
        held = parse_checkpoint(parse_note(ours.checkpoint or b"").text)
        assert ours.log_id is not None
        local = HeldTelling(ours.checkpoint or b"", held, self._database, ours.log_id)
        remote = PeerTelling(note, theirs, self._client)
        shown = min(frozen_size, theirs.size, held.size)
        if theirs.origin != head.origin or shown == 0 or await local.root(shown) == await remote.root(shown):
            return None
        return await self._evidence(head, ours, local, theirs)

    async def _evidence(self, head: HeadOfLog, ours: Held, local: HeldTelling, theirs: Checkpoint) -> bytes | None:
        """Return evidence of two tellings, None where no key that counts signed the peer's."""
        note = head.checkpoint.encode()
        state = await self._states.of(self._database, ours.scid, ours.did_version)
        if state is None or service.origin(state) != head.origin:
            return None
        keys = [key.public_key for key in log_service(state).keys if key.retired is None]
        await asyncio.to_thread(checkpoint_and_keys, note, head.origin, keys)
        remote = PeerTelling(note, theirs, self._client)
        return await fork_evidence(self._database, ours.scid, local, remote)

    async def _other_identity(self, ours: Held) -> bytes | None:
        theirs = webvh.split_lines(await self._client.did_log(ours.scid))
        async with self._database.acquire() as connection:
            held = await held_.did_log(connection, ours.scid)
        assert held is not None
        lines, witness = held
        for number, (mine, other) in enumerate(zip(lines, theirs, strict=False), 1):
            if webvh.version_id_of(mine) != webvh.version_id_of(other):
                return evidence.build_identity(lines[:number], witness, other)
        return None


def _hash_of(line: bytes) -> str:
    return webvh.version_hash(webvh.version_id_of(line))
