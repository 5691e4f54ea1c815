"""A thief has a copy of a machine: what its owner does with two cards, and what everybody reads afterwards."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.driver import people
from tests.driver.machine import Machine
from tests.node.conftest import Machines, cards_of, shows, titles_of
from tests.waiting import PATIENCE_S


@dataclass
class Village:
    """The victim's node and one that mirrors it, which know each other, and a third that copies from the mirror."""

    home: Machine
    mirror: Machine
    reader: Machine
    scid: str

    @property
    def everybody(self) -> tuple[Machine, ...]:
        return self.home, self.mirror, self.reader

    def publish(self, machine: Machine, *titles: str) -> None:
        for title in titles:
            people.signed(machine, self.scid, title)

    def log_shown(self, machine: Machine) -> str:
        (log,) = [
            each for each in machine.get("/federation/v1/heads").json()["logs"] if self.scid[7:] in each["origin"]
        ]
        return str(log["origin"])


@pytest.fixture
async def village(machines: Machines) -> Village:
    home, mirror, reader = [await machines.begin(name) for name in ("rumah", "cermin", "pembaca")]
    for node, other in ((mirror, home), (home, mirror), (reader, mirror)):
        node.gotong("peer", "add", other.url, "--allow")
    reader.gotong("peer", "add", home.url, "--allow")
    mirror.gotong("peer", "add", reader.url, "--allow")
    made = Village(home, mirror, reader, home.gotong("org", "list")[0]["id"])
    made.publish(home, "Beras", "Selimut")
    for node in made.everybody:
        shows(node, made.scid, "Beras", "Selimut")
    return made


async def test_a_thief_who_publishes_from_a_copy_is_left_behind_and_the_owner_goes_on(
    village: Village, machines: Machines, tmp_path: Path
) -> None:
    home, mirror, reader = village.everybody
    home.stop()
    thief = await machines.copy(home, "pencuri")
    home.up()
    thief.gotong("confirm", "--yes")
    thief.gotong("peer", "block", mirror.url)
    thief.up()
    village.publish(thief, "Kirim uang")
    village.publish(home, "Obat")
    for node in village.everybody:
        shows(node, village.scid, "Beras", "Obat", "Selimut")
    carry(thief, reader, tmp_path / "satu")
    for node in village.everybody:
        node.wait(partial(forked, node), PATIENCE_S, "the fork is not known")
    shows(reader, village.scid, "Beras", "Selimut")
    shows(home, village.scid, "Beras", "Selimut")
    refused = people.publish(home, village.scid, "Lampu")
    assert [each["code"] for each in refused["userErrors"]] == ["LOG_FROZEN"]

    listed = home.gotong("keys", "recover", "rumah", "--size", "4", "--dry-run")
    assert [each["index"] for each in listed["leftBehind"]] == [4]
    recovered = home.gotong("keys", "recover", "rumah", "--size", "4", "--keep", "5", *cards_of(home, "rumah"))
    assert recovered["leftBehind"] == []
    for node in village.everybody:
        shows(node, village.scid, "Beras", "Obat", "Selimut")
    village.publish(home, "Lampu")
    for node in village.everybody:
        shows(node, village.scid, "Beras", "Lampu", "Obat", "Selimut")
        assert village.log_shown(node) == recovered["log"]
        assert not forked(node)
        assert [each["log"] for each in node.gotong("evidence", "list")["evidence"]] == [f"gotong/{village.scid[7:]}/0"]

    village.publish(thief, "Kirim lagi")
    carry(thief, reader, tmp_path / "dua")
    for node in village.everybody:
        assert titles_of(node, village.scid) == ["Beras", "Lampu", "Obat", "Selimut"]
        assert node.gotong("verify", "--deep")["differences"] == []


async def test_a_thief_who_took_the_machine_itself_is_left_behind_by_a_new_one(
    village: Village, machines: Machines
) -> None:
    home, mirror, reader = village.everybody
    village.publish(home, "Kirim uang")  # the thief sits at the machine: nothing tells it from the owner
    for node in (mirror, reader):
        shows(node, village.scid, "Beras", "Kirim uang", "Selimut")
    home.kill()
    new = await machines.empty("baru", port=home.port)
    cards = [each.replace("--card", "--cards") for each in cards_of(home, "rumah", 1, 3)]
    restored = new.gotong("restore", "--private", "--from", mirror.url, "--id", village.scid, *cards)
    assert (restored["id"], restored["size"]) == (village.scid, 5)
    new.up()
    listed = new.gotong("keys", "recover", "rumah", "--size", "4", "--dry-run")
    assert [(each["index"], each["type"]) for each in listed["leftBehind"]] == [(4, "need")]
    new.gotong("keys", "recover", "rumah", "--size", "4", *cards_of(home, "rumah", 2, 3))
    village.publish(new, "Obat")
    for node in (new, mirror, reader):
        shows(node, village.scid, "Beras", "Obat", "Selimut")
        assert people.accusations(node) == []
        assert node.gotong("verify", "--deep")["differences"] == []


def carry(one: Machine, other: Machine, file: Path) -> None:
    """Carry what a machine hosts to another one, as a file; what is refused of it is said by the command itself."""
    one.gotong("bundle", "export", str(file))
    other.run("bundle", "import", str(file))


def forked(machine: Machine) -> bool:
    return "LOG_FORKED" in {each["kind"] for each in machine.gotong("alerts")["alerts"]}
