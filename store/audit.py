"""What operators did, append-only: nothing here changes or removes a row."""

from typing import Any

from store.database import Connection


async def record(
    connection: Connection, *, actor: str, action: str, subject: str, details: dict[str, Any] | None = None
) -> None:
    """Write one line of the audit table, inside the transaction that does what it says."""
    await connection.execute(
        "insert into audit (actor, action, subject, details) values ($1, $2, $3, $4)",
        actor,
        action,
        subject,
        details or {},
    )
