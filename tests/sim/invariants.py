"""What must hold at the end of every run, whatever happened in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from domain.records.registry import RECORDS
from federation.identity import identities
from federation.log import static, tiles
from federation.log.names import parse_origin
from federation.log.note import checkpoint_and_keys, parse_checkpoint, parse_note
from federation.log.service import LogKey, log_service
from federation.log.static import read_tiles
from federation.projection.check import check_log
from federation.projection.rebuild import compare
from node.background import sweep_once
from store import logs, outbox, relay
from store.database import Database
from tests.sim import confidence, keepsakes
from tests.sim.hints import nobody_missed_anything
from tests.sim.liars import FORGED
from tests.sim.traces import nothing_is_left_of_what_was_erased

if TYPE_CHECKING:
    from tests.sim.machine import Machine
    from tests.sim.world import World

SWEEPS = 4
"""How often records are decided again before they are compared: those about records that are about records."""
TARGET_RETRY_S = 6.0
HONEST_SENDERS_BREAK = """
    select coalesce(url, '') as url, origin, code, message, refusal.details from refusal join peer on peer.id = peer_id
    where not coalesce(url, '') = any($1) and not split_part(coalesce(origin, ''), '/', 2) = any($2)
      and code <> 'OWN_LOG_LONGER'
"""
"""That a peer has more of one's own log accuses nobody: it is what a machine notices that was restored."""
IDENTITIES = "select scid, version, line from did_line join participant p on p.id = participant_id order by 1, 2"
LOGS = """
    select origin, size, encode(edge, 'hex'), checkpoint_size, encode(checkpoint, 'escape')
    from log where frozen_size is null and is_projected order by origin
"""
ENTRIES = """
    select origin, index, data, (select data from payload p where p.log_id = log.id and p.index = e.index and part = 1)
    from entry e join log on log.id = e.log_id
    where is_projected and (frozen_size is null or index < frozen_size) order by origin, index
"""
UNPROJECTED = """
    select origin, u.index, reason, type, record_id from unprojected u join log on log.id = u.log_id
    where is_projected and (frozen_size is null or u.index < frozen_size) order by 1, 2
"""
LEAVES = """
    select scid, index, leaf_hash from entry e join log l on l.id = e.log_id and l.is_projected
    join participant p on p.id = l.participant_id
"""
UNFINISHED = """
    select origin, size from log join entry on log_id = log.id and index = 0
    where is_projected and epoch > 0 and size < (convert_from(data, 'UTF8')::jsonb #>> '{core,from,size}')::bigint
"""
BODIES = "select b.data from payload b join log l on l.id = b.log_id and l.is_projected where part = 1"
LOCAL = ("publisher_id", "log_id", "received_at", "suppresses")
"""What two nodes may know differently of one record: numbers of their own, and when each had it."""
ENDED = ("ERASED", "WITHDRAWN")
LAST_EVENTS = """
    select distinct on (type, publisher_id, record_id) kind, revision, record_id
    from event where type = $1 order by type, publisher_id, record_id, seq desc
"""
UNACKNOWLEDGED = """
    select origin, erasure.index, peer.url from erasure join log on log.id = log_id and is_projected
    join participant on participant.id = participant_id and hosted
    cross join peer where peer.url = any($1) and not exists (
        select from erasure_acknowledgement said
        where said.log_id = log.id and said.size > erasure.index and said.operator_scid = peer.operator_scid)
"""


async def check(world: "World") -> None:
    """Raise AssertionError, with what happened, for the first thing that does not hold."""
    assert world.network.wrongs == [], f"requests were taken for what they are not: {world.network.wrongs}"
    await _nobody_honest_is_refused(world)
    await _decide_all_again(world)
    first, *others = world.machines
    for query in (IDENTITIES, LOGS, ENTRIES, UNPROJECTED):
        expected = await _rows(first, query)
        for other in others:
            found = await _rows(other, query)
            assert expected == found, f"{first.name} and {other.name} differ: {_difference(expected, found)}"
    await _same_records(world)
    for machine in world.machines:
        await _each_machine(world, machine)
    await _rows_are_what_the_logs_say(world, first)  # and so are the others', which are the same
    for each in (_acknowledged_is_there, _nothing_is_twice, _forks_are_found_and_nobody_else_accused):
        await each(world)
    for room in (keepsakes, confidence):
        await room.check(world)


async def _each_machine(world: "World", machine: "Machine") -> None:
    await _logs_are_whole(machine)
    await _tiles_lead_to_the_root(machine)
    await nothing_is_left_of_what_was_erased(world, machine)
    await nobody_missed_anything(machine)
    await _followers_know_what_is_shown(machine)
    await _nothing_forged_and_nothing_stolen(world, machine)
    await _who_cosigned_saw_it(machine)
    await _erasures_are_acknowledged(world, machine)


async def _nobody_honest_is_refused(world: "World") -> None:
    lying = [liar.url for liar in world.liars] + [each.url for each in (world.janus,) if each is not None]
    for machine in world.machines:
        refused = await _rows(machine, HONEST_SENDERS_BREAK, lying, _guilty(world))
        refused = [each for each in refused if not world.hosts.are_guilty(each[0], each[2])]
        assert refused == [], f"{machine.name} accuses honest machines: {refused}"


async def _decide_all_again(world: "World") -> None:
    for _ in range(SWEEPS):
        world.time.pass_(TARGET_RETRY_S)
        for machine in world.machines:
            await sweep_once(machine.running.database, world.time.now)


async def _same_records(world: "World") -> None:
    for record_type in RECORDS:
        local = "".join(f" - '{column}'" for column in LOCAL)
        query = f"""
            select p.scid, to_jsonb(r){local} from {record_type.table} r join participant p on p.id = publisher_id
            order by p.scid, r.record_id
        """
        expected = await _rows(world.machines[0], query)
        for other in world.machines[1:]:
            found = await _rows(other, query)
            assert expected == found, f"{record_type.name} at {other.name}: {_difference(expected, found)}"


async def _logs_are_whole(machine: "Machine") -> None:
    async with _database(machine).transaction(isolation="repeatable_read") as connection:
        for log in await logs.heads(connection):
            checked = await check_log(connection, log, network="test")
            assert log.frozen_size is not None or not log.is_projected or checked.signed_size == log.size, (
                f"{machine.name} holds {log.origin} without a signature"
            )


async def _tiles_lead_to_the_root(machine: "Machine") -> None:
    """Whoever is given the tiles of a log, as everybody is, has its root from them."""
    async with _database(machine).acquire() as connection:
        relayed = await relay.heads(connection)
    for log in relayed:
        stated = parse_checkpoint(parse_note(log.checkpoint).text)
        scid, epoch = parse_origin(log.origin)
        if stated.size == log.size:  # else it is frozen: less is given than the note is about
            wanted = tiles.root_tiles(log.size)
            given = {each: await static.tile(_database(machine), scid, epoch, tiles.tile_path(each)) for each in wanted}
            root = tiles.edge_from_tiles(log.size, given).root()
            assert root == stated.root, f"{machine.name} gives tiles of another tree of {log.origin}"


async def _rows_are_what_the_logs_say(world: "World", machine: "Machine") -> None:
    different = await compare(_database(machine), as_of=world.time.now)
    assert different == [], f"{machine.name} shows what its logs do not say: {different}"


async def _followers_know_what_is_shown(machine: "Machine") -> None:
    """Whoever heard every event has each record that is shown, in the revision that is shown, and no other."""
    async with _database(machine).acquire() as connection:
        while await outbox.sequence(connection):
            pass
    for record_type in RECORDS:
        shown = dict(await _rows(machine, f"select record_id, revision from {record_type.table}"))
        events = await _rows(machine, LAST_EVENTS, record_type.name)
        told = {id_: revision for kind, revision, id_ in events if kind not in ENDED and id_ in shown}
        assert told == shown, (
            f"{machine.name} told followers otherwise: {_difference([*shown.items()], [*told.items()])}"
        )
        gone = [id_ for kind, _, id_ in events if kind not in (*ENDED, "STATE") and id_ not in shown]
        assert gone == [], f"{machine.name} told nobody that {record_type.name} {gone} went"


async def _acknowledged_is_there(world: "World") -> None:
    for machine in world.machines:
        entries = {(scid, index): leaf for scid, index, leaf in await _rows(machine, LEAVES)}
        shown = await _shown(machine)
        for told in world.ledger.acknowledged.values():
            found = entries.get((told.scid, told.index))
            assert found == told.leaf_hash, f"{told.title!r} was acknowledged and is not at {machine.name}"
            once = _times(shown, told.title)
            wanted = 0 if world.ledger.is_erased(told) else 1
            assert once == wanted or told.record_id in world.ledger.perhaps_erased, (
                f"{told.title!r} is {once} times in the log at {machine.name}, not {wanted}"
            )


async def _nothing_is_twice(world: "World") -> None:
    shown = await _shown(world.machines[0])
    for title in world.ledger.titles:
        assert _times(shown, title) <= 1, f"{title!r} was published twice"


async def _shown(machine: "Machine") -> list[bytes]:
    """Return the public parts of all entries in the logs that are shown."""
    return [data for (data,) in await _rows(machine, BODIES)]


def _times(shown: list[bytes], title: str) -> int:
    """Return how many of them have a title."""
    return sum(f'"{title}"'.encode() in body for body in shown)


async def _forks_are_found_and_nobody_else_accused(world: "World") -> None:
    expected = [(scid,) for scid in _guilty(world)]
    ends = set()
    for machine in world.machines:
        accused = await _rows(machine, "select distinct scid from evidence")
        assert accused == expected, f"{machine.name} holds evidence against {accused}, not {expected}"
        frozen = await _rows(machine, "select origin, frozen_size from log where frozen_size is not null")
        assert len(frozen) == len(expected), f"at {machine.name} are frozen: {frozen}"
        ends |= set(frozen)
    assert len(ends) == len(expected), f"the stories part at different places: {ends}"


async def nothing_forged(machine: "Machine") -> None:
    """Raise if a machine that is up shows what nobody signed; it must not even for a moment."""
    await _shows_nowhere(machine, FORGED.decode())


async def nothing_unfinished(machine: "Machine") -> None:
    """Raise if a machine that is up shows a later epoch before it has all that the epoch copies."""
    shown = await _rows(machine, UNFINISHED)
    assert shown == [], f"{machine.name} shows epochs that are not here yet: {shown}"


async def _nothing_forged_and_nothing_stolen(world: "World", machine: "Machine") -> None:
    await nothing_forged(machine)
    for title in sorted(world.ledger.loot):
        await _shows_nowhere(machine, f'{title}"')


async def _shows_nowhere(machine: "Machine", word: str) -> None:
    found = " union all ".join(f"select doc from {each.table}" for each in RECORDS)
    wrong = await _rows(machine, f"select doc::text from ({found}) d where position($1 in doc::text) > 0", word)
    assert wrong == [], f"{machine.name} answers what its author does not say: {wrong}"


async def _who_cosigned_saw_it(machine: "Machine") -> None:
    """What a machine cosigned is what the log was at that size, but for logs that were told twice or lost their end."""
    query = """
        select log_id, origin, witnessed.size, note, scid, participant_id
        from witnessed join log on log.id = log_id
        join participant on participant.id = participant_id
        where frozen_size is null and witnessed.size between 1 and log.size
    """
    async with _database(machine).acquire() as connection:
        for row in await connection.fetch(query):
            service = log_service(await identities.load(connection, row["participant_id"], row["scid"]))
            if service.epoch == parse_origin(row["origin"]).epoch and _counts_no_more(row["note"], service.keys):
                continue
            stated = parse_checkpoint(parse_note(row["note"]).text)
            held = await read_tiles(connection, row["log_id"], tiles.root_tiles(stated.size))
            assert stated.size == row["size"]
            root = tiles.edge_from_tiles(stated.size, held).root()
            assert root == stated.root, f"{machine.name} cosigned another telling of {stated.origin}"


def _counts_no_more(note: bytes, keys: Sequence[LogKey]) -> bool:
    """Return whether a key signed this that ended before: whoever had the rest of the log has lost it."""
    origin = parse_checkpoint(parse_note(note).text).origin
    checkpoint, signed_by = checkpoint_and_keys(note, origin, [each.public_key for each in keys])
    signers = [each.retired for each in keys if each.public_key in signed_by]
    return all(each is not None and each.size < checkpoint.size for each in signers)


async def _erasures_are_acknowledged(world: "World", machine: "Machine") -> None:
    honest = [each.url for each in world.machines]
    missing = await _rows(machine, UNACKNOWLEDGED, honest)
    assert missing == [], f"nobody told {machine.name} of erasing {missing}"


def _database(machine: "Machine") -> Database:
    return machine.running.database


async def _rows(machine: "Machine", query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    async with _database(machine).acquire() as connection:
        return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]


def _difference(expected: Sequence[Any], found: Sequence[Any]) -> str:
    """Return the first of what only one of them has."""
    missing = [each for each in expected if each not in found][:2]
    extra = [each for each in found if each not in expected][:2]
    return f"missing {missing}, besides {extra}"


def _guilty(world: "World") -> list[str]:
    return [each.owner.scid for each in (world.janus,) if each is not None and each.owner is not None]
