"""Cosign the logs of others: when asked, the server side of C2SP tlog-witness, or of one's own accord. Shell.

It decides whom this node cosigns (every log it knows of a participant that is not blocked, but none that it hosts: a
host says nothing new about its own guests) and that what was cosigned is committed before the cosignature leaves.
`add_checkpoint` decides what may be cosigned.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from federation.did.state import DidState
from federation.identity.keys import KeyMissing, KeyRing, document_key_name
from federation.identity.states import DidStates
from federation.log import add_checkpoint, note, service, tiles
from federation.log.add_checkpoint import CheckpointNotExtending, Request, WitnessAtOtherSize
from federation.log.cosigners import cosigner_name, own_note
from federation.log.merkle import EMPTY_ROOT
from federation.log.names import parse_origin
from federation.log.note import Checkpoint, KeyType, Signer, Verifier
from federation.log.service import cosign_keys, log_service
from federation.log.static import LogNotHeld, read_tiles
from federation.log.verify import check_checkpoint
from federation.witness import gossip
from federation.witness.brought import Brought
from store import cosignatures, logs, participants
from store import held as held_
from store.database import Connection, Database
from store.logs import LogRow

Clock = Callable[[], datetime]


class Witness:
    """This node's operator as a cosigner."""

    def __init__(self, database: Database, keys: KeyRing, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._states = DidStates()

    async def add_checkpoint(self, body: bytes) -> bytes:
        """Return the signature lines on the checkpoint submitted, its size remembered durably.

        Raises AddCheckpointMalformed, LogNotHeld, OriginMalformed, what a bad signature raises, WitnessAtOtherSize,
        CheckpointNotExtending, LogFrozen, KeyMissing.
        """
        request = add_checkpoint.parse(body)
        log, state = await self._known(request.checkpoint.origin)
        await asyncio.to_thread(_require_signed, request, state)
        scid, signer = await self._signer()
        async with self._database.transaction() as connection:
            before, frozen_size = await cosignatures.lock_witnessed(connection, log.id)
            at_s, line = await self._cosign(connection, log.id, request, before, frozen_size, signer)
            size = request.checkpoint.size
            await cosignatures.keep(connection, log.id, size, [(scid, at_s, line)])
            if size > log.size:
                await cosignatures.make_home_due(connection, log.participant_id)
        return line

    async def cosign_held(self, origin: str, size: int) -> tuple[str, int, bytes]:
        """Return the cosigner's SCID, the second and the line of a cosignature on the note of that size held of a log.

        Its size is remembered durably; whether the line is kept is for whoever hands it on. Raises LogNotHeld,
        WitnessAtOtherSize, CheckpointNotExtending, LogFrozen, KeyMissing.
        """
        log, _ = await self._known(origin)
        if log.checkpoint is None or log.checkpoint_size != size:
            raise LogNotHeld("the log has another checkpoint by now", origin=origin)
        scid, signer = await self._signer()
        async with self._database.transaction() as connection:
            before, frozen_size = await cosignatures.lock_witnessed(connection, log.id)
            old = 0 if before is None else _stated(before).size
            if old > size:
                raise WitnessAtOtherSize("a larger tree was cosigned before", size=old)
            proof: list[bytes] = []
            if 0 < old < size:
                proof = tiles.prove_consistency(
                    old, size, await read_tiles(connection, log.id, tiles.consistency_tiles(old, size))
                )
            request = add_checkpoint.parse(add_checkpoint.write(old, proof, log.checkpoint))
            at_s, line = await self._cosign(connection, log.id, request, before, frozen_size, signer)
        return scid, at_s, line

    async def _cosign(
        self,
        connection: Connection,
        log_id: int,
        request: Request,
        before: bytes | None,
        frozen_size: int | None,
        signer: Signer,
    ) -> tuple[int, bytes]:
        """Return the second and the line, after what is cosigned was written down in the caller's transaction."""
        add_checkpoint.require_extension(request, None if before is None else _stated(before), frozen_size)
        at_s = int(self._clock().timestamp())
        line = note.cosign(note.parse_note(request.note).text, signer, at_s).line().encode()
        await cosignatures.set_witnessed(connection, log_id, request.checkpoint.size, own_note(request.note) + line)
        return at_s, line

    async def checkpoint(self, origin_hash: bytes) -> bytes:
        """Return the note cosigned last of the log whose origin has this SHA-256, or raise LogNotHeld."""
        async with self._database.acquire() as connection:
            found = await cosignatures.witnessed_note(connection, origin_hash)
        if found is None:
            raise LogNotHeld("no such log was cosigned here")
        return found

    async def take(self, scid: str, brought: Sequence[Brought]) -> list[str]:
        """Return of which logs the cosignature by this operator, which signed the request, was kept."""
        return await gossip.take_brought(self._database, self._states, scid, brought, self._clock())

    async def _known(self, origin: str) -> tuple[LogRow, DidState]:
        scid = parse_origin(origin).scid
        async with self._database.acquire() as connection:
            log = await logs.head(connection, origin)
            held = (await held_.held(connection, [(scid, origin)])).get(origin)
        if log is None or held is None or log.hosted or log.trust == "blocked":
            raise LogNotHeld("no such log is witnessed here", origin=origin)
        state = await self._states.of(self._database, scid, held.did_version)
        if state is None or service.origin(state) != origin:
            raise LogNotHeld("this is not the participant's present log", origin=origin)
        return log, state

    async def _signer(self) -> tuple[str, Signer]:
        """Return the operator's SCID and its newest cosigning key that is here, or raise KeyMissing."""
        async with self._database.acquire() as connection:
            operator = await participants.operator(connection)
            assert operator is not None
            held = (await held_.held(connection, [(operator.scid, operator.scid)]))[operator.scid]
        state = await self._states.of(self._database, operator.scid, held.did_version)
        assert state is not None
        for key in reversed(cosign_keys(state)):
            private = self._keys.get(document_key_name(operator.scid, key.id))
            signer = Signer(cosigner_name(operator.scid), private, KeyType.COSIGNATURE_V1)
            if signer.verifier().public == key.public_key:
                return operator.scid, signer
        raise KeyMissing("no cosigning key of this node's operator is here")


def _require_signed(request: Request, state: DidState) -> None:
    origin, keys = request.checkpoint.origin, log_service(state).keys
    note.verify(request.note, [Verifier(origin, key.public_key) for key in keys])
    if request.checkpoint.size == 0 and request.checkpoint.root != EMPTY_ROOT:
        raise CheckpointNotExtending("the empty tree has the empty root")
    check_checkpoint(request.note, origin, keys)


def _stated(data: bytes) -> Checkpoint:
    return note.parse_checkpoint(note.parse_note(data).text)
