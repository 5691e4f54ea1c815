"""What must hold at the end of every run, whatever happened in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from domain.records.registry import RECORDS
from federation.identity.enroll import Enrolled
from federation.log.check import check_log
from node.background import sweep_once
from store import logs
from store.database import Database
from tests.sim.liars import FORGED

if TYPE_CHECKING:
    from tests.sim.world import World

HONEST_SENDERS_BREAK = """
    select origin, code, message from refusal join peer on peer.id = peer_id
    where not url = any($1) and not coalesce(origin, '') = any($2) and code <> 'OWN_LOG_LONGER'
"""
"""That a peer has more of one's own log accuses nobody: it is what a machine notices that was restored."""
LOGS = """
    select origin, size, encode(edge, 'hex'), checkpoint_size, encode(checkpoint, 'escape')
    from log where frozen_size is null order by origin
"""
ENTRIES = """
    select origin, index, data, (select data from payload p where p.log_id = log.id and p.index = e.index and part = 1)
    from entry e join log on log.id = e.log_id
    where frozen_size is null or index < frozen_size order by origin, index
"""
UNPROJECTED = """
    select origin, u.index, reason, type, record_id from unprojected u join log on log.id = u.log_id
    where frozen_size is null or u.index < frozen_size order by 1, 2
"""
LOCAL = ("publisher_id", "log_id", "received_at")
"""What two nodes may know differently of one record: numbers of their own, and when each had it."""


async def check(world: "World") -> None:
    """Raise AssertionError, with what happened, for the first thing that does not hold."""
    await _nobody_honest_is_refused(world)
    for machine in world.machines:
        assert machine.process is not None
        await sweep_once(machine.process.database, world.time.now)
    first, *others = world.machines
    for query in (LOGS, ENTRIES, UNPROJECTED):
        expected = await _rows(_database(first), query)
        for other in others:
            found = await _rows(_database(other), query)
            assert expected == found, f"{first.name} and {other.name} differ: {_difference(expected, found)}"
    await _same_records(world)
    await _logs_are_whole(world)
    await _acknowledged_is_there(world)
    await _forks_are_found_and_nobody_else_accused(world)
    await _nothing_forged(world)


async def _nobody_honest_is_refused(world: "World") -> None:
    lying = [liar.url for liar in world.liars] + [each.url for each in (world.janus,) if each is not None]
    forked = [each.origin for each in _guilty(world)]
    for machine in world.machines:
        refused = await _rows(_database(machine), HONEST_SENDERS_BREAK, lying, forked)
        assert refused == [], f"{machine.name} accuses honest machines: {refused}"


async def _same_records(world: "World") -> None:
    for record_type in RECORDS:
        local = "".join(f" - '{column}'" for column in LOCAL)
        query = f"""
            select p.scid, to_jsonb(r){local} from {record_type.table} r join participant p on p.id = publisher_id
            order by p.scid, r.record_id
        """
        expected = await _rows(_database(world.machines[0]), query)
        for other in world.machines[1:]:
            found = await _rows(_database(other), query)
            assert expected == found, f"{record_type.name} at {other.name}: {_difference(expected, found)}"


async def _logs_are_whole(world: "World") -> None:
    for machine in world.machines:
        async with _database(machine).transaction(isolation="repeatable_read") as connection:
            for log in await logs.heads(connection):
                checked = await check_log(connection, log, network="test")
                assert log.frozen_size is not None or checked.signed_size == log.size, (
                    f"{machine.name} holds {log.origin} without a signature"
                )


async def _acknowledged_is_there(world: "World") -> None:
    query = """
        select encode(leaf_hash, 'hex') from entry e join log l on l.id = e.log_id
        join participant p on p.id = l.participant_id where scid = $1 and index = $2
    """
    titles = """
        select count(*) from entry e join log l on l.id = e.log_id join participant p on p.id = l.participant_id
        join payload b on b.log_id = e.log_id and b.index = e.index
        where scid = $1 and position($2::bytea in b.data) > 0
    """
    for told in world.acknowledged.values():
        for machine in world.machines:
            found = await _rows(_database(machine), query, told.scid, told.index)
            assert found == [(told.leaf_hash.hex(),)], f"{told.title!r} was acknowledged and is not at {machine.name}"
            once = await _rows(_database(machine), titles, told.scid, f'"{told.title}"'.encode())
            wanted = [(0,)] if world.is_erased(told) else [(1,)]
            assert once == wanted, f"{told.title!r} is {once} times in the log at {machine.name}, not {wanted}"


async def _forks_are_found_and_nobody_else_accused(world: "World") -> None:
    expected = [(each.scid,) for each in _guilty(world)]
    ends = set()
    for machine in world.machines:
        accused = await _rows(_database(machine), "select distinct scid from evidence")
        assert accused == expected, f"{machine.name} holds evidence against {accused}, not {expected}"
        frozen = await _rows(_database(machine), "select origin, frozen_size from log where frozen_size is not null")
        assert len(frozen) == len(expected), f"at {machine.name} are frozen: {frozen}"
        ends |= set(frozen)
    assert len(ends) == len(expected), f"the stories part at different places: {ends}"


async def _nothing_forged(world: "World") -> None:
    for machine in world.machines:
        for record_type in RECORDS:
            query = f"select doc::text from {record_type.table} where doc::text like '%' || $1 || '%'"
            forged = await _rows(_database(machine), query, FORGED.decode())
            assert forged == [], f"{machine.name} answers what nobody signed: {forged}"


def _database(machine: Any) -> Database:
    database: Database = machine.process.database
    return database


async def _rows(database: Database, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    async with database.acquire() as connection:
        return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]


def _difference(expected: Sequence[Any], found: Sequence[Any]) -> str:
    """Return the first of what only one of them has."""
    missing = [each for each in expected if each not in found][:2]
    extra = [each for each in found if each not in expected][:2]
    return f"missing {missing}, besides {extra}"


def _guilty(world: "World") -> list[Enrolled]:
    return [each for each in (world.janus.machines[0].operator if world.janus else None,) if each is not None]
