"""A database put back from before an erasure: what was erased since is in no answer, not even the first."""

from typing import Any

from tests.driver import people
from tests.driver.machine import Machine
from tests.node.conftest import Machines, cards_of, shows, titles_of
from tests.waiting import PATIENCE_S

ERASE = """
mutation Erase($input: EraseRecordInput!) { eraseRecord(input: $input) { erasedId userErrors { code message } } }
"""


def erase(machine: Machine, author: str, record: str) -> None:
    """Erase the body of a record as its author."""
    given = people.token(machine, author)
    done = machine.ask(ERASE, given, input={"id": record, "parts": ["BODY"]})["eraseRecord"]
    assert (done["erasedId"], done["userErrors"]) == (record, [])


def peer_of(machine: Machine, other: Machine) -> None:
    machine.gotong("peer", "add", other.url, "--private", "--allow")


async def test_a_copy_that_is_put_back_hears_what_was_erased_before_it_answers(machines: Machines) -> None:
    home, other = await machines.begin("desa"), await machines.begin("lsm")
    author = _operator(home)
    gone = people.publish(home, author, "Beras")["need"]["id"]
    people.publish(home, author, "Air")
    peer_of(other, home)
    shows(other, author, "Air", "Beras")
    other.stop()
    restored = await machines.copy(other, "lsm-restored")
    erase(home, author, gone)
    restored.up()
    assert titles_of(restored, author) == ["Air"]


async def test_an_author_whose_node_is_put_back_does_not_show_what_it_had_erased(machines: Machines) -> None:
    home, mirror = await machines.begin("desa"), await machines.begin("cermin")
    author = _operator(home)
    gone = people.publish(home, author, "Beras")["need"]["id"]
    people.publish(home, author, "Air")
    peer_of(mirror, home)
    peer_of(home, mirror)
    shows(mirror, author, "Air", "Beras")
    home.stop()
    restored = await machines.copy(home, "desa-restored", port=home.port)
    home.up()
    erase(home, author, gone)
    shows(mirror, author, "Air")
    home.stop()
    restored.up()
    assert titles_of(restored, author) == ["Air"]


async def test_an_identity_is_not_changed_where_its_newest_entry_may_be_missing(machines: Machines) -> None:
    home, mirror = await machines.begin("desa"), await machines.begin("cermin")
    author = _operator(home)
    people.publish(home, author, "Air")
    peer_of(mirror, home)
    shows(mirror, author, "Air")
    home.stop()
    restored = await machines.copy(home, "desa-restored")
    cards = cards_of(home, "desa", 1, 2)
    for command in (
        ["keys", "rotate"],
        ["keys", "kit", "--cards", str(restored.data.parent / "new")],
        ["org", "deactivate"],
        ["org", "move", "here"],
    ):
        refused = restored.run(*command, "desa", *cards)
        assert refused.code != 0
        assert "PUBLICATION_WAITS" in refused.err
    file = restored.data.parent / "pindah"
    assert "PUBLICATION_WAITS" in restored.run("org", "move", "out", "desa", str(file)).err
    assert not file.exists()
    assert home.gotong("keys", "rotate", "desa", *cards)["version"] == 2


async def test_a_new_log_is_begun_from_no_identity_that_may_be_older_than_what_peers_have(machines: Machines) -> None:
    home, mirror = await machines.begin("desa"), await machines.begin("cermin")
    author = _operator(home)
    people.publish(home, author, "Air")
    peer_of(mirror, home)
    peer_of(home, mirror)
    shows(mirror, author, "Air")
    home.stop()
    restored = await machines.copy(home, "desa-restored")
    cards, new = cards_of(home, "desa", 1, 2), restored.data.parent / "new"
    recover = ("keys", "recover", "desa", "--size", "2")
    home.up()
    home.gotong("keys", "kit", "desa", "--cards", str(new), *cards)
    mirror.wait(lambda: version_of(mirror, author) == 2, PATIENCE_S, "nobody hears of the new cards")
    home.stop()

    mirror.kill()
    refused = restored.run(*recover, *cards)
    assert "PUBLICATION_WAITS" in refused.err
    assert restored.gotong(*recover, "--dry-run")["leftBehind"] != []
    mirror.up()
    assert "CARDS_DO_NOT_FIT" in restored.run(*recover, *cards).err
    given = [each for n in (1, 2) for each in ("--card", str(new / f"desa-{n}.html"))]
    assert restored.gotong(*recover, *given)["version"] == 3


def version_of(machine: Machine, scid: str) -> int:
    """Return how many versions of an identity a machine hands on."""
    logs = machine.get("/federation/v1/heads").json()["logs"]
    return next((int(each["did_version"]) for each in logs if scid[7:] in each["origin"]), 0)


async def test_a_mirror_that_is_put_back_gets_what_it_lost_from_a_laptop_that_nobody_can_ask(
    machines: Machines,
) -> None:
    mirror, laptop = await machines.begin("cermin"), await machines.begin("laptop")
    author = _operator(mirror)
    people.publish(mirror, author, "Air")
    laptop.gotong("peer", "join", mirror.gotong("peer", "invite", "--allow")["link"])
    laptop.gotong("peer", "allow", mirror.url)
    shows(laptop, author, "Air")
    mirror.stop()
    restored = await machines.copy(mirror, "cermin-restored", port=mirror.port)
    mirror.up()
    people.publish(mirror, author, "Beras")
    shows(laptop, author, "Air", "Beras")
    mirror.stop()
    restored.up()
    shows(restored, author, "Air", "Beras")
    restored.gotong("confirm", "--yes")
    people.signed(restored, author, "Selimut")
    shows(laptop, author, "Air", "Beras", "Selimut")
    assert people.accusations(laptop) == []


async def test_who_has_nobody_to_hear_from_serves_all_the_same(machines: Machines) -> None:
    home, other = await machines.begin("desa"), await machines.begin("lsm")
    author = _operator(home)
    people.publish(home, author, "Beras")
    peer_of(other, home)
    shows(other, author, "Beras")
    home.stop()
    other.kill()
    other.up()
    assert titles_of(other, author) == ["Beras"]
    assert "not_caught_up" in other.log.read_text()


def _operator(machine: Machine) -> str:
    listed: Any = machine.ask("{ organizations(first: 10) { nodes { id } } }")
    return str(listed["organizations"]["nodes"][0]["id"])
