"""Answers already given to a writer's key, so that a repeated request repeats its answer and not its effect."""

from collections.abc import Sequence
from typing import Any

from store.database import Connection


async def find(connection: Connection, participant_id: int, keys: Sequence[str]) -> dict[str, tuple[bytes, Any]]:
    """Return (digest, answer) of each of these keys that this participant used before."""
    records = await connection.fetch(
        "select key, digest, answer from idempotency where participant_id = $1 and key = any($2)",
        participant_id,
        list(keys),
    )
    return {record["key"]: (record["digest"], record["answer"]) for record in records}


async def insert(connection: Connection, participant_id: int, rows: Sequence[tuple[str, bytes, Any]]) -> None:
    """Remember (key, blinded digest, answer) rows; the caller holds the participant's log, so no key can race."""
    await connection.copy_records_to_table(
        "idempotency",
        columns=["participant_id", "key", "digest", "answer", "blinded"],
        records=[(participant_id, *row, True) for row in rows],
    )


async def unblinded(connection: Connection, limit: int) -> list[tuple[int, str, bytes]]:
    """Return up to `limit` (participant, key, digest) that an earlier version stored as they were, locked."""
    records = await connection.fetch(
        "select participant_id, key, digest from idempotency where not blinded limit $1 for update", limit
    )
    return [tuple(record) for record in records]


async def blind(connection: Connection, rows: Sequence[tuple[int, str, bytes]]) -> None:
    """Store the blinded digests of (participant, key, blinded digest)."""
    await connection.executemany(
        "update idempotency set digest = $3, blinded = true where participant_id = $1 and key = $2", rows
    )
