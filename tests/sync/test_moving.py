"""A participant leaves its host with its history, or ends: who writes, who reads, and whose trust it has."""

from dataclasses import dataclass

import msgspec
import pytest

from federation.identity.create import Place
from federation.identity.rekey import CardsDoNotFit
from federation.identity.writing import ParticipantEnded, ParticipantMoved, ParticipantNotHosted
from federation.lifecycle.custody import OperatorStays, end, rotate
from federation.lifecycle.enroll import Enrolled, SlugTaken
from federation.lifecycle.moving import LogDiffers, LogNotCopied, Package, let_go, read_package, take_back, take_in
from federation.log.entry import PayloadCommitmentMismatch
from federation.moderation.trust import set_participant_trust, set_peer_trust
from federation.publish.append import Draft
from store import logs
from tests.nodes import fixed, need_body, seed_of
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.raw import append_raw, hand_built

SEED = seed_of("ojol")
CONTACT = {"contact": {"name": "Sari", "phone": "+628123456789"}}
TRUST = "select trust, trust_set_by, host from participant where scid = $1"
HOSTED = "select hosted from participant where scid = $1"


@dataclass
class Move:
    """An old and a new host, a reader that copies from both, and who moves."""

    old: SyncNode
    new: SyncNode
    reader: SyncNode
    guest: Enrolled

    async def let_go(self) -> Package:
        kept: list[bytes] = []
        await let_go(self.old.database, self.old.node.appender.vault, self.guest.scid, kept.append)
        return read_package(kept[0])

    async def take_in(self, package: Package | None, seed: bytes = SEED, slug: str = "ojol") -> None:
        await take_in(
            self.new.database,
            self.new.node.keys,
            self.new.node.appender.vault,
            self.guest.scid,
            seed,
            place=Place("baru.gotong.test", None, slug),
            base_url=self.new.url,
            now=self.old.node.clock.advance(minutes=1),
            package=package,
        )

    async def move(self) -> None:
        package = await self.let_go()
        await self.new.pull(self.old.url)
        await self.take_in(package)

    async def pulled(self, url: str) -> dict[str, str]:
        return (await self.reader.pull(url)).refused


@pytest.fixture
async def move(make_node: MakeNode) -> Move:
    old, new, reader = await make_node("lama"), await make_node("baru"), await make_node("pembaca")
    for node, other in ((new, old), (old, new), (reader, old), (reader, new)):
        await node.add_peer(other.url)
    guest = await old.node.participant("ojol", host="lama.gotong.test")
    await old.node.appender.append(guest.scid, [Draft("need", None, fixed(need_body("Beras"), restricted=CONTACT))])
    for node, other in ((new, old), (reader, old), (reader, new)):
        assert (await node.pull(other.url)).refused == {}
    return Move(old, new, reader, guest)


async def test_a_participant_moves_and_everybody_follows(move: Move) -> None:
    await move.move()
    with pytest.raises(ParticipantMoved):
        await move.old.node.publish_needs(move.guest.scid, "Terlambat")
    await move.new.node.publish_needs(move.guest.scid, "Selimut")
    assert await move.pulled(move.old.url) == {}
    assert await move.pulled(move.new.url) == {}
    assert await move.reader.value("select count(*) from need") == 2
    assert await move.reader.rows(TRUST, move.guest.scid) == [("allowed", "kept", "baru.gotong.test")]
    # The old host becomes a mirror: it learns of the move like anybody and goes on serving what was published.
    assert (await move.old.pull(move.new.url)).refused == {}
    assert await move.old.value("select count(*) from need") == 2
    assert await move.old.value(HOSTED, move.guest.scid) is False
    assert (await move.new.node.check(move.guest.origin)).size == 3
    await rotate(
        move.new.database, move.new.node.keys, move.guest.scid, SEED, now=move.old.node.clock.advance(minutes=1)
    )


async def test_contacts_move_along_and_are_checked_against_the_log(move: Move) -> None:
    package = await move.let_go()
    await move.new.pull(move.old.url)
    forged = read_package(_json(package))
    forged.restricted[0].payload = "e30="
    with pytest.raises(PayloadCommitmentMismatch):
        await move.take_in(forged)
    await move.take_in(package)
    async with move.new.database.acquire() as connection:
        log = await logs.head(connection, move.guest.origin)
        assert log is not None
        (stored,) = await logs.entries(connection, log.id, 1, 1, restricted=True)
    assert stored.restricted is not None
    _, payload = move.new.node.appender.vault.open(move.guest.scid, 1, stored.restricted)
    assert b"8123456789" in payload


async def test_the_new_host_has_to_hold_exactly_what_the_old_one_let_go_of(move: Move) -> None:
    await move.old.node.publish_needs(move.guest.scid, "Obat")
    package = await move.let_go()
    with pytest.raises(LogNotCopied):
        await move.take_in(package)
    await move.new.pull(move.old.url)
    other = read_package(_json(package).replace(package.root.encode(), b"07" * 32))
    with pytest.raises(LogDiffers):
        await move.take_in(other)
    with pytest.raises(CardsDoNotFit):
        await move.take_in(package, seed_of("orang lain"))
    await move.new.node.participant("penuh", host="baru.gotong.test")
    with pytest.raises(SlugTaken):
        await move.take_in(package, slug="penuh")
    assert await move.new.value(HOSTED, move.guest.scid) is False
    await move.take_in(package)


async def test_the_new_host_goes_on_from_the_newest_version_of_the_identity(move: Move) -> None:
    """Keys that were changed shortly before: an entry beside that one would tell the identity in two ways."""
    await rotate(
        move.old.database, move.old.node.keys, move.guest.scid, SEED, now=move.old.node.clock.advance(minutes=1)
    )
    package = await move.let_go()
    with pytest.raises(LogNotCopied):
        await move.take_in(package)
    await move.new.pull(move.old.url)
    await move.take_in(package)
    assert await move.pulled(move.new.url) == {}
    assert await move.pulled(move.old.url) == {}
    assert await move.reader.value("select count(*) from evidence") == 0


async def test_who_was_let_go_by_mistake_is_taken_back_unless_the_cards_were_used(move: Move) -> None:
    package = await move.let_go()
    await take_back(move.old.database, move.old.node.keys, move.guest.scid)
    await move.old.node.publish_needs(move.guest.scid, "Tetap di sini")
    package = await move.let_go()
    await move.new.pull(move.old.url)
    await move.take_in(package)
    await move.old.pull(move.new.url)
    with pytest.raises(ParticipantNotHosted):
        await take_back(move.old.database, move.old.node.keys, move.guest.scid)


async def test_a_database_older_than_its_keys_is_told_that_they_are_here(move: Move) -> None:
    """A key was changed after the backup: the restored node hears that another one signs, and has it on its disk."""
    old, guest = move.old, move.guest
    await rotate(old.database, old.node.keys, guest.scid, SEED, now=old.node.clock.advance(minutes=1))
    await move.reader.pull(old.url)
    number = await old.value("select id from participant where scid = $1", guest.scid)
    await old.rows("delete from did_line where version = 2 and participant_id = $1", number)
    await old.rows("update participant set did_version = 1 where scid = $1", guest.scid)
    await old.rows("update log set key_number = 0 where origin = $1", guest.origin)
    await old.add_peer(move.reader.url)
    await old.pull(move.reader.url)
    with pytest.raises(ParticipantMoved):
        await old.node.publish_needs(guest.scid, "Selimut")
    await take_back(old.database, old.node.keys, guest.scid)
    await old.node.publish_needs(guest.scid, "Selimut")
    assert await move.pulled(old.url) == {}
    assert await move.reader.value("select count(*) from need") == 2


async def test_what_cannot_be_handed_over_is_not_let_go(move: Move) -> None:
    def full_disk(_data: bytes) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        await let_go(move.old.database, move.old.node.appender.vault, move.guest.scid, full_disk)
    await move.old.node.publish_needs(move.guest.scid, "Selimut")
    with pytest.raises(OperatorStays):
        await let_go(move.old.database, move.old.node.appender.vault, move.old.node.operator.scid, full_disk)


async def test_a_host_that_was_left_without_a_word_stops_writing_when_it_hears(move: Move) -> None:
    """The cards were used elsewhere: a stolen machine that is found again, or a host that closed for a while."""
    await move.take_in(None)
    await move.new.node.publish_needs(move.guest.scid, "Selimut")
    assert (await move.old.pull(move.new.url)).refused == {}
    with pytest.raises(ParticipantMoved):
        await move.old.node.publish_needs(move.guest.scid, "Terlambat")
    assert (await move.old.pull(move.new.url)).refused == {}
    assert await move.old.value("select count(*) from need") == 2
    # Should it sign on all the same, with the key it still has: nobody takes it.
    await append_raw(move.old.node, move.guest, [hand_built(move.old.node, 3, "need", need_body("Lagi"))])
    assert await move.pulled(move.new.url) == {}
    assert await move.pulled(move.old.url) in ({}, {move.guest.origin: "CHECKPOINT_KEY_RETIRED"})
    assert await move.reader.value("select count(*) from need") == 2


async def test_moving_makes_nobody_trusted_and_nobody_distrusted(move: Move) -> None:
    await set_peer_trust(move.reader.database, move.new.url, "quarantined", actor="test")
    await move.move()
    assert await move.pulled(move.new.url) == {}
    assert (await move.reader.rows(TRUST, move.guest.scid))[0][:2] == ("allowed", "kept")
    # A decision about the new home counts, and one about the participant counts more.
    await set_peer_trust(move.reader.database, move.new.url, "blocked", actor="test")
    assert (await move.reader.rows(TRUST, move.guest.scid))[0][:2] == ("blocked", "peer")
    await set_participant_trust(move.reader.database, move.guest.scid, "allowed", actor="test")
    await set_peer_trust(move.reader.database, move.new.url, "quarantined", actor="test")
    assert (await move.reader.rows(TRUST, move.guest.scid))[0][:2] == ("allowed", "operator")


async def test_a_blocked_participant_does_not_become_visible_by_moving(move: Move) -> None:
    await set_peer_trust(move.reader.database, move.old.url, "quarantined", actor="test")
    await move.move()
    assert await move.pulled(move.new.url) == {}
    assert (await move.reader.rows(TRUST, move.guest.scid))[0][:2] == ("quarantined", "kept")


async def test_an_end_closes_the_log_and_keeps_the_records(move: Move) -> None:
    with pytest.raises(OperatorStays):
        await end(
            move.old.database,
            move.old.node.keys,
            move.old.node.operator.scid,
            seed_of("lama.gotong.test"),
            now=move.old.node.clock.advance(minutes=1),
        )
    ended = await end(
        move.old.database, move.old.node.keys, move.guest.scid, SEED, now=move.old.node.clock.advance(minutes=1)
    )
    assert (ended.version, ended.signing_key) == (2, None)
    with pytest.raises(ParticipantEnded):
        await move.old.node.publish_needs(move.guest.scid, "Lagi")
    assert await move.pulled(move.old.url) == {}
    assert await move.reader.value("select ended from participant where scid = $1", move.guest.scid) is True
    assert await move.reader.value("select count(*) from need") == 1
    await append_raw(move.old.node, move.guest, [hand_built(move.old.node, 3, "need", need_body("Lagi"))])
    assert await move.pulled(move.old.url) == {move.guest.origin: "CHECKPOINT_KEY_RETIRED"}
    with pytest.raises(ParticipantEnded):
        await rotate(move.old.database, move.old.node.keys, move.guest.scid, SEED, now=move.old.node.clock())


def _json(package: Package) -> bytes:
    return msgspec.json.encode(package)
