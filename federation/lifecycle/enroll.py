"""Bring a participant into being on this node: DID, log key, and a log whose genesis entry is signed. Shell.

The kit's seed is used and forgotten here; only its cards keep it, so they are
written before anything is committed: no identity exists without its cards.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NotRequired, TypedDict, Unpack

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError
from domain.ids import uuid7
from domain.records.registry import RECORDS
from federation.did import webvh as did
from federation.identity import cards, identities
from federation.identity.create import Created, Place, create, public_key
from federation.identity.keys import KeyRing, document_key_name, log_key_name
from federation.lifecycle.guests import Admit
from federation.log import entry, merkle, note, tiles
from federation.log.entry import Network
from federation.log.names import origin as origin_of
from store import backups, depositors, logs, participants, records
from store.database import Connection, Database
from store.logs import StoredEntry

KeepCards = Callable[[str], None]
"""Given the new DID, puts the cards of its seed where people will find them, durably."""


class NodeExists(GotongError):
    """This database already belongs to a node."""

    code: ClassVar[str] = "NODE_EXISTS"


class NodeMissing(GotongError):
    """This database holds no node yet; `gotong init` makes one."""

    code: ClassVar[str] = "NODE_MISSING"


class SlugTaken(GotongError):
    """Another participant of this node has that short name."""

    code: ClassVar[str] = "SLUG_TAKEN"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new participant; `participant_id` is local to this database."""

    participant_id: int
    scid: str
    did: str
    origin: str


def no_cards(_did: str) -> None:
    """Keep none: for networks where an identity may be lost."""


class Beginning(TypedDict):
    """What every identity begins with: its place, where it is served, the kit's seed, who keeps the seed's cards."""

    place: Place
    base_url: str
    seed: bytes
    now: datetime
    keep_cards: NotRequired[KeepCards]


async def start_node(
    database: Database, keys: KeyRing, *, network: Network, **beginning: Unpack[Beginning]
) -> Enrolled:
    """Return the operator participant of a node begun in an empty database, or raise NodeExists."""
    async with database.transaction() as connection:
        if not await connection.fetchval(
            "insert into node_state (network) values ($1) on conflict do nothing returning true", network
        ):
            raise NodeExists("this database already belongs to a node")
        enrolled = await _enroll(connection, keys, network=network, operator=True, **beginning)
        await connection.execute("update node_state set operator_id = $1", enrolled.participant_id)
    return enrolled


async def create_participant(
    database: Database, keys: KeyRing, *, admit: Admit | None = None, **beginning: Unpack[Beginning]
) -> Enrolled:
    """Return a new participant hosted on this node; raise NodeMissing before `start_node`, SlugTaken, or `admit`'s."""
    slug = beginning["place"].slug
    async with database.transaction() as connection:
        network = await connection.fetchval("select network from node_state for share")
        if network is None:
            raise NodeMissing("there is no node in this database yet; run `gotong init` first")
        if await participants.find_hosted(connection, slug) is not None:
            raise SlugTaken("another participant of this node has that short name", slug=slug)
        if await depositors.name_is_given_away(connection, slug, beginning["now"]):
            raise SlugTaken("that short name is kept for a node that was invited", slug=slug)
        enrolled = await _enroll(connection, keys, network=network, operator=False, **beginning)
        if admit is not None:
            await admit(connection, enrolled.participant_id)
    return enrolled


async def without_organization(connection: Connection, slug: str) -> Enrolled | None:
    """Return the participant hosted here under `slug` if it has published no organization record yet, else None."""
    found = await participants.find_hosted(connection, slug)
    if found is None:
        return None
    table = RECORDS.named("organization").table
    if await records.any_record(connection, table, found.id) is not None:
        return None
    log = await logs.newest_log(connection, found.scid)
    assert log is not None
    return Enrolled(found.id, found.scid, found.did, log.origin)


async def _enroll(
    connection: Connection,
    keys: KeyRing,
    *,
    network: Network,
    operator: bool,
    place: Place,
    base_url: str,
    seed: bytes,
    now: datetime,
    keep_cards: KeepCards = no_cards,
) -> Enrolled:
    log_key = Ed25519PrivateKey.generate()
    extra = {name: Ed25519PrivateKey.generate() for name in ("request", "cosign")} if operator else {}
    created = create(
        place,
        base_url=base_url,
        network=network,
        log_public_key=log_key.public_key().public_bytes_raw(),
        update_key=cards.update_key(seed, 0),
        next_public_key=public_key(cards.update_key(seed, 1)),
        now=now,
        **{f"{name}_public_key": key.public_key().public_bytes_raw() for name, key in extra.items()},
    )
    keep_cards(created.did)
    keys.save(log_key_name(created.scid, 0, 0), log_key)
    for name, key in extra.items():
        keys.save(document_key_name(created.scid, f"#{name}-0"), key)
    participant_id = await _insert(connection, created, now)
    await backups.set_access(connection, participant_id, *cards.backup_access(seed))
    origin = origin_of(created.scid, 0)
    await _start_log(connection, participant_id, origin, created.scid, network, log_key, now)
    return Enrolled(participant_id, created.scid, created.did, origin)


async def _insert(connection: Connection, created: Created, now: datetime) -> int:
    host, slug = identities.host_and_slug(created.did)
    participant_id = await participants.insert(
        connection, scid=created.scid, did=created.did, host=host, slug=slug, hosted=True, trust="allowed"
    )
    state = did.verify([created.line], now=now, scid=created.scid)
    await identities.extend(connection, participant_id, state, [created.line])
    return participant_id


async def _start_log(
    connection: Connection,
    participant_id: int,
    origin: str,
    scid: str,
    network: Network,
    log_key: Ed25519PrivateKey,
    now: datetime,
) -> None:
    record_id = uuid7(int(now.timestamp() * 1000), secrets.token_bytes(10))
    data = entry.genesis(scid, 0, network, now, record_id)
    log_id = await logs.create(connection, participant_id, 0, origin)
    leaf = merkle.leaf_hash(data)
    await logs.insert_entries(connection, log_id, [StoredEntry(0, leaf, data)], now)
    edge, _ = tiles.append(merkle.Edge.EMPTY, [leaf])
    checkpoint = note.sign_checkpoint(note.Checkpoint(origin, edge.size, edge.root()), note.Signer(origin, log_key))
    await logs.set_head(
        connection, log_id, size=edge.size, edge=edge.to_bytes(), checkpoint=checkpoint, verified_at=now
    )
