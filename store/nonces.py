"""Nonces of signed requests as rows, which all processes of a node share."""

from datetime import datetime

from store.database import Connection


async def use(connection: Connection, scid: str, nonce: str, expires_at: datetime) -> bool:
    """Remember a nonce; return whether it was new.

    The commit is not waited for on disk: after a crash of the database the last instants' nonces may be forgotten,
    which lets those requests be heard once more, and costs a request nothing for it.
    """
    is_new = await connection.fetchval(
        """
        insert into request_nonce (scid, nonce, expires_at)
        select $1, $2, $3 from (select set_config('synchronous_commit', 'off', true)) as this_transaction
        on conflict do nothing returning true
        """,
        scid,
        nonce,
        expires_at,
    )
    return is_new is True


async def forget(connection: Connection, before: datetime) -> None:
    """Forget the nonces of requests that expired before this instant."""
    await connection.execute("delete from request_nonce where expires_at < $1", before)
