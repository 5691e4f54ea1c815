"""What this node chose to mirror, and which logs lie outside of it. SQL only."""

from collections.abc import Sequence

from store.database import Connection

IN_REGIONS = """
    (
        select publisher_id from organization where region_path && {codes}
        union select publisher_id from need where region_path && {codes}
        union select publisher_id from activity where region_path && {codes}
    )
"""
"""The participants that say they are in these regions, or publish something there."""
LEFT_OUT_MAX = 2**31 - 1
"""More logs than that a peer may claim, and nobody has: a column and GraphQL's Int hold no more."""


async def choices(connection: Connection) -> list[str]:
    """Return the region codes and SCIDs chosen; none: everything is mirrored."""
    return [record["what"] for record in await connection.fetch("select what from mirror_choice order by what")]


async def choose(connection: Connection, what: Sequence[str]) -> None:
    """Choose these instead of what was chosen before."""
    await connection.execute("delete from mirror_choice")
    await connection.execute("insert into mirror_choice (what) select distinct unnest($1::text[])", list(what))


async def inside(connection: Connection, regions: Sequence[str], scids: Sequence[str]) -> set[int]:
    """Return the participants whose records say that they are in these regions, and the ones named."""
    records = await connection.fetch(
        f"""
        select publisher_id as id from {IN_REGIONS.format(codes="$1::text[]")} inside
        union select id from participant where scid = any($2)
        """,
        list(regions),
        list(scids),
    )
    return {record["id"] for record in records}


async def outside(
    connection: Connection, scids: Sequence[str], regions: Sequence[str], chosen: Sequence[str]
) -> set[str]:
    """Return those of these participants whose records here say that they are elsewhere, and who were not chosen.

    Whoever published nothing that is here yet is not judged, nor whoever is hosted here.
    """
    records = await connection.fetch(
        f"""
        select scid from participant
        where scid = any($1) and not hosted and scid <> all($3)
          and id in (select publisher_id from organization union select publisher_id from need)
          and id not in {IN_REGIONS.format(codes="$2::text[]")}
        """,
        list(scids),
        list(regions),
        list(chosen),
    )
    return {record["scid"] for record in records}


async def remember_left_out(connection: Connection, peer_id: int, count: int) -> None:
    """Remember how many of a peer's logs were left out of its last exchange, at most LEFT_OUT_MAX."""
    left_out = min(count, LEFT_OUT_MAX)
    await connection.execute(
        "update peer set logs_left_out = $2 where id = $1 and logs_left_out <> $2", peer_id, left_out
    )
