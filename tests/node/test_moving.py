"""A participant comes by an invitation, goes to another host and back, leaves for a node of its own, and ends."""

from functools import partial
from pathlib import Path

import pytest

from store.database import connect
from tests.driver import people
from tests.driver.machine import Machine, Refused
from tests.node.conftest import WAITS, Machines, shows
from tests.waiting import PATIENCE_S

ENDED = "query Ended($ids: [ID!]!) { nodes(ids: $ids) { ... on Organization { ended } } }"
CONTACT = {"contact": people.CONTACT, "exactPlace": people.EXACT_PLACE}


@pytest.fixture
async def hosts(machines: Machines) -> tuple[Machine, Machine, Machine]:
    """Two hosts that copy from each other, and a reader that copies from both."""
    old, new, reader = [await machines.begin(name) for name in ("lama", "baru", "pembaca")]
    for node, other in ((new, old), (old, new), (reader, old), (reader, new)):
        node.gotong("peer", "add", other.url, "--allow")
    return old, new, reader


async def test_a_participant_moves_to_another_host_and_back_again(
    hosts: tuple[Machine, Machine, Machine], tmp_path: Path
) -> None:
    old, new, _ = hosts
    made = old.gotong("org", "create", "Dapur Ibu", "--region", "34.71", "--cards", str(tmp_path / "dapur-ibu"))
    scid = made["id"]
    people.signed(old, scid, "Beras", **CONTACT)
    old.wait(lambda: people.needs(old, "Beras"), PATIENCE_S, "its text is not indexed")
    need = people.needs(old, "Beras")["Beras"][0]
    for node in hosts:
        shows(node, scid, "Beras")
    given = people.token(old, scid)
    move(old, new, scid, tmp_path, 1, 2)
    assert people.refusal(old, scid, given) == "PARTICIPANT_MOVED"
    people.signed(new, scid, "Selimut")
    for node in hosts:
        shows(node, scid, "Beras", "Selimut")
    assert contact_of(new, scid, need) == CONTACT
    with pytest.raises(Refused, match="ORGANIZATION_NOT_HOSTED"):
        old.gotong("token", "--as", "dapur-ibu")

    given = people.token(new, scid)
    move(new, old, scid, tmp_path, 2, 3)
    assert people.refusal(new, scid, given) == "PARTICIPANT_MOVED"
    people.signed(old, scid, "Obat")
    for node in hosts:
        shows(node, scid, "Beras", "Obat", "Selimut")
        assert people.accusations(node) == []
        assert node.gotong("verify", "--deep")["differences"] == []
    assert contact_of(old, scid, need) == CONTACT
    rows = {each["slug"]: each["did"] for each in old.gotong("org", "list")}
    assert rows["dapur-ibu"].endswith(":lama.gotong.test:o:dapur-ibu")


async def test_a_machine_that_dies_while_it_lets_go_leaves_no_file_to_move_in_with(
    machines: Machines, tmp_path: Path
) -> None:
    """It writes for the participant still: were there a file, another host would write for it too."""
    host, file = await machines.empty("lama"), tmp_path / "pindah.json"
    host.gotong("init", "Lama", "--region", "34.71", "--no-cards")
    host.gotong("org", "create", "Dapur Ibu", "--region", "34.71", "--no-cards")
    holding, looking = [await connect(host.environment["GOTONG_DATABASE_URL"]) for _ in range(2)]
    try:
        async with holding.transaction():
            await holding.execute("select from participant where slug = 'dapur-ibu' for share")
            with host.start("org", "move", "out", "dapur-ibu", str(file)) as command:
                while not await looking.fetchval(WAITS):
                    assert command.poll() is None
                command.kill()
    finally:
        await holding.close()
        await looking.close()
    assert not file.exists()
    host.gotong("org", "move", "out", "dapur-ibu", str(file))
    assert {each.name for each in tmp_path.glob("*pindah*")} == {file.name}
    with pytest.raises(Refused, match="ORGANIZATION_NOT_HOSTED"):
        host.gotong("org", "move", "out", "dapur-ibu", str(tmp_path / "lain.json"))


def move(old: Machine, new: Machine, scid: str, place: Path, *cards: int) -> None:
    """Move as docs/operate.md says, word by word."""
    file = place / f"pindah-{new.name}.json"
    old.gotong("org", "move", "out", "dapur-ibu", str(file))
    new.gotong("sync")
    given = [each for n in cards for each in ("--card", str(place / "dapur-ibu" / f"dapur-ibu-{n}.html"))]
    assert new.gotong("org", "move", "in", str(file), *given)["id"] == scid


def contact_of(machine: Machine, scid: str, need: str) -> dict[str, object]:
    token = people.token(machine, scid, "restricted:read")
    (found,) = machine.ask(people.CONTACTS, token, ids=[need])["nodes"]
    return {name: found[name] for name in CONTACT}


async def test_a_guest_comes_by_an_invitation_and_leaves_for_a_node_of_its_own(
    machines: Machines, tmp_path: Path
) -> None:
    steward, reader = [await machines.begin(name) for name in ("lurah", "pembaca")]
    reader.gotong("peer", "add", steward.url, "--allow")
    link = steward.gotong("org", "invite", "untuk Bu Sari, RT 05")["link"]
    cards = str(tmp_path / "dapur-ibu")
    scid = steward.gotong("org", "accept", link, "Dapur Ibu", "--region", "34.71", "--cards", cards)["id"]
    people.signed(steward, scid, "Beras", **CONTACT)
    shows(reader, scid, "Beras")
    own = await machines.begin("rumah")
    own.gotong("peer", "add", steward.url, "--allow")
    given = people.token(steward, scid)
    move(steward, own, scid, tmp_path, 1, 3)
    assert people.refusal(steward, scid, given) == "PARTICIPANT_MOVED"
    for node in (steward, reader):
        node.gotong("peer", "add", own.url, "--allow")
    people.signed(own, scid, "Selimut")
    for node in (own, steward, reader):
        shows(node, scid, "Beras", "Selimut")
        assert people.accusations(node) == []
        assert node.gotong("verify", "--deep")["differences"] == []


async def test_what_has_ended_stays_readable_and_nobody_adds_to_it(machines: Machines, tmp_path: Path) -> None:
    home, reader = [await machines.begin(name) for name in ("rumah", "pembaca")]
    reader.gotong("peer", "add", home.url, "--allow")
    made = home.gotong("org", "create", "Dapur Ibu", "--region", "34.71", "--cards", str(tmp_path / "dapur-ibu"))
    scid = made["id"]
    people.signed(home, scid, "Beras")
    shows(reader, scid, "Beras")
    given = people.token(home, scid)
    cards = [each for n in (1, 2) for each in ("--card", str(tmp_path / "dapur-ibu" / f"dapur-ibu-{n}.html"))]
    ended = home.gotong("org", "deactivate", "dapur-ibu", *cards)
    assert (ended["size"], ended["signingKey"]) == (3, None)
    assert people.refusal(home, scid, given) == "PARTICIPANT_ENDED"
    for command in (["keys", "rotate"], ["keys", "kit", "--cards", str(tmp_path / "baru")], ["org", "deactivate"]):
        with pytest.raises(Refused, match="PARTICIPANT_ENDED"):
            home.gotong(*command, "dapur-ibu", *cards)
    for node in (home, reader):
        node.wait(partial(has_ended, node, scid), PATIENCE_S, "it does not know that this has ended")
        shows(node, scid, "Beras")
        assert node.gotong("verify", "--deep")["differences"] == []
    identity = home.get("/o/dapur-ibu/did.jsonl").text.splitlines()[-1]
    assert '"deactivated":true' in identity
    late = await machines.begin("terlambat")
    late.gotong("peer", "add", reader.url, "--allow")
    late.gotong("peer", "add", home.url, "--allow")
    shows(late, scid, "Beras")
    assert has_ended(late, scid)


def has_ended(machine: Machine, scid: str) -> bool:
    (found,) = machine.ask(ENDED, ids=[scid])["nodes"]
    return bool(found["ended"])
