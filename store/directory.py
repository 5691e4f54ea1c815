"""Who may be named to others: this node if its operator says so, and peers that say so themselves. SQL only."""

from dataclasses import dataclass

from store.database import Connection


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A node that may be named; `url` is None for this one."""

    url: str | None
    operator: str
    name: str | None
    regions: list[str]
    participants: int


async def listed(
    connection: Connection, *, own: bool, region: str | None, limit: int, regions_max: int
) -> list[ListedRow]:
    """Return the nodes that may be named and have a participant in the region (None: anywhere), this one first.

    A peer is named when it says that it may be, its operator here allows it, and it answered within a week. Regions
    are regencies. `own` says whether this node may be named.
    """
    records = await connection.fetch(
        """
        select node.url, operator.scid as operator, organization.name_text -> 0 ->> 'text' as name,
               coalesce(people.regions[1:$4], '{}') as regions, coalesce(people.participants, 0) as participants
        from (
            select 0 as place, null::integer as peer_id, null as url, operator_id from node_state where $1
            union all
            select peer.id, peer.id, peer.url, participant.id
            from peer join participant on participant.scid = peer.operator_scid
            where peer.is_listed and peer.trust = 'allowed' and peer.url is not null
              and peer.last_ok_at > now() - interval '7 days'
        ) node
        join participant operator on operator.id = node.operator_id
        left join organization on organization.publisher_id = operator.id
        left join lateral (
            select array_agg(distinct region_path[2]) filter (where region_path[2] is not null) as regions,
                   count(*)::integer as participants,
                   coalesce(bool_or(region_path && array[$2::text]), false) as is_there
            from participant home join organization its on its.publisher_id = home.id
            where home.trust = 'allowed'
              and (home.home_peer_id = node.peer_id or (node.peer_id is null and home.hosted))
        ) people on true
        where $2::text is null or people.is_there
        order by node.place limit $3
        """,
        own,
        region,
        limit,
        regions_max,
    )
    return [ListedRow(**dict(record)) for record in records]


async def remember_listed(connection: Connection, peer_id: int, *, is_listed: bool) -> None:
    """Remember whether a peer says that it may be named."""
    await connection.execute("update peer set is_listed = $2 where id = $1 and is_listed <> $2", peer_id, is_listed)
