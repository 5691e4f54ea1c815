"""Vouching for a successor and accepting it, as an operator does it."""

from datetime import UTC, datetime
from pathlib import Path

from federation.identity.keys import KeyRing
from federation.publish.append import Appender, Draft
from store.database import Database
from tests.node.conftest import Gotong
from tests.nodes import fixed


async def test_an_operator_vouches_and_accepts_after_seeing_who_does(
    begun: Gotong, database: Database, tmp_path: Path
) -> None:
    old, new = [
        begun("org", "create", name, "--region", "32.03.28", "--no-cards", "--json").json["scid"]
        for name in ("Dapur Lama", "Dapur Baru")
    ]
    both = ("gotong:" + old, new)
    assert begun("participant", "vouch", *both).err.startswith("SUCCESSION_NOT_CLAIMED")
    body = {
        "slug": "dapur-baru",
        "name": [{"lang": "id", "text": "Dapur Baru"}],
        "kind": "COMMUNITY",
        "place": {"code": "32.03.28", "edition": "2025"},
        "languages": ["id"],
        "succeeds": f"gotong:{old}",
    }
    appender = Appender(database, KeyRing(tmp_path / "data" / "keys"), lambda: datetime.now(UTC))
    await appender.append(new, [Draft("organization", None, fixed(body))])
    assert begun("participant", "accept-successor", *both, "--yes").err.startswith("SUCCESSOR_NOT_VOUCHED")
    alone = begun("participant", "accept-successor", *both, "--without-vouch", stdin="n\n")
    assert (alone.code, alone.out.splitlines()[0]) == (1, "Nobody who is allowed here vouches for it.")
    first = begun("participant", "vouch", *both, "--note", "Saya kenal Bu Ani", "--json")
    again = begun("participant", "vouch", *both, "--json")
    assert (first.json["new"], again.json["new"]) == (True, False)
    taken_back = begun("participant", "vouch", *both, "--withdraw", "--json")
    assert (taken_back.json["new"], taken_back.json["vouches"]) == (True, False)
    assert begun("participant", "vouch", *both, "--withdraw").err.startswith("NOT_VOUCHING")
    assert begun("participant", "accept-successor", *both, "--yes").err.startswith("SUCCESSOR_NOT_VOUCHED")
    assert begun("participant", "vouch", *both, "--json").json["new"]
    asked = begun("participant", "accept-successor", *both, stdin="n\n")
    assert (asked.code, "Simpul Uji (this node) vouches since" in asked.out) == (1, True)
    accepted = begun("participant", "accept-successor", *both, "--yes", "--json")
    assert [each["name"] for each in accepted.json["vouchers"]] == ["Simpul Uji"]
    assert begun("participant", "accept-successor", *both, "--yes").err.startswith("SUCCESSOR_ACCEPTED")
    async with database.acquire() as connection:
        told = await connection.fetchval("select details ->> 'reason' from audit where action = 'participant.vouch'")
        assert told == "Saya kenal Bu Ani"
        assert b"Bu Ani" not in await connection.fetchval("select note from vouch")
