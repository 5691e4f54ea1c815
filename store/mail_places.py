"""Where requests wait for homes that nobody can connect to, as rows: here, and at peers that say so. SQL only."""

from collections.abc import Sequence

from store.database import Connection

AT_HOME = """
    peer.deposits_here and not home.hosted and home.mirrored_for = peer.id and exists (
        select from participant operator where operator.scid = peer.operator_scid and operator.host = home.host)
"""
"""What holds of a participant `home` whose log a depositor `peer` writes, as long as neither has moved."""


async def settle(connection: Connection, peer_id: int, operator_scid: str, scids: Sequence[str]) -> None:
    """Remember for which of these participants, whose logs a depositor brought, requests are kept for it.

    Those that bear its operator's name under its operator's host: nobody else is given that name there, and who gave it
    may be another mirror. Where nobody else known here lives under that host, those at home at it.
    """
    await connection.execute(
        """
        update participant set mirrored_for = $1
        from participant operator
        where operator.scid = $2 and participant.scid = any($3) and participant.host = operator.host
          and not participant.hosted and participant.mirrored_for is distinct from $1 and (
              participant.slug = operator.slug or starts_with(participant.slug, operator.slug || '-')
              or participant.home_peer_id = $1 and not exists (
                  select from participant neighbour
                  where neighbour.host = operator.host and neighbour.id <> operator.id and (
                      neighbour.hosted or neighbour.scid in (select operator_scid from peer where id <> $1))
              )
          )
        """,
        peer_id,
        operator_scid,
        list(scids),
    )


async def depositor_of(connection: Connection, participant_id: int) -> int | None:
    """Return the peer that writes a participant's log and deposits it here, or None; a blocked one is nobody's home."""
    number: int | None = await connection.fetchval(
        f"""
        select peer.id from participant home join peer on peer.id = home.mirrored_for
        where home.id = $1 and peer.trust <> 'blocked' and home.trust = 'allowed' and {AT_HOME}
        """,
        participant_id,
    )
    return number


async def note(connection: Connection, peer_id: int, kept: Sequence[str], not_kept: Sequence[str]) -> None:
    """Remember of which participants a peer says that it keeps their requests, and of which it does not."""
    await connection.execute(
        """
        delete from mail_place using participant
        where participant.id = participant_id and peer_id = $1 and participant.scid = any($2)
        """,
        peer_id,
        list(not_kept),
    )
    await connection.execute(
        """
        insert into mail_place (participant_id, peer_id) select id, $1 from participant where scid = any($2)
        on conflict do nothing
        """,
        peer_id,
        list(kept),
    )


async def places(connection: Connection, participant_id: int) -> list[int]:
    """Return the allowed peers with an address that say they keep a participant's requests."""
    records = await connection.fetch(
        """
        select peer.id from mail_place join peer on peer.id = peer_id
        where participant_id = $1 and peer.trust = 'allowed' and url is not null order by peer.id
        """,
        participant_id,
    )
    return [record["id"] for record in records]
