"""Ask a record's home for its restricted part, wherever it can be reached, and wait for it if it cannot. Shell.

A home with an address answers at once. One without is asked through its mirrors, through each that is known: the same
request is posted again, word for word, until its answer is at one of them. What is kept meanwhile is the request and a
seed; the key that opens the answer follows from the seed and a secret that is not in the database. An answer is checked
against the owner's identity and the log held here, handed on, and stored nowhere. Nobody but the home can give or
refuse.
"""

import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from domain.errors import GotongError
from domain.ids import RecordUri
from federation.did.state import DidState
from federation.identity import identities
from federation.identity.keys import log_key_name
from federation.identity.writing import writable_head
from federation.log import entry
from federation.log.service import log_service
from federation.moderation.reports import report
from federation.publish.prepare import RecordNotFound
from federation.restricted import request as restricted_request
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import (
    REFUSALS,
    TOLD,
    Releases,
    RestrictedGone,
    RestrictedRefused,
    given,
    placed_record,
)
from federation.restricted.request import AnswerMalformed, AnswerUnproven, RequestUnproven
from federation.sealing import sealed_to
from federation.sync.client import PeerClient, PeerProtocolError
from store import mail_places, participants, peers, restricted_mail
from store.database import Connection
from store.logs import LogRow
from store.participants import ParticipantRow
from store.peers import PeerRow
from store.restricted import Placed
from store.restricted_mail import Pending

WAITS = timedelta(days=7)
"""How long a request waits for its home."""
OTHER_PEERS_MAX = 8
"""Peers that are asked for a home that is no peer, and does not answer where its identity says."""
SEED_BYTES = 32


class HomeUnknown(GotongError):
    """The record's home cannot be asked: no address of it answers, and no peer here takes requests for it."""

    code: ClassVar[str] = "HOME_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The request waits at a mirror since then, until its home comes online or the time is over."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class _Question:
    """A request under way: who is asked about what, and what the answer is checked against."""

    uri: RecordUri
    placed: Placed
    owner: DidState
    home: PeerRow | None
    mirrors: list[PeerRow]
    is_deposited: bool
    participant_id: int
    pending: Pending
    operator: str


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks for participants hosted here. `client` makes a signing client for a peer, `client_at` for an address."""

    releases: Releases
    mailbox: Mailbox
    client: Callable[[PeerRow], PeerClient]
    client_at: Callable[[str], PeerClient]

    async def request(self, asker: str, uri: RecordUri) -> bytes | Waiting:
        """Return the restricted payload of a record for a participant hosted here, or that the request waits.

        Asked again while it waits, it is the same request. Raises RecordNotFound, ParticipantNotHosted, HomeUnknown,
        RestrictedRefused, RestrictedGone, RestrictedRevised, the Peer errors, and what an answer breaks (rules X2).
        """
        question = None
        async with self.releases.database.transaction() as connection:
            operator = await participants.operator(connection)
            assert operator is not None
            log = await writable_head(connection, asker, lock=False)
            placed = await placed_record(connection, uri)
            if entry.parse(placed.entry).restricted is None:
                raise RestrictedGone("the record never had a restricted part", id=str(uri))
            own = None
            if placed.hosted:
                own = await self.releases.decide(
                    connection, uri, placed, asker, operator.scid, proven=True, leaf=placed.leaf_hash
                )
            else:
                question = await self._question(connection, uri, placed, log, operator)
        if question is not None:
            return await self._ask(question)
        assert own is not None
        return given(own)[1]

    async def _question(
        self, connection: Connection, uri: RecordUri, placed: Placed, log: LogRow, operator: ParticipantRow
    ) -> _Question:
        """Return the request that waits already for the same, or a new one, remembered before anybody hears of it.

        It is a new one also where the keys were changed meanwhile, or the participant came here from another node: no
        home takes the one before.
        """
        home = None if placed.home_peer_id is None else await peers.get(connection, placed.home_peer_id)
        pending = await restricted_mail.pending(connection, log.participant_id, str(uri))
        now = self.releases.clock()
        is_good = pending is not None and pending.leaf == placed.leaf_hash and pending.until > now
        if pending is None or not is_good or not await _counts(connection, pending, log, operator.scid):
            there = now - timedelta(milliseconds=0 if home is None else home.skew_ms or 0)
            pending = self._new(uri, placed, log, operator.scid, now, there + WAITS)
            await restricted_mail.ask(connection, log.participant_id, str(uri), pending)
        owner = await identities.load(connection, placed.participant_id, uri.scid)
        is_deposited = await mail_places.depositor_of(connection, placed.participant_id) is not None
        found = [
            await peers.get(connection, each) for each in await mail_places.places(connection, placed.participant_id)
        ]
        mirrors = [each for each in found if each is not None]
        return _Question(uri, placed, owner, home, mirrors, is_deposited, log.participant_id, pending, operator.scid)

    def _new(self, uri: RecordUri, placed: Placed, log: LogRow, node: str, now: datetime, until: datetime) -> Pending:
        seed = secrets.token_bytes(SEED_BYTES)
        request = restricted_request.write_request(
            asker=log.scid,
            node=node,
            record=str(uri),
            leaf=placed.leaf_hash,
            key=self._private(seed).public_key().public_bytes_raw(),
            until=until,
            log_key=self.releases.keys.get(log_key_name(log.scid, log.epoch, log.key_number)),
        )
        return Pending(placed.leaf_hash, seed, request, now, until)

    def _private(self, seed: bytes) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.releases.vault.blinded(b"restricted request\n" + seed))

    # ---- wherever the home can be reached ----------------------------------------------------------------------------

    async def _ask(self, question: _Question) -> bytes | Waiting:
        """Return what the home says, or that the request waits for it; raise what the first one refused with, if none
        knows the home.
        """
        failed: GotongError | None = None
        waiting: Waiting | None = None
        async with contextlib.aclosing(self._answers(question)) as answers:
            async for peer, answer in answers:
                if isinstance(answer, GotongError):
                    failed = failed or answer
                    continue
                try:
                    opened = await self._opened(question, answer)
                    if not isinstance(opened, Waiting):
                        return opened
                    waiting = opened
                except (AnswerMalformed, AnswerUnproven) as error:
                    failed = failed or error
                    if peer is not None and not (
                        isinstance(error, AnswerUnproven) and await self._is_behind(peer, question)
                    ):
                        await report(self.releases.database, peer, error, evidence=answer)
        if waiting is not None:
            return waiting
        raise failed or HomeUnknown("nobody here knows how to reach the home of that record", id=str(question.uri))

    async def _answers(self, question: _Question) -> AsyncGenerator[tuple[PeerRow | None, bytes | GotongError]]:
        """Yield what this node's own mailbox answers, or else the home peer, the address in the identity, and mirrors.

        Other peers are asked where no peer is known to be either: whoever is asked learns who asks for what.
        """
        body = question.pending.request
        if question.is_deposited:
            yield None, await self.mailbox.take(question.operator, body)
            return
        first = [] if question.home is None else [question.home]
        others = [each for each in question.mirrors if each not in first]
        stated = log_service(question.owner).base_url
        for peer in first:
            yield peer, await self._posted(self.client(peer), body)
        if stated not in {each.url for each in (*first, *others)}:
            yield None, await self._posted(self.client_at(stated), body)
        for peer in others:
            yield peer, await self._posted(self.client(peer), body)
        if not first and not others:
            async with self.releases.database.acquire() as connection:
                known = [each for each in await peers.every(connection) if each.trust == "allowed"]
            for peer in known[:OTHER_PEERS_MAX]:
                yield peer, await self._posted(self.client(peer), body)

    async def _posted(self, client: PeerClient, body: bytes) -> bytes | GotongError:
        try:
            async with client:
                return await client.post(
                    "restricted",
                    body,
                    content_type="application/json",
                    answer_type="application/json",
                    bytes_max=restricted_request.ANSWER_BYTES_MAX,
                )
        except PeerProtocolError as error:
            for refusal in (RequestUnproven, RecordNotFound):
                if error.details.get("cause") == refusal.code:
                    return refusal("who was asked for it says so, not the record's home")
            return error
        except GotongError as error:
            return error

    async def _opened(self, question: _Question, answer: bytes) -> bytes | Waiting:
        """Return what the home answered; only its own word ends the waiting.

        Raises AnswerMalformed and AnswerUnproven for an answer that is not the home's, and what the home refuses with.
        """
        pending, owner = question.pending, question.owner
        found = restricted_request.read_answer(answer)
        if found is None:
            return Waiting(pending.asked_at, pending.until)
        hashed = restricted_request.request_hash(pending.request)
        keys = log_service(owner).keys
        sealed = restricted_request.check_answer(found, hashed=hashed, keys=keys, has_ended=owner.deactivated)
        async with self.releases.database.acquire() as connection:
            await restricted_mail.forget_asked(connection, question.participant_id, str(question.uri), pending.request)
        opened = sealed_to.unseal(self._private(pending.seed), sealed, restricted_request.answer_info(pending.request))
        content = restricted_request.read_content(opened)
        if isinstance(content, str):
            raise _refusal(content)
        salt, payload = content
        entry.check_payload(entry.parse(question.placed.entry), "restricted", salt, payload)
        return payload

    async def _is_behind(self, peer: PeerRow, question: _Question) -> bool:
        """Return whether the peer has, or may have, a newer identity of the owner: then its key may be new."""
        try:
            async with self.client(peer) as client:
                told = await client.did_log(question.uri.scid)
        except GotongError:
            return True
        return told.count(b"\n") > question.owner.version_count


def _refusal(code: str) -> GotongError:
    for rule, kind in REFUSALS.items():
        if kind.code == code:
            return kind(TOLD[rule])
    return RestrictedRefused("the owner does not allow this participant its contacts", cause=code)


async def _counts(connection: Connection, pending: Pending, log: LogRow, node: str) -> bool:
    """Return whether a home that knows the newest identity of who asks takes this request."""
    state = await identities.load(connection, log.participant_id, log.scid)
    try:
        restricted_request.check_request(
            restricted_request.read_request(pending.request), node=node, keys=log_service(state).keys
        )
    except RequestUnproven:
        return False
    return True
