"""Give restricted parts to whom their owner allows, and write all of it down: at the record's home. Shell.

A request that is proven is decided by `domain.release` from facts gathered here. Every decision, given or refused, is a
row that is never changed, in the transaction that makes the answer. A request that comes again, as it may through a
mirror, is answered again and written down once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain import release
from domain.errors import GotongError
from domain.ids import IdMalformed, RecordUri, parse_uri
from domain.records.registry import RECORDS
from domain.release import Decision, Facts, Rule
from federation.identity import identities
from federation.identity.keys import KeyRing, log_key_name
from federation.identity.writing import writable_head
from federation.log.service import log_service
from federation.moderation.trust import ParticipantNotFound
from federation.publish.prepare import RecordNotFound
from federation.restricted import mail
from federation.restricted import request as restricted_request
from federation.restricted.request import Answer, Asked, RequestMalformed, RequestUnproven
from federation.sealing import sealed_to
from federation.sealing.vault import Vault
from federation.sync.client import PeerClient
from store import audit, logs, participants, restricted
from store.database import Connection, Database
from store.restricted import Placed

MAIL_ROUNDS_MAX = 130
"""Of one exchange with a mirror, which could go on for ever; enough for all that a mirror keeps for a home."""

_log = structlog.get_logger()


class RestrictedRefused(GotongError):
    """The record's owner does not allow the asking participant its restricted part; the owner sees that it asked."""

    code: ClassVar[str] = "RESTRICTED_REFUSED"


class RestrictedGone(GotongError):
    """The record has no restricted part, or it was destroyed."""

    code: ClassVar[str] = "RESTRICTED_GONE"


class RestrictedRevised(GotongError):
    """The record was revised since the asking node read it; sync, then ask again."""

    code: ClassVar[str] = "RESTRICTED_REVISED"


REFUSALS = {Rule.REVISED: RestrictedRevised, Rule.GONE: RestrictedGone, Rule.NOT_PROVEN: RequestUnproven}


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request was decided and, if it was granted, the part: salt and payload."""

    decision: Decision
    part: tuple[bytes, bytes] | None

    @property
    def content(self) -> bytes:
        """What is sealed for the one who asked."""
        if self.part is not None:
            return restricted_request.granted(*self.part)
        return restricted_request.refused(REFUSALS.get(self.decision.rule, RestrictedRefused).code)


@dataclass(frozen=True, slots=True)
class Releases:
    """Answers requests for restricted parts of records that are at home here."""

    database: Database
    keys: KeyRing
    vault: Vault
    clock: Callable[[], datetime]

    async def answer(self, node_scid: str, body: bytes) -> bytes | None:
        """Return the answer to a request that the operator `node_scid` signed, None if its home is elsewhere.

        Raises RequestMalformed, RequestUntimely, RecordNotFound and, written down, RequestUnproven.
        """
        asked = restricted_request.read_request(body)
        restricted_request.check_time(asked, self.clock())
        async with self.database.transaction() as connection:
            placed = await placed_record(connection, uri_of(asked))
            if not placed.hosted:
                return None
            key = await self._owner_key(connection, uri_of(asked).scid)
            answered = await self._answered(connection, placed, asked, node_scid, body)
        if answered.decision.rule is Rule.NOT_PROVEN:
            raise RequestUnproven(
                "the asking participant did not sign this, is not known here, or asks by another node"
            )
        return restricted_request.write_answer(_sealed(answered.content, asked, body, key))

    async def answer_mail(self, client: PeerClient) -> int:
        """Return how many requests that waited at a mirror were answered; raises the Peer errors and MailMalformed."""
        seen: set[bytes] = set()
        answered = 0
        brought: list[tuple[bytes, Answer]] = []
        for _ in range(MAIL_ROUNDS_MAX):
            given = await client.post(
                "restricted/mail",
                mail.write_brought(brought),
                content_type="application/json",
                answer_type="application/json",
                bytes_max=mail.GIVEN_BYTES_MAX,
            )
            now = self.clock() - timedelta(milliseconds=client.skew_ms)
            new = {restricted_request.request_hash(body): body for body in mail.read_given(given)}
            new = {hashed: body for hashed, body in new.items() if hashed not in seen}
            if not new:
                break
            seen |= new.keys()
            answers = [(hashed, await self._mailed(body, now)) for hashed, body in new.items()]
            brought = [(hashed, answer) for hashed, answer in answers if answer is not None]
            answered += len(brought)
        return answered

    async def _mailed(self, body: bytes, now: datetime) -> Answer | None:
        """Return the answer to a request that a mirror kept, None to one that cannot be answered.

        One that is not proven here leaves no trace: the asker's identity may be on its way, or the mirror made it up.
        """
        try:
            asked = restricted_request.read_request(body)
            restricted_request.check_time(asked, now)
            uri = uri_of(asked)
            async with self.database.transaction() as connection:
                key = await self._owner_key(connection, uri.scid)
                if not await is_proven(connection, asked, asked.node):
                    return None
                try:
                    placed = await placed_record(connection, uri)
                    content = (await self._answered(connection, placed, asked, asked.node, body)).content
                except RecordNotFound:  # erased since
                    content = restricted_request.refused(RestrictedGone.code)
            return _sealed(content, asked, body, key)
        except GotongError as error:
            _log.warning("restricted_mail_refused", code=error.code, message=error.message)
            return None

    async def _answered(
        self, connection: Connection, placed: Placed, asked: Asked, node_scid: str, body: bytes
    ) -> Answered:
        return await self.decide(
            connection,
            uri_of(asked),
            placed,
            asked.asker,
            node_scid,
            proven=await is_proven(connection, asked, node_scid),
            leaf=bytes.fromhex(asked.leaf),
            request_hash=restricted_request.request_hash(body),
        )

    async def decide(
        self,
        connection: Connection,
        uri: RecordUri,
        placed: Placed,
        asker: str,
        node_scid: str,
        *,
        proven: bool,
        leaf: bytes,
        request_hash: bytes | None = None,
    ) -> Answered:
        """Return the decision, written down; of one request every decision once."""
        decision = Decision(False, Rule.NOT_PROVEN)
        part = None
        if proven:
            decision = release.decide(await _facts(connection, uri.scid, placed, asker))
        if decision.is_released:
            sealed = await restricted.part(connection, placed.log_id, placed.index)
            if placed.leaf_hash != leaf:
                decision = Decision(False, Rule.REVISED)
            elif sealed is None:
                decision = Decision(False, Rule.GONE)
            else:
                part = self.vault.open(uri.scid, placed.index, sealed)
        await restricted.record_release(
            connection,
            placed.participant_id,
            asker_scid=asker,
            node_scid=node_scid,
            uri=str(uri),
            index=placed.index,
            is_released=decision.is_released,
            rule=decision.rule.value,
            request_hash=request_hash,
        )
        return Answered(decision, part)

    async def _owner_key(self, connection: Connection, scid: str) -> Ed25519PrivateKey:
        """Return the key of the log of a participant at home here, or raise RecordNotFound, KeyMissing."""
        log = await logs.newest_log(connection, scid)
        if log is None or not log.hosted:
            raise RecordNotFound("this node is not the home of that record", scid=scid)
        return self.keys.get(log_key_name(scid, log.epoch, log.key_number))


def given(answered: Answered) -> tuple[bytes, bytes]:
    """Return what was granted, or raise what says why not."""
    if answered.part is not None:
        return answered.part
    rule = answered.decision.rule
    raise REFUSALS.get(rule, RestrictedRefused)(TOLD.get(rule, TOLD[Rule.NOT_ALLOWED]), rule=rule.value)


TOLD = {
    Rule.REVISED: "the record was revised; sync and ask again",
    Rule.GONE: "the restricted part is not there, or not any more",
    Rule.NOT_PROVEN: "the asking participant did not sign this, is not known there, or asks through another node",
    Rule.NOT_ALLOWED: "the owner does not allow this participant its contacts",
}


def _sealed(content: bytes, asked: Asked, body: bytes, key: Ed25519PrivateKey) -> Answer:
    sealed = sealed_to.seal(bytes.fromhex(asked.key), content, restricted_request.answer_info(body))
    return restricted_request.sign_answer(sealed, request=body, log_key=key)


# ---- what is known of a request --------------------------------------------------------------------------------------


def uri_of(asked: Asked) -> RecordUri:
    """Return the record that is asked for, or raise RequestMalformed."""
    try:
        return parse_uri(asked.record)
    except IdMalformed as error:
        raise RequestMalformed(error.message) from None


async def placed_record(connection: Connection, uri: RecordUri) -> Placed:
    """Return where the revision that is shown here is, or raise RecordNotFound."""
    known = {record_type.name: record_type for record_type in RECORDS}
    record_type = known.get(uri.type or "organization")
    found = None
    if record_type is not None and record_type.restricted is not None:
        found = await restricted.placed(connection, record_type.name, record_type.table, uri.scid, uri.id)
    if found is None:
        raise not_found(uri)
    return found


def not_found(uri: RecordUri) -> RecordNotFound:
    """Return the one answer for what is not here, is at home elsewhere, or is not shown: nobody can tell which."""
    return RecordNotFound("there is no such record to be seen here", id=str(uri))


async def is_proven(connection: Connection, asked: Asked, node_scid: str) -> bool:
    """Return whether the participant named really asks through this node (X1.2, X1.3), as far as is known here."""
    asker = await participants.find(connection, asked.asker)
    if asker is None or not asker.did_version or asker.ended:
        return False
    state = await identities.load(connection, asker.id, asker.scid)
    try:
        restricted_request.check_request(asked, node=node_scid, keys=log_service(state).keys)
    except RequestUnproven:
        return False
    return True


async def _facts(connection: Connection, owner: str, placed: Placed, asker: str) -> Facts:
    known = await participants.find(connection, asker)
    return Facts(
        is_owner=asker == owner,
        is_blocked=known is not None and known.trust == "blocked",
        is_chosen=await restricted.is_granted(connection, placed.participant_id, asker),
    )


# ---- what an owner decides -------------------------------------------------------------------------------------------


async def allow(database: Database, owner: str, asker: str, *, actor: str, is_rehearsed: bool = False) -> bool:
    """Allow a participant the owner's restricted parts; return whether it was not allowed before.

    Rehearsed, it checks everything and writes nothing.
    Raises ParticipantNotHosted for an owner of another node, ParticipantNotFound for an asker not known here.
    """
    async with database.transaction() as connection:
        log = await writable_head(connection, owner, lock=False)
        if await participants.find(connection, asker) is None:
            raise ParticipantNotFound("no participant with this id is known here", scid=asker[:64], field="to")
        if is_rehearsed:
            return not await restricted.is_granted(connection, log.participant_id, asker)
        changed = await restricted.grant(connection, log.participant_id, asker, actor)
        await audit.record(connection, actor=actor, action="contact.allow", subject=owner, details={"to": asker})
    return changed


async def deny(database: Database, owner: str, asker: str, *, actor: str, is_rehearsed: bool = False) -> bool:
    """Take that back; return whether it had been allowed. Raises ParticipantNotHosted; rehearsed, it writes nothing."""
    async with database.transaction() as connection:
        log = await writable_head(connection, owner, lock=False)
        if is_rehearsed:
            return await restricted.is_granted(connection, log.participant_id, asker)
        changed = await restricted.revoke(connection, log.participant_id, asker)
        await audit.record(connection, actor=actor, action="contact.deny", subject=owner, details={"to": asker})
    return changed
