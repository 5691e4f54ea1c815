"""What this node holds of logs that a peer offers, and whose home that peer is. SQL only."""

from collections.abc import Sequence
from dataclasses import dataclass

from store.database import Connection

OTHERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """A participant known here and, if it is here too, the log that was asked about (else size 0).

    `epoch` is that of the log which its DID document states, whichever was asked about.
    """

    scid: str
    participant_id: int
    host: str
    hosted: bool
    trust: str
    did_version: int
    size: int
    edge: bytes
    checkpoint: bytes | None
    checkpoint_size: int
    frozen_size: int | None = None
    log_id: int | None = None
    epoch: int = 0
    quarantined_bytes: int = 0
    did_hash: str = ""


async def held(connection: Connection, logs: Sequence[tuple[str, str]]) -> dict[str, Held]:
    """Return what is known of each (scid, origin), by origin; participants never met are left out."""
    records = await connection.fetch(
        """
        select wanted.origin, participant.scid, participant.id as participant_id, participant.host, participant.hosted,
               participant.trust, participant.did_version, coalesce(log.size, 0) as size,
               coalesce(log.edge, '') as edge, log.checkpoint, coalesce(log.checkpoint_size, 0) as checkpoint_size,
               log.frozen_size, log.id as log_id, participant.epoch,
               coalesce(log.quarantined_bytes, 0) as quarantined_bytes, participant.did_hash
        from unnest($1::text[], $2::text[]) as wanted (scid, origin)
        join participant on participant.scid = wanted.scid
        left join log on log.origin = wanted.origin and log.participant_id = participant.id
        """,
        [scid for scid, _ in logs],
        [origin for _, origin in logs],
    )
    return {record["origin"]: Held(*list(record.values())[1:]) for record in records}


async def earlier_did_lines(connection: Connection, wanted: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Return the DID lines of these (participant id, version) that are held."""
    records = await connection.fetch(
        """
        select participant_id, version, line from did_line
        where (participant_id, version) in (select * from unnest($1::integer[], $2::integer[]))
        """,
        [participant_id for participant_id, _ in wanted],
        [version for _, version in wanted],
    )
    return {(record["participant_id"], record["version"]): record["line"] for record in records}


@dataclass(frozen=True, slots=True)
class Quarantine:
    """How much there is of what nobody has looked at yet: participants, and bytes of their logs."""

    participants: int = 0
    bytes: int = 0


async def quarantine(connection: Connection) -> Quarantine:
    """Return how much is in quarantine."""
    record = await connection.fetchrow(
        """
        select count(distinct participant.id) as participants,
               coalesce(sum(log.quarantined_bytes), 0)::bigint as bytes
        from participant left join log on log.participant_id = participant.id where trust = 'quarantined'
        """
    )
    assert record is not None
    return Quarantine(**dict(record))


async def did_logs(
    connection: Connection, scids: Sequence[str], bytes_max: int
) -> dict[str, tuple[list[bytes], bytes | None]]:
    """Return the DID log lines and the witness proofs of those of these participants that are known.

    Not of all where their lines have more than `bytes_max`, but of one at least.
    """
    records = await connection.fetch(
        """
        with known as (
            select participant.id, participant.scid, sum(sum(length(did_line.line))) over by_id as total,
                   row_number() over by_id as place
            from participant join did_line on did_line.participant_id = participant.id
            where participant.scid = any($1) group by participant.id window by_id as (order by participant.id)
        )
        select known.scid,
               array(select line from did_line where participant_id = known.id order by version) as lines,
               (select proofs from did_witness where participant_id = known.id) as proofs
        from known where total <= $2 or place = 1
        """,
        list(scids),
        bytes_max,
    )
    return {record["scid"]: (record["lines"], record["proofs"]) for record in records}


async def did_log(connection: Connection, scid: str) -> tuple[list[bytes], bytes | None] | None:
    """Return the DID log lines and the witness proofs of a participant, None if it is not known."""
    return (await did_logs(connection, [scid], 0)).get(scid)


async def find_homes(
    connection: Connection, peer_id: int, operator_scid: str, offered_scids: Sequence[str]
) -> list[int]:
    """Make the peer the home of the participants it offers whose DID names its operator's host; return these.

    Whose home is known stays there, unless the DID has moved to another host or this peer is trusted more than the
    one before: two addresses of one node must not take participants from each other for ever.
    """
    records = await connection.fetch(
        """
        with peer_host as (
            select operator.host, peer.trust from peer, participant operator
            where peer.id = $1 and operator.scid = $2
        )
        update participant set home_peer_id = $1
        from peer_host
        where participant.scid = any($3) and participant.host = peer_host.host and not participant.hosted
          and participant.home_peer_id is distinct from $1
          and not exists (
              select from peer home join participant operator on operator.scid = home.operator_scid
              where home.id = participant.home_peer_id and operator.host = participant.host
                and array_position('{blocked,quarantined,allowed}', home.trust)
                    >= array_position('{blocked,quarantined,allowed}', peer_host.trust)
          )
        returning participant.id
        """,
        peer_id,
        operator_scid,
        list(offered_scids),
    )
    return [record["id"] for record in records]


@dataclass(frozen=True, slots=True)
class Other:
    """A participant whose log key is elsewhere, and the address of its home if that is a peer."""

    scid: str
    slug: str
    host: str
    trust: str
    home_url: str | None


async def others(connection: Connection) -> list[Other]:
    """Return the participants of other nodes, those nobody has decided on first, at most OTHERS_MAX."""
    records = await connection.fetch(
        """
        select scid, slug, host, participant.trust, peer.url as home_url
        from participant left join peer on peer.id = home_peer_id
        where not hosted order by participant.trust <> 'quarantined', host, slug limit $1
        """,
        OTHERS_MAX,
    )
    return [Other(**dict(record)) for record in records]
