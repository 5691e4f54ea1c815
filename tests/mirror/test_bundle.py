"""One file carries logs from node to node, and proves itself like any other copy."""

import zlib

import pytest

from domain.errors import GotongError
from federation.bundles.bundle import BundleIsBomb, Extent, NothingToExport, extents, frames_of
from federation.bundles.intake import QuarantineFull
from federation.lifecycle.enroll import Enrolled
from federation.lifecycle.recover import recover
from federation.moderation.trust import set_participant_trust
from federation.sync import serve
from federation.sync.frames import Decoder, DidLine, Log, Mark, encode
from federation.sync.plan import QUARANTINE_ENTRIES_MAX
from federation.sync.sections import Assembler
from store import peers
from tests.erasure.story import erase
from tests.mirror.conftest import MakeNode, SyncNode, exported, imported, new_intake, run_import
from tests.nodes import need_draft, seed_of
from tests.sync import liar
from tests.sync.liar import tampered
from tests.sync.raw import append_raw, hand_built

SECRET = "Jalan Melati 7"
HOLDS_SECRET = f"select count(*) from payload where position('{SECRET}'::bytea in data) > 0"
NEEDS = "select title_text::text, state, revision, published_at from need order by log_id, index"


@pytest.fixture
async def sender(make_node: MakeNode) -> SyncNode:
    return await make_node("a")


@pytest.fixture
async def guest(sender: SyncNode) -> Enrolled:
    made = await sender.node.participant("ojol", host="a.gotong.test")
    await sender.node.publish_needs(made.scid, "Beras", "Air bersih", "Selimut")
    return made


@pytest.fixture
async def reader(make_node: MakeNode) -> SyncNode:
    return await make_node("b")


async def allow(node: SyncNode, scid: str) -> None:
    await set_participant_trust(node.database, scid, "allowed", actor="test")


async def test_what_one_node_exports_another_imports_and_shows_when_allowed(
    sender: SyncNode, guest: Enrolled, reader: SyncNode
) -> None:
    taken = await imported(reader, await exported(sender))
    assert {origin: (each.entries, each.error) for origin, each in taken.items()} == {
        guest.origin: (4, None),
        sender.node.operator.origin: (1, None),
    }
    assert await reader.value("select trust from participant where scid = $1", guest.scid) == "quarantined"
    assert (await reader.node.check(guest.origin)).signed_size == 4
    await allow(reader, guest.scid)
    assert await reader.rows(NEEDS) == await sender.rows(NEEDS)


async def test_a_bundle_is_the_bytes_of_a_pull_answer(sender: SyncNode, guest: Enrolled, reader: SyncNode) -> None:
    data = await exported(sender)
    frames = zlib.decompress(data, 16 + zlib.MAX_WBITS)
    assembler = Assembler(None)
    for frame in Decoder().feed(frames):
        assembler.take(frame)
    assembler.finish()
    assert (await imported(reader, frames))[guest.origin].entries == 4  # not gzipped it is a bundle too


async def test_a_bundle_goes_on_after_an_earlier_one_and_says_so_where_that_is_missing(
    sender: SyncNode, guest: Enrolled, reader: SyncNode, make_node: MakeNode
) -> None:
    first = await exported(sender)
    await sender.node.publish_needs(guest.scid, "Obat", "Terpal")
    second = await exported(sender, since=extents([first]))
    assert extents([second]) == {guest.origin: Extent(6, 0)}
    assert len(second) < len(await exported(sender))

    stranger = await make_node("c")
    (taken,) = (await imported(stranger, second)).values()
    assert taken.error is not None
    assert taken.error.code == "SECTION_GAP"
    assert await stranger.value("select count(*) from participant where scid = $1", guest.scid) == 0

    await imported(reader, first)
    assert (await imported(reader, second))[guest.origin].entries == 2
    await allow(reader, guest.scid)
    assert await reader.rows(NEEDS) == await sender.rows(NEEDS)
    assert await reader.value("select count(*) from refusal") == 0


async def test_entries_missing_in_between_are_named_and_nothing_is_stored(
    sender: SyncNode, guest: Enrolled, reader: SyncNode
) -> None:
    first = await exported(sender)
    await sender.node.publish_needs(guest.scid, "Obat", "Terpal", "Tikar")
    await imported(reader, first)
    late = await exported(sender, guest.scid, since={guest.origin: Extent(6, 1)})
    (taken,) = (await imported(reader, late)).values()
    assert taken.error is not None
    assert (taken.error.code, taken.error.details) == ("SECTION_GAP", {"size_held": 4, "begins_at": 6})
    assert await reader.value("select size from log where origin = $1", guest.origin) == 4


async def test_bundles_in_any_order_and_twice_end_the_same(
    sender: SyncNode, guest: Enrolled, reader: SyncNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 16)
    old = await exported(sender)
    await sender.node.appender.append(guest.scid, [need_draft(f"Beras {number}") for number in range(100)])
    middle = await exported(sender)
    await sender.node.appender.append(guest.scid, [need_draft(f"Air {number}") for number in range(100)])
    new = await exported(sender)
    for data in (old, middle, old, new, middle, new):
        assert all(each.error is None for each in (await imported(reader, data)).values())
    assert (await reader.node.check(guest.origin)).signed_size == 204
    await allow(reader, guest.scid)
    assert await reader.rows(NEEDS) == await sender.rows(NEEDS)


async def test_a_bundle_cut_anywhere_leaves_what_was_verified_and_the_whole_one_ends_it(
    sender: SyncNode, guest: Enrolled, reader: SyncNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 8)
    await sender.node.appender.append(guest.scid, [need_draft(f"Beras {number}") for number in range(60)])
    data = await exported(sender)
    sizes: list[int] = []
    for stop in range(1, len(data), max(1, len(data) // 12)):
        with pytest.raises(GotongError) as refusal:
            await imported(reader, data[:stop])
        assert refusal.value.code in ("CONTENT_CODING_INVALID", "FRAME_TRUNCATED")
        sizes.append(await reader.value("select coalesce(max(size), 0) from log where origin = $1", guest.origin))
    assert sizes == sorted(sizes)
    assert any(0 < size < 64 for size in sizes), sizes
    await imported(reader, data)
    assert (await reader.node.check(guest.origin)).signed_size == 64


LIES = liar.LIES | {
    "an identity": (liar.lines(lambda line: line.replace(b"ojol", b"ojul")), "DID_SCID_MISMATCH"),
    "no identity": (liar.without(DidLine), "SECTION_GAP"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_bundle_that_lies_is_refused_by_the_rule_it_breaks_and_the_true_one_heals(
    sender: SyncNode, guest: Enrolled, reader: SyncNode, lie: str
) -> None:
    tamper, code = LIES[lie]
    data = await exported(sender, guest.scid)
    taken = (await imported(reader, tampered(data, tamper)))[guest.origin]
    assert taken.error is not None
    assert taken.error.code == code
    assert taken.entries == 0
    async with reader.database.acquire() as connection:
        reports = [row.code for row in await peers.refusals(connection, 10)]
    assert reports == ([taken.error.code] if taken.is_breach else [])
    assert (await imported(reader, data))[guest.origin].error is None
    await allow(reader, guest.scid)
    assert await reader.rows(NEEDS) == await sender.rows(NEEDS)


async def test_a_bomb_is_refused_before_it_is_unpacked(reader: SyncNode) -> None:
    endless = encode(Log("gotong/x/0")) * 4_000_000
    bomb = zlib.compress(endless, 9, 16 + zlib.MAX_WBITS)
    with pytest.raises(BundleIsBomb):
        for _ in frames_of([bomb]):
            pass
    with pytest.raises(GotongError) as refusal:
        await imported(reader, bomb)
    assert refusal.value.code == "STREAM_OUT_OF_ORDER"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x1f\x8bnot gzip at all", "CONTENT_CODING_INVALID"),
        (b"PK\x03\x04 a spreadsheet", "FRAME_UNKNOWN"),
        (b"\x01\xff\xff\xff\xff", "FRAME_TOO_LARGE"),
        (encode(Mark(3)), "STREAM_OUT_OF_ORDER"),
        (b"", "FRAME_TRUNCATED"),
    ],
)
async def test_another_file_is_told_from_a_bundle(reader: SyncNode, data: bytes, code: str) -> None:
    with pytest.raises(GotongError) as refusal:
        await imported(reader, data)
    assert refusal.value.code == code


async def test_records_of_a_newer_program_travel_in_bundles_too(
    sender: SyncNode, guest: Enrolled, reader: SyncNode, make_node: MakeNode
) -> None:
    await append_raw(sender.node, guest, [hand_built(sender.node, 1, "future-thing", {"anything": "goes"})])
    await imported(reader, await exported(sender))
    await allow(reader, guest.scid)
    third = await make_node("c")
    await imported(third, await exported(reader, guest.scid))
    assert (await third.node.check(guest.origin)).signed_size == 5
    assert await third.rows("select reason, type from unprojected") == [("UNKNOWN_TYPE", "future-thing")]


async def test_of_an_unknown_publisher_a_quota_is_kept_and_the_rest_comes_once_it_is_allowed(
    sender: SyncNode, guest: Enrolled, reader: SyncNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 100)
    for start in range(0, QUARANTINE_ENTRIES_MAX + 400, 350):
        await sender.node.appender.append(guest.scid, [need_draft(f"Beras {start + n}") for n in range(350)])
    data = await exported(sender)
    taken = (await imported(reader, data))[guest.origin]
    assert isinstance(taken.error, QuarantineFull)
    assert taken.entries == QUARANTINE_ENTRIES_MAX
    await allow(reader, guest.scid)
    assert (await imported(reader, data))[guest.origin].error is None
    assert await reader.rows(NEEDS) == await sender.rows(NEEDS)


async def test_a_blocked_publisher_is_not_imported(sender: SyncNode, guest: Enrolled, reader: SyncNode) -> None:
    await imported(reader, await exported(sender))
    await set_participant_trust(reader.database, guest.scid, "blocked", actor="test")
    await sender.node.publish_needs(guest.scid, "Obat")
    taken = (await imported(reader, await exported(sender)))[guest.origin]
    assert taken.error is not None
    assert taken.error.code == "PUBLISHER_BLOCKED"
    assert await reader.value("select size from log where origin = $1", guest.origin) == 4


async def test_our_own_log_is_not_taken_from_a_file_that_holds_no_more_of_it(sender: SyncNode, guest: Enrolled) -> None:
    data = await exported(sender)
    assert all((each.entries, each.error) == (0, None) for each in (await imported(sender, data)).values())
    await sender.node.publish_needs(guest.scid, "Obat")
    assert all((each.entries, each.error) == (0, None) for each in (await imported(sender, data)).values())


async def test_a_log_that_is_being_pulled_is_left_alone(sender: SyncNode, guest: Enrolled, reader: SyncNode) -> None:
    first, second = new_intake(reader), new_intake(reader)
    await first._claims.take([guest.origin])
    taken = (await run_import(second, await exported(sender)))[guest.origin]
    assert taken.error is not None
    assert taken.error.code == "LOG_IN_USE"
    await first._claims.close()
    assert (await imported(reader, await exported(sender)))[guest.origin].entries == 4


async def test_what_is_not_for_others_is_not_exported(sender: SyncNode, guest: Enrolled, reader: SyncNode) -> None:
    await imported(reader, await exported(sender))
    with pytest.raises(NothingToExport):
        await exported(reader, guest.scid)
    assert set(extents([await exported(reader)])) == {reader.node.operator.origin}


async def test_a_bundle_of_another_network_is_refused(
    guest: Enrolled, sender: SyncNode, reader: SyncNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = new_intake(reader)
    monkeypatch.setattr(intake._receiver, "_network", "live")
    taken = (await run_import(intake, await exported(sender)))[guest.origin]
    assert taken.error is not None
    assert taken.error.code == "NETWORK_MISMATCH"


async def test_a_bundle_from_before_an_erasure_does_not_bring_the_bytes_back(
    sender: SyncNode, guest: Enrolled, reader: SyncNode
) -> None:
    (secret,) = await sender.node.publish_needs(guest.scid, SECRET)
    before = await exported(sender)
    await imported(reader, before)
    await allow(reader, guest.scid)
    assert await reader.value(HOLDS_SECRET) == 1
    await erase(sender.node, guest.scid, secret)
    after = await exported(sender)
    assert SECRET.encode() in inflated(before)
    assert SECRET.encode() not in inflated(after)

    await imported(reader, after)
    assert await reader.value(HOLDS_SECRET) == 0
    for data in (before, after, before):
        assert all(each.error is None for each in (await imported(reader, data)).values())
        assert await reader.value(HOLDS_SECRET) == 0
    assert SECRET.encode() not in inflated(await exported(reader))
    checked = await reader.node.check(guest.origin)
    assert (checked.signed_size, checked.withheld, checked.erased) == (6, 0, 1)
    assert await reader.rows(NEEDS) == await sender.rows(NEEDS)


async def test_the_first_bundle_after_an_erasure_is_enough_and_an_older_one_adds_nothing(
    sender: SyncNode, guest: Enrolled, reader: SyncNode
) -> None:
    (secret,) = await sender.node.publish_needs(guest.scid, SECRET)
    before = await exported(sender)
    await erase(sender.node, guest.scid, secret)
    for data in (await exported(sender), before):  # the reader never held the bytes, and is offered them afterwards
        assert all(each.error is None for each in (await imported(reader, data)).values())
        assert await reader.value(HOLDS_SECRET) == 0
    assert (await reader.node.check(guest.origin)).erased == 1


def inflated(data: bytes) -> bytes:
    return zlib.decompress(data, 16 + zlib.MAX_WBITS)


async def test_a_bundle_from_before_a_new_epoch_breaks_no_rule(
    sender: SyncNode, guest: Enrolled, reader: SyncNode
) -> None:
    await imported(reader, await exported(sender))
    await sender.node.publish_needs(guest.scid, "Tenda")
    old = await exported(sender)
    now = sender.node.clock.advance(minutes=1)
    await recover(sender.database, sender.node.keys, guest.scid, seed_of("ojol"), size=4, now=now)
    await imported(reader, await exported(sender))
    taken = await imported(reader, old)
    assert (taken[guest.origin].entries, taken[guest.origin].is_breach) == (0, False)
    assert await reader.rows("select code from refusal") == []
