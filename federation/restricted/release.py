"""Give restricted parts to whom their owner allows, ask other homes for theirs, and write all of it down. Shell.

At home: a request that is proven is decided by `domain.release` from facts gathered here. Every answer, given or
refused, is a row that is never changed, in the transaction that makes the answer. Elsewhere: an answer is opened,
checked against the log held here, and handed on; it is stored nowhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from domain import release
from domain.errors import GotongError
from domain.ids import IdMalformed, RecordUri, parse_uri
from domain.records.registry import RECORDS
from domain.release import Decision, Facts, Rule
from federation.did.service import log_service
from federation.identity import identities
from federation.identity.keys import KeyRing, log_key_name
from federation.log import entry
from federation.moderation.trust import ParticipantNotFound
from federation.publish.prepare import RecordNotFound
from federation.publish.writing import writable_head
from federation.restricted import request as restricted_request
from federation.restricted import sealed_to
from federation.restricted.request import Asked, RequestUnproven
from federation.restricted.vault import Vault
from federation.sync.client import PeerClient, PeerProtocolError
from store import audit, participants, peers, restricted
from store.database import Connection, Database
from store.peers import PeerRow
from store.restricted import Placed


class RestrictedRefused(GotongError):
    """The record's owner does not allow the asking participant its restricted part; the owner sees that it asked."""

    code: ClassVar[str] = "RESTRICTED_REFUSED"


class RestrictedGone(GotongError):
    """The record has no restricted part, or it was destroyed."""

    code: ClassVar[str] = "RESTRICTED_GONE"


class RestrictedRevised(GotongError):
    """The record was revised since the asking node read it; sync, then ask again."""

    code: ClassVar[str] = "RESTRICTED_REVISED"


class HomeUnknown(GotongError):
    """The record's home is no peer with an address here, so it cannot be asked."""

    code: ClassVar[str] = "HOME_UNKNOWN"


REFUSED_BY_HOME = (RestrictedRefused, RestrictedGone, RestrictedRevised, RequestUnproven, RecordNotFound)
REFUSALS = {Rule.REVISED: RestrictedRevised, Rule.GONE: RestrictedGone, Rule.NOT_PROVEN: RequestUnproven}


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request was decided and, if it was granted, the part: salt and payload."""

    decision: Decision
    part: tuple[bytes, bytes] | None


@dataclass(frozen=True, slots=True)
class RestrictedParts:
    """Both sides of a request. `client` makes a signing client for a peer."""

    database: Database
    keys: KeyRing
    vault: Vault
    client: Callable[[PeerRow], PeerClient]

    # ---- this node is the home ---------------------------------------------------------------------------------------

    async def answer(self, node_scid: str, body: bytes) -> bytes:
        """Return the answer to a request that the operator `node_scid` signed.

        Raises RequestMalformed, RecordNotFound and, written down, RequestUnproven, RestrictedRefused, RestrictedGone,
        RestrictedRevised.
        """
        asked = restricted_request.read_request(body)
        uri = _uri(asked.record)
        async with self.database.transaction() as connection:
            answered = await self._answered(connection, uri, asked, node_scid)
        part = b"".join(_given(answered))
        sealed = sealed_to.seal(bytes.fromhex(asked.key), part, restricted_request.answer_info(body))
        return restricted_request.write_answer(sealed)

    async def _answered(self, connection: Connection, uri: RecordUri, asked: Asked, node_scid: str) -> Answered:
        placed = await _placed(connection, uri)
        if not placed.hosted:
            raise _not_found(uri)
        proven = await _is_proven(connection, asked, node_scid)
        return await self._decided(
            connection, uri, placed, asked.asker, node_scid, proven=proven, leaf=bytes.fromhex(asked.leaf)
        )

    async def _decided(
        self,
        connection: Connection,
        uri: RecordUri,
        placed: Placed,
        asker: str,
        node_scid: str,
        *,
        proven: bool,
        leaf: bytes,
    ) -> Answered:
        """Return the decision, written down."""
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
        )
        return Answered(decision, part)

    # ---- this node asks ----------------------------------------------------------------------------------------------

    async def request(self, asker: str, uri: RecordUri) -> bytes:
        """Return the restricted payload of a record for a participant hosted here; it is stored nowhere.

        Raises RecordNotFound, ParticipantNotHosted, HomeUnknown, RestrictedRefused, RestrictedGone, RestrictedRevised,
        the Peer errors, and what an answer breaks (rules X2).
        """
        async with self.database.transaction() as connection:
            operator = await participants.operator(connection)
            assert operator is not None
            log = await writable_head(connection, asker, lock=False)
            placed = await _placed(connection, uri)
            if entry.parse(placed.entry).restricted is None:
                raise RestrictedGone("the record never had a restricted part", id=str(uri))
            home = None if placed.home_peer_id is None else await peers.get(connection, placed.home_peer_id)
            own = None
            if placed.hosted:
                leaf = placed.leaf_hash
                own = await self._decided(connection, uri, placed, asker, operator.scid, proven=True, leaf=leaf)
        if own is not None:
            return _given(own)[1]
        if home is None:
            raise HomeUnknown("the home of that record is no peer of this node", id=str(uri))
        private = X25519PrivateKey.generate()
        body = restricted_request.write_request(
            asker=asker,
            node=operator.scid,
            record=str(uri),
            leaf=placed.leaf_hash,
            key=private.public_key().public_bytes_raw(),
            log_key=self.keys.get(log_key_name(asker, log.epoch, log.key_number)),
        )
        return _checked(placed, private, body, await self._asked(home, body))

    async def _asked(self, home: PeerRow, body: bytes) -> bytes:
        """Return the answer of a record's home, or raise what it refuses with."""
        try:
            async with self.client(home) as client:
                return await client.post(
                    "restricted",
                    body,
                    content_type="application/json",
                    answer_type="application/json",
                    bytes_max=restricted_request.ANSWER_BYTES_MAX,
                )
        except PeerProtocolError as error:
            for refusal in REFUSED_BY_HOME:
                if error.details.get("cause") == refusal.code:
                    raise refusal("the record's home refuses", home=home.url) from None
            raise


def _checked(placed: Placed, private: X25519PrivateKey, request: bytes, answer: bytes) -> bytes:
    """Return the payload in an answer if it is the one that the entry commits to (rules X2)."""
    sealed = restricted_request.read_answer(answer)
    opened = sealed_to.unseal(private, sealed, restricted_request.answer_info(request))
    salt, payload = restricted_request.split_part(opened)
    entry.check_payload(entry.parse(placed.entry), "restricted", salt, payload)
    return payload


def _given(answered: Answered) -> tuple[bytes, bytes]:
    """Return what was granted, or raise what says why not."""
    if answered.part is not None:
        return answered.part
    rule = answered.decision.rule
    if rule in REFUSALS:
        raise REFUSALS[rule](_TOLD[rule])
    raise RestrictedRefused("the owner does not allow this participant its contacts", rule=rule.value)


_TOLD = {
    Rule.REVISED: "the record was revised; sync and ask again",
    Rule.GONE: "the restricted part is not there, or not any more",
    Rule.NOT_PROVEN: "the asking participant did not sign this, is not known here, or asks through another node",
}


def _uri(text: str) -> RecordUri:
    try:
        return parse_uri(text)
    except IdMalformed as error:
        raise restricted_request.RequestMalformed(error.message) from None


async def _placed(connection: Connection, uri: RecordUri) -> Placed:
    """Return where the revision that is shown here is, or raise RecordNotFound."""
    known = {record_type.name: record_type for record_type in RECORDS}
    record_type = known.get(uri.type or "organization")
    found = None
    if record_type is not None and record_type.restricted is not None:
        found = await restricted.placed(connection, record_type.name, record_type.table, uri.scid, uri.id)
    if found is None:
        raise _not_found(uri)
    return found


def _not_found(uri: RecordUri) -> RecordNotFound:
    """Return the one answer for what is not here, is at home elsewhere, or is not shown: nobody can tell which."""
    return RecordNotFound("there is no such record to be seen here", id=str(uri))


async def _is_proven(connection: Connection, asked: Asked, node_scid: str) -> bool:
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
