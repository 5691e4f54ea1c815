"""Bring a lost participant back on this node: its log from copies, its identity by its cards, its contacts from a
backup. Shell; everything that comes is verified as if a stranger had sent it.

The log is taken from whoever has most of it. Its old key is lost, perhaps stolen, so it is retired where the copies end
and a new one signs from there on: what the old one signed beyond that counts nowhere. Nothing is signed before
everything that can be had is here, so no log says two things at one place.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

import msgspec

from domain.errors import GotongError
from domain.records.registry import RECORDS
from federation.backup import sealed
from federation.backup.contents import Contents, put_back, unpack
from federation.backup.keeping import LISTED_MAX
from federation.backup.sealed import CHUNK_BYTES_MAX, CHUNK_SEAL_BYTES, MANIFEST_BYTES_MAX, BackupMalformed, Manifest
from federation.identity import cards, identities, rekey
from federation.identity.create import Place
from federation.identity.keys import KeyRing
from federation.identity.states import DidStates
from federation.lifecycle import custody
from federation.log.entry import Network
from federation.log.names import parse_origin
from federation.log.service import log_service
from federation.sealing import sealed_to
from federation.sealing.vault import Vault
from federation.sync.client import PeerClient, PeerProtocolError
from federation.sync.messages import HeadOfLog, Heads, Pull, Wanted
from federation.sync.receive import Receiver
from federation.sync.sections import Assembler, Closed, Opened, Pulled
from store import backups, logs, participants
from store import held as held_
from store.database import Connection, Database
from store.logs import LogRow

ROUNDS_MAX = 10_000
MANIFESTS_BYTES_MAX = 2 * LISTED_MAX * MANIFEST_BYTES_MAX


class IdentityNotFound(GotongError):
    """None of these nodes has a backup that these cards open; give the identity that is printed on the cards."""

    code: ClassVar[str] = "IDENTITY_NOT_FOUND"


class LogNotFound(GotongError):
    """None of these nodes has this participant's log in full."""

    code: ClassVar[str] = "LOG_NOT_FOUND"


class AlreadyHosted(GotongError):
    """The participant is hosted here already."""

    code: ClassVar[str] = "ALREADY_HOSTED"


@dataclass(frozen=True, slots=True)
class Source:
    """A node that may have copies: what it says it holds, and the backups there that the cards fetch."""

    url: str
    client: PeerClient
    heads: Heads
    manifests: list[Manifest]


@dataclass(frozen=True, slots=True)
class Found:
    """The newest backup that proved to be one, and what was wrong with newer ones."""

    contents: Contents | None
    refused: dict[str, str]


@dataclass(frozen=True, slots=True)
class Hosting:
    """Where the restored participant lives now: its address, and its place if it is another than before."""

    base_url: str | None
    place: Place | None = None


async def look(client: PeerClient, url: str, seed: bytes) -> Source:
    """Return what a node has; one that keeps no backup for these cards has none. Raises the Peer errors."""
    reader = cards.backup_reader(seed)
    return Source(url, client, await client.heads(), await _manifests(client, reader))


def identity(sources: Sequence[Source], wanted: str | None) -> str:
    """Return the SCID to restore: the one that was named, or the one whose backups the cards fetch."""
    if wanted is not None:
        return wanted.removeprefix("gotong:").removeprefix("did:webvh:").partition(":")[0].partition("/")[0]
    found = {manifest.scid for source in sources for manifest in source.manifests}
    if len(found) != 1:
        raise IdentityNotFound("no backup names the identity of these cards: give it, it is printed on them")
    return found.pop()


async def take_log(
    database: Database, sources: Sequence[Source], scid: str, *, network: Network, clock: Callable[[], datetime]
) -> str:
    """Return the origin of the participant's newest log, taken from all sources, most of it first.

    Raises LogNotFound, or what the last source broke when none had it in full.
    """
    offers = [(head, source) for source in sources for head in source.heads.logs if _is_of(head, scid)]
    if not offers:
        raise LogNotFound("none of these nodes has this participant's log", scid=scid)
    states = DidStates()
    failure: GotongError | None = None
    ordered = sorted(offers, key=lambda offer: (parse_origin(offer[0].origin).epoch, offer[0].size), reverse=True)
    newest = parse_origin(ordered[0][0].origin).epoch
    # Earlier epochs first: a later one is checked against what is held of them.
    for head, source in sorted(ordered, key=lambda offer: parse_origin(offer[0].origin).epoch):
        try:
            await _pull(database, source.client, head.origin, network, clock, states)
        except GotongError as error:
            failure = error
    origin = next(head.origin for head, _ in ordered if parse_origin(head.origin).epoch == newest)
    async with database.acquire() as connection:
        log = await logs.head(connection, origin)
    if log is None or log.size == 0 or log.checkpoint_size != log.size:
        raise failure or LogNotFound("none of these nodes has this participant's log in full", scid=scid)
    return origin


async def fetch_backup(database: Database, sources: Sequence[Source], scid: str, seed: bytes) -> Found:
    """Return the newest backup that is signed by the log and opens with the cards; whatever breaks a rule is passed by.

    `refused` says why, by address and version.
    """
    async with database.acquire() as connection:
        known = await participants.find(connection, scid)
        assert known is not None
        state = await identities.load(connection, known.id, scid)
    refused: dict[str, str] = {}
    offers = [(each, source) for source in sources for each in source.manifests if each.scid == scid]
    for manifest, source in sorted(offers, key=lambda offer: offer[0].version, reverse=True):
        try:
            sealed.check_manifest(manifest, log_service(state).keys)
            return Found(await _opened(source.client, manifest, seed), refused)
        except GotongError as error:
            refused[f"{source.url} {manifest.version}"] = error.code
    return Found(None, refused)


async def begin_again(
    database: Database,
    keys: KeyRing,
    vault: Vault,
    origin: str,
    seed: bytes,
    hosting: Hosting,
    contents: Contents | None,
    *,
    operator_of: Network | None,
    now: datetime,
    before_commit: Callable[[], None] = lambda: None,
) -> tuple[custody.Changed, list[int]]:
    """Return the identity, hosted here with new keys, and the indexes of restricted parts that are missing.

    All of it commits at once. `operator_of` begins a node of that network with the participant as its operator;
    `before_commit` writes down what such a node needs beside its database.
    Raises CardsDoNotFit, AlreadyHosted, and what a DID entry breaks.
    """
    async with database.transaction() as connection:
        log = await logs.lock_head(connection, origin)
        assert log is not None
        await _host(connection, log, operator_of)
        change = await custody.begin(connection, keys, log.scid, seed)
        change.rotate_online_keys()
        if operator_of is None:  # an operator that becomes a guest signs no requests and no logs of others any more
            change.request = change.cosign = ()
        change.service = replace(change.service, base_url=hosting.base_url or change.service.base_url)
        change.place = hosting.place
        changed = await change.commit(now)
        await backups.set_access(connection, log.participant_id, *cards.backup_access(seed))
        empty = Contents(log.scid, now, [], [], [])
        missing = await put_back(connection, log, vault, contents or empty)
        before_commit()
    return changed, missing


async def check_cards(database: Database, scid: str, seed: bytes) -> None:
    """Raise CardsDoNotFit unless the newest DID entry here committed to a key of these cards."""
    async with database.acquire() as connection:
        known = await participants.find(connection, scid)
        assert known is not None
        rekey.update_key_number(seed, await identities.load(connection, known.id, scid))


async def _host(connection: Connection, log: LogRow, operator_of: Network | None) -> None:
    if log.hosted:
        raise AlreadyHosted("this participant is hosted here already", scid=log.scid)
    tables = {record_type.name: record_type.table for record_type in RECORDS}
    await participants.set_trust(connection, [log.participant_id], "allowed", set_by="operator", tables=tables)
    await participants.take_in(connection, log.participant_id)
    if operator_of is not None:
        await participants.begin_node(connection, log.participant_id, operator_of)


async def _pull(
    database: Database,
    client: PeerClient,
    origin: str,
    network: Network,
    clock: Callable[[], datetime],
    states: DidStates,
) -> None:
    """Take all that one node has of one log; raise the rule that it breaks."""
    for _ in range(ROUNDS_MAX):
        async with database.acquire() as connection:
            held = await held_.held(connection, [(parse_origin(origin).scid, origin)])
        await states.load(database, list(held.values()))
        known = held.get(origin)
        wanted = Wanted(origin) if known is None else Wanted(origin, known.size, known.did_version)
        receiver = Receiver(database, network, clock, states, held)
        assembler = Assembler([origin])
        async with _settled(receiver), contextlib.aclosing(client.pull(Pull([wanted]))) as stream:
            async for frames in stream:
                for event in map(assembler.take, frames):
                    if isinstance(event, Opened | Pulled | Closed):
                        await receiver.take(event)
        assembler.finish()
        outcome = receiver.outcomes.get(origin)
        if outcome is None or outcome.error is not None:
            raise (outcome and outcome.error) or LogNotFound("that node does not give this log", origin=origin)
        if outcome.is_complete or not outcome.entries:
            return


@contextlib.asynccontextmanager
async def _settled(receiver: Receiver) -> AsyncIterator[None]:
    try:
        yield
        await receiver.settle()
    finally:
        await receiver.abort()


async def _opened(client: PeerClient, manifest: Manifest, seed: bytes) -> Contents:
    info = sealed.key_info(manifest.scid, manifest.version)
    key = sealed_to.unseal(cards.backup_key(seed), bytes.fromhex(manifest.key), info)
    data = bytearray()
    for number in range(len(manifest.chunks)):
        chunk = await client.get(
            f"backup/{manifest.scid}/{manifest.version}/{number}",
            headers=_fetching(cards.backup_reader(seed)),
            answer_type="application/octet-stream",
            bytes_max=CHUNK_BYTES_MAX + CHUNK_SEAL_BYTES,
        )
        sealed.check_chunk(manifest, number, chunk)
        data += sealed.open_chunk(number, chunk, key)
    return unpack(bytes(data), manifest.scid)


async def _manifests(client: PeerClient, reader: bytes) -> list[Manifest]:
    """Return the manifests a node keeps for this reader; those that are none are left out."""
    try:
        answer = await client.get(
            "backup", headers=_fetching(reader), answer_type="application/json", bytes_max=MANIFESTS_BYTES_MAX
        )
        listed = msgspec.json.decode(answer, type=_Listed).manifests
    except PeerProtocolError:  # it keeps none, or none for these cards
        return []
    except msgspec.DecodeError:
        return []
    found = []
    for text in listed:
        with contextlib.suppress(BackupMalformed):
            found.append(sealed.read_manifest(text.encode()))
    return found


class _Listed(msgspec.Struct, frozen=True):
    manifests: list[str]


def _fetching(reader: bytes) -> dict[str, str]:
    return {"authorization": f"Gotong-Backup {reader.hex()}"}


def _is_of(head: HeadOfLog, scid: str) -> bool:
    with contextlib.suppress(GotongError):
        return parse_origin(head.origin).scid == scid
    return False
