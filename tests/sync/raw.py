"""Write into a log what the appender would refuse: entries of a newer program, or of a liar with a true key."""

import uuid
from collections.abc import Sequence
from typing import Any

from domain.ids import uuid7
from federation.encoding import canonical
from federation.identity.keys import log_key_name
from federation.lifecycle.enroll import Enrolled
from federation.log import entry, merkle, note, tiles
from federation.log.verify import Received
from store import logs
from store.logs import StoredEntry
from tests.nodes import TestNode

SALT = bytes(range(16))


def new_id(node: TestNode, number: int) -> uuid.UUID:
    """Return the UUIDv7 number `number` of now."""
    return uuid7(int(node.clock().timestamp() * 1000), number.to_bytes(10, "big"))


def hand_built(node: TestNode, number: int, record_type: str, body: dict[str, Any], *, v: int = 1) -> Received:
    """Return an entry with its payload, of any type and version."""
    payload = canonical.encode(body)
    data = entry.build(
        type=record_type, id=new_id(node, number), at=node.clock(), v=v, body=entry.commit(SALT, payload)
    )
    return Received(data, SALT, payload)


async def append_raw(
    node: TestNode, who: Enrolled, entries: Sequence[Received], *, key_number: int | None = None
) -> None:
    """Append entries, signed with the log's own key or one of its earlier ones, unchecked and unprojected."""
    async with node.database.transaction() as connection:
        log = await logs.lock_head(connection, who.origin)
        assert log is not None
        leaves = [merkle.leaf_hash(each.data) for each in entries]
        stored = [
            StoredEntry(log.size + offset, leaf, each.data, (each.salt, each.body) if each.salt and each.body else None)
            for offset, (each, leaf) in enumerate(zip(entries, leaves, strict=True))
        ]
        await logs.insert_entries(connection, log.id, stored, node.clock())
        edge, completed = tiles.append(merkle.Edge.from_bytes(log.size, log.edge), leaves)
        await logs.insert_tile_hashes(connection, log.id, completed)
        number = log.key_number if key_number is None else key_number
        signer = note.Signer(who.origin, node.keys.get(log_key_name(who.scid, log.epoch, number)))
        signed = note.sign_checkpoint(note.Checkpoint(who.origin, edge.size, edge.root()), signer)
        await logs.set_head(
            connection, log.id, size=edge.size, edge=edge.to_bytes(), checkpoint=signed, verified_at=node.clock()
        )
