"""Change what a participant's identity states, with the keys from its cards. Shell.

Every change is one DID entry and one transaction that holds the log's head, so nothing is signed meanwhile. New keys
and new cards are written to disk before it commits: a crash leaves at worst a key or a card that nobody was told of,
and the same command can be given again. The kit's seed is used and forgotten; nothing here can do anything without it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from domain.errors import GotongError
from federation.did import webvh as did
from federation.did.state import DidState
from federation.identity import create, identities, rekey
from federation.identity.cards import backup_access, update_key
from federation.identity.create import public_key
from federation.identity.keys import KeyRing, document_key_name, log_key_name
from federation.identity.room import Purpose, require_keys, require_room
from federation.identity.writing import writable_head
from federation.lifecycle.enroll import KeepCards, no_cards
from federation.log import merkle
from federation.log.entry import EpochStart
from federation.log.service import DocumentKey, LogService, StatedHead, cosign_keys, log_service, request_keys
from store import backups, logs, outbox, participants
from store.database import Connection, Database
from store.logs import LogRow


class LogIncomplete(GotongError):
    """The newest checkpoint held does not cover the log's last entry, so where a key ends cannot be stated."""

    code: ClassVar[str] = "LOG_INCOMPLETE"


class OperatorStays(GotongError):
    """A node's operator is not let go (its whole node moves), and ends only when it hosts nobody else any more."""

    code: ClassVar[str] = "OPERATOR_STAYS"


@dataclass(frozen=True, slots=True)
class NewKit:
    """A seed whose keys the next entry commits to, and where its cards go before that is durable."""

    seed: bytes
    keep_cards: KeepCards


@dataclass(frozen=True, slots=True)
class Changed:
    """What an identity states now: how many DID versions, which log in which epoch, signed by which key."""

    scid: str
    did: str
    version: int
    origin: str
    size: int
    signing_key: str | None


@dataclass(slots=True)
class Change:
    """An identity whose next DID entry is being made; what is not set stays as it is."""

    connection: Connection
    keys: KeyRing
    log: LogRow
    state: DidState
    seed: bytes
    service: LogService
    request: tuple[DocumentKey, ...]
    cosign: tuple[DocumentKey, ...]
    place: create.Place | None = None
    purpose: Purpose = Purpose.NEEDED
    _update_key_number: int = field(init=False)

    def __post_init__(self) -> None:
        self._update_key_number = rekey.update_key_number(self.seed, self.state)

    @property
    def head(self) -> StatedHead:
        """The log's last head, where keys are retired."""
        return StatedHead(self.log.size, merkle.Edge.from_bytes(self.log.size, self.log.edge).root())

    def rotate_online_keys(self) -> None:
        """Have a new key sign the log from here on, and for an operator new ones its requests and cosignatures."""
        stated = len(self.service.keys) + len(self.request) + len(self.cosign)
        require_keys(stated + 1, self.purpose)
        number = rekey.next_number(self.service.keys)
        public = self._new_key(log_key_name(self.log.scid, self.service.epoch, number))
        self.service = rekey.rotated(self.service, self.head, public)
        self.replace_operator_keys()

    def begin_epoch(self, start: EpochStart) -> None:
        """Have the next epoch's log begin with a key of its own."""
        public = self._new_key(log_key_name(self.log.scid, self.service.epoch + 1, 0))
        self.service = rekey.begun(self.service, start, public)

    def replace_operator_keys(self) -> None:
        """Have new keys sign the requests and cosignatures of an operator; a guest has none."""
        self.request = self._replaced("#request", self.request)
        self.cosign = self._replaced("#cosign", self.cosign)

    async def commit(self, now: datetime, new_kit: NewKit | None = None) -> Changed:
        """Return what the identity states after the entry that all of this makes, written with it."""
        if new_kit is None:
            committed = update_key(self.seed, self._update_key_number + 1)
        else:
            committed = update_key(new_kit.seed, 0)
        line = create.update(
            self.state,
            update_key=update_key(self.seed, self._update_key_number),
            next_public_key=public_key(committed),
            now=now,
            service=self.service,
            request=self.request,
            cosign=self.cosign,
            place=self.place,
        )
        if new_kit is not None:
            new_kit.keep_cards(self.state.did)
            await backups.set_access(self.connection, self.log.participant_id, *backup_access(new_kit.seed))
        return await self.write(line, now)

    async def end(self, now: datetime) -> Changed:
        """Return what the identity states after its last entry, which closes the log at its head."""
        self.purpose = Purpose.END
        last = create.deactivate(
            self.state,
            update_key=update_key(self.seed, self._update_key_number),
            now=now,
            service=rekey.closed(self.service, self.head),
        )
        return await self.write(last, now)

    async def write(self, line: bytes, now: datetime) -> Changed:
        """Return what the identity states after this line, written and told to whoever listens."""
        state = did.extend(self.state, [line], now=now)
        require_room(state, self.purpose)
        await identities.extend(self.connection, self.log.participant_id, state, [line])
        service = log_service(state)
        signing = None if state.deactivated else rekey.signing_key(service)
        if signing is not None:
            number = rekey.key_number(signing)
            await logs.set_key_number(self.connection, self.log.id, number)
            if number != self.log.key_number:  # what the key before signed beyond counts for nobody any more
                await logs.forget_longer(self.connection, self.log.id)
        await outbox.announce(self.connection, outbox.HEAD_CHANNEL)
        return Changed(
            self.log.scid,
            state.did,
            state.version_count,
            self.log.origin,
            self.log.size,
            None if signing is None else signing.id,
        )

    def _replaced(self, purpose: str, stated: tuple[DocumentKey, ...]) -> tuple[DocumentKey, ...]:
        if not stated:
            return ()
        fragment = f"{purpose}-{rekey.next_number(stated)}"
        return (DocumentKey(fragment, self._new_key(document_key_name(self.log.scid, fragment))),)

    def _new_key(self, name: str) -> bytes:
        """Return the public half of a key that is on disk; one left by a change that never committed is used now."""
        return self.keys.get_or_create(name).public_key().public_bytes_raw()


async def rotate(database: Database, keys: KeyRing, scid: str, seed: bytes, *, now: datetime) -> Changed:
    """Return the identity with new online keys: the log's, and an operator's for requests and cosigning.

    Raises ParticipantNotHosted, ParticipantMoved, ParticipantEnded, LogFrozen, CardsDoNotFit, LogIncomplete,
    IdentityFull, LogKeysFull, or the DidError of a clock that is behind.
    """
    async with database.transaction() as connection:
        change = await begin(connection, keys, scid, seed)
        change.purpose = Purpose.CHOSEN
        change.rotate_online_keys()
        return await change.commit(now)


async def renew_kit(
    database: Database,
    keys: KeyRing,
    scid: str,
    seed: bytes,
    *,
    new_seed: bytes,
    now: datetime,
    keep_cards: KeepCards = no_cards,
    rotating: bool = False,
) -> Changed:
    """Return the identity that obeys new cards only, `rotating` also its online keys; raises what `rotate` does.

    The entry is signed by the key that the old kit committed to and commits to the first key of the new one: from
    then on the old cards, all three of them, open nothing.
    """
    async with database.transaction() as connection:
        change = await begin(connection, keys, scid, seed, frozen_too=not rotating)
        if rotating:
            change.purpose = Purpose.CHOSEN
            change.rotate_online_keys()
        return await change.commit(now, NewKit(new_seed, keep_cards))


async def end(database: Database, keys: KeyRing, scid: str, seed: bytes, *, now: datetime) -> Changed:
    """Return the identity after its last entry: nothing is appended to its log any more, and what is there stays.

    Raises OperatorStays for an operator that hosts others, and what `rotate` does.
    """
    async with database.transaction() as connection:
        change = await begin(connection, keys, scid, seed)
        await require_dispensable(connection, change.log.participant_id)
        return await change.end(now)


async def require_dispensable(connection: Connection, participant_id: int) -> None:
    """Return unless the node's operator, which hosts others, is to go: then raise OperatorStays."""
    operator = await participants.operator(connection)
    if operator is not None and operator.id == participant_id and len(await participants.hosted(connection)) > 1:
        raise OperatorStays("the operator goes last: its guests would be left without a host", scid=operator.scid)


async def begin(connection: Connection, keys: KeyRing, scid: str, seed: bytes, *, frozen_too: bool = False) -> Change:
    """Return the identity of a participant hosted here with its log's head locked; raises what `rotate` does.

    Where two stories of the log were signed it raises LogFrozen, unless told that the change goes on without that log.
    """
    return await change_of(connection, keys, await writable_head(connection, scid, frozen_too=frozen_too), seed)


async def change_of(connection: Connection, keys: KeyRing, log: LogRow, seed: bytes) -> Change:
    """Return the identity whose log's locked head this is, or raise CardsDoNotFit, LogIncomplete."""
    state = await identities.load(connection, log.participant_id, log.scid)
    if log.checkpoint_size != log.size:
        raise LogIncomplete("the newest checkpoint is of a shorter log", origin=log.origin, size=log.size)
    return Change(connection, keys, log, state, seed, log_service(state), request_keys(state), cosign_keys(state))
