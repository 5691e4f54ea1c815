"""A fork met through a file or a deposit is proven by what came; evidence travels along; nobody is accused falsely."""

import zlib

import pytest

from federation.bundles import bundle
from federation.bundles.bundle import Extent
from federation.bundles.intake import Intake, Taken
from federation.identity.keys import log_key_name
from federation.lifecycle.enroll import Enrolled
from federation.log import evidence, note
from federation.sync import serve
from federation.sync.client import PeerClient
from federation.sync.frames import End, EntryData, Evidence, Mark, encode
from store.database import connect
from store.locks import Claims
from tests.mirror.conftest import Laptop, MakeNode, Mirror, SyncNode, exported, new_intake, run_import
from tests.nodes import need_draft
from tests.sync import liar
from tests.sync.liar import tampered
from tests.sync.test_forks import HEAD, roll_back

UNFINISHED = """
delete from tile_hash using log where log.id = log_id and origin = $1 and (tile_hash.index + 1) << (8 * level) > $2
"""
FROZEN = "select frozen_size from log where origin = $1"


class Forked:
    """A log restored from a backup: `left` is a bundle of what it said before, `right` of what it says after."""

    def __init__(self, home: SyncNode, guest: Enrolled, left: bytes, right: bytes) -> None:
        self.home, self.guest, self.left, self.right = home, guest, left, right

    async def frozen(self, node: SyncNode) -> int | None:
        size: int | None = await node.value(FROZEN, self.guest.origin)
        return size


async def fork(make_node: MakeNode, before: int, left_more: int, right_more: int, *, begins: int = 0) -> Forked:
    """Return both tellings; the right one begins at entry `begins`."""
    home = await make_node("rumah")
    guest = await home.node.participant("ojol", host="rumah.gotong.test")
    await publish(home, guest, "Beras", before)
    [backup] = await home.rows(HEAD, guest.origin)
    await publish(home, guest, "Kiri", left_more)
    left = await exported(home, guest.scid)
    await home.value(UNFINISHED, guest.origin, backup[0])
    await roll_back(home, guest.origin, backup)
    home.node.clock.advance(minutes=1)
    await publish(home, guest, "Kanan", right_more)
    since = {guest.origin: Extent(begins, 1 if begins else 0)}
    return Forked(home, guest, left, await exported(home, guest.scid, since=since))


async def publish(home: SyncNode | Laptop, guest: Enrolled, title: str, count: int) -> None:
    await home.node.appender.append(guest.scid, [need_draft(f"{title} {number}") for number in range(count)])


async def taken_of(node: SyncNode, data: bytes) -> tuple[dict[str, Taken], list[int]]:
    """Import a bundle; return what was taken, and at which sizes logs were found to fork."""
    intake = new_intake(node)
    taken = await run_import(intake, data)
    return taken, [each.size for each in intake.findings]


@pytest.mark.parametrize(
    ("left_more", "right_more", "code"),
    [(2, 2, "LOG_FORKED"), (1, 4, "LOG_FORKED"), (4, 1, "LOG_FORKED"), (300, 290, "LOG_FORKED")],
)
async def test_a_bundle_that_tells_a_held_log_otherwise_freezes_it_where_both_part(
    make_node: MakeNode, left_more: int, right_more: int, code: str
) -> None:
    found = await fork(make_node, 3, left_more, right_more)
    reader = await make_node("baca")
    await taken_of(reader, found.left)
    taken, sizes = await taken_of(reader, found.right)
    error = taken[found.guest.origin].error
    assert error is not None
    assert (error.code, sizes, await found.frozen(reader)) == (code, [5], 4)
    assert await reader.rows("select code from refusal") == [(code,)]
    assert (await taken_of(reader, found.right))[1] == []  # known by now
    data = await reader.value("select data from evidence")
    assert evidence.verify(data, reader.node.clock()).size == 5


async def test_a_section_that_begins_in_the_middle_is_proven_with_the_entries_held_before_it(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 16)
    found = await fork(make_node, 270, 20, 40, begins=265)
    reader = await make_node("baca")
    await taken_of(reader, found.left)
    assert (await taken_of(reader, found.right))[1] == [272]
    assert await found.frozen(reader) == 271


async def test_a_longer_note_whose_section_begins_after_the_fork_proves_nothing_and_is_reported(
    make_node: MakeNode,
) -> None:
    found = await fork(make_node, 3, 2, 6, begins=5)
    reader = await make_node("baca")
    await taken_of(reader, found.left)
    taken, sizes = await taken_of(reader, found.right)
    error = taken[found.guest.origin].error
    assert error is not None
    assert (error.code, sizes, await found.frozen(reader)) == ("NOT_A_PREFIX", [], None)
    assert await reader.rows("select code from refusal") == [("NOT_A_PREFIX",)]


async def test_what_a_carrier_spoils_accuses_nobody(make_node: MakeNode) -> None:
    home, reader = await make_node("rumah"), await make_node("baca")
    guest = await home.node.participant("ojol", host="rumah.gotong.test")
    await home.node.publish_needs(guest.scid, "Beras", "Air bersih")
    await taken_of(reader, await exported(home, guest.scid))
    await home.node.publish_needs(guest.scid, "Obat")
    true = await exported(home, guest.scid)
    stranger = note.Signer(guest.origin, home.node.keys.get(log_key_name(home.node.operator.scid, 0, 0)))
    false = [note.sign_checkpoint(note.Checkpoint(guest.origin, size, bytes(32)), stranger) for size in (2, 3, 9)]
    spoilt = [tampered(true, liar.each_entry(liar.other_entry, number)) for number in range(4)]
    spoilt += [tampered(true, liar.notes(lambda _, each=each: each)) for each in false]  # type: ignore[misc]
    spoilt += [tampered(true, liar.swapped_entries(1, 2)), tampered(true, liar.without(EntryData, Mark))]
    for data in spoilt:
        assert (await taken_of(reader, data))[1] == []
    assert await reader.value("select count(*) from evidence") == 0
    assert (await taken_of(reader, true))[0][guest.origin].error is None


async def test_a_signed_note_whose_entries_a_carrier_spoilt_is_proof_by_itself(make_node: MakeNode) -> None:
    found = await fork(make_node, 3, 3, 2)
    reader = await make_node("baca")
    await taken_of(reader, found.left)
    bare = tampered(found.right, liar.each_entry(liar.other_entry, 1))
    assert (await taken_of(reader, bare))[1] == [6]
    assert await found.frozen(reader) == 5


async def test_a_deposit_that_tells_a_held_log_otherwise_freezes_it_and_says_who_brought_it(
    make_node: MakeNode, mirror: Mirror, laptop: Laptop
) -> None:
    found = await fork(make_node, 3, 2, 2)
    depositor = laptop.node.operator.scid
    [first] = await mirror.deposits.take(depositor, found.left)
    [second] = await mirror.deposits.take(depositor, found.right)
    assert (first.refused, second.refused) == (None, "LOG_FORKED")
    assert await found.frozen(mirror.served) == 4
    brought = "select operator_scid from evidence join peer on peer.id = peer_id"
    assert await mirror.served.rows(brought) == [(depositor,)]


@pytest.mark.parametrize(("left_more", "right_more"), [(2, 6), (70, 100)])
async def test_a_depositor_whose_log_parted_from_the_mirrors_shows_where(
    mirror: Mirror, laptop: Laptop, left_more: int, right_more: int
) -> None:
    """A laptop restored from a backup goes on; its mirror has what it said before, and less of it."""
    who = laptop.node.operator
    await publish(laptop, who, "Beras", 3)
    [backup] = await laptop.rows(HEAD, who.origin)
    await publish(laptop, who, "Kiri", left_more)
    assert (await laptop.deposit(mirror.url)).refused == {}
    await laptop.value(UNFINISHED, who.origin, backup[0])
    await roll_back(laptop, who.origin, backup)
    laptop.node.clock.advance(minutes=1)
    await publish(laptop, who, "Kanan", right_more)
    handed = await laptop.deposit(mirror.url)
    assert handed.refused == {who.origin: "LOG_FORKED"}
    assert await mirror.served.value(FROZEN, who.origin) == 4
    assert await mirror.served.rows("select kind, size from evidence") == [("fork", 5)]


async def test_evidence_travels_in_bundles_and_is_verified_by_whoever_reads_it(make_node: MakeNode) -> None:
    found = await fork(make_node, 3, 2, 4)
    left, right = await make_node("kiri"), await make_node("kanan")
    await taken_of(left, found.left)
    await taken_of(right, found.right)
    await taken_of(left, found.right)
    await left.value("update participant set trust = 'allowed'")
    grown = await bundle.wanted_logs(left.database, [found.guest.scid], {found.guest.origin: Extent(4, 1)})
    carried = b"".join([piece async for piece in bundle.export(left.database, grown, [found.guest.scid])])
    assert (grown, await found.frozen(right)) == ([], None)  # the log did not grow; its evidence comes along
    stranger = await make_node("asing")
    assert (await taken_of(stranger, carried))[1] == []
    assert (await taken_of(right, carried))[1] == [5]
    assert await found.frozen(right) == 4
    assert (await taken_of(right, carried))[1] == []


async def test_false_evidence_in_a_bundle_has_no_effect_and_the_logs_after_it_are_taken(make_node: MakeNode) -> None:
    found = await fork(make_node, 3, 2, 4)
    left, right = await make_node("kiri"), await make_node("kanan")
    await taken_of(left, found.left)
    await taken_of(left, found.right)
    await taken_of(right, found.right)
    genuine = await left.value("select data from evidence")
    forged = genuine.replace(b'"size":5', b'"size":4')
    frames = zlib.decompress(await exported(found.home), 16 + zlib.MAX_WBITS)
    for data in (forged, b"{}", b"\xff", genuine[:-1]):
        taken, sizes = await taken_of(right, encode(Evidence(data)) + frames)
        assert sizes == []
        assert all(each.error is None for each in taken.values())
    assert await found.frozen(right) is None
    assert (await taken_of(right, encode(Evidence(genuine)) + encode(End())))[1] == [5]


async def test_a_fork_that_only_a_laptop_saw_reaches_its_mirror_with_the_next_deposit(
    mirror: Mirror, laptop: Laptop, make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can ask a laptop for evidence: it brings what the mirror does not list."""
    found = await fork(make_node, 3, 2, 2)
    await taken_of(mirror.served, found.left)
    for telling in (found.left, found.right):
        intake = Intake(laptop.database, "test", laptop.node.clock, Claims(lambda: connect(laptop.database.dsn)))
        await run_import(intake, telling)
    assert await found.frozen(mirror.served) is None
    await laptop.deposit(mirror.url)
    assert await found.frozen(mirror.served) == 4

    async def nothing(*_: object) -> list[object]:
        raise AssertionError("it is told once")

    monkeypatch.setattr(PeerClient, "evidence_after", nothing)
    await laptop.deposit(mirror.url)
