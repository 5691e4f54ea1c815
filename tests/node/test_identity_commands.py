"""Beginning a node, making participants, and their cards."""

import re
from datetime import UTC, datetime
from pathlib import Path

from federation.identity.cards import combine, split
from federation.identity.create import Place
from federation.identity.keys import KeyRing
from federation.lifecycle.enroll import create_participant
from store.database import Database
from tests.node.conftest import Gotong


def test_a_node_is_begun_once_and_its_cards_restore_its_seed(gotong: Gotong, tmp_path: Path) -> None:
    cards = tmp_path / "cards"
    arguments = ["init", "Kelurahan Cipanas", "--region", "32.03.28", "--cards", str(cards)]
    made = gotong(*arguments, "--base-url", "https://cipanas.example.org", "--json")
    assert made.code == 0, made.err
    assert made.json["did"].endswith(":cipanas.example.org:o:kelurahan-cipanas")
    pages = sorted(cards.iterdir())
    assert [page.name for page in pages] == [f"kelurahan-cipanas-{n}.html" for n in (1, 2, 3)]
    assert all(page.stat().st_mode & 0o077 == 0 for page in pages)
    words = [" ".join(re.findall(r"<li>([a-z]+)</li>", page.read_text())) for page in pages]
    assert combine(words[:2]) == combine(words[1:])
    again = gotong(*arguments[:-1], str(tmp_path / "other"))
    assert (again.code, again.err.split(":")[0]) == (1, "NODE_EXISTS")


def test_a_live_identity_needs_a_name_and_cards(gotong: Gotong, tmp_path: Path) -> None:
    nameless = gotong("init", "Desa", "--region", "34.71", "--cards", str(tmp_path / "cards"))
    assert nameless.err.startswith("HOST_NEEDED")
    cardless = gotong("init", "Desa", "--region", "34.71", "--no-cards")
    assert cardless.err.startswith("CARDS_NEEDED")
    inside = gotong(
        "init", "Desa", "--region", "34.71", "--network", "test", "--cards", str(tmp_path / "data" / "cards")
    )
    assert inside.err.startswith("CARDS_INSIDE_DATA")


def test_nothing_can_be_made_before_init(gotong: Gotong) -> None:
    ran = gotong("org", "create", "Baca Yuk!", "--region", "32.03.28", "--no-cards", GOTONG_NETWORK="test")
    assert (ran.code, ran.err.split(":")[0]) == (1, "NODE_MISSING")


def test_one_node_hosts_several_participants_with_distinct_names(begun: Gotong) -> None:
    first = begun("org", "create", "Baca Yuk!", "--region", "32.03.28", "--no-cards", "--json")
    assert first.json["slug"] == "baca-yuk"
    twin = begun("org", "create", "Baca yuk", "--region", "32.03.28", "--no-cards")
    assert twin.err.startswith("SLUG_TAKEN")
    assert [row["slug"] for row in begun("org", "list", "--json").json] == ["baca-yuk", "simpul-uji"]
    unclear = begun("org", "create", "Lain", "--region", "Cipanas", "--no-cards")
    assert unclear.err.startswith("REGION_AMBIGUOUS")
    assert "2" in unclear.err


async def test_a_participant_whose_making_was_cut_off_is_finished_not_made_twice(
    begun: Gotong, database: Database, tmp_path: Path
) -> None:
    keys = KeyRing(tmp_path / "data" / "keys")
    place = Place("desa.gotong.test", None, "baca-yuk")
    half = await create_participant(
        database, keys, place=place, base_url="http://localhost:8080", seed=bytes(32), now=datetime.now(UTC)
    )
    made = begun("org", "create", "Baca Yuk!", "--region", "32.03.28", "--no-cards", "--json")
    assert made.json["scid"] == half.scid
    assert begun("org", "create", "Baca Yuk!", "--region", "32.03.28", "--no-cards").err.startswith("SLUG_TAKEN")


def test_a_card_is_never_written_over_another(begun: Gotong, tmp_path: Path) -> None:
    (tmp_path / "baca-yuk-1.html").write_text("kartu lama")
    ran = begun("org", "create", "Baca Yuk!", "--region", "32.03.28", "--cards", str(tmp_path))
    assert ran.err.startswith("CARD_EXISTS")
    assert [row["slug"] for row in begun("org", "list", "--json").json] == ["simpul-uji"]


def test_verify_checks_every_log_and_notices_one_changed_byte(begun: Gotong, database_dsn: str) -> None:
    import asyncio

    from store.database import connect

    async def spoil() -> None:
        connection = await connect(database_dsn)
        await connection.execute("update entry set data = set_byte(data, 9, get_byte(data, 9) # 1) where index = 1")
        await connection.close()

    assert [log["size"] for log in begun("verify", "--json").json["logs"]] == [2]
    asyncio.run(spoil())
    assert begun("verify").code == 1


def test_a_token_is_for_an_organization_hosted_here_and_is_audited(begun: Gotong) -> None:
    made = begun("token", "--as", "simpul-uji", "--json")
    assert made.json["scopes"] == ["records:write"]
    assert made.json["expires_in_s"] == 600
    assert begun("token", "--as", "orang-lain").err.startswith("ORGANIZATION_NOT_HOSTED")
    assert begun("token", "--as", "simpul-uji", "--lifetime", "999999").err.startswith("TOKEN_LIFETIME_OUT_OF_RANGE")


def test_two_cards_change_the_keys_and_the_cards_of_who_left_open_nothing(gotong: Gotong, tmp_path: Path) -> None:
    first, second = tmp_path / "kartu", tmp_path / "kartu-baru"
    arguments = ["init", "Simpul Uji", "--region", "34.71", "--network", "test", "--cards", str(first)]
    assert gotong(*arguments).code == 0
    old = [argument for n in (1, 3) for argument in ("--card", str(first / f"simpul-uji-{n}.html"))]
    rotated = gotong("keys", "rotate", "simpul-uji", *old, "--json")
    assert rotated.code == 0, rotated.err
    assert (rotated.json["version"], rotated.json["signingKey"]) == (2, "#log-0-1")

    renewed = gotong("keys", "kit", "simpul-uji", *old, "--cards", str(second), "--rotate", "--json")
    assert (renewed.json["version"], renewed.json["signingKey"]) == (3, "#log-0-2")
    words = [_words_of(second / f"simpul-uji-{n}.html") for n in (2, 3)]
    assert "Simpul Uji" in (second / "simpul-uji-1.html").read_text()

    refused = gotong("keys", "rotate", "simpul-uji", *old)
    assert (refused.code, refused.err.split(":")[0]) == (1, "CARDS_DO_NOT_FIT")
    piped = gotong("keys", "rotate", "simpul-uji", "--json", stdin="\n".join(words))
    assert piped.json["signingKey"] == "#log-0-3"
    assert [log["size"] for log in gotong("verify", "--json").json["logs"]] == [2]


def test_after_a_theft_the_log_goes_on_from_the_last_entry_that_counts(gotong: Gotong, tmp_path: Path) -> None:
    cards = tmp_path / "kartu"
    arguments = ["init", "Simpul Uji", "--region", "34.71", "--network", "test", "--cards", str(cards)]
    scid = gotong(*arguments, "--json").json["scid"]
    given = [argument for n in (1, 2) for argument in ("--card", str(cards / f"simpul-uji-{n}.html"))]
    listed = gotong("keys", "recover", "simpul-uji", "--size", "1", "--dry-run", "--json")
    assert [each["type"] for each in listed.json["leftBehind"]] == ["organization"]
    assert gotong("keys", "recover", "simpul-uji", "--size", "9").err.startswith("EPOCH_SIZE_OUT_OF_RANGE")
    recovered = gotong("keys", "recover", "simpul-uji", "--size", "2", *given, "--json")
    assert recovered.code == 0, recovered.err
    assert (recovered.json["log"], recovered.json["signingKey"]) == (f"gotong/{scid}/1", "#log-1-0")
    verified = gotong("verify", "--deep", "--json")
    assert sorted(log["log"] for log in verified.json["logs"]) == [f"gotong/{scid}/0", f"gotong/{scid}/1"]
    assert verified.json["differences"] == []


def test_a_guest_is_let_go_taken_back_and_ended(begun: Gotong, tmp_path: Path) -> None:
    cards, handed = tmp_path / "kartu", tmp_path / "pindah.json"
    made = begun("org", "create", "Baca Yuk!", "--region", "32.03.28", "--cards", str(cards), "--json")
    assert made.code == 0, made.err
    left = begun("org", "move", "out", "baca-yuk", str(handed), "--json")
    assert (left.json["size"], handed.stat().st_mode & 0o077) == (2, 0)
    assert begun("org", "move", "out", "baca-yuk", str(handed)).err.startswith("ORGANIZATION_NOT_HOSTED")
    assert begun("org", "move", "in", str(tmp_path / "lain")).err.startswith("FILE_REFUSED")
    assert begun("org", "move", "in", str(cards / "baca-yuk-1.html")).err.startswith("PACKAGE_MALFORMED")
    assert begun("org", "move", "stay", made.json["id"]).code == 0
    given = [argument for n in (1, 2) for argument in ("--card", str(cards / f"baca-yuk-{n}.html"))]
    ended = begun("org", "deactivate", "baca-yuk", *given, "--json")
    assert (ended.json["version"], ended.json["signingKey"]) == (2, None)
    assert begun("keys", "rotate", "baca-yuk", *given).err.startswith("PARTICIPANT_ENDED")
    assert begun("verify").code == 0


def test_a_guest_comes_by_a_link_that_works_once(begun: Gotong, tmp_path: Path) -> None:
    link = begun("org", "invite", "untuk Bu Sari, RT 05", "--json").json["link"]
    wrong = begun("org", "accept", f"{link[:-1]}!", "Baca Yuk!", "--region", "32.03.28", "--no-cards")
    assert wrong.err.startswith("INVITATION_UNKNOWN")
    assert [row["slug"] for row in begun("org", "list", "--json").json] == ["simpul-uji"]
    cards = tmp_path / "kartu"
    made = begun("org", "accept", link, "Baca Yuk!", "--region", "32.03.28", "--cards", str(cards), "--json")
    assert (made.code, len(list(cards.iterdir()))) == (0, 3), made.err
    again = begun("org", "accept", link, "Orang Lain", "--region", "32.03.28", "--no-cards")
    assert again.err.startswith("INVITATION_USED")


def test_cards_that_are_wrong_are_named(begun: Gotong, tmp_path: Path) -> None:
    missing = begun("keys", "rotate", "simpul-uji", "--card", str(tmp_path / "none"))
    assert missing.err.startswith("CARD_UNREADABLE")
    mistyped = begun("keys", "rotate", "simpul-uji", stdin="bukan kartu\n")
    assert mistyped.err.startswith("CARD_MISTYPED")
    one = begun("keys", "rotate", "simpul-uji", stdin=split(bytes(32))[0])
    assert one.err.startswith("CARDS_TOO_FEW")
    inside = begun("keys", "kit", "simpul-uji", "--cards", str(tmp_path / "data" / "kartu"))
    assert inside.err.startswith("CARDS_INSIDE_DATA")


def _words_of(page: Path) -> str:
    return " ".join(re.findall(r"<li>([a-z]+)</li>", page.read_text()))
