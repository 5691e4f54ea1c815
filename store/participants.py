"""Participants and their DID logs as rows, and the trust this node's operator gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from store import outbox
from store.database import Connection


@dataclass(frozen=True, slots=True)
class ParticipantRow:
    """A participant this node knows; `id` is local."""

    id: int
    scid: str
    did: str
    host: str
    slug: str
    hosted: bool
    trust: str
    trust_set_by: str
    did_version: int
    ended: bool
    left_at: datetime | None


_COLUMNS = "id, scid, did, host, slug, hosted, trust, trust_set_by, did_version, ended, left_at"


async def find(connection: Connection, scid: str) -> ParticipantRow | None:
    """Return the participant with this SCID, or None."""
    record = await connection.fetchrow(f"select {_COLUMNS} from participant where scid = $1", scid)
    return None if record is None else ParticipantRow(**dict(record))


async def find_hosted(connection: Connection, slug: str) -> ParticipantRow | None:
    """Return the participant hosted here under this slug, or None."""
    record = await connection.fetchrow(f"select {_COLUMNS} from participant where hosted and slug = $1", slug)
    return None if record is None else ParticipantRow(**dict(record))


async def hosted(connection: Connection) -> list[ParticipantRow]:
    """Return the participants hosted here, by slug."""
    records = await connection.fetch(f"select {_COLUMNS} from participant where hosted order by slug")
    return [ParticipantRow(**dict(record)) for record in records]


async def operator(connection: Connection) -> ParticipantRow | None:
    """Return this node's operator participant, or None before `gotong init`."""
    record = await connection.fetchrow(
        f"select {_COLUMNS} from participant where id = (select operator_id from node_state)"
    )
    return None if record is None else ParticipantRow(**dict(record))


async def insert(connection: Connection, *, scid: str, did: str, host: str, slug: str, hosted: bool, trust: str) -> int:
    """Insert a participant, or lock and return the one that is there."""
    number: int = await connection.fetchval(
        """
        insert into participant (scid, did, host, slug, hosted, trust) values ($1, $2, $3, $4, $5, $6)
        on conflict (scid) do update set scid = excluded.scid returning id
        """,
        scid,
        did,
        host,
        slug,
        hosted,
        trust,
    )
    return number


async def did_version(connection: Connection, participant_id: int) -> int:
    """Return how many lines of the participant's DID log are held."""
    version: int = await connection.fetchval("select did_version from participant where id = $1", participant_id)
    return version


async def did_lines(connection: Connection, participant_id: int) -> list[bytes]:
    """Return the participant's DID log, one line a version, in order."""
    records = await connection.fetch(
        "select line from did_line where participant_id = $1 order by version", participant_id
    )
    return [record["line"] for record in records]


async def did_witness(connection: Connection, participant_id: int) -> bytes | None:
    """Return the witness proofs that go with the DID log, if any."""
    value: bytes | None = await connection.fetchval(
        "select proofs from did_witness where participant_id = $1", participant_id
    )
    return value


@dataclass(frozen=True, slots=True)
class Stated:
    """What the newest version of a participant's DID log says, and which number and hash it has."""

    version: int
    hash: str
    did: str
    host: str
    slug: str
    epoch: int
    ended: bool


async def append_did_lines(
    connection: Connection,
    participant_id: int,
    lines: Sequence[bytes],
    stated: Stated,
    *,
    witness: bytes | None = None,
) -> None:
    """Write the last lines of a verified DID log and what the newest of them says.

    A participant that moved has no home until a peer says to be it; the trust it had from the old one it keeps.
    """
    first_version = stated.version - len(lines) + 1
    await connection.executemany(
        "insert into did_line (participant_id, version, line) values ($1, $2, $3) on conflict do nothing",
        [(participant_id, first_version + offset, line) for offset, line in enumerate(lines)],
    )
    await connection.execute(
        """
        update participant
        set did_version = $2, did = $3, host = $4, slug = $5, epoch = $6, ended = $7,
            did_hash = $8,
            home_peer_id = case when host = $4 then home_peer_id end,
            trust_set_by = case when host <> $4 and trust_set_by = 'peer' then 'kept' else trust_set_by end
        where id = $1
        """,
        participant_id,
        stated.version,
        stated.did,
        stated.host,
        stated.slug,
        stated.epoch,
        stated.ended,
        stated.hash,
    )
    if witness is not None:
        await connection.execute(
            """
            insert into did_witness (participant_id, proofs) values ($1, $2)
            on conflict (participant_id) do update set proofs = excluded.proofs
            """,
            participant_id,
            witness,
        )


async def let_go(connection: Connection, participant_id: int) -> None:
    """Have a participant hosted here be hosted elsewhere from now on; what it published stays visible here."""
    await connection.execute(
        "update participant set hosted = false, left_at = now(), trust_set_by = 'kept' where id = $1 and hosted",
        participant_id,
    )


async def take_in(connection: Connection, participant_id: int) -> None:
    """Have a participant be hosted here from now on; always shown, like every one that is."""
    await connection.execute(
        """
        update participant
        set hosted = true, left_at = null, home_peer_id = null, trust = 'allowed', trust_set_by = 'default'
        where id = $1
        """,
        participant_id,
    )


async def set_trust(
    connection: Connection,
    participant_ids: Sequence[int],
    trust: str,
    *,
    set_by: str,
    tables: dict[str, str],
    kept_too: bool = True,
) -> list[int]:
    """Set trust and return the participants whose trust changed; what becomes visible is put into the outbox.

    `set_by` 'peer' leaves alone what an operator decided, and without `kept_too` also what participants brought along
    when they moved. `tables` maps record types to their tables. Call inside a transaction.
    """
    changed = await connection.fetch(
        """
        update participant set trust = $2, trust_set_by = $3
        where id = any($1) and not hosted and ($3 = 'operator' or trust_set_by <> 'operator')
          and ($4 or trust_set_by <> 'kept') and (trust <> $2 or trust_set_by <> $3)
        returning id, (select old.trust from participant old where old.id = participant.id) as was
        """,
        list(participant_ids),
        trust,
        set_by,
        kept_too,
    )
    now_visible = [row["id"] for row in changed if trust == "allowed" and row["was"] != "allowed"]
    if now_visible:
        for record_type, table in tables.items():
            await connection.execute(
                f"""
                insert into outbox (kind, type, publisher_id, record_id, revision)
                select $2, $3, publisher_id, record_id, revision from {table} where publisher_id = any($1)
                order by received_at
                """,
                now_visible,
                outbox.PUBLISHED,
                record_type,
            )
        await outbox.announce(connection, outbox.OUTBOX_CHANNEL)
    return [row["id"] for row in changed]


async def decided(connection: Connection) -> dict[str, str]:
    """Return what this node's operator decided about single participants of other nodes: trust by SCID."""
    records = await connection.fetch(
        "select scid, trust from participant where trust_set_by = 'operator' and not hosted order by scid"
    )
    return {record["scid"]: record["trust"] for record in records}


async def network(connection: Connection) -> str:
    """Return the network that this database's node is on; it has begun."""
    found: str = await connection.fetchval("select network from node_state")
    return found


async def begin_node(connection: Connection, operator_id: int, network: str) -> None:
    """Have this database be that of a node of this operator."""
    await connection.execute("insert into node_state (network, operator_id) values ($1, $2)", network, operator_id)
