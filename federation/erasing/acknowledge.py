"""Say what was erased here, and keep what the operators of other nodes say. Shell.

A node acknowledges when all erasures of a log are out of its database and its files, and again when its operator has
other keys: what the old ones signed counts for nobody any more who had not taken it yet. What others say is kept as the
bytes that they signed and handed on as such, so that it reaches the origin over any number of nodes; nobody's word is
kept but that of operators whose identity is held here.
"""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError
from federation.erasing import acknowledgement
from federation.erasing.acknowledgement import (
    Acknowledgement,
    AcknowledgementMalformed,
    AcknowledgementOfAnotherTree,
    AcknowledgementSignatureInvalid,
)
from federation.identity import identities
from federation.identity.keys import KeyRing, document_key_name
from federation.log import tiles
from federation.log.names import origin as origin_of
from federation.log.note import parse_checkpoint, parse_note
from federation.log.service import cosign_keys
from federation.log.static import LogNotHeld, read_tiles
from store import acknowledgements, logs, participants
from store.database import Connection, Database
from store.logs import LogRow

LOGS_PER_ROUND_MAX = 64
ACKNOWLEDGEMENTS_SERVED_MAX: Final = 64
ACKNOWLEDGEMENT_BYTES_MAX: Final = 1_024


async def acknowledge(database: Database, keys: KeyRing, clock: Callable[[], datetime]) -> int:
    """Sign that the erasures of other participants' logs are executed, where that is not said yet; return how many."""
    said = 0
    async with database.acquire() as connection:
        operator = await participants.operator(connection)
        found = await acknowledgements.with_erasures(connection, LOGS_PER_ROUND_MAX)
        if operator is None or not found:
            return 0
        fragment = cosign_keys(await identities.load(connection, operator.id, operator.scid))[-1].id
        key = keys.get(document_key_name(operator.scid, fragment))
        for log in found:
            before = await acknowledgements.of_operator(connection, log.id, operator.scid)
            if log.newest >= log.checkpoint_size or _says(before, log.newest, key):
                continue
            head = parse_checkpoint(parse_note(log.checkpoint).text)
            statement = Acknowledgement(operator.scid, log.origin, head.size, head.root, clock())
            note = acknowledgement.sign(statement, key)
            said += await acknowledgements.keep(
                connection, log.id, operator.scid, size=head.size, at=statement.at, note=note, now=statement.at
            )
    return said


def _says(note: bytes | None, index: int, key: Ed25519PrivateKey) -> bool:
    """Return whether this key signed that an erasure at this index is executed."""
    if note is None:
        return False
    said = acknowledgement.read(note)
    with contextlib.suppress(AcknowledgementSignatureInvalid):
        acknowledgement.verify(note, said, [key.public_key().public_bytes_raw()])
        return said.size > index
    return False


async def take(database: Database, note: bytes, *, origin: str, now: datetime) -> bool:
    """Keep what an operator says of the log `origin` and return whether it says more than was known.

    Raises AcknowledgementMalformed, AcknowledgementSignatureInvalid, AcknowledgementOfAnotherTree, LogNotHeld.
    """
    said = acknowledgement.read(note)
    async with database.acquire() as connection:
        log = await logs.head(connection, said.origin)
        if log is None or said.origin != origin:
            raise LogNotHeld("no such log is held here", origin=said.origin)
        operator = await participants.find(connection, said.operator)
        if operator is None:
            raise AcknowledgementSignatureInvalid("that operator is not known here", operator=said.operator)
        keys = cosign_keys(await identities.load(connection, operator.id, operator.scid))
        acknowledgement.verify(note, said, [key.public_key for key in keys])
        acknowledgement.check_tree(said, await _root(connection, log, said.size))
        return await acknowledgements.keep(
            connection, log.id, said.operator, size=said.size, at=said.at, note=note, now=now
        )


async def known(database: Database, scid: str, epoch: int) -> list[bytes]:
    """Return what operators said of a log's erasures, as they signed it; raises LogNotHeld, OriginMalformed."""
    async with database.acquire() as connection:
        log = await logs.head(connection, origin_of(scid, epoch))
        if log is None or log.trust != "allowed":
            raise LogNotHeld("no such log is held here")
        found = await acknowledgements.newest(connection, log.id, ACKNOWLEDGEMENTS_SERVED_MAX)
    return [note for _, note in found.values()]


def write_list(notes: Sequence[bytes]) -> bytes:
    """Return statements as the JSON that nodes give each other."""
    return orjson.dumps({"acknowledgements": [note.decode() for note in notes]})


def read_list(data: bytes) -> list[bytes]:
    """Return the statements of such a JSON, at most as many as are served; raises AcknowledgementMalformed."""
    try:
        found = orjson.loads(data)["acknowledgements"]
        return [note.encode() for note in found[:ACKNOWLEDGEMENTS_SERVED_MAX]]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise AcknowledgementMalformed("not a list of acknowledgements") from None


async def _root(connection: Connection, log: LogRow, size: int) -> bytes:
    if size > log.size:
        raise AcknowledgementOfAnotherTree("a longer log than is held here", origin=log.origin, size=size)
    held = await read_tiles(connection, log.id, tiles.root_tiles(size))
    try:
        return tiles.edge_from_tiles(size, held).root()
    except GotongError:
        raise AcknowledgementOfAnotherTree("that size cannot be looked at here", origin=log.origin) from None
