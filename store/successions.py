"""Which participant this node's people found to be the successor of another: rows, one a predecessor."""

from store.database import Connection


async def accept(connection: Connection, predecessor_id: int, successor_id: int, accepted_by: str) -> bool:
    """Remember a successor and return True; False if the predecessor has one already."""
    accepted: bool | None = await connection.fetchval(
        """
        insert into succession (predecessor_id, successor_id, accepted_by) values ($1, $2, $3)
        on conflict do nothing returning true
        """,
        predecessor_id,
        successor_id,
        accepted_by,
    )
    return accepted is True


async def claims(connection: Connection, successor_id: int, predecessor_uri: str) -> bool:
    """Return whether the successor's own organization record says that it succeeds the other."""
    found: bool = await connection.fetchval(
        "select exists(select from organization where publisher_id = $1 and doc ->> 'succeeds' = $2)",
        successor_id,
        predecessor_uri,
    )
    return found
