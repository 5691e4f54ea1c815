"""A node signs only when it is known that nothing of its logs was lost; what was lost it takes back from others."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from federation.publish.guard import MARKER_FILE, Guard, PublicationWaits
from federation.publish.prepare import ClockOff
from store import depositors
from store.database import Connection, connect
from tests.nodes import need_draft
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.test_forks import HEAD, roll_back


def guard_of(node: SyncNode, directory: Path) -> Guard:
    """Return the guard of a process that starts now on this node's database and that directory."""

    async def own_connection() -> Connection:
        return await connect(node.database.dsn)

    return Guard(own_connection, directory)


async def begun(node: SyncNode, directory: Path) -> Guard:
    """Return the guard of a new process, asked before each signature from now on."""
    for before in BEGUN:
        await kill(before)
    made = guard_of(node, directory)
    node.node.appender._may_sign = made.check
    BEGUN.append(made)
    return made


BEGUN: list[Guard] = []


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    """End what a test began."""
    yield
    while BEGUN:
        await kill(BEGUN.pop())


async def kill(process: Guard) -> None:
    """End a process without warning, what it held let go of at once, which the server would do in its own time."""
    if process.is_sure:
        assert process._session is not None
        await process._session.execute("select pg_advisory_unlock_all()")
    process._forget()


@pytest.fixture
async def home(make_node: MakeNode, tmp_path: Path) -> SyncNode:
    """A node whose logs somebody has read."""
    made = await make_node("rumah")
    await made.value("update node_state set seen = true")
    return made


async def publishes(node: SyncNode) -> bool:
    try:
        await node.node.appender.append(node.node.operator.scid, [need_draft("Beras")])
    except PublicationWaits:
        return False
    return True


async def test_a_clean_stop_is_enough(home: SyncNode, tmp_path: Path) -> None:
    first = guard_of(home, tmp_path)
    await first.confirm()
    for _ in range(3):
        process = await begun(home, tmp_path)
        assert await publishes(home)
        assert not (tmp_path / MARKER_FILE).exists()
        await process.close()
        assert (tmp_path / MARKER_FILE).exists()


async def test_a_process_that_signed_nothing_uses_no_marker_up(home: SyncNode, tmp_path: Path) -> None:
    await guard_of(home, tmp_path).confirm()
    await guard_of(home, tmp_path).close()
    await begun(home, tmp_path)
    assert await publishes(home)


async def test_after_a_kill_nothing_is_signed_until_an_operator_confirms(home: SyncNode, tmp_path: Path) -> None:
    await guard_of(home, tmp_path).confirm()
    killed = await begun(home, tmp_path)
    assert await publishes(home)
    await kill(killed)
    process = await begun(home, tmp_path)
    assert not await publishes(home)
    assert not await process.decide()
    await guard_of(home, tmp_path).confirm()
    assert await publishes(home)


async def test_several_processes_know_of_each_other_and_the_last_one_leaves_the_marker(
    home: SyncNode, tmp_path: Path
) -> None:
    await guard_of(home, tmp_path).confirm()
    first, second = guard_of(home, tmp_path), guard_of(home, tmp_path / "another machine")
    assert await first.decide()
    assert await second.decide()
    await first.close()
    assert not (tmp_path / MARKER_FILE).exists()
    third = guard_of(home, tmp_path)
    assert await third.decide()
    await third.close()
    await second.close()
    assert (tmp_path / "another machine" / MARKER_FILE).exists()


async def test_a_node_that_nobody_ever_read_signs_at_once(make_node: MakeNode, tmp_path: Path) -> None:
    alone = await make_node("sendiri")
    await begun(alone, tmp_path)
    assert await publishes(alone)
    await begun(alone, tmp_path)
    assert await publishes(alone)
    await alone.add_peer("http://127.0.0.1:1")
    await begun(alone, tmp_path)
    assert not await publishes(alone)


async def test_what_somebody_read_is_remembered_beside_the_keys_too(make_node: MakeNode, tmp_path: Path) -> None:
    """A database restored from before the first peer does not know of it; the directory does."""
    alone = await make_node("sendiri")
    await guard_of(alone, tmp_path).mark_seen(alone.database.acquire)
    assert await alone.value("select seen from node_state")
    await alone.value("update node_state set seen = false")
    await begun(alone, tmp_path)
    assert not await publishes(alone)


Spoil = Callable[[SyncNode, Path], Awaitable[Any]]


async def _copied(node: SyncNode, directory: Path) -> None:
    kept = directory.with_name("copy")
    shutil.copytree(directory, kept, copy_function=shutil.copy2)
    shutil.rmtree(directory)
    shutil.copytree(kept, directory, copy_function=shutil.copy2)


async def _touched(node: SyncNode, directory: Path) -> None:
    marker = directory / MARKER_FILE
    status = marker.stat()
    data = marker.read_text()
    marker.write_text("changed")
    marker.write_text(data)
    os.utime(marker, ns=(status.st_atime_ns, status.st_mtime_ns))


async def _older_database(node: SyncNode, directory: Path) -> None:
    await node.value("update node_state set clean_stop = jsonb_set(clean_stop, '{token}', '\"of an earlier stop\"')")


async def _running_database(node: SyncNode, directory: Path) -> None:
    await node.value("update node_state set clean_stop = null")


async def _other_cluster(node: SyncNode, directory: Path) -> None:
    await node.value("update node_state set clean_stop = jsonb_set(clean_stop, '{identity}', '\"4711/1/5\"')")


async def _lost_directory(node: SyncNode, directory: Path) -> None:
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    "spoil", [_copied, _touched, _older_database, _running_database, _other_cluster, _lost_directory]
)
async def test_a_copied_directory_and_an_older_database_are_noticed(
    home: SyncNode, tmp_path: Path, spoil: Spoil
) -> None:
    directory = tmp_path / "data"
    await guard_of(home, directory).confirm()
    process = guard_of(home, directory)
    assert await process.decide()
    await process.close()
    stream = await home.value("select stream_id from node_state")
    await spoil(home, directory)
    await begun(home, directory)
    assert not await publishes(home)
    assert await home.value("select stream_id from node_state") != stream


async def test_a_database_copied_inside_its_server_is_another_one(
    home: SyncNode, tmp_path: Path, new_database: Callable[[], Awaitable[str]]
) -> None:
    """As restoring a dump into a database beside it does."""
    await guard_of(home, tmp_path).confirm()
    marker = await home.value("select clean_stop from node_state")
    dsn = await new_database()
    other = await connect(dsn)
    try:
        state = "insert into node_state (network, seen, clean_stop) values ('test', true, $1) returning stream_id"
        stream = await other.fetchval(state, marker)
        process = Guard(lambda: connect(dsn), tmp_path)
        await process.decide()
        assert await other.fetchval("select stream_id from node_state") != stream
        await process.close()
    finally:
        await other.close()


async def test_a_peer_that_has_seen_the_log_confirms_it(make_node: MakeNode, tmp_path: Path) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await a.add_peer(b.url)
    await begun(a, tmp_path)
    assert not await publishes(a)
    await a.pull(b.url)
    assert await publishes(a)
    await begun(a, tmp_path)
    assert not await publishes(a)  # what a peer said to the process before says nothing now
    await b.pull(a.url)
    await a.pull(b.url)
    assert await publishes(a)


async def test_a_node_that_nobody_can_ask_holds_up_no_mirror(make_node: MakeNode, tmp_path: Path) -> None:
    """It deposits here and shows no heads; of a log that nobody has seen yet, whoever can be asked is enough."""
    a, b = await make_node("a"), await make_node("b")
    async with a.database.acquire() as connection:
        await depositors.admit(connection, b.node.operator.scid, "allowed")
    await a.add_peer(b.url)
    await begun(a, tmp_path)
    assert not await publishes(a)
    await a.pull(b.url)
    assert await publishes(a)


async def test_a_peer_that_is_down_confirms_nothing_and_holds_nobody_up(make_node: MakeNode, tmp_path: Path) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await a.add_peer("http://127.0.0.1:1")
    await begun(a, tmp_path)
    with pytest.raises(Exception, match="PEER_UNREACHABLE"):
        await a.pull("http://127.0.0.1:1")
    assert not await publishes(a)
    await a.add_peer(b.url)
    await a.pull(b.url)
    assert await publishes(a)


async def test_a_restored_node_takes_its_own_log_back_before_it_signs(make_node: MakeNode, tmp_path: Path) -> None:
    a, b = await make_node("a"), await make_node("b")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras", "Air bersih")
    [backup] = await a.rows(HEAD, guest.origin)
    await a.node.publish_needs(guest.scid, "Selimut", "Obat")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await roll_back(a, guest.origin, backup)
    stream = await a.value("select stream_id from node_state")
    await a.add_peer(b.url)
    await begun(a, tmp_path)
    assert not await publishes(a)
    done = await a.pull(b.url)
    assert done.healed == [guest.origin]
    assert done.refused == {}
    assert await a.value("select stream_id from node_state") != stream
    assert (await a.node.check(guest.origin)).signed_size == 5
    assert await a.value("select count(*) from need join participant p on p.id = publisher_id where scid = $1",
                         guest.scid) == 4  # fmt: skip
    assert await a.node.publish_needs(guest.scid, "Tenda")
    await b.pull(a.url)
    assert (await b.node.check(guest.origin)).signed_size == 6
    assert await b.value("select count(*) from evidence") == 0


async def test_a_longer_log_is_waited_for_whatever_was_confirmed(make_node: MakeNode, tmp_path: Path) -> None:
    """A peer was told of it and nothing could be taken back yet: not even an operator's word counts."""
    a, b = await make_node("a"), await make_node("b")
    await a.node.publish_needs(a.node.operator.scid, "Beras")
    [backup] = await a.rows(HEAD, a.node.operator.origin)
    await a.node.publish_needs(a.node.operator.scid, "Selimut")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await roll_back(a, a.node.operator.origin, backup)
    await a.add_peer(b.url)
    await b.value("update payload set data = '{}'")  # what it sends does not verify
    assert (await a.pull(b.url)).refused == {a.node.operator.origin: "PAYLOAD_COMMITMENT_MISMATCH"}
    await guard_of(a, tmp_path).confirm()
    await begun(a, tmp_path)
    assert not await publishes(a)


async def test_a_database_that_goes_back_under_a_running_process_is_noticed(home: SyncNode, tmp_path: Path) -> None:
    await guard_of(home, tmp_path).confirm()
    await begun(home, tmp_path)
    origin = home.node.operator.origin
    [backup] = await home.rows(HEAD, origin)
    assert await publishes(home)
    assert await publishes(home)
    await roll_back(home, origin, backup)
    assert not await publishes(home)
    assert not await publishes(home)


async def test_a_connection_that_was_cut_changes_nothing_if_the_database_is_the_same(
    home: SyncNode, tmp_path: Path
) -> None:
    await guard_of(home, tmp_path).confirm()
    process = await begun(home, tmp_path)
    assert await publishes(home)
    assert process._session is not None
    process._session.terminate()
    assert not process.is_sure
    assert await publishes(home)
    assert process.is_sure


async def test_nothing_is_signed_while_the_clock_is_behind_a_cosignature(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await a.add_peer(b.url)
    await a.pull(b.url)
    await a.ask_for_cosignatures()
    a.node.clock.advance(minutes=-14)
    await a.node.publish_needs(a.node.operator.scid, "Beras")
    a.node.clock.advance(minutes=-2)
    with pytest.raises(ClockOff, match="cosignature"):
        await a.node.publish_needs(a.node.operator.scid, "Selimut")
    a.node.clock.advance(days=-6_000)
    with pytest.raises(ClockOff):
        await a.node.publish_needs(a.node.operator.scid, "Selimut")


async def test_an_entry_dated_years_ahead_silences_its_log_only_until_peers_say_what_time_it_is(
    make_node: MakeNode,
) -> None:
    a, b = await make_node("a"), await make_node("b")
    a.node.clock.advance(days=3_000)
    await a.node.publish_needs(a.node.operator.scid, "Beras")
    a.node.clock.advance(days=-3_000)
    with pytest.raises(ClockOff, match="newest entry"):
        await a.node.publish_needs(a.node.operator.scid, "Selimut")
    await a.add_peer(b.url)
    await a.pull(b.url)
    await a.node.publish_needs(a.node.operator.scid, "Selimut")
