"""A member leaves on bad terms, knows one card and has a copy of the keys: what is left to it."""

from pathlib import Path

import pytest

from tests.driver import people
from tests.driver.machine import Refused
from tests.node.conftest import Machines, cards_of, shows


async def test_whoever_left_with_a_card_and_a_copy_of_the_keys_can_do_nothing_with_them(
    machines: Machines, tmp_path: Path
) -> None:
    home, reader = [await machines.begin(name) for name in ("rumah", "pembaca")]
    reader.gotong("peer", "add", home.url, "--allow")
    scid = home.gotong("org", "list")[0]["id"]
    people.signed(home, scid, "Beras")
    shows(reader, scid, "Beras")
    old = cards_of(home, "rumah", 1, 2)  # card 3 is with the one who left
    home.stop()
    taken = await machines.copy(home, "pergi")
    home.up()

    new = str(tmp_path / "kartu-baru")
    home.gotong("keys", "kit", "rumah", "--rotate", "--cards", new, *old)
    (home.data / "keys" / "token-0.pem").unlink()
    home.stop()
    home.up()
    shows(reader, scid, "Beras")
    reader.gotong("sync")

    for cards in (old, cards_of(home, "rumah", 1, 3), cards_of(home, "rumah", 2, 3)):
        with pytest.raises(Refused, match="CARDS_DO_NOT_FIT"):
            home.gotong("keys", "rotate", "rumah", *cards)
    mixed = [*cards_of(home, "rumah", 3), "--card", str(tmp_path / "kartu-baru" / "rumah-1.html")]
    with pytest.raises(Refused, match="CARDS_DIFFERENT_KITS"):
        home.gotong("keys", "rotate", "rumah", *mixed)

    taken.gotong("confirm", "--yes")
    taken.up()
    people.signed(taken, scid, "Kirim uang")
    taken.gotong("bundle", "export", str(tmp_path / "palsu"))
    ran = reader.run("bundle", "import", str(tmp_path / "palsu"), "--json")
    assert "CHECKPOINT_KEY_RETIRED" in ran.out
    people.signed(home, scid, "Selimut")
    shows(reader, scid, "Beras", "Selimut")
    assert reader.gotong("evidence", "list")["evidence"] == []
    current = [each for n in (2, 3) for each in ("--card", str(tmp_path / "kartu-baru" / f"rumah-{n}.html"))]
    assert home.gotong("keys", "rotate", "rumah", *current)["signingKey"] == "#log-0-2"
