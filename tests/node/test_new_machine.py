"""A whole node on a new machine: taken along, or lost and brought back; its peers go on with it at its new address."""

from pathlib import Path
from typing import Any

import pytest

from store.database import connect
from tests.driver import people
from tests.driver.machine import Machine, Refused
from tests.node.conftest import WAITS, Machines, cards_of, shows
from tests.waiting import PATIENCE_S

BACKUP_BYTES = str(10_000_000)


async def test_a_node_that_is_taken_to_another_address_is_followed_there(machines: Machines, tmp_path: Path) -> None:
    home, reader = [await machines.begin(name) for name in ("rumah", "pembaca")]
    befriend(reader, home)
    befriend(home, reader)
    scid = home.gotong("org", "list")[0]["id"]
    guest = home.gotong("org", "create", "Dapur Ibu", "--region", "34.71", "--cards", str(tmp_path / "dapur-ibu"))["id"]
    people.signed(home, scid, "Beras")
    people.signed(home, guest, "Gula")
    shows(reader, scid, "Beras")
    shows(reader, guest, "Gula")
    with pytest.raises(Refused, match="OPERATOR_STAYS"):
        home.gotong("org", "move", "out", "rumah", str(tmp_path / "pindah"))

    home.stop()
    new = await machines.copy(home, "baru")
    new.up()
    here = ("org", "move", "here", "rumah", "--did-host", "baru.gotong.test", *cards_of(home, "rumah"))
    moved = once_confirmed(new, *here)
    assert (moved["address"], moved["signingKey"]) == (new.url, "#log-0-0")
    cards = [each for n in (2, 3) for each in ("--card", str(tmp_path / "dapur-ibu" / f"dapur-ibu-{n}.html"))]
    followed = new.gotong("org", "move", "here", "dapur-ibu", *cards)
    assert followed["did"].endswith(":baru.gotong.test:o:dapur-ibu")
    befriend(reader, new)
    people.signed(new, scid, "Selimut")
    people.signed(new, guest, "Garam")
    shows(reader, scid, "Beras", "Selimut")
    shows(reader, guest, "Garam", "Gula")
    known = {each["slug"]: each for each in reader.gotong("peer", "list")["participants"]}
    assert [known[slug]["host"] for slug in ("rumah", "dapur-ibu")] == ["baru.gotong.test"] * 2
    assert [known[slug]["trust"] for slug in ("rumah", "dapur-ibu")] == ["allowed"] * 2

    people.signed(reader, reader.gotong("org", "list")[0]["id"], "Obat")  # and it still copies, signing as itself
    new.wait(lambda: "Obat" in people.needs(new, "Obat"), PATIENCE_S, "it does not copy from its new address")
    for node in (new, reader):
        assert people.accusations(node) == []
        assert node.gotong("verify", "--deep")["differences"] == []


async def test_a_lost_node_is_brought_back_with_what_any_of_its_peers_has(machines: Machines) -> None:
    home, keeper, other = [await machines.begin(name) for name in ("rumah", "penjaga", "lain")]
    for peer in (keeper, other):
        befriend(home, peer)
        befriend(peer, home)
    scid = home.gotong("org", "list")[0]["id"]
    people.signed(home, scid, "Beras")
    keeper.gotong("peer", "allow-backups", home.url, "--bytes", BACKUP_BYTES)
    home.gotong("backup", "--to", keeper.url)
    shows(keeper, scid, "Beras")
    keeper.kill()
    people.signed(home, scid, "Selimut")
    shows(other, scid, "Beras", "Selimut")
    home.kill()
    other.kill()
    keeper.up()

    new = await machines.empty("baru")
    cards = [each.replace("--card", "--cards") for each in cards_of(home, "rumah", 1, 3)]
    from_ = ("restore", "--private", "--from", keeper.url, "--base-url", new.url, *cards)
    with pytest.raises(Refused, match="PEERS_NOT_ASKED") as refused:
        new.gotong(*from_)
    assert other.url in str(refused.value)
    other.up()
    await dies_at_the_end(new, *from_)
    restored = new.gotong(*from_)
    assert (restored["id"], restored["size"], sorted(restored["asked"])) == (scid, 4, sorted([keeper.url, other.url]))
    new.up()
    people.signed(new, scid, "Obat")
    for peer in (keeper, other):
        befriend(peer, new)
        shows(peer, scid, "Beras", "Obat", "Selimut")
        assert people.accusations(peer) == []


async def test_an_operator_becomes_a_guest_elsewhere_when_its_node_is_given_up(machines: Machines) -> None:
    home, steward = [await machines.begin(name) for name in ("rumah", "lurah")]
    befriend(steward, home)
    scid = home.gotong("org", "list")[0]["id"]
    people.signed(home, scid, "Beras")
    shows(steward, scid, "Beras")
    home.stop()
    late = await machines.begin("pembaca")
    befriend(late, steward)
    cards = [each.replace("--card", "--cards") for each in cards_of(home, "rumah")]
    restored = steward.gotong("restore", "--private", "--from", steward.url, "--id", scid, *cards)
    assert not restored["operator"]
    assert restored["did"].endswith(":lurah.gotong.test:o:rumah")
    people.signed(steward, scid, "Selimut")
    shows(late, scid, "Beras", "Selimut")
    home.up()
    befriend(home, steward)
    home.wait(lambda: home.gotong("org", "list") == [], PATIENCE_S, "its old node does not hear of it")
    shows(home, scid, "Beras", "Selimut")


def once_confirmed(machine: Machine, *command: str) -> Any:
    """Return what a command says once a peer has confirmed that the machine lacks nothing."""
    said: list[Any] = []

    def is_done() -> bool:
        ran = machine.run(*command, "--json")
        assert ran.code == 0 or ran.json["error"]["code"] == "PUBLICATION_WAITS", ran
        said.append(ran.json)
        return ran.code == 0

    machine.wait(is_done, PATIENCE_S, "nobody confirms that it lacks nothing")
    return said[-1]


async def dies_at_the_end(machine: Machine, *command: str) -> None:
    """Run a command and kill it when it writes into the audit log, which nothing but that needs."""
    holding, looking = [await connect(machine.environment["GOTONG_DATABASE_URL"]) for _ in range(2)]
    try:
        async with holding.transaction():
            await holding.execute("lock table audit in share mode")
            with machine.start(*command) as process:
                while not await looking.fetchval(WAITS):
                    assert process.poll() is None
                process.kill()
    finally:
        await holding.close()
        await looking.close()


def befriend(one: Machine, other: Machine) -> None:
    one.gotong("peer", "add", other.url, "--allow")
