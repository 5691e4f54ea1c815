"""What each record type accepts, refuses, and becomes as a row."""

import ast
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

import domain
from domain.categories import CategoryUnknown
from domain.instants import ZoneUnknown
from domain.money import MoneyInvalid
from domain.quantity import QuantityInvalid
from domain.records.base import Clock, RecordInvalid, RecordType
from domain.records.need import NeedState, NeedStatus, Urgency, default_expiry
from domain.records.registry import RECORDS, RecordTypeUnknown, Registry
from domain.regions import Regions, RegionUnknown
from tests.domain.samples import (
    ACTIVITY,
    LEAF,
    NEED,
    ORGANIZATION,
    PLACE,
    REACHABLE,
    SCID,
    UPDATE,
    URI,
    WHOLE,
    changed,
)

AT = datetime(2026, 2, 1, tzinfo=UTC)
RECEIVED = AT + timedelta(minutes=1)
RUPIAH = {"amount": "120000000", "currency": "IDR"}


def validate(name: str, body: dict[str, Any] | None, restricted: dict[str, Any] | None = None, **history: Any) -> None:
    history = {"rev": 0, "previous": None} | history
    RECORDS.named(name).validate({}, body, restricted, **history)


def row(name: str, body: dict[str, Any], received: datetime = RECEIVED) -> dict[str, Any]:
    return RECORDS.named(name).row({}, body, at=AT, received=received)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_full_record_and_its_known_words_are_accepted(name: str, regions: Regions) -> None:
    validate(name, WHOLE[name]["body"], WHOLE[name].get("restricted"))
    RECORDS.named(name).check_known(WHOLE[name]["body"], regions)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_record_without_its_body_is_refused(name: str) -> None:
    with pytest.raises(RecordInvalid) as caught:
        validate(name, None)
    assert caught.value.details["part"] == "body"


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_members_of_a_later_version_are_ignored_and_kept(name: str) -> None:
    body = changed(WHOLE[name]["body"], mood="hopeful")
    validate(name, body)
    assert row(name, body)["doc"]["mood"] == "hopeful"


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("need", changed(NEED, title=None), "title"),
        ("need", changed(NEED, description=[{"lang": "id", "text": "a"}, {"lang": "id", "text": "b"}]), "description"),
        ("need", changed(NEED, kind="WISHES"), "kind"),
        ("need", changed(NEED, quantity=None), "quantity"),
        ("need", changed(NEED, money=RUPIAH), "quantity"),
        ("need", changed(NEED, kind="MONEY"), "money"),
        ("need", changed(NEED, minimum="101"), "minimum"),
        ("need", changed(NEED, permit=URI), "permit"),
        ("need", changed(NEED, modes=[]), "modes"),
        ("need", changed(NEED, modes=["LEND", "LEND"]), "modes"),
        ("need", changed(NEED, neededBy="2026-02-30T00:00:00.000Z"), "neededBy"),
        ("need", changed(NEED, expiresAt="2026-02-01T00:00:00.000Z"), "expiresAt"),
        ("need", changed(NEED, place=changed(PLACE, code="32.3")), "place.code"),
        ("need", changed(NEED, place=changed(PLACE, lat=None)), "place"),
        ("need", changed(NEED, place=changed(PLACE, precision_m=True)), "place.precision_m"),
        ("need", changed(NEED, place=changed(PLACE, edition=None)), "place.edition"),
        ("need", changed(NEED, title=[{"lang": "id", "text": "balik \u202e"}]), "title[0].text"),
        ("need", changed(NEED, externalIds=[{"scheme": "Import:", "value": "1"}]), "externalIds[0].scheme"),
        ("activity", changed(ACTIVITY, end="2026-02-08T01:59:59.999Z"), "end"),
        ("activity", changed(ACTIVITY, start=None), "start"),
        ("activity", changed(ACTIVITY, recurrence="FREQ=SECONDLY"), "recurrence"),
        ("activity", changed(ACTIVITY, attendance=-1), "attendance"),
        ("activity", changed(ACTIVITY, zone="../etc/passwd"), "zone"),
        ("update", changed(UPDATE, about={"uri": URI}), "about.leaf"),
        ("update", changed(UPDATE, about={"uri": "https://example.org"}), "about.uri"),
        ("update", changed(UPDATE, media=[LEAF, LEAF]), "media"),
        ("organization", changed(ORGANIZATION, slug="-baca"), "slug"),
        ("organization", changed(ORGANIZATION, slug="a" * 41), "slug"),
        ("organization", changed(ORGANIZATION, foundedOn="2025-02-30"), "foundedOn"),
        ("organization", changed(ORGANIZATION, links=[{"url": "javascript:alert(1)"}]), "links[0].url"),
        ("organization", changed(ORGANIZATION, languages=["id", "id"]), "languages"),
    ],
)
def test_a_broken_rule_names_its_field(name: str, body: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordInvalid) as caught:
        validate(name, body)
    assert caught.value.details["field"] == field
    assert caught.value.code == "RECORD_INVALID"


@pytest.mark.parametrize(
    ("restricted", "field"),
    [
        ({"contact": {}}, "contact"),
        ({"contact": {"phone": "0812"}}, "contact.phone"),
        ({"exactPlace": {"lat": "1.5"}}, "exactPlace"),
        ({"exactPlace": {}}, "exactPlace"),
        (changed(REACHABLE, exactPlace={"address": "x", "lon": "181"}), "exactPlace.lon"),
    ],
)
def test_a_broken_restricted_part_is_refused(restricted: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordInvalid) as caught:
        validate("need", NEED, restricted)
    assert caught.value.details == {"part": "restricted", "field": field}


@pytest.mark.parametrize(
    ("name", "body", "error", "field"),
    [
        ("need", changed(NEED, place=changed(PLACE, code="32.99")), RegionUnknown, "place.code"),
        ("need", changed(NEED, category="food.caviar"), CategoryUnknown, "category"),
        ("need", changed(NEED, quantity={"value": "1", "unit": "buku"}, minimum=None), QuantityInvalid, "quantity"),
        (
            "need",
            changed(NEED, quantity=None, minimum=None, money={"amount": "1", "currency": "XAU"}),
            MoneyInvalid,
            "money",
        ),
        ("activity", changed(ACTIVITY, zone="Asia/Cipanas"), ZoneUnknown, "zone"),
        ("organization", changed(ORGANIZATION, focus=["education", "luck"]), CategoryUnknown, "focus[1]"),
    ],
)
def test_words_our_lists_lack_bind_writers_but_never_readers(
    name: str, body: dict[str, Any], error: type[Exception], field: str, regions: Regions
) -> None:
    validate(name, body)
    with pytest.raises(error) as caught:
        RECORDS.named(name).check_known(body, regions)
    assert caught.value.details["field"] == field  # type: ignore[attr-defined]


def test_a_revision_may_not_turn_a_need_or_an_update_into_another() -> None:
    validate("need", NEED, rev=1, previous=changed(NEED, status="WITHDRAWN"))
    with pytest.raises(RecordInvalid, match="may not change kind"):
        validate("need", NEED, rev=1, previous=changed(NEED, kind="LOAN"))
    with pytest.raises(RecordInvalid, match="may not change about"):
        validate("update", UPDATE, rev=1, previous=changed(UPDATE, about={"uri": f"gotong:{SCID}"}))
    with pytest.raises(RecordInvalid, match="first revision"):
        validate("need", NEED, rev=0, previous=NEED)


def test_a_need_becomes_a_row() -> None:
    columns = row("need", NEED)
    assert columns.pop("doc") == NEED
    assert columns == {
        "title_text": NEED["title"],
        "description_text": NEED["description"],
        "kind": "GOODS",
        "category": "education.books",
        "quantity_value": Decimal(100),
        "quantity_unit": "{buku}",
        "money_amount": None,
        "money_currency": None,
        "minimum_value": Decimal(10),
        "urgency": 1,
        "modes": ["DONATE", "LEND"],
        "region": "32.03.28",
        "region_path": ["32", "32.03", "32.03.28"],
        "lat": -6.71742,
        "lon": 107.01246,
        "precision_m": 5000,
        "place_edition": "300.2.2-2138/2025",
        "needed_by": datetime(2026, 3, 1, tzinfo=UTC),
        "expires_at": datetime(2026, 3, 2, tzinfo=UTC),
        "confirmed_at": AT,
        "permit": None,
        "recipient": f"gotong:{SCID}",
        "beneficiaries": "31-100",
        "external_ids": ["import:lembar:17"],
        "search_text": "Buku cerita bekas\nUsed story books\nUntuk pojok baca.\n60 anak menunggu.",
        "state": "OPEN",
        "next_due_at": datetime(2026, 3, 2, tzinfo=UTC),
    }


def test_a_need_for_money_becomes_a_row() -> None:
    body = changed(NEED, kind="MONEY", quantity=None, money=RUPIAH, minimum="1000000", place=changed(PLACE, lat=None))
    body["place"] = {"code": "34.71", "edition": "300.2.2-2138/2025"}
    columns = row("need", body)
    assert (columns["money_amount"], columns["money_currency"]) == (Decimal(120_000_000), "IDR")
    assert (columns["quantity_value"], columns["minimum_value"]) == (None, Decimal(1_000_000))
    assert (columns["lat"], columns["lon"], columns["precision_m"]) == (None, None, None)


def test_the_clock_ends_a_need_and_its_author_may_end_it_sooner() -> None:
    end = datetime(2026, 3, 2, tzinfo=UTC)
    states = [row("need", NEED, received=moment)["state"] for moment in (end - timedelta(milliseconds=1), end)]
    assert states == ["OPEN", "EXPIRED"]
    assert row("need", NEED, received=end)["next_due_at"] is None
    withdrawn = row("need", changed(NEED, status="WITHDRAWN"), received=end)
    assert (withdrawn["state"], withdrawn["next_due_at"]) == ("WITHDRAWN", None)
    assert {status.value for status in NeedStatus} <= {state.value for state in NeedState}


@pytest.mark.parametrize(
    ("urgency", "hours"),
    [(Urgency.CRITICAL, 24), (Urgency.HIGH, 7 * 24), (Urgency.MEDIUM, 30 * 24), (Urgency.LOW, 90 * 24)],
)
def test_the_more_urgent_the_sooner_a_need_must_be_confirmed(urgency: Urgency, hours: int) -> None:
    assert default_expiry(urgency, AT) == AT + timedelta(hours=hours)


def test_an_activity_becomes_a_row() -> None:
    columns = row("activity", ACTIVITY)
    assert columns["starts_at"] == datetime(2026, 2, 8, 2, tzinfo=UTC)
    assert columns["ends_at"] == datetime(2026, 2, 8, 5, tzinfo=UTC)
    assert {key: columns[key] for key in ("zone", "status", "attendance", "recurrence", "region")} == {
        "zone": "Asia/Jakarta",
        "status": "DONE",
        "attendance": 60,
        "recurrence": "FREQ=MONTHLY;BYDAY=2SU",
        "region": "32.03.28",
    }
    assert columns["outcome"] == ACTIVITY["outcome"]
    assert "Dua belas" in columns["search_text"]
    bare = row("activity", changed(ACTIVITY, end=None, attendance=None, outcome=None, externalIds=None))
    assert (bare["ends_at"], bare["attendance"], bare["outcome"], bare["external_ids"]) == (None, None, None, [])


def test_an_update_becomes_a_row_about_a_record_or_a_participant() -> None:
    columns = row("update", UPDATE)
    assert columns["about_publisher"] == SCID
    assert (columns["about_type"], columns["about_id"]) == ("need", UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"))
    assert (columns["about_leaf"], columns["media"]) == (bytes.fromhex(LEAF), [LEAF])
    about = row("update", changed(UPDATE, about={"uri": f"gotong:{SCID}"}))
    assert (about["about_type"], about["about_id"], about["about_leaf"]) == (None, None, None)


def test_an_organization_becomes_a_row() -> None:
    columns = row("organization", ORGANIZATION)
    assert {key: columns[key] for key in ("slug", "kind", "founded_on", "member_band", "languages", "focus")} == {
        "slug": "baca-yuk",
        "kind": "COMMUNITY",
        "founded_on": "2025-08",
        "member_band": "1-5",
        "languages": ["id", "su"],
        "focus": ["education.books", "education"],
    }
    assert columns["links"] == ORGANIZATION["links"]
    assert columns["parent_uri"] == f"gotong:{SCID}"


class ToyBody(msgspec.Struct):
    """A record type nobody told the rest of the domain about."""

    name: str


TOY = RecordType(
    name="toy",
    version=2,
    table="toy",
    body=ToyBody,
    project=lambda body: {"name": body.name},
    clock=lambda body, as_of: Clock("NEW", as_of),
)


def test_a_new_record_type_costs_one_module() -> None:
    registry = Registry([*RECORDS, TOY])
    registry.named("toy").validate({}, {"name": "gasing"}, None, rev=0, previous=None)
    assert registry.named("toy").row({}, {"name": "gasing"}, at=AT, received=RECEIVED) == {
        "name": "gasing",
        "doc": {"name": "gasing"},
        "state": "NEW",
        "next_due_at": RECEIVED,
    }


def test_only_a_types_own_module_spells_its_name() -> None:
    root = Path(domain.__file__).parent
    names = {record_type.name for record_type in RECORDS}
    own = {root / "records" / f"{name}.py" for name in names}
    spelled = {
        (path.relative_to(root).as_posix(), node.value)
        for path in root.rglob("*.py")
        if path not in own
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert spelled == set()
    for name in names:
        text = (root / "records" / f"{name}.py").read_text(encoding="utf-8")
        assert f'name="{name}"' in text
        assert not any(f'"{other}"' in text for other in names - {name})


def test_the_registry_tells_what_it_can_project() -> None:
    assert {record_type.name for record_type in RECORDS} == {"organization", "activity", "need", "update"}
    assert [record_type.name for record_type in RECORDS if record_type.one_per_log] == ["organization"]
    assert RECORDS.get("need", 1) is RECORDS.named("need")
    assert RECORDS.get("need", 2) is None
    assert RECORDS.get("spell", 1) is None
    with pytest.raises(RecordTypeUnknown):
        RECORDS.named("spell")
    with pytest.raises(ValueError, match="registered twice"):
        Registry([*RECORDS, RECORDS.named("need")])
