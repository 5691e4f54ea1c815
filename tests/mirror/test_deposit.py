"""A laptop that nobody can connect to publishes, and an NGO that knows only the mirror reads it."""

from collections.abc import Awaitable, Sequence
from datetime import timedelta

import pytest

from domain.errors import GotongError
from federation.bundles.bundle import export, wanted_logs
from federation.identity.create import Place
from federation.lifecycle.enroll import create_participant
from federation.lifecycle.moving import let_go, take_in
from federation.mirror import depositor
from federation.mirror.deposit import Deposited
from federation.mirror.depositor import hand_over
from federation.mirror.link import Invitation
from federation.moderation.trust import set_participant_trust
from federation.sync.client import PeerClient, PeerProtocolError, PeerUnreachable
from store import depositors
from tests.mirror.conftest import NEEDS, Laptop, MakeLaptop, MakeNode, Mirror
from tests.nodes import BASE_URL, need_draft, seed_of
from tests.sockets import http_client
from tests.sync.conftest import client_of


async def test_what_a_laptop_publishes_an_ngo_reads_from_its_mirror(
    mirror: Mirror, laptop: Laptop, make_node: MakeNode
) -> None:
    scid = laptop.node.operator.scid
    await laptop.node.publish_needs(scid, "Beras", "Air bersih", "Selimut")
    handed = await laptop.deposit(mirror.url)
    assert (handed.entries, handed.refused) == (4, {})
    assert await mirror.served.rows(NEEDS) == await laptop.rows(NEEDS)

    ngo = await make_node("ngo")
    await ngo.add_peer(mirror.url)
    done = await ngo.pull(mirror.url)
    assert done.refused == {}
    assert await ngo.rows(NEEDS) == await laptop.rows(NEEDS)
    assert (await ngo.node.check(laptop.node.operator.origin)).signed_size == 4
    assert await ngo.value("select trust from participant where scid = $1", scid) == "allowed"


async def test_the_mirror_answers_for_the_identity_and_for_all_static_reads(mirror: Mirror, laptop: Laptop) -> None:
    scid = laptop.node.operator.scid
    guest = await create_participant(
        laptop.database,
        laptop.node.keys,
        place=Place("cermin.gotong.test", None, "dapur-ibu-rt03"),
        base_url=mirror.url,
        seed=seed_of("rt03"),
        now=laptop.node.clock(),
    )
    await laptop.node.publish_needs(guest.scid, "Beras")
    await laptop.deposit(mirror.url)
    async with http_client() as http:
        for slug, who in (("dapur-ibu", scid), ("dapur-ibu-rt03", guest.scid)):
            lines = (await http.get(f"{mirror.url}/o/{slug}/did.jsonl")).content
            assert [
                line + b"\n"
                for (line,) in await laptop.rows(
                    "select line from did_line join participant on participant.id = participant_id where scid = $1", who
                )
            ] == lines.splitlines(keepends=True)
        base = f"{mirror.url}/federation/v1/log/{guest.scid}/0"
        assert (await http.get(f"{base}/checkpoint")).status_code == 200
        assert (await http.get(f"{base}/tile/entries/000.p/2")).status_code == 200
        assert len((await http.get(f"{base}/payloads?from=1&n=1")).content) > 4
        heads = (await http.get(f"{mirror.url}/federation/v1/heads")).json()
    assert {head["origin"]: head.get("hosted", False) for head in heads["logs"]} == {
        mirror.served.node.operator.origin: True,
        laptop.node.operator.origin: False,
        guest.origin: False,
    }


async def test_a_second_deposit_brings_only_what_is_new_and_long_logs_come_in_steps(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.mirror.depositor.STEP_BYTES", 20_000)
    monkeypatch.setattr("federation.sync.serve.PAGE_ENTRIES_MAX", 16)
    scid = laptop.node.operator.scid
    await laptop.node.appender.append(scid, [need_draft(f"Beras {number}") for number in range(300)])
    assert (await laptop.deposit(mirror.url)).entries == 301
    assert (await laptop.deposit(mirror.url)).entries == 0
    await laptop.node.publish_needs(scid, "Air")
    assert (await laptop.deposit(mirror.url)).entries == 1
    assert await mirror.served.rows(NEEDS) == await laptop.rows(NEEDS)
    assert await mirror.served.value("select count(*) from refusal") == 0


async def test_who_has_left_can_be_had_from_the_mirror_up_to_the_end(mirror: Mirror, laptop: Laptop) -> None:
    """Nobody can ask the laptop: what it wrote before it let somebody go has no other way to the new host."""
    place = Place("cermin.gotong.test", None, "dapur-ibu-rt03")
    guest = await create_participant(
        laptop.database,
        laptop.node.keys,
        place=place,
        base_url=mirror.url,
        seed=seed_of("rt03"),
        now=laptop.node.clock(),
    )
    await laptop.node.publish_needs(guest.scid, "Beras")
    package = await let_go(laptop.database, laptop.node.appender.vault, guest.scid, lambda _data: None)
    await laptop.deposit(mirror.url)
    node = mirror.served.node
    changed = await take_in(
        node.database,
        node.keys,
        node.appender.vault,
        guest.scid,
        seed_of("rt03"),
        place=place,
        base_url=mirror.url,
        now=node.clock.advance(minutes=1),
        package=package,
    )
    assert changed.size == 2


async def test_clocks_that_differ_accuse_no_depositor(mirror: Mirror, laptop: Laptop) -> None:
    await laptop.node.publish_needs(laptop.node.operator.scid, "Beras")
    await laptop.deposit(mirror.url)
    guest = await create_participant(
        laptop.database,
        laptop.node.keys,
        place=Place("cermin.gotong.test", None, "dapur-ibu-rt03"),
        base_url=mirror.url,
        seed=seed_of("rt03"),
        now=laptop.node.clock() + timedelta(hours=1),
    )
    assert (await laptop.deposit(mirror.url)).refused == {guest.origin: "DID_TIME_IN_FUTURE"}
    assert await mirror.served.value("select count(*) from refusal") == 0


async def test_a_deposit_of_a_quarantined_node_is_kept_unseen_until_its_operator_allows_it(
    mirror: Mirror, make_laptop: MakeLaptop, make_node: MakeNode
) -> None:
    invitation = await mirror.invite("pos-tani", trust="quarantined")
    laptop = await make_laptop(invitation)
    assert (await laptop.join(invitation)).trust == "quarantined"
    scid = laptop.node.operator.scid
    await laptop.node.publish_needs(scid, "Beras")
    await laptop.deposit(mirror.url)
    async with http_client() as http:
        assert (await http.get(f"{mirror.url}/o/pos-tani/did.jsonl")).status_code == 404
        heads = (await http.get(f"{mirror.url}/federation/v1/heads")).json()
    assert len(heads["logs"]) == 1
    assert await mirror.served.value("select count(*) from outbox where type = 'need'") == 0
    await set_participant_trust(mirror.served.database, scid, "allowed", actor="test")
    assert await mirror.served.value("select count(*) from outbox where type = 'need'") == 1


# ---- who may --------------------------------------------------------------------------------------------------------


async def refused(work: Awaitable[object]) -> object:
    """Return the mirror's own code for why it refused."""
    with pytest.raises(GotongError) as refusal:
        await work
    return refusal.value.details.get("cause", refusal.value.code)


async def test_a_link_works_once_for_one_node_until_it_expires(mirror: Mirror, make_laptop: MakeLaptop) -> None:
    invitation = await mirror.invite("dapur-ibu")
    first, second = await make_laptop(invitation), await make_laptop(invitation)
    await first.join(invitation)
    await first.join(invitation)  # its answer may have been lost
    assert await refused(second.ask_to_join(invitation)) == "MIRROR_LINK_UNKNOWN"
    assert await mirror.served.value("select count(*) from peer where deposits_here") == 1

    late = await mirror.invite("pos-tani", days=1)
    mirror.served.node.clock.now += timedelta(days=1, seconds=1)
    assert await refused(second.ask_to_join(late)) == "MIRROR_LINK_UNKNOWN"
    wrong = Invitation(late.url, "test", late.operator_scid, late.host, late.slug, "a" * 32)
    assert await refused(second.ask_to_join(wrong)) == "MIRROR_LINK_UNKNOWN"


async def test_who_was_not_invited_deposits_nothing(mirror: Mirror, make_laptop: MakeLaptop) -> None:
    invitation = await mirror.invite("dapur-ibu")
    stranger = await make_laptop(invitation)
    async with stranger.client(mirror.url) as client:
        assert await refused(hand_over(stranger.database, client)) == "CALLER_UNKNOWN"
    async with http_client() as http:
        answer = await http.post(f"{mirror.url}/federation/v1/deposit", content=b"")
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGNATURE_REQUIRED")


async def test_a_known_peer_that_was_not_invited_deposits_nothing_either(
    mirror: Mirror, make_node: MakeNode, laptop: Laptop
) -> None:
    other = await make_node("lain")
    await mirror.served.add_peer(other.url)
    await mirror.served.pull(other.url)
    async with client_of(other.node, mirror.url) as client:
        assert await refused(hand_over(other.database, client)) == "DEPOSIT_NOT_INVITED"


async def test_nobody_joins_with_the_identity_of_somebody_else(mirror: Mirror, make_laptop: MakeLaptop) -> None:
    invitation = await mirror.invite("dapur-ibu")
    honest, thief = await make_laptop(invitation), await make_laptop(invitation)
    lines = [line.decode() for (line,) in await honest.rows("select line from did_line")]
    with pytest.raises(GotongError) as refusal:
        await thief.ask_to_join(invitation, did_log=lines)
    assert refusal.value.details["cause"] == "CALLER_UNKNOWN"
    await honest.join(invitation)


async def test_names_that_were_given_away_are_nobody_elses(mirror: Mirror) -> None:
    await mirror.invite("dapur-ibu")
    await mirror.served.node.participant("ojol", host="cermin.gotong.test")
    for taken in ("dapur-ibu", "dapur-ibu-rt03", "dapur", "ojol"):
        with pytest.raises(GotongError) as refusal:
            await mirror.invite(taken)
        assert refusal.value.code == "NAME_TAKEN", taken
    await mirror.invite("dapur2")
    with pytest.raises(GotongError) as slug:
        await create_participant(
            mirror.served.database,
            mirror.served.node.keys,
            place=Place("cermin.gotong.test", None, "dapur-ibu-rt01"),
            base_url=BASE_URL,
            seed=seed_of("x"),
            now=mirror.served.node.clock(),
        )
    assert slug.value.code == "SLUG_TAKEN"
    mirror.served.node.clock.now += timedelta(days=8)
    await mirror.invite("dapur-ibu")  # nobody used it


# ---- how much -------------------------------------------------------------------------------------------------------


async def test_a_spent_quota_says_when_to_go_on_and_nothing_is_lost(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    scid = laptop.node.operator.scid
    await laptop.node.appender.append(scid, [need_draft(f"Beras {number}") for number in range(100)])
    monkeypatch.setattr("federation.mirror.deposits.DEPOSIT_BYTES_PER_HOUR_MAX", 2_000)
    with pytest.raises(GotongError) as refusal:
        await laptop.deposit(mirror.url)
    assert refusal.value.code == "PEER_BUSY"
    assert refusal.value.details["status"] == 429
    clock = laptop.node.clock()
    left_s = 3_600 - clock.minute * 60 - clock.second
    assert refusal.value.details["retry_after_s"] == left_s
    monkeypatch.setattr("federation.mirror.deposits.DEPOSIT_BYTES_PER_HOUR_MAX", 100_000)
    mirror.served.node.clock.now += timedelta(seconds=left_s)
    assert (await laptop.deposit(mirror.url)).entries == 101


async def test_a_depositor_brings_only_so_many_participants(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.mirror.deposits.DEPOSITED_PARTICIPANTS_MAX", 2)
    made = [await laptop.node.participant(f"dapur-ibu-{n}", host="cermin.gotong.test") for n in range(3)]
    handed = await laptop.deposit(mirror.url)
    assert sorted(handed.refused.values()) == ["DEPOSITOR_FULL", "DEPOSITOR_FULL"]
    assert handed.refused.keys() < {each.origin for each in made}
    async with mirror.served.database.acquire() as connection:
        (row,) = await depositors.every(connection)
    assert (row.slug, row.participants) == ("dapur-ibu", 2)


async def test_a_log_that_the_depositor_does_not_host_proves_itself_and_gets_no_home(
    mirror: Mirror, laptop: Laptop, make_node: MakeNode
) -> None:
    other = await make_node("lain")
    guest = await other.node.participant("ojol", host="lain.gotong.test")
    await other.node.publish_needs(guest.scid, "Beras")
    wanted = await wanted_logs(other.database, [guest.scid], {})
    body = b"".join([piece async for piece in export(other.database, wanted)])
    (held,) = await mirror.deposits.take(laptop.node.operator.scid, body)
    assert (held.size, held.refused) == (2, None)
    found = await mirror.served.rows(
        "select trust, home_peer_id, deposited_by is not null from participant where scid = $1", guest.scid
    )
    assert found == [("quarantined", None, True)]


async def test_a_mirror_that_was_away_for_a_week_is_tried_again_within_the_minute(
    mirror: Mirror, make_laptop: MakeLaptop
) -> None:
    laptop = await make_laptop(await mirror.invite("dapur-ibu"))
    assert laptop.depositor._pause_s(1_000, PeerUnreachable("no route")) <= 60
    assert laptop.depositor._pause_s(1_000, PeerProtocolError("refused")) > 60


async def test_a_mirror_that_says_it_holds_less_each_time_is_not_sent_to_for_ever(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await laptop.node.publish_needs(laptop.node.operator.scid, "Beras", "Air bersih", "Selimut")
    sizes = iter([3, 2, 1, 0, *[3, 2] * 100])

    async def lied(_client: PeerClient, _frames: bytes, origins: Sequence[str]) -> list[Deposited]:
        return [Deposited(origin, next(sizes), 1) for origin in origins]

    monkeypatch.setattr(depositor, "_send", lied)
    async with client_of(laptop.node, mirror.url) as client:
        handed = await hand_over(laptop.database, client)
    assert handed.refused == {laptop.node.operator.origin: "NOTHING_TAKEN"}
