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
    """Remember (key, digest, answer) rows; the caller holds the participant's log, so no key can race."""
    await connection.copy_records_to_table(
        "idempotency",
        columns=["participant_id", "key", "digest", "answer"],
        records=[(participant_id, *row) for row in rows],
    )
