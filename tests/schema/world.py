"""A small world for questions: participants and records as rows, projected by the real record types."""

import asyncio
import hashlib
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domain.ids import uuid7
from domain.instants import format_instant
from domain.records.registry import RECORDS
from store import texts
from store.database import Connection, Database, connect

BLOCKED_POLL_S = 0.02
NOW = datetime(2026, 11, 22, 7, 0, 0, 123_000, tzinfo=UTC)
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def scid(number: int) -> str:
    """Return the SCID of participant `number`."""
    digest = hashlib.sha256(str(number).encode()).digest() * 2
    return "Qm" + "".join(ALPHABET[byte % 58] for byte in digest[:44])


def uuid(number: int) -> UUID:
    """Return the record id `number`."""
    return uuid7(1_700_000_000_000 + number, number.to_bytes(10))


def need_body(**changes: Any) -> dict[str, Any]:
    """Return a valid need's body."""
    body: dict[str, Any] = {
        "title": [{"lang": "id", "text": "Buku cerita anak"}, {"lang": "en", "text": "Children's story books"}],
        "kind": "GOODS",
        "category": "education.books",
        "quantity": {"value": "40", "unit": "{buku}"},
        "urgency": "MEDIUM",
        "place": {"code": "32.03.28", "edition": "2025", "lat": "-6.75", "lon": "107", "precision_m": 5000},
        "expiresAt": format_instant(NOW + timedelta(days=3000)),
        "modes": ["DONATE", "LEND"],
        "status": "OPEN",
    }
    body |= changes
    return {name: value for name, value in body.items() if value is not None}


def organization_body(**changes: Any) -> dict[str, Any]:
    """Return a valid organization's body."""
    body: dict[str, Any] = {
        "slug": "baca-yuk",
        "name": [{"lang": "id", "text": "Baca Yuk!"}],
        "kind": "COMMUNITY",
        "place": {"code": "32.03.28", "edition": "2025"},
        "languages": ["id", "su"],
        "links": [{"url": "https://example.org/a"}],
        "externalIds": [{"scheme": "iati", "value": 'ID-1:"x"'}],
    }
    body |= changes
    return {name: value for name, value in body.items() if value is not None}


@dataclass
class World:
    """The rows of one test."""

    database: Database
    numbers: "itertools.count[int]"

    async def participant(
        self, number: int, *, trust: str = "allowed", host: str = "a.test", **organization: Any
    ) -> int:
        """Add a participant with its organization and log; return its publisher id."""
        async with self.database.acquire() as connection:
            publisher = await connection.fetchval(
                "insert into participant (scid, did, host, slug, trust) values ($1, $2, $5, $3, $4) returning id",
                scid(number),
                f"did:webvh:{scid(number)}:{host}:o:o{number}",
                f"o{number}",
                trust,
                host,
            )
            await connection.execute(
                "insert into log (participant_id, epoch, origin, size) values ($1, 0, $2, 7)",
                publisher,
                f"gotong/{scid(number)}/0",
            )
        body = organization_body(**{"slug": f"org-{number}", **organization})
        await self.record("organization", publisher, body)
        return int(publisher)

    async def record(
        self,
        type_: str,
        publisher: int,
        body: dict[str, Any],
        *,
        number: int | None = None,
        exercise: bool = False,
        received: datetime | None = None,
        published: datetime | None = None,
        revision: int = 0,
    ) -> UUID:
        """Add one record's row, entry and search row; return its id."""
        record_type = RECORDS.named(type_)
        number = next(self.numbers) if number is None else number
        record_type.validate({}, body, None, rev=0, previous=None)
        at = published or NOW + timedelta(milliseconds=number)
        row = {
            "publisher_id": publisher,
            "record_id": uuid(number),
            "revision": revision,
            "log_id": None,
            "index": number,
            "published_at": at,
            "revised_at": at,
            "received_at": received or NOW + timedelta(seconds=number, microseconds=17),
            "next_due_at": None,
            "exercise": exercise,
            **record_type.row({}, body, at=at, received=NOW),
        }
        async with self.database.acquire() as connection:
            row["log_id"] = await connection.fetchval("select id from log where participant_id = $1", publisher)
            await connection.execute(
                "insert into entry values ($1, $2, $3, $4, $5)",
                row["log_id"],
                number,
                hashlib.sha256(str(number).encode()).digest(),
                b'{"restricted":""}' if number % 3 == 0 else b"{}",
                row["received_at"],
            )
            columns = list(row)
            places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
            await connection.execute(
                f"insert into {record_type.table} ({', '.join(columns)}) values ({places})",
                *row.values(),
            )
            if record_type.table != "update_post":
                await texts.write(connection, record_type.table, [(publisher, uuid(number))])
        return uuid(number)

    async def need(
        self,
        publisher: int,
        *,
        number: int | None = None,
        exercise: bool = False,
        received: datetime | None = None,
        published: datetime | None = None,
        **changes: Any,
    ) -> UUID:
        """Add one need; return its id."""
        return await self.record(
            "need",
            publisher,
            need_body(**changes),
            number=number,
            exercise=exercise,
            received=received,
            published=published,
        )

    async def sign(self, signer: int, size: int) -> None:
        """Let a signed head of that size be what is held of the participant's log."""
        async with self.database.acquire() as connection:
            await connection.execute("update log set checkpoint_size = $2 where participant_id = $1", signer, size)

    async def cosign(self, signer: int, cosigner: int, size: int, at_s: int = 1_000) -> None:
        """Let one participant have cosigned another's log at that size."""
        async with self.database.acquire() as connection:
            await connection.execute(
                "insert into cosignature select id, $2, $3, $4, '' from log where participant_id = $1",
                signer,
                cosigner,
                size,
                at_s,
            )

    async def suppress(self, type_: str, number: int) -> None:
        """Have the operator hide the record of this number, of whichever publishers have one."""
        async with self.database.acquire() as connection:
            await connection.execute(
                f"""
                insert into suppression (publisher_id, type, record_id, at, actor)
                select publisher_id, $1, record_id, $3, 'uji' from {RECORDS.named(type_).table} where record_id = $2
                """,
                type_,
                uuid(number),
                NOW,
            )


async def introduced_again(connection: Connection) -> None:
    """Insert the organizations that a test keeps in the table `kept`."""
    columns = "publisher_id, record_id, revision, log_id, index, published_at, revised_at, received_at, exercise, "
    columns += "slug, name_text, kind, focus, region, region_path, languages, external_ids, search_text, doc"
    await connection.execute(f"insert into organization ({columns}) select {columns} from kept on conflict do nothing")


async def introduced_meanwhile(database: Database, connection: Connection, change: Any) -> None:
    """Do so on a connection of its own, which waits for `change`, a transaction of `connection`; return when both are
    committed."""
    arriving = await connect(database.dsn)
    try:
        arrives = asyncio.ensure_future(introduced_again(arriving))
        waits = "select cardinality(pg_blocking_pids($1))"  # pg_stat_activity stands still inside a transaction
        while not arrives.done() and not await connection.fetchval(waits, arriving.get_server_pid()):  # noqa: ASYNC110
            await asyncio.sleep(BLOCKED_POLL_S)
        assert not arrives.done()
        await change.commit()
        await arrives
    finally:
        await arriving.close()
