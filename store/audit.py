"""What operators did, as rows that are only ever added."""

from typing import Any

from store.database import Connection


async def record(connection: Connection, *, actor: str, action: str, subject: str, details: dict[str, Any]) -> None:
    """Write one line, inside the transaction that does what it says."""
    await connection.execute(
        "insert into audit (actor, action, subject, details) values ($1, $2, $3, $4)", actor, action, subject, details
    )
