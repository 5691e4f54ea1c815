"""Keep requests for restricted parts until their home, which nobody can connect to, fetches them. Shell.

A mirror's part. It takes a proven request for a record of a participant whose node deposits here, gives it to that node
when it asks, and hands the answer to whoever asks with the same request again. It can read no answer and make up none;
what it does not pass on is late, and nothing worse.

Rules, with the error that answers each:
- X3.2 a request waits here when it is proven (X1.2 to X1.4), its asker is allowed here, and the record is of a
  participant that is allowed here and whose home deposits here: RESTRICTED_REQUEST_UNPROVEN, RECORD_NOT_FOUND.
- X3.3 at most MAIL_PER_ASKER_MAX requests of a participant, MAIL_PER_NODE_MAX through one node, and MAIL_PER_HOME_MAX
  to one home with MAIL_BYTES_PER_HOME_MAX of requests and answers are kept: RESTRICTED_MAIL_FULL.
- X3.4 only the owner's home gets the request and brings an answer, and only an answer that the owner's log key signed
  (X2.2) is kept: RESTRICTED_ANSWER_UNPROVEN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import structlog

from domain.errors import GotongError
from federation.identity import identities
from federation.log.service import log_service
from federation.mirror.deposits import DepositNotInvited
from federation.restricted import mail
from federation.restricted import request as restricted_request
from federation.restricted.mail import Brought
from federation.restricted.release import is_proven, not_found, placed_record, uri_of
from federation.restricted.request import WAITING, AnswerUnproven, RequestUnproven
from store import depositors, mail_places, participants, removals, restricted_mail
from store.database import Connection, Database
from store.restricted_mail import Letter

MAIL_PER_ASKER_MAX = 128
MAIL_PER_NODE_MAX = 256
MAIL_PER_HOME_MAX = 2_048
MAIL_BYTES_PER_HOME_MAX = 16 * 1024 * 1024
FULL_RETRY_S = 3_600
COLLECTED_KEPT = timedelta(hours=1)
"""How long an answer is kept after it was handed out: the connection may have been cut."""

_log = structlog.get_logger()


class MailFull(GotongError):
    """As many requests wait at this mirror already as it keeps for that home, or for who asks; come back later."""

    code: ClassVar[str] = "RESTRICTED_MAIL_FULL"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The requests that wait at this node."""

    database: Database
    clock: Callable[[], datetime]

    async def take(self, node_scid: str, body: bytes) -> bytes:
        """Return the answer to a request that the operator `node_scid` signed, if its home has brought it, or WAITING.

        Raises RequestMalformed, and for rules X3.2 and X3.3.
        """
        asked = restricted_request.read_request(body)
        restricted_request.check_time(asked, self.clock())
        hashed, uri = restricted_request.request_hash(body), uri_of(asked)
        async with self.database.transaction() as connection:
            owner_id = (await placed_record(connection, uri)).participant_id
            home = await mail_places.depositor_of(connection, owner_id)
            if home is None:
                raise not_found(uri)
            asker = await participants.find(connection, asked.asker)
            if asker is None or asker.trust != "allowed" or not await is_proven(connection, asked, node_scid):
                raise RequestUnproven("the asking participant did not sign this, or is not allowed here")
            kept = await restricted_mail.find(connection, hashed)
            if kept is not None and kept.answer is not None:
                await restricted_mail.collect(connection, kept.id, self.clock())
                return kept.answer
            if kept is None:
                letter = Letter(hashed, body, owner_id, asked.asker, asked.node, asked.record, asked.until_at)
                await self._keep(connection, letter, home)
        return WAITING

    async def _keep(self, connection: Connection, letter: Letter, home: int) -> None:
        kept = await restricted_mail.kept(connection, letter, home)
        if (
            kept.of_asker >= MAIL_PER_ASKER_MAX
            or kept.of_node >= MAIL_PER_NODE_MAX
            or kept.of_home >= MAIL_PER_HOME_MAX
            or kept.bytes_of_home >= MAIL_BYTES_PER_HOME_MAX
        ):
            raise MailFull("too many requests wait here already", retry_after_s=FULL_RETRY_S)
        await restricted_mail.keep(connection, letter, self.clock())

    async def waiting_for(self, peer_id: int) -> int:
        """Return how many requests are to be given to this peer, those for removal included."""
        async with self.database.acquire() as connection:
            asked = await restricted_mail.due(connection, peer_id, self.clock())
            return asked + await removals.count_waiting(connection, peer_id)

    async def newest(self, peer_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """Return for each of these peers for whom requests wait how far they go: numbers that grow."""
        async with self.database.acquire() as connection:
            asked = await restricted_mail.newest_waiting(connection, peer_ids, self.clock())
            to_remove = await removals.newest_waiting(connection, peer_ids)
        return {each: (asked.get(each, 0), to_remove.get(each, 0)) for each in asked.keys() | to_remove.keys()}

    async def exchange(self, operator_scid: str, brought: Sequence[Brought]) -> list[bytes]:
        """Return requests for a depositor to answer, after keeping what it answered; raises DepositNotInvited.

        An answer that breaks rule X3.4 is left out: the others are kept all the same.
        """
        async with self.database.transaction() as connection:
            peer_id = await depositors.find(connection, operator_scid)
            if peer_id is None:
                raise DepositNotInvited("only nodes that deposit here fetch requests here")
            for each in brought:
                try:
                    await self._keep_answer(connection, peer_id, each)
                except AnswerUnproven as error:
                    _log.warning("restricted_answer_refused", peer=operator_scid, code=error.code)
            return await restricted_mail.give(connection, peer_id, self.clock(), mail.EXCHANGED_MAX)

    async def _keep_answer(self, connection: Connection, peer_id: int, brought: Brought) -> None:
        hashed = bytes.fromhex(brought.request)
        owner = await restricted_mail.asked_of(connection, hashed, peer_id)
        row = None if owner is None else await participants.find(connection, owner)
        if row is None:
            return  # answered before, out of time, or never asked
        state = await identities.load(connection, row.id, row.scid)
        keys = log_service(state).keys
        restricted_request.check_answer(brought.answer, hashed=hashed, keys=keys, has_ended=state.deactivated)
        await restricted_mail.answer(connection, hashed, restricted_request.write_answer(brought.answer))


async def forget_mail(database: Database, now: datetime) -> None:
    """Delete what is over: requests out of time, and answers handed out a while ago."""
    async with database.acquire() as connection:
        await restricted_mail.forget(connection, now, now - COLLECTED_KEPT)
