"""Deposit sealed backups of the participants hosted here with peers that keep them. Shell.

What is deposited is sealed to the participant's cards, so neither the keeper nor this node can read it again. A deposit
that is cut off goes on where it stopped as long as the process lives, and begins anew otherwise; what the keeper had in
full before stays until the new one is complete. After a restricted part was erased a new one goes out, and has the
keeper drop those that hold it.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

import httpx
import msgspec

from domain.errors import GotongError
from federation.backup import sealed
from federation.backup.contents import collect, pack
from federation.backup.keeping import BackupNotAllowed, BackupNotKept, BackupOutdated, BackupTooLarge
from federation.backup.sealed import BackupUnproven, Manifest
from federation.identity.keys import SECRET_BYTES, KeyRing, log_key_name
from federation.log.entry import instant
from federation.sealing import sealed_to
from federation.sealing.vault import Vault
from federation.sync.client import PeerClient, PeerProtocolError
from store import backups, logs, participants, peers
from store.backups import Access, Sent
from store.database import Database
from store.peers import PeerRow

ANSWER_BYTES_MAX = 64 * 1024
KEPT_ASKED_S = 3_600.0
"""How often a keeper is asked whether it still has a backup of what has not changed."""
REFUSED_BY_KEEPER: dict[type[GotongError], str] = {
    BackupNotAllowed: "the peer's operator allows none yet (gotong peer allow-backups)",
    BackupTooLarge: "the peer's operator allows fewer bytes (gotong peer allow-backups)",
    BackupOutdated: "the peer has a later backup: was this clock set back?",
    BackupUnproven: "the peer has not heard of this participant or of its newest key yet; it is tried again by itself",
}


class BackupKeyMissing(GotongError):
    """The participant's cards were made before backups could be sealed to them; `gotong keys kit` makes new ones."""

    code: ClassVar[str] = "BACKUP_KEY_MISSING"


OF_ONE = (BackupKeyMissing, BackupTooLarge, BackupOutdated, BackupUnproven)
"""What keeps the backup of one participant out and says nothing about the others'."""


@dataclass(frozen=True, slots=True)
class Deposited:
    """What came of one participant's backup; `bytes` is 0 where the keeper had all of it already."""

    scid: str
    version: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Made:
    manifest: bytes
    version: int
    size: int
    chunks: list[bytes]
    fingerprint: str


@dataclass(slots=True)
class BackingUp:
    """Makes and deposits backups. `settings` are those of the node that a restored one needs."""

    database: Database
    keys: KeyRing
    vault: Vault
    client: Callable[[PeerRow], PeerClient]
    clock: Callable[[], datetime]
    settings: dict[str, str | int]
    _made: dict[tuple[int, int], _Made] = field(default_factory=dict)
    _asked_s: dict[int, float] = field(default_factory=dict)  # when keepers were asked what they have, by peer

    async def to(self, peer: PeerRow, *, asking: bool = True) -> list[Deposited]:
        """Return what was deposited with a peer of all that changed since the last time.

        `asking`: also of what the peer has no more.

        Raises BackupNotAllowed, the Peer errors, and, when all others are there, the first of OF_ONE.
        """
        async with self.database.acquire() as connection:
            hosted = await participants.hosted(connection)
            operator = await participants.operator(connection)
        done = []
        failure: GotongError | None = None
        async with self.client(peer) as client:
            for row in hosted:
                if row.ended:
                    continue
                with_node = operator is not None and row.id == operator.id
                try:
                    done.append(await self._deposit(client, peer, row.id, row.scid, with_node=with_node, asking=asking))
                except OF_ONE as error:
                    failure = failure or error
        if asking:
            self._asked_s[peer.id] = asyncio.get_running_loop().time()
        if failure is not None:
            raise failure
        return done

    async def to_targets(self) -> None:
        """Deposit what changed with all peers that keep this node's backups; raise the first failure at the end."""
        async with self.database.acquire() as connection:
            chosen = [await peers.get(connection, number) for number in await backups.due(connection)]
        failure: GotongError | None = None
        now_s = asyncio.get_running_loop().time()
        for peer in chosen:
            try:
                if peer is not None:
                    asked_s = self._asked_s.get(peer.id)
                    await self.to(peer, asking=asked_s is None or now_s - asked_s >= KEPT_ASKED_S)
            except GotongError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def _deposit(
        self, client: PeerClient, peer: PeerRow, participant_id: int, scid: str, *, with_node: bool, asking: bool
    ) -> Deposited:
        async with self.database.transaction(isolation="repeatable_read", readonly=True) as connection:
            log = await logs.newest_log(connection, scid)
            assert log is not None
            fingerprint = await backups.fingerprint(connection, participant_id, log.id, with_node=with_node)
            last = await backups.sent(connection, peer.id, participant_id)
        is_same = last is not None and last.fingerprint == fingerprint
        if last is not None and is_same and (not asking or await _keeps(client, scid, last.version)):
            return Deposited(scid, last.version, 0)
        made = self._made.get((peer.id, participant_id))
        if made is None or made.fingerprint != fingerprint:
            # Counted in milliseconds, so that a node that was restored goes on beyond what its keepers have.
            version = max(1 + (last.version if last else 0), int(self.clock().timestamp() * 1000))
            made = await self._make(scid, version, fingerprint, with_node=with_node)
            self._made[peer.id, participant_id] = made
        await _send(client, scid, made)
        self._made.pop((peer.id, participant_id), None)
        async with self.database.acquire() as connection:
            sent = Sent(made.version, fingerprint, self.clock(), made.size)
            await backups.set_sent(connection, peer.id, participant_id, sent)
        return Deposited(scid, made.version, sum(len(chunk) for chunk in made.chunks))

    async def _make(self, scid: str, version: int, fingerprint: str, *, with_node: bool) -> _Made:
        async with self.database.transaction(isolation="repeatable_read", readonly=True) as connection:
            log = await logs.newest_log(connection, scid)
            assert log is not None
            access = await backups.access(connection, log.participant_id)
            erased = await backups.erased(connection, log.id)
            settings = self.settings if with_node else None
            data = pack(await collect(connection, log, self.vault, self.clock(), settings))
        key, reader_hash = _required(access, scid)
        chunk_key = secrets.token_bytes(SECRET_BYTES)
        chunks = list(sealed.seal_chunks(data, chunk_key))
        manifest = Manifest(
            scid=scid,
            version=version,
            at=instant(self.clock()),
            origin=log.origin,
            size=log.size,
            bytes=sum(map(len, chunks)),
            chunks=[sealed.hash_of(chunk) for chunk in chunks],
            key=sealed_to.seal(key, chunk_key, sealed.key_info(scid, version)).hex(),
            reader=reader_hash,
            erased=erased,
        )
        log_key = self.keys.get(log_key_name(scid, log.epoch, log.key_number))
        return _Made(sealed.sign_manifest(manifest, log_key), version, log.size, chunks, fingerprint)


def _required(access: Access, scid: str) -> tuple[bytes, str]:
    if access.key is None or access.reader_hash is None:
        raise BackupKeyMissing("this participant's cards were made before backups; give it new ones", scid=scid)
    return access.key, access.reader_hash


async def _keeps(client: PeerClient, scid: str, version: int) -> bool:
    """Return whether the keeper has that version in full; who does not know the question is believed to."""
    try:
        answer = await client.get(
            f"backup/{scid}", headers={}, answer_type="application/json", bytes_max=ANSWER_BYTES_MAX
        )
        return msgspec.json.decode(answer, type=_Newest).version >= version
    except PeerProtocolError as error:
        if error.details.get("cause") == BackupNotKept.code:
            return False
        if error.details.get("status") == httpx.codes.NOT_FOUND:
            return True
        raise
    except msgspec.DecodeError:
        raise PeerProtocolError("the keeper does not say what it has") from None


async def _send(client: PeerClient, scid: str, made: _Made) -> None:
    missing = await _post(client, scid, "backup", made.manifest, "application/json")
    for number in missing:
        path = f"backup/{scid}/{made.version}/{number}"
        await _post(client, scid, path, made.chunks[number], "application/octet-stream")


async def _post(client: PeerClient, scid: str, path: str, content: bytes, content_type: str) -> list[int]:
    try:
        answer = await client.post(
            path, content, content_type=content_type, answer_type="application/json", bytes_max=ANSWER_BYTES_MAX
        )
        return msgspec.json.decode(answer, type=_Missing).missing
    except PeerProtocolError as error:
        for refusal, why in REFUSED_BY_KEEPER.items():
            if error.details.get("cause") == refusal.code:
                raise refusal(why, scid=scid) from None
        raise
    except msgspec.DecodeError:
        raise PeerProtocolError("the keeper does not say what is missing") from None


class _Newest(msgspec.Struct, frozen=True):
    version: int


class _Missing(msgspec.Struct, frozen=True):
    missing: list[int]
