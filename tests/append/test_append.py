"""What the appender promises: durable, atomic, gapless, and each request alone with its mistakes."""

import asyncio
import hashlib
import itertools
from pathlib import Path

import pytest

from domain.errors import GotongError
from domain.records.base import RecordInvalid
from federation.encoding import canonical
from federation.identity.writing import ParticipantNotHosted
from federation.publish.append import Appender, Draft, Once, StoredBytesDiffer
from federation.publish.prepare import ClockOff, IdempotencyKeyReused, RecordNotFound, RevisionConflict, TooManyDrafts
from store import logs, outbox, peers, texts
from store.database import Database, DiskFull
from tests.clock import FrozenClock
from tests.nodes import TestNode, fixed, need_body, need_draft, start_test_node


@pytest.fixture
async def node(database: Database, tmp_path: Path, clock: FrozenClock) -> TestNode:
    return await start_test_node(database, tmp_path, clock)


async def test_a_new_log_begins_with_a_signed_genesis(node: TestNode) -> None:
    checked = await node.check(node.operator.origin)
    assert (checked.size, checked.signed_size) == (1, 1)


async def test_an_appended_need_is_in_the_log_and_in_its_table(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    (appended,) = await node.appender.append(guest.scid, [need_draft("Buku cerita bekas")])

    assert appended.uri == f"gotong:{guest.scid}/need/{appended.record_id}"
    assert (appended.index, appended.revision) == (1, 0)
    async with node.database.acquire() as connection:
        row = await connection.fetchrow("select * from need where record_id = $1", appended.record_id)
        assert row is not None
        assert row["title_text"] == [{"lang": "id", "text": "Buku cerita bekas"}]
        assert (row["state"], row["region_path"]) == ("OPEN", ["32", "32.03", "32.03.28"])
    assert (await node.check(guest.origin)).size == 2


async def test_the_restricted_part_is_committed_to_and_stays_apart(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    contact = {"contact": {"name": "Sari", "phone": "+628123456789"}}
    draft = Draft("need", None, fixed(need_body(), restricted=contact))
    (appended,) = await node.appender.append(guest.scid, [draft])
    async with node.database.acquire() as connection:
        log = await logs.head(connection, guest.origin)
        assert log is not None
        (public,) = await logs.entries(connection, log.id, appended.index, 1)
        assert public.restricted is None
        assert b"8123456789" not in public.data + (public.body or (b"", b""))[1]
        (home,) = await logs.entries(connection, log.id, appended.index, 1, restricted=True)
        assert home.restricted is not None
        assert b"8123456789" not in home.restricted.data
    _, payload = node.appender.vault.open(guest.scid, appended.index, home.restricted)
    assert canonical.decode(payload) == contact


async def test_a_hundred_concurrent_writers_leave_a_gapless_log_and_few_checkpoints(
    node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = await node.participant("ojol-peduli")
    signed: list[int] = []
    true_set_head = logs.set_head

    async def counting_set_head(*args: object, **kwargs: object) -> None:
        signed.append(int(kwargs["size"]))  # type: ignore[call-overload]
        await true_set_head(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(logs, "set_head", counting_set_head)
    answers = await asyncio.gather(
        *(node.appender.append(guest.scid, [need_draft(f"Kebutuhan {n}")]) for n in range(100))
    )
    assert sorted(answer[0].index for answer in answers) == list(range(1, 101))
    assert len(signed) < 20
    assert (await node.check(guest.origin)).signed_size == 101


async def test_two_processes_share_one_log(node: TestNode, database_dsn: str) -> None:
    guest = await node.participant("ojol-peduli")
    async with Database(database_dsn, connections=2) as other:
        second = Appender(other, node.keys, node.clock)
        answers = await asyncio.gather(
            *(
                appender.append(guest.scid, [need_draft(f"{n}")])
                for n in range(40)
                for appender in (node.appender, second)
            )
        )
    assert sorted(answer[0].index for answer in answers) == list(range(1, 81))
    assert (await node.check(guest.origin)).size == 81


async def test_an_invalid_draft_fails_alone(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    outcomes = await asyncio.gather(
        node.appender.append(guest.scid, [need_draft("satu")]),
        node.appender.append(guest.scid, [need_draft("dua"), need_draft("tiga", urgency="PANIC")]),
        node.appender.append(guest.scid, [need_draft("empat")]),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], RecordInvalid)
    assert [outcome[0].index for outcome in (outcomes[0], outcomes[2]) if isinstance(outcome, list)] == [1, 2]
    assert (await node.check(guest.origin)).size == 3


async def test_a_request_the_database_refuses_fails_alone(node: TestNode) -> None:
    """What only the database notices (here a constraint) must not take the neighbours down."""
    guest = await node.participant("baca-yuk")
    async with node.database.acquire() as connection:
        await connection.execute("alter table need add constraint no_poison check (kind <> 'SPACE')")
    outcomes = await asyncio.gather(
        *(
            node.appender.append(guest.scid, [need_draft(str(n), kind="SPACE" if n == 3 else "GOODS")])
            for n in range(6)
        ),
        return_exceptions=True,
    )
    assert [isinstance(outcome, BaseException) for outcome in outcomes] == [n == 3 for n in range(6)]
    assert (await node.check(guest.origin)).size == 6


async def test_a_revision_names_the_one_before_and_replaces_the_row(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    (first,) = await node.appender.append(guest.scid, [need_draft("Buku")])
    node.clock.advance(minutes=5)
    revision = Draft("need", first.record_id, fixed(need_body("Buku anak")), expected_revision=0)
    (second,) = await node.appender.append(guest.scid, [revision])

    assert (second.revision, second.index, second.uri) == (1, 2, first.uri)
    async with node.database.acquire() as connection:
        rows = await connection.fetch("select revision, published_at, revised_at, title_text from need")
        assert [(row["revision"], row["title_text"][0]["text"]) for row in rows] == [(1, "Buku anak")]
        assert rows[0]["revised_at"] > rows[0]["published_at"]


async def test_a_writer_who_read_an_older_revision_is_told(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    (first,) = await node.appender.append(guest.scid, [need_draft()])
    revision = Draft("need", first.record_id, fixed(need_body("lagi")), expected_revision=0)
    outcomes = await asyncio.gather(
        node.appender.append(guest.scid, [revision]),
        node.appender.append(guest.scid, [revision]),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [list, RevisionConflict]


async def test_revising_what_is_not_there_is_refused(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    other = await node.participant("dapur-ibu")
    (theirs,) = await node.appender.append(other.scid, [need_draft()])
    with pytest.raises(RecordNotFound):
        await node.appender.append(guest.scid, [Draft("need", theirs.record_id, fixed(need_body()))])


async def test_an_idempotency_key_gives_the_first_answer_again(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    once = Once("kunci-1", hashlib.sha256(b"content").digest())
    first, again = await asyncio.gather(
        node.appender.append(guest.scid, [need_draft()], once=once),
        node.appender.append(guest.scid, [need_draft()], once=once),
    )
    later = await Appender(node.database, node.keys, node.clock).append(guest.scid, [need_draft()], once=once)
    assert [one[0].uri for one in (first, again, later)] == [first[0].uri] * 3
    assert [one[0].repeated for one in (first, again, later)] == [False, True, True]
    assert (await node.check(guest.origin)).size == 2
    with pytest.raises(IdempotencyKeyReused):
        await node.appender.append(guest.scid, [need_draft()], once=Once("kunci-1", bytes(32)))


async def test_a_dry_run_says_what_would_happen_and_writes_nothing(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    (would,) = await node.appender.append(guest.scid, [need_draft()], dry_run=True)
    assert (would.index, would.revision) == (1, 0)
    with pytest.raises(RecordInvalid):
        await node.appender.append(guest.scid, [need_draft(urgency="PANIC")], dry_run=True)
    assert (await node.check(guest.origin)).size == 1


async def test_only_hosted_participants_can_be_written_for(node: TestNode) -> None:
    with pytest.raises(ParticipantNotHosted):
        await node.appender.append("QmTIDAKADA", [need_draft()])


async def test_a_request_of_too_many_drafts_is_refused(node: TestNode) -> None:
    with pytest.raises(TooManyDrafts):
        await node.appender.append(node.operator.scid, [need_draft()] * 1_001)


async def test_a_clock_fallen_back_to_2010_signs_nothing(node: TestNode) -> None:
    await node.publish_needs(node.operator.scid, "sebelum")
    node.clock.advance(days=-365 * 16)
    with pytest.raises(ClockOff):
        await node.publish_needs(node.operator.scid, "2010")
    node.clock.advance(days=365 * 16)
    await node.publish_needs(node.operator.scid, "sesudah")


async def test_a_clock_far_from_the_allowed_peers_signs_nothing(node: TestNode) -> None:
    async with node.database.acquire() as connection:
        await peers.add(connection, "http://ngo.gotong.test", trust="allowed")
        skew_ms = 9 * 365 * 86_400_000
        await connection.execute("update peer set skew_ms = $1, last_ok_at = $2", skew_ms, node.clock())
    with pytest.raises(ClockOff, match="peers"):
        await node.publish_needs(node.operator.scid, "2035")
    node.clock.advance(hours=2)  # what was heard so long ago, by a clock that may have jumped since, counts no more
    await node.publish_needs(node.operator.scid, "2026")


async def test_nothing_is_signed_over_bytes_the_database_changed(
    node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node.database.acquire() as connection:
        await connection.execute(
            """
            create function rot() returns trigger language plpgsql as
            'begin new.data := set_byte(new.data, 5, 65); return new; end';
            create trigger rot before insert on entry for each row execute function rot()
            """
        )
    with pytest.raises(StoredBytesDiffer):
        await node.publish_needs(node.operator.scid, "berubah")
    async with node.database.acquire() as connection:
        await connection.execute("drop trigger rot on entry")
    assert (await node.check(node.operator.origin)).size == 1


async def test_a_full_disk_is_named_and_nothing_is_half_written(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    async with node.database.acquire() as connection:
        await connection.execute(
            """
            create function full_disk() returns trigger language plpgsql as
            $$ begin raise exception using errcode = 'disk_full', message = 'no space left'; end $$;
            create trigger full_disk before insert on need for each row execute function full_disk()
            """
        )
    with pytest.raises(DiskFull):
        await node.publish_needs(guest.scid, "penuh")
    assert (await node.check(guest.origin)).size == 1
    async with node.database.acquire() as connection:
        assert await connection.fetchval("select count(*) from entry where index > 0") == 0
        await connection.execute("drop trigger full_disk on need")
    await node.publish_needs(guest.scid, "lega")
    assert (await node.check(guest.origin)).size == 2


async def test_a_database_killed_at_any_point_leaves_a_log_that_holds(node: TestNode, database_dsn: str) -> None:
    """Backends are killed over and over while writers write; every answer given must be in the log, once."""
    guest = await node.participant("ojol-peduli")
    answered: list[str] = []
    failed: list[GotongError] = []
    enough = asyncio.Event()

    async def write(n: int) -> None:
        for attempt in itertools.count():
            if enough.is_set():
                return
            try:
                (appended,) = await node.appender.append(guest.scid, [need_draft(f"{n}-{attempt}")])
            except GotongError as error:
                failed.append(error)
                await asyncio.sleep(0.01)
            else:
                answered.append(appended.uri)

    async def kill() -> None:
        async with Database(database_dsn, connections=1) as killer, killer.acquire() as connection:
            for n in itertools.count():
                if n >= 30 and failed:
                    break
                await asyncio.sleep(0.005 + 0.001 * (n % 7))
                await connection.execute(
                    """
                    select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
                    """
                )
        enough.set()

    await asyncio.gather(kill(), *(write(n) for n in range(20)))
    assert {error.code for error in failed} <= {"DATABASE_UNAVAILABLE", "DATABASE_BUSY"}
    async with node.database.acquire() as connection:
        kept = [
            f"gotong:{guest.scid}/need/{row['record_id']}"
            for row in await connection.fetch("select record_id from need")
        ]
    assert set(answered) <= set(kept)
    assert len(kept) == len(set(kept)) == len(answered), "what was refused must not have been written"
    assert (await node.check(guest.origin)).size == len(kept) + 1


async def test_events_come_out_numbered_in_order_without_gap(node: TestNode) -> None:
    guest = await node.participant("baca-yuk")
    await asyncio.gather(*(node.appender.append(guest.scid, [need_draft(str(n))]) for n in range(20)))
    async with node.database.acquire() as connection:
        while await outbox.sequence(connection):
            pass
        events = await connection.fetch("select seq, kind from event order by seq")
        await texts.index(connection)
        indexed = await connection.fetchval("select count(*) from need_search")
    assert [tuple(event) for event in events] == [(seq, "PUBLISHED") for seq in range(1, 21)]
    assert indexed == 20
