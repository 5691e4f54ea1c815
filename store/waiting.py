"""What people asked to publish while nothing may be signed, as rows, oldest first. SQL only; contents are sealed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from store.database import Connection
from store.logs import Sealed


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """One record to publish; `expected_revision` is the one it was written against, -1 for none."""

    id: int
    scid: str
    slug: str
    type: str
    record_id: UUID | None
    expected_revision: int
    key: str
    sealed: Sealed
    asked_at: datetime
    refused_code: str | None
    refused_text: str | None


_SELECT = """
    select waiting.id, scid, slug, type, record_id, expected_revision, key, key_number, nonce, sealed, asked_at,
           refused_code, refused_text
    from waiting join participant on participant.id = participant_id
"""


async def add(
    connection: Connection,
    *,
    scid: str,
    type_: str,
    record_id: UUID | None,
    expected_revision: int,
    key: str,
    blinded: bytes,
    sealed: Sealed,
    asked_at: datetime,
) -> bytes:
    """Keep a record to publish, unless one came with that key before; return the blinded digest of the one kept."""
    kept: bytes = await connection.fetchval(
        """
        insert into waiting (participant_id, type, record_id, expected_revision, key, digest,
                             key_number, nonce, sealed, asked_at)
        select id, $2, $3, $4, $5, $6, $7, $8, $9, $10 from participant where scid = $1
        on conflict (participant_id, key) do update set key = excluded.key returning digest
        """,
        scid,
        type_,
        record_id,
        expected_revision,
        key,
        blinded,
        sealed.key_number,
        sealed.nonce,
        sealed.data,
        asked_at,
    )
    return kept


async def listed(connection: Connection, limit: int) -> list[WaitingRow]:
    """Return what waits, and what was refused when its turn came, oldest first."""
    return [_row(record) for record in await connection.fetch(f"{_SELECT} order by waiting.id limit $1", limit)]


async def first_of_each(connection: Connection) -> list[WaitingRow]:
    """Return the oldest of each participant that was not refused yet."""
    records = await connection.fetch(
        f"""
        {_SELECT} where waiting.id in (
            select min(id) from waiting where refused_code is null group by participant_id
        ) order by waiting.id
        """
    )
    return [_row(record) for record in records]


async def remove(connection: Connection, number: int) -> None:
    """Forget one: it is published."""
    await connection.execute("delete from waiting where id = $1", number)


async def refuse(connection: Connection, number: int, code: str, text: str) -> None:
    """Keep one for the operator: when its turn came it broke a rule."""
    await connection.execute(
        "update waiting set refused_code = $2, refused_text = $3 where id = $1", number, code, text
    )


def _row(record: object) -> WaitingRow:
    values = dict(record)  # type: ignore[call-overload]
    sealed = Sealed(values.pop("key_number"), values.pop("nonce"), values.pop("sealed"))
    return WaitingRow(sealed=sealed, **values)


async def key_numbers(connection: Connection) -> set[int]:
    """Return the numbers of the secrets that sealed what still waits."""
    return {record["key_number"] for record in await connection.fetch("select distinct key_number from waiting")}
